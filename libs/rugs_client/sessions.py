"""Numbers: every session counts its events from 1, and goes on counting after a crash."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

import structlog

from rugs_client.clock import Moment, Step, moment
from rugs_client.spool import MISSING, OPEN, Spool
from rugs_client.spools import crash_gaps
from rugs_core.time import DAY_US

BEAT: Final = 2.0
"""Seconds between two signs of life in the spool."""
_STEP: Final = 1000
"""Numbers that are reserved at a time."""
_MOST: Final = 1000
"""Sessions that are counted in memory; the others are looked up when they go on."""
_FORGET_US: Final = 30 * DAY_US
"""How long after its last event a session can be gone on with."""

log = structlog.get_logger(__name__)


@dataclass
class _Counter:
    next_seq: int
    reserved: int = 0
    is_new: bool = False
    """Whether something came since the last beat."""


class Sessions:
    """Gives out the numbers of one recording session, for each source of it apart, and of any others by name.

    The session of the main source is `session_id`; other sources append their name to it.
    The spool notes ahead which numbers may have been used, so that a session which is
    told to go on after a crash never uses one twice. `known` says that this can be known: without a spool, with a
    damaged one, and where another process records this session, a session that is told gets a name of its own.
    """

    def __init__(self, session_id: str | None, source: str, spool: Spool | None, *, known: bool) -> None:
        told = session_id is not None
        self._keep = told
        self.source = source
        self._spool = spool
        self._counters: OrderedDict[tuple[str, str], _Counter] = OrderedDict()
        self._beat_at = 0.0
        self.session_id = session_id or uuid4().hex
        if told and not known:
            self.session_id = f"{session_id}-{uuid4().hex[:8]}"
            log.warning("session gets a name of its own: how far it had come is not known", session=self.session_id)

    def name_of(self, source: str) -> str:
        """Return the id of the session that a source's events belong to, where they name none."""
        return self.session_id if source == self.source else f"{self.session_id}-{source}"

    def take_up(self, until: Moment) -> int:
        """Leave a gap for what a crash may have lost, forget sessions of long ago, and say that we live.

        Returns:
            How many gaps, up to `until`, there are.

        Raises:
            sqlite3.Error: if the spool fails.
        """
        if self._spool is None:
            return 0
        sessions = self._spool.sessions()
        slipped = self._spool.slipped(until)
        gaps = crash_gaps(sessions, until.wall, slipped)
        if gaps:
            self._spool.append(gaps, force=True)
        told = Counter((gap.source, gap.session_id) for gap in gaps)
        for session in sessions:
            if session.closed == MISSING:
                self._spool.forget(session.source, session.session_id)
            elif session.closed == OPEN:
                next_seq = session.next_seq + told[session.source, session.session_id]
                self._spool.reserve(session.source, session.session_id, next_seq, closed=True)
            elif session.ts + slipped < until.wall - _FORGET_US:
                self._spool.forget(session.source, session.session_id)
        self.beat()
        return len(gaps)

    def take(self, source: str, count: int = 1, *, session: str | None = None) -> tuple[str, int]:
        """Return the session that a source's events belong to, and the first of `count` numbers of it."""
        session_id = session or self.name_of(source)
        counter = self._counter(source, session_id)
        first = counter.next_seq
        counter.next_seq += count
        counter.is_new = True
        if counter.next_seq > counter.reserved:
            counter.reserved = counter.next_seq + _STEP
            self._note(source, session_id, counter.reserved, closed=False)
        return session_id, first

    def beat(self) -> None:
        """Say in the spool that this process lives, if it is time to; sessions that had events live, too."""
        if (now := time.monotonic()) < self._beat_at:
            return
        self._beat_at = now + BEAT
        own = self._counter(self.source, self.session_id)
        own.is_new = True
        if self._spool is not None:
            try:
                self._spool.beat(moment())
            except sqlite3.Error as error:
                log.warning("spool fails: that this process lives is not noted", error=str(error))
        for (source, session_id), counter in self._counters.items():
            if counter.is_new:
                counter.is_new = False
                self._note(source, session_id, max(counter.reserved, counter.next_seq), closed=False)

    def used(self) -> list[tuple[str, str]]:
        """Return source and name of every session that goes on and has events."""
        return [place for place, counter in self._counters.items() if counter.next_seq > 1]

    def clock_set(self, step: Step) -> None:
        """Correct what is noted of the past: the wall clock was set."""
        if self._spool is None:
            return
        try:
            self._spool.shift(step.new - step.old)
        except sqlite3.Error as error:
            log.warning("spool fails: times before the clock was set stay as they are", error=str(error))

    def end(self, source: str, session: str, missing_since: int | None = None) -> None:
        """Forget a session: its numbers will not be used again. What it misses has to be told of first."""
        counter = self._counters.pop((source, session), None)
        if missing_since is None:
            self._forget(source, session)
        elif self._spool is not None:
            next_seq = counter.next_seq if counter is not None else self._next_seq(source, session)
            try:
                self._spool.leave(source, session, next_seq, missing_since)
            except sqlite3.Error as error:
                log.warning("spool fails: what a session misses is not noted", error=str(error))

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
            counter = self._counters[place] = _Counter(self._next_seq(source, session_id))
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
