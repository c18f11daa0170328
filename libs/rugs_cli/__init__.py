"""The command `rugs`."""
