"""Connecting to the broker."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from urllib.parse import urlsplit

import structlog
from nats.aio.client import Client

from rugs_bus.client import HardenedClient
from rugs_bus.errors import CLIENT_ERRORS, BusUnavailableError

log = structlog.get_logger(__name__)


async def connect(
    url: str,
    *,
    name: str,
    timeout: float = 10.0,  # noqa: ASYNC109 (part of the contract)
    reconnect_wait: float = 0.25,
) -> Client:
    """Connect to the broker at `url`; `name` is what the broker's tools show.

    Tries for `timeout` seconds. A connection lost later is sought again for ever,
    every `reconnect_wait` seconds.

    Raises:
        BusUnavailableError: if no broker answers in time, or lets us in.
    """
    where = _without_secrets(url)
    last_error: Exception | None = None

    async def on_error(error: Exception) -> None:
        nonlocal last_error
        last_error = error
        with suppress(Exception):  # a log that cannot be written must not end the client's own tasks
            if client.is_connected:
                log.warning("bus error", broker=where, error=str(error) or type(error).__name__)

    async def on_disconnect() -> None:
        with suppress(Exception):
            if not client.is_closed:
                log.warning("bus disconnected", broker=where)

    async def on_reconnect() -> None:
        with suppress(Exception):
            log.info("bus reconnected", broker=where)

    client = HardenedClient()
    try:
        async with asyncio.timeout(timeout):
            await client.connect(
                url,
                name=name,
                error_cb=on_error,
                disconnected_cb=on_disconnect,
                reconnected_cb=on_reconnect,
                max_reconnect_attempts=-1,
                reconnect_time_wait=reconnect_wait,  # type: ignore[arg-type]  # seconds; fractions work
                ping_interval=5,
                max_outstanding_pings=2,
            )
    except (*CLIENT_ERRORS, ValueError) as error:
        await client.close()
        reason = str(last_error or error) or type(last_error or error).__name__
        raise BusUnavailableError(f"no NATS server answers at {where} ({reason}): start it, or set NATS_URL") from error
    return client


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
