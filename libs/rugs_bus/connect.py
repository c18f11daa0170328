"""Connecting to the broker, and asking its JetStream API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from nats.aio.client import Client

from rugs_bus.client import HardenedClient
from rugs_bus.errors import CLIENT_ERRORS, CLOSED, BusClosedError, BusUnavailableError, RefusedError

API: Final = "$JS.API"
ANSWER: Final = 10.0
"""Seconds that the API may take for an answer, the broker's restart included."""
_ATTEMPT: Final = 2.0
"""Seconds that one request to the API may take before it is sent again; it may have been lost with a connection."""

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


async def ask(
    nc: Client,
    verb: str,
    arguments: Mapping[str, Any] | None = None,
    *,
    timeout: float | None = None,  # noqa: ASYNC109 (the whole of several attempts)
) -> dict[str, Any]:
    """Ask the JetStream API, for instance ``STREAM.INFO.NAME``, and return its answer.

    While the broker is away the request is repeated for `timeout` seconds (`ANSWER`), so it has
    to be one that may be.

    Raises:
        BusUnavailableError: if there is no answer in time.
        RefusedError: if the answer is an error.
        BusClosedError: if the connection is closed for good.
    """
    payload = json.dumps(arguments).encode() if arguments else b""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + (ANSWER if timeout is None else timeout)
    reason = "not connected"
    while True:
        if nc.is_closed:
            raise BusClosedError(CLOSED)
        remaining = deadline - loop.time()
        if remaining <= 0:
            raise BusUnavailableError(f"the broker does not answer {verb} ({reason})")
        if nc.is_connected:
            try:
                reply = await nc.request(f"{API}.{verb}", payload, timeout=min(remaining, _ATTEMPT))
                answer: dict[str, Any] = json.loads(reply.data)
            except (*CLIENT_ERRORS, ValueError) as error:
                reason = str(error) or type(error).__name__
            else:
                if "error" not in answer:
                    return answer
                refusal = _refusal(verb, answer["error"])
                if refusal.code != 503:  # JetStream is starting, or has no leader
                    raise refusal
                reason = str(refusal)
        await asyncio.sleep(min(0.1, max(0.0, remaining)))


def _refusal(verb: str, error: Mapping[str, Any]) -> RefusedError:
    text = f"the broker refused {verb}: {error.get('description', 'no reason given')}"
    return RefusedError(text, int(error.get("code", 0)), int(error.get("err_code", 0)))
