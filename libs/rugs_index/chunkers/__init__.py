"""From what was recorded, discovered or documented to chunks: a module for each kind. Pure and deterministic."""
