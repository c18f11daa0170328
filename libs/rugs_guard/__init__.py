"""Whether a producer's source still does what must be gone at cutover: `check.check` looks through a folder.

It runs in the producer's own continuous integration, so nothing here imports more than Python brings along.
"""
