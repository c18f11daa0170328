"""Search over the table of the index."""
