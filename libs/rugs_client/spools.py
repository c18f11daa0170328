"""Which spool is ours: programs that run at the same time have one each, in numbered folders."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog

from rugs_client.clock import Moment, spans
from rugs_client.events import Entry, Loss, gap_entry
from rugs_client.spool import MISSING, OPEN, Session, Spool

CRASHED: Final = "the process ended without closing"
_MOST: Final = 32
"""Programs that may share a spool directory at the same time."""
_READ: Final = 4 * 1024 * 1024
_UNSAVED_US: Final = 1_000_000
"""How long before the last sign of life an event may have come that was not safe when the process ended."""
_IDLE_US: Final = 60_000_000
"""A session without events for so long had nothing that was not safe."""

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


def adopt_others(spool: Spool, until: Moment) -> int:
    """Take over what programs have left that are gone now; return how many gaps, up to `until`, that leaves.

    Dying in the middle leaves some events in two spools; they are sent twice, and known by their ids.

    Raises:
        sqlite3.Error, OSError: if the disk fails.
    """
    crashed = 0
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
            crashed += close_crashed(other, until, into=spool)
        finally:
            other.close()
    return crashed


def close_crashed(spool: Spool, until: Moment, *, into: Spool) -> int:
    """Leave a gap for what a crash may have lost, and forget the sessions; return how many gaps there are."""
    sessions = spool.sessions()
    gaps = crash_gaps(sessions, until.wall, spool.slipped(until))
    if gaps:
        into.append(gaps, force=True)
    for session in sessions:
        spool.forget(session.source, session.session_id)
    return len(gaps)


def crash_gaps(sessions: Sequence[Session], until: int, slipped: int = 0) -> list[Entry]:
    """Return the events that say which sessions may miss something since their process last said that it lives.

    One that was idle by then misses nothing; and one that had no events yet says it only
    where no other of its source does. One that had ended by then says itself since when.
    Where the wall clock was set since (see `Spool.slipped`), each gap is told as both clocks would have shown it.
    """
    alive = max((session.ts for session in sessions if session.closed == OPEN), default=0)
    since = {
        session: session.ts if session.closed == MISSING else alive - _UNSAVED_US
        for session in sessions
        if session.closed == MISSING or (session.closed == OPEN and session.ts > alive - _IDLE_US)
    }
    told = {session.source for session in since if session.next_seq > 1}
    return [
        gap_entry(Loss(session.source, 1, *span, CRASHED), session.session_id, None, seq)
        for session, began in since.items()
        if session.closed == MISSING or session.next_seq > 1 or session.source not in told
        for seq, span in enumerate(spans(began, until, slipped), session.next_seq)
    ]
