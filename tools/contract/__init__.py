"""The contract under `proto/`, written from the code."""
