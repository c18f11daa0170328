"""A feed that nobody sent: a game that plays itself, told in frames like the real ones."""
