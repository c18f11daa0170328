"""The follower of the stream: every message once and in order, and what the stream has purged out of the lake."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final, Protocol

import structlog
from nats.aio.client import Client

import rugs_bus
from rugs_bus import BusUnavailableError, Durable, Message, StreamState
from rugs_bus.topology import stored_message
from rugs_core.patience import Patience, stopped_within
from rugs_follow.continuity import Checkpoint, Gap, Match, parts, recognise
from rugs_proto.subjects import EVENTS_STREAM

RESTART_SECONDS: Final = 1.0
"""How long the follower waits before it reads again what was not delivered as it should be."""

log = structlog.get_logger(__name__)


class Work(Protocol):
    """What is done with the stream; one call at a time. What a method raises ends the follower."""

    async def resume(self) -> Checkpoint:
        """Recognise the stream, at the start and after every interruption; return the checkpoint to go on behind.

        `meet` helps. What was taken and is not in the checkpoint is forgotten: it comes again.
        """
        ...

    async def take(self, messages: list[Message]) -> None:
        """Take messages in stream order."""
        ...

    async def read_lake(self, gap: Gap) -> int:
        """Take out of the lake what the stream has purged; return the last sequence that is dealt with then.

        Whatever the lake never had comes in `take` or `lose` afterwards.
        """
        ...

    async def lose(self, gap: Gap) -> None:
        """Go on behind sequences that neither the stream nor the lake has."""
        ...

    async def after_batch(self, *, is_idle: bool) -> None:
        """Do what is due, after each batch and a few times a second without any: `is_idle` then."""
        ...


class StreamFollower:
    """Gives `work` the stream's messages behind its checkpoint until told to stop.

    With a `subject` only the messages on it; the lake is read where others were purged. Without, every sequence
    is wanted: each jump is looked up in the stream, and lost where it is really gone.

    Attributes:
        taken: the last sequence that was given to `work`, or lost.
        last_seq: the last sequence that the stream had when it was asked; only with a `subject`.
    """

    def __init__(
        self,
        nc: Client,
        work: Work,
        retry: Patience,
        stop: asyncio.Event,
        *,
        subject: str | None = None,
        durable: Durable | None = None,
        batch: int = 4096,
        idle: float = 0.25,
    ) -> None:
        self.taken = self.last_seq = 0
        self._nc = nc
        self._work = work
        self._retry = retry
        self._stop = stop
        self._subject = subject
        self._durable = durable
        self._batch = batch
        self._idle = idle
        self._incarnation: str | None = None

    @property
    def trouble(self) -> str | None:
        """What is in the way of coming to the end of the stream; it is tried again."""
        return self._retry.trouble or (None if self._nc.is_connected else "the broker is away")

    async def last(self) -> int:
        """Return the last sequence that there is to take; 0 where there is none.

        Raises:
            BusError: if the broker cannot be asked.
        """
        if self._subject is None:
            state = await rugs_bus.stream_state(self._nc)
            return state.last_seq if state.messages else 0
        message = await stored_message(self._nc, EVENTS_STREAM, {"last_by_subj": self._subject})
        return message.seq if message is not None else 0

    async def run(self) -> None:
        """Follow the stream until told to stop.

        Raises:
            GivenUpError: if told to stop while something is in the way.
            TakenOverError: if another process has taken the durable consumer over.
            BusError: if the connection is closed for good.
        """
        durable = self._durable
        while not self._stop.is_set():
            try:
                await self._follow(durable)
            except _NotDeliveredError as error:
                log.warning("reading again behind the checkpoint", reason=str(error))
                await stopped_within(self._stop, RESTART_SECONDS)
            durable = durable and durable._replace(takes_over=False)

    async def _follow(self, durable: Durable | None) -> None:
        batches = rugs_bus.consume(
            self._nc,
            resume=self._resume,
            stop=self._stop,
            subjects=() if self._subject is None else (self._subject,),
            durable=durable,
            batch=self._batch,
            idle=self._idle,
        )
        async with contextlib.aclosing(batches):
            async for messages in batches:
                if messages:
                    await self._take(messages)
                await self._work.after_batch(is_idle=not messages)

    async def _resume(self) -> int:
        checkpoint = await self._work.resume()
        self.taken, self._incarnation = checkpoint.seq, checkpoint.incarnation
        if self._subject is not None:
            state = await self._state()
            if state.incarnation != self._incarnation:
                raise BusUnavailableError("the stream was made anew while it was looked at")
            purged = Gap(self.taken + 1, state.first_seq - 1)
            if purged.first <= purged.last:
                await self._read_lake(purged)
                await self._lose(Gap(self.taken + 1, purged.last))
        return self.taken + 1

    async def _take(self, messages: list[Message]) -> None:
        """Give messages on, and first what was purged on the way to them.

        Raises:
            _NotDeliveredError: if they are not what comes next in this stream: going on would leave something out.
        """
        purged_below: int | None = None
        if self._subject is not None:
            state = await self._state()
            if state.incarnation != self._incarnation or messages[-1].seq > state.last_seq:
                raise _NotDeliveredError("another stream has taken the place of this one")
            purged_below = state.first_seq
            gaps = [part for part in parts(messages, self.taken, purged_below) if isinstance(part, Gap)]
            if gaps:
                await self._read_lake(Gap(self.taken + 1, gaps[-1].last))
        for part in parts(messages, self.taken, purged_below):
            if isinstance(part, Gap):
                if self._subject is None:
                    await self._look_into_jump(part)
                await self._lose(part)
            else:
                await self._work.take(part)
                self.taken = part[-1].seq

    async def _read_lake(self, gap: Gap) -> None:
        log.info("reading from the lake what the stream has purged", first=gap.first, last=gap.last)
        self.taken = max(self.taken, await self._work.read_lake(gap))

    async def _lose(self, gap: Gap) -> None:
        if gap.first <= gap.last:
            await self._work.lose(gap)
            self.taken = gap.last

    async def _look_into_jump(self, gap: Gap) -> None:
        """Make sure that the stream has nothing of a gap, and has what was delivered behind it.

        Raises:
            _NotDeliveredError: if it has something else there.
        """
        there = await self._retry.until_done("cannot read the bus", lambda: rugs_bus.next_message(self._nc, gap.first))
        if there is None or there.seq != gap.last + 1:
            found = "none from there on" if there is None else str(there.seq)
            raise _NotDeliveredError(f"{gap.last + 1} came where {gap.first} was next, and the stream has {found}")

    async def _state(self) -> StreamState:
        state = await self._retry.until_done("cannot read the bus", lambda: rugs_bus.stream_state(self._nc))
        self.last_seq = state.last_seq
        return state


class _NotDeliveredError(Exception):
    """What came is not what comes next in the stream."""


async def meet(nc: Client, known: Checkpoint) -> tuple[StreamState, Match]:
    """Return what the stream is like, and whether it is the one that a checkpoint belongs to.

    Raises:
        BusUnavailableError: if the broker does not answer, or the parquet-writer has not made the stream yet, or not
            given it its incarnation.
    """
    state = await rugs_bus.stream_state(nc)
    if state.incarnation is None:
        raise BusUnavailableError("the parquet-writer has not met this stream yet")
    is_there = state.first_seq <= known.seq <= state.last_seq
    message = await rugs_bus.get_message(nc, known.seq) if is_there and known.time_us is not None else None
    return state, recognise(known, state, message)
