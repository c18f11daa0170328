"""The derive consumer: publishes what follows from the stream's captured events.

It keeps nothing on disk. Where it starts, the last derived message says; the games that were
unfinished there are read again, from the stream or, where that has been purged, from the lake.
So it may be killed at any moment, and gives the same events as if it never had been.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import structlog
from nats.aio.client import Client

import rugs_bus
from rugs_bus import BusError, BusUnavailableError, Durable, Message, Publisher, StreamState
from rugs_core.patience import GivenUpError, Patience
from rugs_derive import position as positions
from rugs_derive.causes import SUBJECT, Cause, causes_in
from rugs_derive.outbox import Outbox, Sender
from rugs_derive.position import Position
from rugs_derive.quality import Quality
from rugs_derive.rereading import Rereading
from rugs_derive.stored import LARGEST_BATCH, StoredEvents
from rugs_feed.derive import Deriver, Heard
from rugs_follow.continuity import Checkpoint, Gap, Match
from rugs_follow.lake_reader import LakeReader
from rugs_follow.stream import StreamFollower, meet
from rugs_lake import LakeUnavailableError
from rugs_proto.subjects import ALERTS_QUALITY, TARGET_BODY

CONSUMER: Final = "derive"
"""The consumer's name in the broker."""
RETRY_SECONDS: Final = 0.5
_TURN: Final = 0.02
"""Seconds of work after which the connection has its turn."""
_SETTLED: Final = 5.0
"""Seconds after which it is told that nothing more was derived."""
_MARK_EVERY: Final = 60.0
_GOODBYE: Final = 5.0
"""Seconds that the last messages have to reach the broker when told to stop."""

log = structlog.get_logger(__name__)


