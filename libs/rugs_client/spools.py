"""Which spool is ours: programs that run at the same time have one each, in numbered folders."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

import structlog

from rugs_client.events import Entry, Loss, gap_entry, now_us
from rugs_client.spool import Session, Spool

CRASHED: Final = "the process ended without closing"
_MOST: Final = 32
"""Programs that may share a spool directory at the same time."""
_READ: Final = 4 * 1024 * 1024

log = structlog.get_logger(__name__)


def open_spool(directory: Path, max_bytes: int) -> Spool | None:
    """Return the first spool that no other process uses; None if there is none, or the disk fails."""
    for number in range(_MOST):
        try:
            return Spool(directory / str(number), max_bytes=max_bytes)
        except (sqlite3.Error, OSError) as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY:
                log.error("no spool: events are in memory only", reason=str(error))
                return None
    log.error("no spool: too many programs use its directory")
    return None


def is_first(spool: Spool) -> bool:
    """Return whether a spool is the one that a program gets which is alone."""
    return spool.folder.name == "0"


def adopt_others(spool: Spool) -> None:
    """Take over what programs have left that are gone now.

    Dying in the middle leaves some events in two spools; they are sent twice, and known by their ids.

    Raises:
        sqlite3.Error, OSError: if the disk fails.
    """
    for folder in sorted(spool.folder.parent.iterdir()):
        if not folder.name.isdigit() or folder == spool.folder:
            continue
        try:
            other = Spool(folder, max_bytes=spool.max_bytes)
        except sqlite3.Error:  # its owner lives, or its disk fails
            continue
        try:
            while rows := other.read(0, _READ):
                spool.append([row.entry for row in rows], force=True)
                other.remove(rows[-1].position)
            close_crashed(other, into=spool)
        finally:
            other.close()


def close_crashed(spool: Spool, *, into: Spool) -> None:
    """Leave a gap for each session that was not closed, and forget it."""
    for session in spool.sessions():
        if not session.closed:
            into.append([crash_gap(session)], force=True)
        spool.forget(session.source, session.session_id)


def crash_gap(session: Session) -> Entry:
    """Return the event that says that a session may miss something since it was last noted."""
    loss = Loss(session.source, 1, session.ts, now_us(), CRASHED)
    return gap_entry(loss, session.session_id, None, session.next_seq)
