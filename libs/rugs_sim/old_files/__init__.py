"""Recordings as the old recorders wrote them, of made-up games."""
