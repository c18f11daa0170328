"""The parquet-writer: takes the stream RUGS_EVENTS into the lake, exactly once."""
