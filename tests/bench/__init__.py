"""`make bench`: speed, size and memory from publish to committed Parquet, in one run, side by side.

Every figure is of real processes on this machine: a broker that fsyncs every message, the
parquet-writer as it ships, a publisher and an importer of their own. Nothing here is a test,
and nothing fails because it is slow.
"""
