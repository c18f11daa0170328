"""How much memory a piece of work takes."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager


class Traced:
    """What Python had allocated at the most, in bytes; known when the work is done."""

    peak = 0


@contextmanager
def traced() -> Iterator[Traced]:
    """Trace what Python allocates while the body runs."""
    memory = Traced()
    tracemalloc.start()
    try:
        yield memory
    finally:
        memory.peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
