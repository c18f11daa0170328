"""Connecting to the broker, and asking its JetStream API."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any, Final

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.protocol import parser

from rugs_bus.address import BrokerAddressError, parse_broker_address
from rugs_bus.errors import BusError, BusUnavailableError, RefusedError
from rugs_bus.headers import parse_headers
from rugs_proto.reasons import refusal
from rugs_proto.secrets import mask_secrets

API: Final = "$JS.API"
_ATTEMPT: Final = 2.0
"""Seconds that one request to the API may take before it is sent again; it may have been lost with a connection."""
_JETSTREAM_IS_OFF: Final = frozenset({10039, 10076})
"""JetStream's own numbers for: not enabled for the account, not enabled."""
_NO_JETSTREAM: Final = "the NATS server has no JetStream, which keeps the events: start it with `-js`, or set NATS_URL"
_UNTRUSTED: Final = "CERTIFICATE_VERIFY_FAILED"
_START: Final = "start it, or set NATS_URL"

# White space is only what the server takes for it. This holds for every client of the process.
parser.MSG_RE = re.compile(rb"\AMSG[ \t]+([^ \t\r\n]+)[ \t]+([^ \t\r\n]+)[ \t]+(([^ \t\r\n]+)[ \t]+)?(\d+)\r\n")
parser.HMSG_RE = re.compile(
    rb"\AHMSG[ \t]+([^ \t\r\n]+)[ \t]+([^ \t\r\n]+)[ \t]+(([^ \t\r\n]+)[ \t]+)?(\d+)[ \t]+(\d+)\r\n"
)

log = structlog.get_logger(__name__)


class HardenedClient(Client):
    """nats-py's client, which a stored message cannot kill.

    Its own reader stops for good at a subject or a header that is not UTF-8, and cannot
    tell a vertical tab or a form feed in a subject from the space after it. The server
    takes all of these, so one such message would cut off everybody who reads the stream.
    """

    async def flush(self, timeout: int = 10) -> None:  # noqa: ASYNC109 (as in the base class)
        """Return when the server has dealt with all that was sent before.

        Its own PING overtakes what still waits to be written: the second one does not.
        """
        await super().flush(timeout)
        await super().flush(timeout)

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        """Take what the server says of itself; where ``tls://`` was asked for, never go on without TLS."""
        server = self._current_server
        if initial_connection and server and server.uri.scheme == "tls" and not info.get("tls_required"):
            raise nats.errors.Error("the server does not ask for TLS: write nats:// if it may be without")
        await super()._process_info(info, initial_connection)

    async def _process_headers(self, headers: bytes | None) -> dict[str, str] | None:
        return parse_headers(bytes(headers)) if headers else None

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Msg:
        return Msg(
            _client=self,
            subject=subject.decode("utf-8", "replace"),
            reply=reply.decode("utf-8", "replace"),
            data=data,
            headers=headers,
            _sid=sid,
        )


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
        BusError: if the address cannot be used, or no broker answers in time, or it refuses.
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
        if client.is_connected:
            log.warning("bus error", broker=where, error=_reason(error))

    async def on_disconnect() -> None:
        if not client.is_closed:
            log.warning("bus disconnected", broker=where)

    async def on_reconnect() -> None:
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
    except (TimeoutError, OSError, nats.errors.Error, ValueError) as error:
        await client.close()
        reason = _reason(last_error or error)
        if _is_refusal(last_error):
            raise BusError(f"the NATS server at {where} refuses this user ({reason}): see NATS_URL") from error
        hint = "SSL_CERT_FILE names the file of who signed its certificate" if _UNTRUSTED in reason else _START
        raise BusError(f"no NATS server answers at {where} ({reason}): {hint}") from error
    return client


def _is_refusal(error: Exception | None) -> bool:
    return "authorization" in str(error).lower()


def _reason(error: Exception) -> str:
    return mask_secrets(refusal(error))


async def ask(
    nc: Client,
    verb: str,
    arguments: Mapping[str, Any] | None = None,
    *,
    timeout: float = 10.0,  # noqa: ASYNC109 (the whole of several attempts)
) -> dict[str, Any]:
    """Ask the JetStream API, for instance ``STREAM.INFO.NAME``, and return its answer.

    While the broker is away the request is repeated for `timeout` seconds, so it has
    to be one that may be.

    Raises:
        BusUnavailableError: if there is no answer in time.
        RefusedError: if the answer is an error.
        BusError: if the connection is closed for good, or the server has no JetStream.
    """
    payload = json.dumps(arguments).encode() if arguments else b""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    reason = "not connected"
    while True:
        if nc.is_closed:
            raise BusError("the connection to the broker is closed")
        remaining = deadline - loop.time()
        if remaining <= 0:
            raise BusUnavailableError(f"the broker does not answer {verb} ({reason})")
        if nc.is_connected:
            try:
                reply = await nc.request(f"{API}.{verb}", payload, timeout=min(remaining, _ATTEMPT))
                answer: dict[str, Any] = json.loads(reply.data)
            except nats.errors.NoRespondersError as error:
                if not nc._server_info.get("jetstream"):
                    raise BusError(_NO_JETSTREAM) from error
                reason = str(error)
            except nats.errors.Error as error:
                reason = str(error) or type(error).__name__
            else:
                if "error" not in answer:
                    return answer
                refused = _refused(verb, answer["error"])
                if refused.err_code in _JETSTREAM_IS_OFF:
                    raise BusError(_NO_JETSTREAM) from refused
                if refused.code != 503:  # JetStream is starting, or has no leader
                    raise refused
                reason = str(refused)
        await asyncio.sleep(min(0.1, max(0.0, remaining)))


def _refused(verb: str, error: Mapping[str, Any]) -> RefusedError:
    text = f"the broker refused {verb}: {error.get('description', 'no reason given')}"
    return RefusedError(text, int(error.get("code", 0)), int(error.get("err_code", 0)))
