"""The publishing side of an import run: messages that the lake counts together.

Each carries the run's id and its place in the run, from 1. The last one carries what was read, for the lake to
compare with its own counts, and closes the run; it is sent when the broker has all the others, so a run that
was cut never becomes an entry of the import ledger.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from typing import Final

from rugs_bus.errors import BusError
from rugs_bus.publisher import PubAck, Publisher
from rugs_proto.ids import message_id
from rugs_proto.subjects import (
    HEADER_IMPORT,
    HEADER_IMPORT_DERIVED,
    HEADER_IMPORT_DONE,
    HEADER_IMPORT_SEQ,
    event_subject,
)

_DONE_SUBJECT: Final = event_subject("system_event", "import")
_NO_EVENTS: Final = b"\x90"
"""An empty msgpack array: a run's last message carries its counts in a header."""


class ImportRun:
    """One run. Its messages keep their order among those of the same `key`.

    `derived`: its events were computed from stored ones, and count all the same.

    Attributes:
        id: names the run in the ledger.
        refused: why the broker refused the first message that it did not take; None while it takes all.
    """

    def __init__(self, publisher: Publisher, key: str, *, derived: bool = False) -> None:
        self.id = uuid.uuid4().hex
        self.refused: str | None = None
        self._publisher = publisher
        self._key = key
        self._marks = {HEADER_IMPORT_DERIVED: "1"} if derived else {}
        self._place = 0
        self._in_flight = 0
        self._settled = asyncio.Event()
        self._settled.set()

    async def publish(self, subject: str, body: bytes) -> None:
        """Publish the next message, as soon as there is room.

        Raises:
            BusError: if it can never be stored, or the connection is closed.
        """
        await self._publish(subject, body, {})

    async def settle(self) -> None:
        """Wait until the broker has answered for every message.

        Raises:
            BusError: if it refused one.
        """
        await self._settled.wait()
        if self.refused is not None:
            raise BusError(self.refused)

    async def close(self, report: str) -> None:
        """Close the run with what was read, as ASCII JSON; return when the broker has all of it.

        Raises:
            BusError: if it does not take a message.
        """
        await self.settle()
        await self._publish(_DONE_SUBJECT, _NO_EVENTS, {HEADER_IMPORT_DONE: report})
        await self.settle()

    async def _publish(self, subject: str, body: bytes, more: Mapping[str, str]) -> None:
        self._place += 1
        place = str(self._place)
        headers = {HEADER_IMPORT: self.id, HEADER_IMPORT_SEQ: place, **self._marks, **more}
        msg_id = message_id([self.id, place])
        taken = await self._publisher.publish(subject, body, msg_id=msg_id, headers=headers, key=self._key)
        self._in_flight += 1
        self._settled.clear()
        taken.add_done_callback(self._note)

    def _note(self, taken: asyncio.Future[PubAck]) -> None:
        self._in_flight -= 1
        if self._in_flight == 0:
            self._settled.set()
        if not taken.cancelled() and (error := taken.exception()) is not None:
            self.refused = self.refused or str(error)
