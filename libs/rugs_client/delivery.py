"""The background's work: take events in, keep them safe, send them in order."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from itertools import chain
from typing import Final

import structlog

from rugs_client.clock import Clock, Moment, Step, Suspension, moment
from rugs_client.events import Ending, Entry, Loss, entry_of, gap_entry, step_record
from rugs_client.intake import Intake, Item
from rugs_client.line import Line
from rugs_client.link import Link, RefusedForGoodError
from rugs_client.plain import text
from rugs_client.records import Record
from rugs_client.sessions import BEAT, Sessions
from rugs_client.spool import Spool
from rugs_client.spools import adopt_others
from rugs_core.time import now_us

_HOLD: Final = 0.1
"""Seconds that an event may be in memory only."""
_LOOK: Final = 0.02
"""Seconds between two looks at the age of what is in memory only."""
_DELAYS: Final = 10_000
_TURN: Final = 500
_TURN_BYTES: Final = 2 * 1024 * 1024
"""Events that are taken in at a time, and their bytes."""
_PAUSE: Final = 0.25
"""Seconds to wait before trying again what has failed."""
_GOODBYE: Final = 1.0
"""Seconds that ending may take for telling the broker."""

log = structlog.get_logger(__name__)


class Delivery:
    """Moves events from the intake to the broker. All of it runs in one event loop.

    While the broker confirms, events go to it straight from memory. What it has not
    confirmed within 0.1 s is put into the spool, and while it is away everything goes there
    at once; what is there leaves it when the broker has confirmed it.
    """

    def __init__(self, link: Link, intake: Intake, sessions: Sessions, spool: Spool | None, clock: Clock) -> None:
        self.refused = 0
        """Events that neither broker nor spool will ever take."""
        self.gap_until: Moment | None = None
        """Until when there is a gap for what earlier processes may have lost."""
        self.delays: deque[int] = deque(maxlen=_DELAYS)
        """Microseconds from capture to the broker's acknowledgement, of the last events that this process published."""
        self.line = Line(spool)
        self._link = link
        self._intake = intake
        self._sessions = sessions
        self._spool = spool
        self._clock = clock
        self._failure: str | None = None
        """An error of this very code since the last message was sent."""
        self._waiting: list[Entry] = []
        """Taken in, but the line has no place now: the spool fails. What comes meanwhile stays in the intake."""
        self._damage_told = 0
        self._whole: set[str] = set()
        """Sources of the events that came with a session and a number of their own."""
        self._wake = asyncio.Event()
        self._more = asyncio.Event()
        self._progress = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def trouble(self) -> str | None:
        """Why events are held back now; None while all is well."""
        return "; ".join(filter(None, (self._failure or self._link.trouble, self.line.trouble))) or None

    @property
    def connected(self) -> bool:
        """Whether there is a connection to the broker; it may still not answer."""
        return self._link.connected

    def wake(self) -> None:
        """Look into the intake soon."""
        self._wake.set()

    def start(self) -> None:
        """Begin: first comes what earlier processes have left."""
        if self._spool is not None:
            try:
                now = moment()
                slipped = self._spool.slipped(now)
                if adopt_others(self._spool, now) + self._sessions.take_up(now):
                    self.gap_until = now
                if slipped:
                    self._waiting = [*self._stepped(Step(now.wall - slipped, now.wall, now.boot))]
            except (sqlite3.Error, OSError) as error:
                log.error("what earlier processes left may come later", reason=str(error))
        for work in (self._keep, self._send):
            self._tasks.append(asyncio.create_task(self._for_ever(work)))

    async def flushed(self) -> None:
        """Return when the broker has everything that had been published."""
        self._take_all_in()
        target = self.line.done + self._remaining
        while self.line.done < target and self._remaining:
            await self._progress.wait()

    async def secured(self) -> None:
        """Return when everything that had been published is at the broker or in the spool."""
        self._take_all_in()
        target = self.line.done + self._remaining
        while self._unsafe and self.line.done + self.line.spooled < target:
            await self._progress.wait()

    async def finish(self, timeout: float) -> None:  # noqa: ASYNC109 (what is left then stays in the spool)
        """Send what can be sent in time, leave the rest in the spool, and end."""
        self._take_all_in()
        self.line.save()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self.flushed()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks, timeout=_GOODBYE)  # the client may swallow a cancellation
        self._take_all_in()
        if self.line.save() and not self._waiting:
            self._sessions.close()
        else:  # the session stays open: the next start says that something is missing
            log.error("events are lost: neither the broker nor the spool takes them", events=self._unsafe)
            self.refused += self._unsafe
        if self._spool is not None:
            self._spool.close()
        await self._link.close()

    @property
    def _unsafe(self) -> int:
        return len(self._waiting) + self.line.unsaved

    @property
    def _remaining(self) -> int:
        return len(self._waiting) + len(self.line)

    async def _for_ever(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except Exception as error:  # it must not end, and not in silence
                log.exception("delivery failed; going on")
                self._failure = f"delivery failed: {error!r}"
            await asyncio.sleep(_PAUSE)

    async def _keep(self) -> None:
        """Take in what comes, and save what the broker does not confirm."""
        while True:
            if not self._take_in():
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK if self._unsafe else BEAT):
                        await self._wake.wait()
            self._wake.clear()
            self._clock.look()
            self._sessions.beat()
            if self.line.unsaved and (not self.connected or self.line.age > _HOLD):
                self.line.save()
                self._notify()
            await asyncio.sleep(0)

    def _take_all_in(self) -> None:
        while self._take_in():
            pass

    def _take_in(self) -> bool:
        """Give the next events their numbers and their place; return whether there may be more."""
        if not self._waiting:
            items = self._intake.take(_TURN, _TURN_BYTES)
            self._waiting = [*self._damage(), *chain.from_iterable(map(self._entries, items))]
            if items and not self._waiting:
                return True  # nothing that is stored
        if not self._waiting or not self.line.add(self._waiting, hold=self.connected):
            return False
        self._waiting = []
        self._more.set()
        self._notify()
        return True

    def _entries(self, item: Item) -> Iterator[Entry]:
        if isinstance(item, Entry):
            self._whole.add(item.source)
            yield item
        elif isinstance(item, Ending):
            self._sessions.end(item.source, item.session, item.missing_since)
        elif isinstance(item, Step):
            self._sessions.clock_set(item)
            yield from self._stepped(item)
        elif isinstance(item, Suspension):
            yield from self._suspended(item)
        else:
            yield self._numbered(item)

    def _stepped(self, step: Step) -> Iterator[Entry]:
        """Say in each session that the wall clock was set; for those whose senders count, in our own."""
        log.warning("the wall clock was set", by_seconds=(step.new - step.old) / 1e6)
        own = [(source, self._sessions.name_of(source)) for source in sorted(self._whole)]
        used = [session for session in self._sessions.used() if session not in own]
        if not own and not used:
            used = [(self._sessions.source, self._sessions.session_id)]
        for source, session in used:
            yield self._numbered(step_record(step, source, session))
        for source, session in own:
            yield self._numbered(step_record(step, source, session, every_session=True))

    def _suspended(self, suspension: Suspension) -> Iterator[Entry]:
        """Say in each session that the machine was suspended: nothing was recorded meanwhile."""
        for source, session in self._sessions.used():
            yield self._numbered(Loss(source, 1, *suspension, "the machine was suspended", session), exact=False)

    def _numbered(self, item: Record | Loss, *, exact: bool = True) -> Entry:
        """Return an event with its number; for a loss the gap, which says how much is lost if that is known exactly."""
        if isinstance(item, Record):
            session_id, seq = self._sessions.take(item.source, session=item.session)
            try:
                return entry_of(item, session_id, seq)._replace(published=item.recv_ts)
            except Exception as error:  # too large for anything, for instance
                log.error("event cannot be kept", event_name=item.event, error=str(error))
                self.refused += 1
                item = Loss(item.source, 1, item.recv_ts, item.recv_ts, text(str(error)[:1000]), item.session)
        else:
            session_id, seq = self._sessions.take(item.source, item.lost, session=item.session)
        return gap_entry(item, session_id, seq if exact else None, seq + item.lost - 1)

    def _damage(self) -> Iterator[Entry]:
        """Say once that the spool was damaged: nobody knows what was in it."""
        if self._spool is not None and self._spool.damaged > self._damage_told:
            self._damage_told = self._spool.damaged
            now = now_us()
            session_id, seq = self._sessions.take(source := self._sessions.source)
            yield gap_entry(Loss(source, 1, now, now, "the spool was damaged"), session_id, None, seq)

    async def _send(self) -> None:
        """Send the line, one message after the other."""
        await self._link.open()
        while True:
            batch = self.line.head()
            if not batch:
                self._notify()  # what was sent may have left the spool only now
                self._more.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_PAUSE if self._remaining else None):  # the disk may have failed
                        await self._more.wait()
                continue
            await self._deliver([held.entry for held in batch])
            self.line.remove(batch)
            self._failure = None
            now = now_us()
            self.delays.extend(now - held.entry.published for held in batch if held.entry.published)
            self._notify()

    async def _deliver(self, entries: list[Entry]) -> None:
        """Return when the broker has the events; one that it refuses for good becomes a gap."""
        try:
            await self._link.send(entries)
        except RefusedForGoodError as refusal:
            await self._deliver_apart(entries, refusal)

    async def _deliver_apart(self, entries: list[Entry], refusal: RefusedForGoodError) -> None:
        """Deliver the events of a refused message one by one, and a gap for the one that is refused alone."""
        if len(entries) > 1:
            for entry in entries:
                await self._deliver([entry])
            return
        [entry] = entries
        log.error("the broker refuses an event for good", event_name=entry.event, id=entry.id, error=str(refusal))
        self.refused += entry.lost
        if entry.event != "gap":
            loss = Loss(entry.source, entry.lost, entry.ts, entry.ts, str(refusal)[:1000])
            await self._deliver([gap_entry(loss, entry.session_id, entry.seq, entry.seq)])

    def _notify(self) -> None:
        done, self._progress = self._progress, asyncio.Event()
        done.set()
