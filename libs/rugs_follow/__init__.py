"""Following what is committed: the stream, and the lake where the stream was purged.

`stream` moves messages and knows the broker, `continuity` decides and does no I/O, `lake_reader` reads the lake.
Whoever needs no lake imports no DuckDB.
"""
