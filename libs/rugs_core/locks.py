"""Locks on open files: they end with the process that holds them, however it ends."""

from __future__ import annotations

import fcntl
from typing import IO, Any


def lock(file: IO[Any]) -> None:
    """Lock an open file until it is closed; wait while another process holds it."""
    fcntl.flock(file, fcntl.LOCK_EX)


def try_lock(file: IO[Any] | int, *, shared: bool = False) -> bool:
    """Lock an open file, or a descriptor, until it is closed; return False while another process holds it.

    A shared lock is for readers: it keeps out only a process that wants the file alone.
    """
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
