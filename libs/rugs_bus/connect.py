"""Connecting to the broker."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

import structlog
from nats.aio.client import Client

from rugs_bus.address import BrokerAddressError, parse_broker_address
from rugs_bus.client import HardenedClient
from rugs_bus.errors import CLIENT_ERRORS, BusError, BusUnavailableError
from rugs_core.reasons import refusal
from rugs_core.secrets import mask_secrets

_UNTRUSTED: Final = "CERTIFICATE_VERIFY_FAILED"
_START: Final = "start it, or set NATS_URL"

log = structlog.get_logger(__name__)


async def connect(
    url: str,
    *,
    name: str,
    timeout: float = 10.0,  # noqa: ASYNC109 (part of the contract)
    reconnect_wait: float = 0.25,
) -> Client:
    """Connect to the broker at `url`, see `parse_broker_address`; `name` is what the broker's tools show.

    Tries for `timeout` seconds. A connection lost later is sought again for ever,
    every `reconnect_wait` seconds.

    Raises:
        BusError: if the address cannot be used.
        BusUnavailableError: if no broker answers in time, or lets us in.
    """
    try:
        address = parse_broker_address(url)
    except BrokerAddressError as error:
        raise BusError(f"NATS_URL: {error}") from None
    where = address.shown
    last_error: Exception | None = None

    async def on_error(error: Exception) -> None:
        nonlocal last_error
        if not _is_refusal(last_error):  # what follows one says less
            last_error = error
        with suppress(Exception):  # a log that cannot be written must not end the client's own tasks
            if client.is_connected:
                log.warning("bus error", broker=where, error=_reason(error))

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
                [server.bare for server in address.servers],
                name=name,
                **address.credentials,
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
        reason = _reason(last_error or error)
        if _is_refusal(last_error):
            raise BusUnavailableError(
                f"the NATS server at {where} refuses this user ({reason}): see NATS_URL"
            ) from error
        hint = "SSL_CERT_FILE names the file of who signed its certificate" if _UNTRUSTED in reason else _START
        raise BusUnavailableError(f"no NATS server answers at {where} ({reason}): {hint}") from error
    return client


def _is_refusal(error: Exception | None) -> bool:
    return "authorization" in str(error).lower()


def _reason(error: Exception) -> str:
    return mask_secrets(refusal(error))
