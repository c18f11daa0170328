"""Following what is committed: the stream, which falls back to the lake where it was purged, and the lake itself.

`stream` moves messages and knows the broker, `continuity` decides and does no I/O, `lake_reader` reads the lake.
`lake_follower` gives the lake's rows and changes above a checkpoint. Whoever needs no lake imports no DuckDB.
"""