class Follower:
    """Derives from the stream until told to stop; `root` is the data root that the lake lies under."""

    def __init__(self, nc: Client, root: Path, stop: asyncio.Event) -> None:
        self.position = Position()
        """Up to where everything is derived; not all of it may have reached the broker."""
        self.quality = Quality()
        self._nc = nc
        self._stop = stop
        self._retry = Patience(stop, (BusUnavailableError, LakeUnavailableError), RETRY_SECONDS)
        self._lake = LakeReader(root, StoredEvents, self._retry, stop)
        self._stream = StreamFollower(
            nc,
            self,
            self._retry,
            stop,
            subject=SUBJECT,
            durable=Durable(CONSUMER, uuid.uuid4().hex),
            batch=LARGEST_BATCH,
        )
        self._deriver = Deriver(self.quality)
        self._outbox = Outbox()
        self._publisher = Publisher(nc)
        self._sender = Sender(self._publisher)
        self._told = self._marked = Position()
        self._told_at = self._marked_at = 0.0
        self._begun = False
        self._doing = "starting"
        self._heard: Counter[str] = Counter()

    async def run(self) -> None:
        """Follow the stream. What was taken when told to stop is derived and published before this returns.

        Raises:
            TakenOverError: if another process derives from this stream now.
            BusError: if the connection is closed for good.
            LakeIncompatibleError: if this program cannot read the lake, and has to.
        """
        work = asyncio.create_task(self._follow())
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait((work, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not work.done():
            await asyncio.wait((work,), timeout=_GOODBYE)
        work.cancel()
        try:
            with contextlib.suppress(asyncio.CancelledError, GivenUpError):  # what was not sent is derived again
                await work
            with contextlib.suppress(BusUnavailableError):
                await self._publisher.flush(_GOODBYE)
        finally:
            await self._publisher.close()

    async def _follow(self) -> None:
        await self._stream.run()
        if self._begun and self.position.seq > self._told.seq:
            await self._mark(at_once=True)

    async def resume(self) -> Checkpoint:
        """Say where to go on: where we are, if the stream is still the one that we know."""
        known = self.position.checkpoint if self._begun else Checkpoint()
        _, match = await self._retry.until_done("cannot meet the stream", lambda: meet(self._nc, known))
        if match is not Match.SAME:
            if self._begun:
                log.warning("the stream is not the one known: starting where its own messages say")
            await self._begin()
        self._doing = "running"
        return self.position.checkpoint

    async def _begin(self) -> None:
        """Find how far derivation had come, and read again what the unfinished games had said until then."""
        self._doing, self._begun = "reading again", False
        while True:
            state = await rugs_bus.stream_state(self._nc)
            found = await positions.find(self._nc, state) or await self._from_lake(state)
            self._deriver = Deriver(self.quality)
            self._outbox.take()
            rereading = Rereading(self._nc, state, found, self._lake, self._stop)
            with self.quality.muted():
                async for cause in rereading.causes():
                    self._deriver.feed(await self._whole(cause), cause.place)
            now = await rugs_bus.stream_state(self._nc)
            if now.first_seq <= rereading.lowest or self._stop.is_set():
                break  # else what was to be read may have been purged meanwhile: it is in the lake now
        self.position = self._told = self._marked = replace(found, incarnation=state.incarnation)
        self._marked_at = time.monotonic()
        self._begun = True
        log.info("derivation goes on", after=found.seq, read_again=rereading.read, games=len(self._deriver.kept_games))

    async def _from_lake(self, state: StreamState) -> Position:
        """Return where to start in a stream that does not say so itself: where the lake's derived rows end."""

        def look(stored: StoredEvents) -> Position:
            life = state.incarnation or ""
            seq = min(stored.derived_to(life), state.last_seq)
            return Position(seq, None, state.incarnation, stored.spans(life, seq))

        return await self._lake.ask(look) or Position(state.first_seq - 1, None, state.incarnation)

    async def read_lake(self, gap: Gap) -> int:
        """Derive from what was purged before it was read."""
        life = str(self.position.incarnation)
        last = min(await self._lake.reached(life), gap.last)
        if last < gap.first:
            return last
        reading = self._lake.stream(
            lambda stored: stored.windows(life, self.position.seq + 1, last), above=(life, self.position.seq)
        )
        async with contextlib.aclosing(reading) as windows:
            async for causes in windows:
                for cause in causes:
                    await self._derive(cause)
                await self._send(replace(self.position, seq=causes[-1].place, time_us=None))
        self.position = replace(self.position, seq=last, time_us=None)
        return last

    async def lose(self, gap: Gap) -> None:
        """Go on without what nobody has."""
        log.error("nothing is derived from messages that neither the stream nor the lake has", **gap._asdict())
        self.position = replace(self.position, seq=gap.last, time_us=None)

    async def take(self, messages: list[Message]) -> None:
        """Derive from messages, and publish."""
        since = time.monotonic()
        for message in messages:
            if time.monotonic() - since > _TURN:  # not behind the last one: what it gave is not yet sent
                await asyncio.sleep(0)
                since = time.monotonic()
            for cause in self._causes(message):
                await self._derive(cause)
            self.position = replace(self.position, seq=message.seq, time_us=message.time_us)
            if self._outbox.size >= TARGET_BODY:
                await self._send(self.position)
        await self._send(self.position)

    async def after_batch(self, *, is_idle: bool) -> None:
        """Tell how far derivation has come, when it is time."""
        await self._mark()

    def _causes(self, message: Message) -> list[Cause]:
        try:
            return causes_in(message)
        except Exception:  # no message may ever stop those behind it
            log.exception("a message cannot be read", seq=message.seq)
            self.quality.counts["unreadable"] += 1
            return []

    async def _derive(self, cause: Cause) -> None:
        heard = await self._whole(cause)
        self._heard[heard.event] += 1
        for row in self._deriver.feed(heard, cause.place):
            self._outbox.add(row)

    async def _whole(self, cause: Cause) -> Heard:
        """Return an event with its bytes: those too many for a message are in the object store, or in the lake."""
        heard = cause.heard
        if not cause.parked:
            return heard
        raw: str | bytes | None = await self._retry.until_done(
            "cannot read a large frame", lambda: rugs_bus.get_blob(self._nc, heard.id)
        )
        if raw is None:
            raw = await self._lake.ask(
                lambda lake: lake.raw(heard.source, heard.session_id, heard.seq, heard.id),
                sessions=[(heard.source, heard.session_id)],
            )
        return heard._replace(raw=raw)

    async def _send(self, position: Position) -> None:
        """Publish what was derived up to a position. The last message says so; those before it do not know yet."""
        self.position = replace(position, spans=self._deriver.kept_spans)
        messages = self._outbox.take()
        for message in messages[:-1]:
            await self._sender.send(message, self._told.headers)
        for message in messages[-1:]:
            await self._sender.send(message, self.position.headers)
            self._told, self._told_at = self.position, time.monotonic()
        for found in self.quality.news():
            if found["source"] is not None:
                log.warning("game states", check=found["check"], source=found["source"], detail=found["detail"])
            with contextlib.suppress(BusError):  # nobody needs it to go on
                await rugs_bus.announce(self._nc, ALERTS_QUALITY, json.dumps(found).encode())

    async def _mark(self, *, at_once: bool = False) -> None:
        """Tell how far derivation has come where no derived message does."""
        if self.position.seq <= self._marked.seq:
            return
        now = time.monotonic()
        is_settled = self.position.seq > self._told.seq and now - self._told_at >= _SETTLED
        if not (at_once or is_settled or now - self._marked_at >= _MARK_EVERY):
            return
        at = self.position
        msg_id = f"derived-{at.incarnation}-{at.seq}-{at.time_us}"
        await self._sender.send_mark(positions.MARK_SUBJECT, positions.MARK_BODY, msg_id, at.headers)
        self._told = self._marked = at
        self._told_at = self._marked_at = now

    @property
    def taken(self) -> int:
        """The last sequence that was derived from."""
        return self.position.seq

    @property
    def trouble(self) -> str | None:
        """What is in the way now; it is tried again."""
        return self._stream.trouble

    async def last(self) -> int:
        """Return the last sequence that there is to derive from; 0 where there is none."""
        return await self._stream.last()

    def status(self) -> dict[str, Any]:
        """Return how derivation is doing, in the shape of a status answer."""
        error = self._retry.trouble or self._sender.trouble
        return {
            "state": "blocked" if error else self._doing,
            "error": error,
            "position": self.position.seq,
            "last_seq": self._stream.last_seq,
            "in_flight": self._sender.in_flight,
            "games": len(self._deriver.kept_games),
            "events": dict(sorted(self._heard.items())),
            "derived": dict(sorted(self._sender.published.items())),
            "messages": self._sender.messages,
            "undigested": self.quality.undigested,
            "left_out": dict(self._outbox.dropped),
            "refused": dict(self._sender.refused),
            "checks": self.quality.checks,
            "findings": self.quality.shown,
            "missing": self.quality.states.missing,
        }
