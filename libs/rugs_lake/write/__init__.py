"""From messages to commits: what the parquet-writer runs."""
