"""Keeping a process small: memory that is not needed goes back to the system at once."""

from __future__ import annotations

import ctypes
import gc
from typing import Final

import pyarrow as pa

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_LARGE: Final = 1024 * 1024
"""Bytes from which on an allocation is a mapping of its own, returned when it is freed."""


def keep_small(threads: int = 1, reused: int = _LARGE) -> None:
    """Set this process up to hold no more memory than it uses, but for `reused` bytes; call once, at the start.

    Arrow's own pools keep what they once had, and glibc keeps an arena for each thread:
    a compaction took 450 MB with these, and 290 MB without. Python's collector looks for
    cycles less often: rows are many, short-lived, and have none.
    """
    pa.set_memory_pool(pa.system_memory_pool())
    pa.set_cpu_count(threads)
    gc.set_threshold(100_000, 20, 20)
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # not glibc
        return
    for parameter, value in ((_M_ARENA_MAX, 2), (_M_MMAP_THRESHOLD, reused), (_M_TRIM_THRESHOLD, reused)):
        mallopt(parameter, value)
