"""Discovery live from the bus: what is published from now on, into a state, without a lake."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import rugs_bus
from rugs_discovery.batch import take
from rugs_discovery.messages import read_stored, records_of
from rugs_discovery.nodes import Place
from rugs_discovery.state import State
from rugs_lake.domains import PRIVATE
from rugs_proto import wire
from rugs_proto.subjects import ALL_EVENTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from nats.aio.client import Client

_EVERY: Final = 0.5
_MOST_BYTES: Final = 64 << 20
"""Bytes of messages that may wait to be looked at; what comes beyond is counted as missed."""


class Live:
    """Events of a bus as they come.

    Attributes:
        state: what they say.
        missed: messages that came faster than they could be looked at.
    """

    def __init__(self) -> None:
        self.state = State()
        self.missed = 0
        self._waiting: list[bytes] = []
        self._size = 0

    async def listen(self, nc: Client, stop: asyncio.Event, seen: Callable[[State], None]) -> None:
        """Take in what is published until told to stop.

        Args:
            seen: is told of the state, some times a second.

        Raises:
            BusClosedError: if the connection is closed for good.
        """
        async with rugs_bus.listening(nc, ALL_EVENTS, self._hear):
            while not stop.is_set():
                await asyncio.wait({asyncio.create_task(stop.wait())}, timeout=_EVERY)
                bodies, self._waiting, self._size = self._waiting, [], 0
                self.state.merge(await asyncio.to_thread(state_of, bodies))
                seen(self.state)

    def _hear(self, body: bytes) -> None:
        if self._size + len(body) > _MOST_BYTES:
            self.missed += 1
        else:
            self._waiting.append(body)
            self._size += len(body)


def state_of(bodies: list[bytes]) -> State:
    """Return what the received events of message bodies say; derived events and large frames are left out."""
    events = [event for body in bodies for event in wire.judge(body).events]
    found: list[tuple[Place, bytes, bool]] = []
    for event in events:
        if event.raw is None or event.envelope.cause is not None or event.envelope.doc_type == "reject":
            continue
        private = PRIVATE.get(event.envelope.doc_type)
        is_owned = private is not None and private.named_by(event.envelope) is not None
        place = Place(event.envelope.ts, event.digest.hex())
        found += ((place, text, is_owned) for text in records_of(event.raw))
    found.sort(key=lambda each: each[0])
    texts, owned = [text for _, text, _ in found], [is_owned for _, _, is_owned in found]
    return take(texts, lambda index: found[index][0], lambda key, is_sent: True, read_stored, owned=owned)
