"""Core NATS beside the streams: announcements, requests and answers, which nobody stores."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from rugs_bus.errors import CLIENT_ERRORS, BusError, BusUnavailableError, translated

_LOOK: Final = 0.5
"""Seconds between two looks whether an answering subscription still lives."""

log = structlog.get_logger(__name__)


async def announce(nc: Client, subject: str, body: bytes) -> None:
    """Publish a message to whoever listens now.

    Raises:
        BusUnavailableError: if the broker is away and too much waits for it already.
        BusClosedError: if the connection is closed for good.
    """
    try:
        await nc.publish(subject, body)
    except CLIENT_ERRORS as error:
        raise translated(error, f"cannot publish on {subject}") from error


async def request(nc: Client, subject: str, body: bytes = b"", *, timeout: float) -> bytes:  # noqa: ASYNC109
    """Return the answer to a request.

    Raises:
        BusUnavailableError: if nobody answers in time.
        BusClosedError: if the connection is closed for good.
    """
    try:
        reply = await nc.request(subject, body, timeout=timeout)
    except CLIENT_ERRORS as error:
        raise translated(error, f"no answer on {subject}") from error
    return bytes(reply.data)


@asynccontextmanager
async def listening(nc: Client, subject: str, heard: Callable[[bytes], None]) -> AsyncIterator[None]:
    """Call `heard` with each message on a subject while the body runs, also after the broker was away.

    Raises:
        BusClosedError: if the connection is closed for good.
    """

    async def hear(message: Msg) -> None:
        heard(message.data)

    ears = _Ears(nc, subject, hear)
    await ears.open()
    try:
        yield
    finally:
        await ears.close()


async def answer(nc: Client, subject: str, reply: Callable[[], bytes]) -> None:
    """Answer requests on a subject from now on, until the connection is closed for good.

    What `reply` raises is logged, and nobody is answered.

    Raises:
        BusClosedError: if it is closed already.
    """

    async def respond(message: Msg) -> None:
        try:
            await message.respond(reply())
        except CLIENT_ERRORS:  # who asked may be gone, and asks again
            pass
        except Exception:
            log.exception("a request was not answered", subject=subject)

    await _Ears(nc, subject, respond).open()


class _Ears:
    """A subscription that lives as long as its connection.

    The client's own ends for good when its task does, whatever becomes of the connection later.
    """

    def __init__(self, nc: Client, subject: str, heard: Callable[[Msg], Awaitable[None]]) -> None:
        self._nc = nc
        self._subject = subject
        self._heard = heard
        self._subscription: Subscription | None = None
        self._connection = 0
        self._keeping: asyncio.Task[None] | None = None

    async def open(self) -> None:
        with suppress(BusUnavailableError):  # then it is tried again
            await self._subscribe()
        self._keeping = asyncio.create_task(self._keep(), name=f"subscription to {self._subject}")
        _kept.add(self._keeping)
        self._keeping.add_done_callback(_kept.discard)

    async def close(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
        await self._unsubscribe()

    async def _keep(self) -> None:
        while not self._nc.is_closed:
            await asyncio.sleep(_LOOK)
            if self._nc.is_connected and not self._lives:
                log.warning("a subscription has ended; subscribing again", subject=self._subject)
                with suppress(BusError):
                    await self._unsubscribe()
                    await self._subscribe()

    @property
    def _lives(self) -> bool:
        subscription = self._subscription
        if subscription is None or subscription._closed or subscription._id not in self._nc._subs:
            return False
        task: Any = subscription._wait_for_msgs_task
        return not task.done()

    async def _subscribe(self) -> None:
        try:
            self._subscription = await self._nc.subscribe(self._subject, cb=self._heard)
        except CLIENT_ERRORS as error:
            raise translated(error, f"cannot listen on {self._subject}") from error

    async def _unsubscribe(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            with suppress(*CLIENT_ERRORS):
                await subscription.unsubscribe()


_kept: set[asyncio.Task[None]] = set()
"""The event loop itself holds no task."""
