"""The public feed: a Socket.IO client that keeps every WebSocket message as it was on the wire.

python-socketio makes the connection, answers pings and finds out when the other side is gone.
Its messages are recorded below it, where they are still whole; of what comes it is
only given what a connection needs, so that no event can be too odd for it.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
import socketio
import structlog
from aiohttp import ClientWebSocketResponse, WSMessage, WSMsgType

from rugs_capture.feed_address import FeedAddress
from rugs_capture.feed_http import explain, request_options
from rugs_capture.source import SourceError
from rugs_capture.tap import Session, Tap
from rugs_proto.secrets import mask_values
from rugs_proto.subjects import MAX_BLOB

CONNECT_SECONDS: Final = 20.0
"""How long the whole handshake may take."""
_GOODBYE: Final = 2.0
_NOOP: Final = WSMessage(WSMsgType.TEXT, "6", None)
"""A message that says nothing but that the other side lives."""
_FOR_THE_CONNECTION: Final = ("open", "close", "ping", "pong", "noop", "connect", "disconnect", "connect_error")

log = structlog.get_logger(__name__)


class PublicFeed:
    """A Socket.IO feed. Each connection is a session."""

    name = "public"

    def __init__(self, address: FeedAddress) -> None:
        self.url = address.shown
        self._address = address

    async def run(self, tap: Tap) -> None:
        """Connect and record until the connection ends; see `Source.run`."""
        address = self._address
        wire = _Wire(tap, address)
        client = socketio.AsyncClient(reconnection=False, http_session=wire, handle_sigint=False)
        ended = asyncio.Event()

        async def end(*_: object) -> None:
            ended.set()

        client.on("disconnect", end, namespace=address.namespace)
        try:
            await client.connect(
                f"{address.base}?{urlencode(address.query)}",
                auth=address.auth,
                transports=["websocket"],
                namespaces=[address.namespace],
                socketio_path=address.path,
                wait_timeout=CONNECT_SECONDS,
            )
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise asyncio.CancelledError  # engineio swallows one that comes while it connects
            await ended.wait()
            raise SourceError(wire.ending or "the server has stopped answering")
        except socketio.exceptions.ConnectionError as error:
            raise SourceError(f"cannot connect to {self.url}: {wire.ending or error}") from error
        finally:
            try:
                with suppress(Exception):  # a time-out, or there was no connection
                    async with asyncio.timeout(_GOODBYE):
                        await client.disconnect()
            finally:
                await wire.close()


class _Wire:
    """What engineio takes for an aiohttp session: it opens one WebSocket, and records it."""

    def __init__(self, tap: Tap, address: FeedAddress) -> None:
        self.ending: str | None = None
        self.address = address
        self._tap = tap
        self._http = aiohttp.ClientSession()
        self.cookie_jar = self._http.cookie_jar

    @property
    def closed(self) -> bool:
        return self._http.closed

    async def close(self) -> None:
        await self._http.close()

    async def ws_connect(self, url: str, **options: Any) -> _RecordedSocket:
        options |= {**request_options(self.address), "max_msg_size": MAX_BLOB}
        try:
            # As http, for a proxy may be given this URL.
            socket = await self._http.ws_connect(url.replace("ws", "http", 1), **options)
        except aiohttp.ClientError as error:
            self.ending = explain(error, self.address)
            raise
        return _RecordedSocket(socket, self, self._tap.begin(url=self.address.shown))


class _RecordedSocket:
    """A WebSocket whose messages are all recorded, both ways."""

    def __init__(self, socket: ClientWebSocketResponse, wire: _Wire, session: Session) -> None:
        self._socket = socket
        self._wire = wire
        self._session = session

    async def receive(self) -> WSMessage:
        """Return the next message that the connection needs, and an empty one for any other."""
        message = await self._socket.receive()
        if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
            self._wire.ending = self._wire.ending or _ending(message, self._socket)
            return message
        frame = self._session.frame(message.data)
        if frame.packet in _FOR_THE_CONNECTION and frame.problem is None:
            return message
        # Whoever asks for an acknowledgement gets it from the library.
        return message if frame.packet == "event" and frame.ack_id is not None and frame.problem is None else _NOOP

    async def send_str(self, text: str) -> None:
        await self._socket.send_str(text)
        self._session.frame(self._stored(text), direction="sent")

    def _stored(self, text: str) -> str:
        """Return a packet as it is stored: the values of the auth payload, which we were given, are masked."""
        auth = self._wire.address.auth
        if auth is None or not text.startswith("40"):
            return text
        return text[: text.index("{")] + json.dumps(mask_values(auth), separators=(",", ":"))

    async def send_bytes(self, data: bytes) -> None:
        await self._socket.send_bytes(data)
        self._session.frame(data, direction="sent")

    async def close(self) -> None:
        await self._socket.close()


def _ending(message: WSMessage, socket: ClientWebSocketResponse) -> str:
    if message.type == WSMsgType.CLOSE:
        said = f" ({message.extra})" if message.extra else ""
        return f"the server closed the connection: {message.data}{said}"
    error = socket.exception() if message.type == WSMsgType.ERROR else None
    return f"connection lost: {error}" if error else "connection lost"
