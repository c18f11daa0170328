"""Log files: rotated while their programs run, read for the last error."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from rugs_core.locks import lock

LOG_FILE: Final = "RUGS_LOG_FILE"
"""Environment variable: the file that a process's output goes to, which the process rotates by itself."""
LOG_LIMIT: Final = 16 * 1024**2
"""Size in bytes at which a log file is rotated. One older file is kept."""
_TAIL: Final = 65536


class Mark(NamedTuple):
    """A place in a log: which file, and how far into it."""

    inode: int
    offset: int


def rotated(path: Path) -> Path:
    """Return where a log file's contents go when it is rotated."""
    return path.with_suffix(".log.1")


def mark(path: Path) -> Mark:
    """Return the present end of a log, for `last_error`."""
    try:
        status = path.stat()
    except OSError:
        return Mark(0, 0)
    return Mark(status.st_ino, status.st_size)


def rotate(path: Path, limit: int = LOG_LIMIT) -> None:
    """Rename a log that nobody writes to, if it is longer than `limit`; the rotated file before it goes."""
    with suppress(FileNotFoundError):
        if path.stat().st_size > limit:
            path.replace(rotated(path))


def rotate_output(path: Path, limit: int = LOG_LIMIT) -> None:
    """Rotate the log that this process's standard error goes to, if it is longer than `limit`.

    Nothing is lost: what is written meanwhile goes to the old file or to the new one. Other processes with the same
    output (this one's children) follow when they log. Raises OSError where the disk does not allow it; the
    output goes to the old file then.
    """
    ours = os.fstat(2)
    if ours.st_size <= limit:
        return
    with path.open("ab") as current:
        lock(current)
        if os.path.samestat(ours, path.stat()):  # else another process has rotated it
            path.replace(rotated(path))
    with path.open("ab") as fresh:
        for stream in (1, 2):
            if os.path.samestat(os.fstat(stream), ours):
                os.dup2(fresh.fileno(), stream)


def last_error(path: Path, since: Mark = Mark(0, 0)) -> str | None:  # noqa: B008 (it cannot be changed)
    """Return the last error in a log since a mark, also where the log was rotated meanwhile; None without one.

    In a JSON line that is its event and reason; a line that is not JSON (a traceback's last) counts as one.
    """
    for each in (path, rotated(path)):
        try:
            with each.open("rb") as file:
                status = os.fstat(file.fileno())
                start = since.offset if status.st_ino == since.inode and since.offset <= status.st_size else 0
                file.seek(max(start, status.st_size - _TAIL))
                lines = file.read().decode(errors="replace").splitlines()
        except OSError:
            return None
        if error := _last_error(lines):
            return error
        if status.st_ino == since.inode or since.inode == 0:
            return None
    return None


def _last_error(lines: Iterable[str]) -> str | None:
    for line in reversed([line.strip() for line in lines if line.strip()]):
        try:
            record = json.loads(line)
        except ValueError:
            return line[:500]
        if isinstance(record, dict) and record.get("level") in ("error", "critical"):
            exception = str(record.get("exception", "")).strip().splitlines()[-1:]
            return ": ".join(str(part) for part in (record.get("event"), record.get("reason"), *exception) if part)
    return None
