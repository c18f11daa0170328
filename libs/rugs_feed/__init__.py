"""What a frame of the feed means. Pure: no I/O, no state."""
