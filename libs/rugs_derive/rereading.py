"""Reading the unfinished games again: from the stream, and from the lake where the stream has been purged."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

from nats.aio.client import Client

import rugs_bus
from rugs_bus import StreamState
from rugs_derive.causes import SUBJECT, Cause, causes_in
from rugs_derive.position import Position
from rugs_derive.stored import StoredEvents
from rugs_follow.lake_reader import LakeReader

_STATES: Final = "gameStateUpdate"


class Rereading:
    """Gives the game states that stand in a position's spans, in stream order.

    Attributes:
        read: how many were given.
        lowest: the first sequence that is read from the stream itself: what is purged below matters to nobody.
    """

    def __init__(
        self, nc: Client, state: StreamState, position: Position, lake: LakeReader[StoredEvents], stop: asyncio.Event
    ) -> None:
        self.read = 0
        self._nc = nc
        self._state = state
        self._position = position
        self._lake = lake
        self._stop = stop
        pieces = [*joined(position.spans.values())]
        self._purged = [(first, min(last, state.first_seq - 1)) for first, last in pieces if first < state.first_seq]
        self._there = [(max(first, state.first_seq), last) for first, last in pieces if last >= state.first_seq]
        self.lowest = min((first for first, _ in self._there), default=2**63)

    async def causes(self) -> AsyncIterator[Cause]:
        """Give them."""
        life = self._state.incarnation or ""
        for source in [source for source, (first, _) in self._position.spans.items() if first == 0]:

            def games(lake: StoredEvents, source: str = source) -> list[Cause]:
                return lake.before(life, source)

            for cause in await self._lake.ask(games) or ():
                self.read += 1
                yield cause
        for first, last in self._purged:
            async for cause in self._from_lake(life, first, last):
                yield cause
        for first, last in self._there:
            async for cause in self._from_stream(first, last):
                yield cause

    async def _from_lake(self, life: str, first: int, last: int) -> AsyncIterator[Cause]:
        reading = self._lake.stream(lambda stored: stored.windows(life, first, last), above=(life, first - 1))
        async with contextlib.aclosing(reading) as windows:
            async for causes in windows:
                for cause in self._wanted(causes):
                    yield cause
                first = causes[-1].place + 1

    async def _from_stream(self, first: int, last: int) -> AsyncIterator[Cause]:
        at = first - 1
        end = asyncio.Event()

        async def resume() -> int:
            return at + 1

        batches = rugs_bus.consume(self._nc, resume=resume, stop=end, subjects=(SUBJECT,))
        async with contextlib.aclosing(batches):
            async for messages in batches:
                if self._stop.is_set() or (not messages and await self._is_gone(last)):
                    return
                for message in messages:
                    if message.seq > last:
                        return
                    at = message.seq
                    for cause in self._wanted(causes_in(message)):
                        yield cause
                if at >= last:
                    return

    async def _is_gone(self, last: int) -> bool:
        """Whether nothing of what is to be read is in the stream any more."""
        state = await rugs_bus.stream_state(self._nc)
        return state.first_seq > last or state.last_seq < last

    def _wanted(self, causes: list[Cause]) -> Iterator[Cause]:
        for cause in causes:
            first, last = self._position.spans.get(cause.heard.source, (1, 0))
            if cause.heard.event == _STATES and first <= cause.place <= last:
                self.read += 1
                yield cause


def joined(spans: Any) -> Iterator[tuple[int, int]]:
    """Give the spans in order, those that overlap as one; 0 is not yet in the stream."""
    last_first, last_end = 1, 0
    for first, end in sorted((max(first, 1), end) for first, end in spans):
        if first > last_end + 1:
            if last_end >= last_first:
                yield last_first, last_end
            last_first, last_end = first, end
        else:
            last_end = max(last_end, end)
    if last_end >= last_first:
        yield last_first, last_end
