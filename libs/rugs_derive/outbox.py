"""Derived events on their way out: gathered into messages, which leave in order."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Final

import msgspec
import structlog

from rugs_bus import BusError, PubAck, Publisher
from rugs_feed.derive import Derived
from rugs_proto.draft import Draft, joined
from rugs_proto.subjects import MAX_BODY

_ROOM: Final = 1024
"""Bytes that a message's frame takes beside its envelopes, at the most."""

log = structlog.get_logger(__name__)

_encode = msgspec.msgpack.Encoder().encode


class Outbox:
    """Gathers derived events; `take` gives the messages that they fill, in the order of their first events.

    Attributes:
        size: bytes gathered.
        dropped: events that no message can hold, by doc type.
    """

    def __init__(self) -> None:
        self.size = 0
        self.dropped: Counter[str] = Counter()
        self._open: dict[tuple[str, str, str], Draft[bytes]] = {}
        self._messages: list[Draft[bytes]] = []

    def add(self, row: Derived) -> None:
        """Gather an event. One that no message can hold is counted, and left out."""
        try:
            packed = _encode(row)
        except (ValueError, TypeError, OverflowError) as error:
            self._drop(row, f"it cannot be packed: {error}")
            return
        if len(packed) > MAX_BODY - _ROOM:
            self._drop(row, f"its {len(packed)} bytes are too many for a message")
            return
        group = row["doc_type"], row["source"], row["session_id"]
        message = self._open.get(group)
        if message is None or not message.takes(len(packed)):
            message = self._open[group] = Draft[bytes](*group)
            self._messages.append(message)
        message.add(packed, len(packed), row["event"], row["id"])
        self.size += len(packed)

    def take(self) -> list[Draft[bytes]]:
        """Return what was gathered, and begin anew."""
        taken, self._messages, self._open, self.size = self._messages, [], {}, 0
        return taken

    def _drop(self, row: Derived, reason: str) -> None:
        self.dropped[row["doc_type"]] += 1
        log.warning("a derived event is left out", id=row["id"], cause=row["cause"], reason=reason)


class Sender:
    """Publishes messages one after the other: one stands in the stream only when all before it do.

    Attributes:
        published: events that the broker has, by doc type.
        messages: how many messages it has.
        in_flight: messages of which it is not yet known, and counted here, what became of them.
        refused: why the broker refused a message for good, how often.
    """

    KEY: Final = "derive"

    def __init__(self, publisher: Publisher) -> None:
        self.published: Counter[str] = Counter()
        self.messages = 0
        self.in_flight = 0
        self.refused: Counter[str] = Counter()
        self._publisher = publisher

    @property
    def trouble(self) -> str | None:
        """Why the broker takes nothing now."""
        return self._publisher.trouble

    async def send(self, message: Draft[bytes], headers: Mapping[str, str]) -> None:
        """Publish a message as soon as there is room."""
        await self._publish(
            message.subject, joined(message.parts), message.msg_id, headers, message.doc_type, len(message.ids)
        )

    async def send_mark(self, subject: str, body: bytes, msg_id: str, headers: Mapping[str, str]) -> None:
        """Publish a message that holds no event."""
        await self._publish(subject, body, msg_id, headers, "", 0)

    async def _publish(
        self, subject: str, body: bytes, msg_id: str, headers: Mapping[str, str], doc_type: str, count: int
    ) -> None:
        self.in_flight += 1
        try:
            taken = await self._publisher.publish(subject, body, msg_id=msg_id, headers=headers, key=self.KEY)
        except BaseException:
            self.in_flight -= 1
            raise
        taken.add_done_callback(lambda done: self._note(done, doc_type, count))

    def _note(self, done: asyncio.Future[PubAck], doc_type: str, count: int) -> None:
        self.in_flight -= 1
        if done.cancelled():
            return
        error = done.exception()
        if error is None:
            self.messages += 1
            if count:
                self.published[doc_type] += count
        elif isinstance(error, BusError):
            self.refused[str(error)] += 1
            log.warning("derived events were not taken", doc_type=doc_type, events=count, reason=str(error))
