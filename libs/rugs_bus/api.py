"""Asking the broker's JetStream API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final

import nats.errors
from nats.aio.client import Client

from rugs_bus.errors import (
    CLIENT_ERRORS,
    CLOSED,
    BusClosedError,
    BusError,
    BusUnavailableError,
    RefusedError,
    StreamAbsentError,
)

API: Final = "$JS.API"
ANSWER: Final = 10.0
"""Seconds that the API may take for an answer, the broker's restart included."""
PURGED: Final = 60.0
"""The same, for what takes the broker some time."""
_ATTEMPT: Final = 2.0
"""Seconds that one request to the API may take before it is sent again; it may have been lost with a connection."""
_JETSTREAM_IS_OFF: Final = frozenset({10039, 10076})
"""JetStream's own numbers for: not enabled for the account, not enabled."""
_STREAM_NOT_FOUND: Final = 10059
_NO_JETSTREAM: Final = "the NATS server has no JetStream, which keeps the events: start it with `-js`, or set NATS_URL"


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
        StreamAbsentError: if there is no such stream.
        RefusedError: if the answer is another error.
        BusClosedError: if the connection is closed for good.
        BusError: if the server has no JetStream.
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
            except nats.errors.NoRespondersError as error:
                if not nc._server_info.get("jetstream"):
                    raise BusError(_NO_JETSTREAM) from error
                reason = str(error)
            except (*CLIENT_ERRORS, ValueError) as error:
                reason = str(error) or type(error).__name__
            else:
                if "error" not in answer:
                    return answer
                refusal = _refusal(verb, answer["error"])
                if refusal.err_code == _STREAM_NOT_FOUND:
                    raise StreamAbsentError(
                        f"there is no such stream now, the parquet-writer makes it ({verb})"
                    ) from refusal
                if refusal.err_code in _JETSTREAM_IS_OFF:
                    raise BusError(_NO_JETSTREAM) from refusal
                if refusal.code != 503:  # JetStream is starting, or has no leader
                    raise refusal
                reason = str(refusal)
        await asyncio.sleep(min(0.1, max(0.0, remaining)))


def _refusal(verb: str, error: Mapping[str, Any]) -> RefusedError:
    text = f"the broker refused {verb}: {error.get('description', 'no reason given')}"
    return RefusedError(text, int(error.get("code", 0)), int(error.get("err_code", 0)))
