"""Recordings that nobody recorded: a game that plays itself, written as the old recorders wrote."""
