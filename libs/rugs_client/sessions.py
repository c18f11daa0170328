"""Numbers: every session counts its events from 1, and goes on counting after a crash."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

import structlog

from rugs_client.spool import Spool
from rugs_client.spools import crash_gap

_STEP: Final = 1000
"""Numbers that are reserved at a time."""
_EVERY: Final = 10.0
"""Seconds after which a session notes again that it lives."""

log = structlog.get_logger(__name__)


@dataclass
class _Counter:
    session_id: str
    next_seq: int
    reserved: int = 0
    noted: float = 0.0


class Sessions:
    """Gives out the numbers of one recording session, for each source of it apart.

    The session of the main source is `session_id`; other sources append their name to it.
    The spool notes ahead which numbers may have been used, so that a session which is
    told to go on after a crash never uses one twice. Without a spool that cannot be known:
    then, and where another process records this session, it gets a name of its own.
    """

    def __init__(self, session_id: str | None, source: str, spool: Spool | None, *, sole: bool) -> None:
        told = session_id is not None
        self._keep = told
        self.source = source
        self._spool = spool
        self._counters: dict[str, _Counter] = {}
        self.session_id = session_id or uuid4().hex
        if told and not (spool is not None and sole and not spool.damaged):
            self.session_id = f"{session_id}-{uuid4().hex[:8]}"
            log.warning("session gets a name of its own: how far it had come is not known", session=self.session_id)

    def name_of(self, source: str) -> str:
        """Return the id of the session that a source's events belong to."""
        return self.session_id if source == self.source else f"{self.session_id}-{source}"

    def take_up(self) -> None:
        """Go on where this session was, and leave a gap for each one that was not closed.

        Raises:
            sqlite3.Error: if the spool fails.
        """
        if self._spool is None:
            return
        for session in self._spool.sessions():
            if not session.closed:
                self._spool.append([crash_gap(session)], force=True)
            if session.session_id == self.name_of(session.source):
                next_seq = session.next_seq + (not session.closed)
                self._counters[session.source] = _Counter(session.session_id, next_seq)
            elif not session.closed:
                self._spool.forget(session.source, session.session_id)

    def take(self, source: str, count: int = 1) -> tuple[str, int]:
        """Return the session of a source and the first of `count` numbers of it."""
        counter = self._counters.get(source)
        if counter is None:
            counter = self._counters[source] = _Counter(self.name_of(source), 1)
        first = counter.next_seq
        counter.next_seq += count
        now = time.monotonic()
        if counter.next_seq > counter.reserved or now - counter.noted > _EVERY:
            counter.reserved = counter.next_seq + _STEP
            counter.noted = now
            self._note(source, counter.session_id, counter.reserved, closed=False)
        return counter.session_id, first

    def close(self) -> None:
        """Note how far the sessions have come; those that nobody will go on with are forgotten."""
        for source, counter in self._counters.items():
            if self._keep:
                self._note(source, counter.session_id, counter.next_seq, closed=True)
            elif self._spool is not None:
                try:
                    self._spool.forget(source, counter.session_id)
                except sqlite3.Error as error:
                    log.warning("spool fails", error=str(error))

    def _note(self, source: str, session_id: str, next_seq: int, *, closed: bool) -> None:
        if self._spool is None:
            return
        try:
            self._spool.reserve(source, session_id, next_seq, closed=closed)
        except sqlite3.Error as error:
            log.warning("spool fails: how far the session has come is not noted", error=str(error))
