"""Questions about the data as plain functions: what was recorded, games, rejects, figures."""
