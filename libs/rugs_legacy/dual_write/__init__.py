"""Dual-write: what is captured live, written beside the lake as the old recorders wrote it."""
