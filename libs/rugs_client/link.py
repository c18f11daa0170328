"""The way to the broker: messages go over it one after the other, until the broker has each."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final, Protocol

import structlog
from nats.aio.client import Client

from rugs_bus import BusClosedError, BusError, InvalidMessageError, RefusedError, connect, put_blob
from rugs_bus import Publisher as BusPublisher
from rugs_client.events import Entry
from rugs_proto.draft import joined, subject_of
from rugs_proto.ids import message_id

_PAUSE: Final = 0.25
"""Seconds to wait before trying again what has failed."""
_GOODBYE: Final = 1.0
"""Seconds that closing may take; a paused broker takes nothing."""

log = structlog.get_logger(__name__)


class RefusedForGoodError(Exception):
    """No try will ever bring this message to the broker."""


class Link(Protocol):
    """What a delivery sends its messages over."""

    @property
    def connected(self) -> bool:
        """Whether there is a connection; the other end may still not answer."""

    @property
    def trouble(self) -> str | None:
        """Why messages are held back now; None while all is well."""

    async def open(self) -> None:
        """Return when there is a connection."""

    async def send(self, entries: list[Entry]) -> None:
        """Return when the other end has the events of one message.

        Raises:
            RefusedForGoodError: if it will never take them.
        """

    async def close(self) -> None:
        """End the connection. Never raises, and never waits long."""


class BrokerLink:
    """The link to a NATS broker. What fails for now is tried again, for ever."""

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._name = name
        self._nc: Client | None = None
        self._bus: BusPublisher | None = None
        self._trouble: str | None = None

    @property
    def connected(self) -> bool:
        """Whether there is a connection to the broker; it may still not answer."""
        return self._nc is not None and self._nc.is_connected

    @property
    def trouble(self) -> str | None:
        """Why messages are held back now; None while all is well."""
        trouble = self._trouble or (None if self.connected else "not connected")
        return trouble or (self._bus.trouble if self._bus else None)

    async def open(self) -> None:
        """Return when there is a connection."""
        await self._connection()

    async def send(self, entries: list[Entry]) -> None:
        """Return when the broker has the events of one message, fsynced.

        Raises:
            RefusedForGoodError: if the broker refuses this very message, today and tomorrow.
        """
        while True:
            nc, bus = await self._connection()
            try:
                await _publish(nc, bus, entries)
                self._set_trouble(None)
                return
            except BusClosedError as error:  # nothing was refused: a new connection takes it
                self._set_trouble(str(error))
                await self.close()
            except BusError as error:
                self._set_trouble(str(error))
            await asyncio.sleep(_PAUSE)

    async def close(self) -> None:
        """End the connection; `send` makes a new one."""
        nc, bus, self._nc, self._bus = self._nc, self._bus, None, None
        with suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE):
                if bus is not None:
                    await bus.close()
                if nc is not None:
                    await nc.close()

    async def _connection(self) -> tuple[Client, BusPublisher]:
        while self._nc is None or self._bus is None:
            try:
                self._nc = await connect(self._url, name=self._name)
                self._bus = BusPublisher(self._nc)
                self._set_trouble(None)
            except BusError as error:
                self._set_trouble(str(error))
                await asyncio.sleep(_PAUSE)
        return self._nc, self._bus

    def _set_trouble(self, trouble: str | None) -> None:
        if trouble is not None and trouble != self._trouble:
            log.warning("events are held back", reason=trouble)
        self._trouble = trouble


async def _publish(nc: Client, bus: BusPublisher, entries: list[Entry]) -> None:
    """Send one message and wait until the broker has it.

    Raises:
        RefusedForGoodError: if the broker refuses this very message, today and tomorrow.
        BusError: if anything else is in the way; nothing is lost.
    """
    first = entries[0]
    subject = subject_of(first.doc_type, first.source, {entry.event for entry in entries})
    msg_id, body = message_id(entry.id for entry in entries), joined([entry.body for entry in entries])
    try:
        if first.large is not None:
            await put_blob(nc, first.id, first.large)  # what is refused here, as where there is no bucket, passes
        taken = await bus.publish(subject, body, msg_id=msg_id, key=first.session_id)
    except InvalidMessageError as error:
        raise RefusedForGoodError(str(error)) from error
    try:
        await taken
    except (RefusedError, InvalidMessageError) as error:
        raise RefusedForGoodError(str(error)) from error
