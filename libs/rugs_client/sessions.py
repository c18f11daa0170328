"""Numbers: every session counts its events from 1, and goes on counting after a crash."""

from __future__ import annotations

import sqlite3
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

import structlog

from rugs_client.events import now_us
from rugs_client.spool import Spool
from rugs_client.spools import crash_gap

_STEP: Final = 1000
"""Numbers that are reserved at a time."""
_EVERY: Final = 10.0
"""Seconds after which a session notes again that it lives."""
_MOST: Final = 1000
"""Sessions that are counted in memory; the others are looked up when they go on."""
_FORGET_US: Final = 30 * 86400 * 1_000_000
"""How long after its last event a session can be gone on with."""

log = structlog.get_logger(__name__)


@dataclass
class _Counter:
    session_id: str
    next_seq: int
    reserved: int = 0
    noted: float = 0.0


class Sessions:
    """Gives out the numbers of one recording session, for each source of it apart, and of any others by name.

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
        self._counters: OrderedDict[tuple[str, str], _Counter] = OrderedDict()
        self.session_id = session_id or uuid4().hex
        if told and not (spool is not None and sole and not spool.damaged):
            self.session_id = f"{session_id}-{uuid4().hex[:8]}"
            log.warning("session gets a name of its own: how far it had come is not known", session=self.session_id)

    def name_of(self, source: str) -> str:
        """Return the id of the session that a source's events belong to, where they name none."""
        return self.session_id if source == self.source else f"{self.session_id}-{source}"

    def take_up(self) -> None:
        """Leave a gap for each session that was not closed, and forget those of long ago.

        Raises:
            sqlite3.Error: if the spool fails.
        """
        if self._spool is None:
            return
        for session in self._spool.sessions():
            if not session.closed:
                self._spool.append([crash_gap(session)], force=True)
                self._spool.reserve(session.source, session.session_id, session.next_seq + 1, closed=True)
            elif session.ts < now_us() - _FORGET_US:
                self._spool.forget(session.source, session.session_id)

    def take(self, source: str, count: int = 1, *, session: str | None = None) -> tuple[str, int]:
        """Return the session that a source's events belong to, and the first of `count` numbers of it."""
        counter = self._counter(source, session or self.name_of(source))
        first = counter.next_seq
        counter.next_seq += count
        now = time.monotonic()
        if counter.next_seq > counter.reserved or now - counter.noted > _EVERY:
            counter.reserved = counter.next_seq + _STEP
            counter.noted = now
            self._note(source, counter.session_id, counter.reserved, closed=False)
        return counter.session_id, first

    def end(self, source: str, session: str) -> None:
        """Forget a session: its numbers will not be used again."""
        self._counters.pop((source, session), None)
        self._forget(source, session)

    def close(self) -> None:
        """Note how far the sessions have come; one that nobody can go on with is forgotten."""
        for (source, session_id), counter in self._counters.items():
            if not self._keep and session_id == self.name_of(source):
                self._forget(source, session_id)
            else:
                self._note(source, session_id, counter.next_seq, closed=True)

    def _counter(self, source: str, session_id: str) -> _Counter:
        place = (source, session_id)
        counter = self._counters.get(place)
        if counter is None:
            counter = self._counters[place] = _Counter(session_id, self._next_seq(source, session_id))
            if len(self._counters) > _MOST:
                (old_source, old_id), old = self._counters.popitem(last=False)
                self._note(old_source, old_id, old.next_seq, closed=True)
        else:
            self._counters.move_to_end(place)
        return counter

    def _next_seq(self, source: str, session_id: str) -> int:
        try:
            return self._spool.next_seq(source, session_id) if self._spool is not None else 1
        except sqlite3.Error as error:
            log.warning("spool fails: how far a session had come is not known", error=str(error))
            return 1

    def _note(self, source: str, session_id: str, next_seq: int, *, closed: bool) -> None:
        if self._spool is None:
            return
        try:
            self._spool.reserve(source, session_id, next_seq, closed=closed)
        except sqlite3.Error as error:
            log.warning("spool fails: how far the session has come is not noted", error=str(error))

    def _forget(self, source: str, session_id: str) -> None:
        if self._spool is None:
            return
        try:
            self._spool.forget(source, session_id)
        except sqlite3.Error as error:
            log.warning("spool fails", error=str(error))
