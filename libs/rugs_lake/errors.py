"""What can go wrong with the lake.

There being none, and one that cannot be read now, are two things: only a lake that is absent is empty.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rugs_core.errors import RugsError


class LakeError(RugsError):
    """The lake cannot do what was asked."""


class LakeAbsentError(LakeError):
    """There is no lake here: nothing was ever stored."""


class LakeUnavailableError(LakeError):
    """There is a lake, and it cannot be used now: busy, no file handle left, a disk error, a migration. It may pass."""

    retryable = True


class LakeIncompatibleError(LakeError):
    """What is here is not a lake that this program can use: another major version, damaged, or no catalog at all."""


class LakeReplacedError(LakeError):
    """The catalog's files are no longer those that were opened."""


_FOR_GOOD: Final = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
"""SQLite's codes for a file that is no catalog, or not whole; waiting changes nothing about it."""


@contextmanager
def told_apart(what: str) -> Iterator[None]:
    """Raise what SQLite and the file system raise as errors of the lake; `what` says what cannot be done.

    Raises:
        LakeUnavailableError: if it may pass.
        LakeIncompatibleError: if the catalog is none, or damaged.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        kind = LakeIncompatibleError if code in _FOR_GOOD else LakeUnavailableError
        raise kind(f"{what}: {error}") from error
    except OSError as error:
        raise LakeUnavailableError(f"{what}: {error.strerror or error}") from error
