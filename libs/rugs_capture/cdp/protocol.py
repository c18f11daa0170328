"""The DevTools protocol's connection: commands out, events in, in the order in which Chrome sent them.

Over aiohttp, and without a library for the protocol: those that there are hand each event to a
callback and go on when it fails, or do not tell when the connection ends. Here whoever reads
is the only one who reads: nothing is queued but in the sockets' own buffers, where Chrome waits.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from socket import SOCK_STREAM, gaierror
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import aiohttp
import msgspec
import structlog
from aiohttp import ClientWebSocketResponse, ClientWSTimeout, WSMsgType

from rugs_capture.source import SourceError

CONNECT_SECONDS: Final = 10.0
HEARTBEAT_SECONDS: Final = 30.0
_GOODBYE: Final = 2.0
LARGEST_MESSAGE: Final = 512 * 1024 * 1024
"""Bytes of one message from Chrome, which itself never holds back more than 256 MiB for one client."""

_GONE: Final = "Chrome has gone away"

log = structlog.get_logger(__name__)


class Event(NamedTuple):
    """Something that Chrome tells. `session` is that of the target it comes from; empty for the browser itself."""

    method: str
    params: bytes
    session: str


class Command(NamedTuple):
    """Something that a target is to do, or, without a session, the browser itself."""

    method: str
    params: Mapping[str, Any] = {}
    session: str = ""


class _Message(msgspec.Struct):
    id: int | None = None
    method: str = ""
    params: msgspec.Raw = msgspec.Raw(b"{}")
    error: msgspec.Raw = msgspec.Raw(b"")
    session: str = msgspec.field(default="", name="sessionId")


class _Version(msgspec.Struct):
    url: str = msgspec.field(name="webSocketDebuggerUrl")
    product: str = msgspec.field(default="", name="Browser")


class Connection:
    """An open connection to a browser, with flat sessions: all targets speak through it."""

    def __init__(self, socket: ClientWebSocketResponse, product: str) -> None:
        self.product = product
        """Name and version of the browser."""
        self._socket = socket
        self._last_id = 0
        self._then: dict[int, Command] = {}
        self._early: deque[Event] = deque()

    async def post(
        self, method: str, params: Mapping[str, Any] | None = None, *, session: str = "", then: Command | None = None
    ) -> int:
        """Send a command, and do not wait for its answer: it may fail, as a target may be gone by then.

        A target carries out its commands in order. What comes `then` is sent when this one is answered.
        Returns the command's number.

        Raises:
            SourceError: if the connection is lost.
        """
        self._last_id += 1
        if then is not None:
            self._then[self._last_id] = then
        command: dict[str, Any] = {"id": self._last_id, "method": method, "params": params or {}}
        if session:
            command["sessionId"] = session
        try:
            await self._socket.send_str(json.dumps(command))
        except (aiohttp.ClientError, ConnectionError) as error:
            raise SourceError(f"{_GONE}: {error}") from error
        return self._last_id

    async def call(self, method: str, params: Mapping[str, Any] | None = None) -> None:
        """Send a command that must succeed, and wait until it has. Events that come meanwhile are kept for `events`.

        Raises:
            SourceError: if Chrome refuses, or the connection is lost.
        """
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                number = await self.post(method, params)
                while (message := await self._receive()).id != number:
                    if message.method:
                        self._early.append(_event(message))
        except TimeoutError as error:
            raise SourceError(f"Chrome does not answer {method}") from error
        if refusal := _text(message.error):
            raise SourceError(f"Chrome refuses {method}: {refusal}")

    async def events(self) -> AsyncIterator[Event]:
        """Yield every event, for ever.

        Raises:
            SourceError: when the connection is lost.
        """
        while True:
            while self._early:
                yield self._early.popleft()
            message = await self._receive()
            if message.method:
                yield _event(message)
                continue
            if refusal := _text(message.error):
                log.debug("Chrome refuses a command", reason=refusal)
            if (command := self._then.pop(message.id or 0, None)) is not None:
                await self.post(command.method, command.params, session=command.session)

    async def _receive(self) -> _Message:
        while True:
            received = await self._socket.receive()
            if received.type is WSMsgType.TEXT:
                if (message := _decode(received.data)) is not None:
                    return message
                log.error("Chrome said something that is not its protocol", size=len(received.data))
            elif received.type is not WSMsgType.BINARY:  # of which Chrome has none
                failure = self._socket.exception()
                raise SourceError(f"{_GONE}: {failure}" if failure else _GONE)


def _event(message: _Message) -> Event:
    return Event(message.method, bytes(message.params), message.session)


def _text(raw: msgspec.Raw) -> str:
    return bytes(raw).decode(errors="replace")


def _decode(text: str) -> _Message | None:
    try:
        return msgspec.json.decode(text, type=_Message)
    except msgspec.DecodeError:
        pass
    try:
        # Half a surrogate pair, as scripts' strings may have: no WebSocket ever carries one, and sends U+FFFD for it.
        again = json.dumps(json.loads(text), ensure_ascii=False)
        whole = again.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return msgspec.json.decode(whole, type=_Message)
    except (ValueError, RecursionError):
        return None


@asynccontextmanager
async def connect(host: str, port: int, *, heartbeat: float = HEARTBEAT_SECONDS) -> AsyncIterator[Connection]:
    """Connect to the browser that listens there while the body runs.

    A browser that has not said anything for `heartbeat` seconds is asked, and must answer within half of that.

    Raises:
        SourceError: if there is none; what to do about it is in its one line.
    """
    where = f"{host}:{port}"
    async with aiohttp.ClientSession() as http:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                product, url = await _discover(http, host, port)
                socket = await http.ws_connect(
                    url, max_msg_size=LARGEST_MESSAGE, heartbeat=heartbeat, timeout=ClientWSTimeout(ws_close=_GOODBYE)
                )
        except aiohttp.WSServerHandshakeError as error:
            raise SourceError(f"Chrome at {where} lets nobody in: {error.status} {error.message}") from error
        except (aiohttp.ClientConnectorError, ConnectionError, gaierror) as error:
            raise SourceError(
                f"no Chrome listens at {where}: start it with --remote-debugging-port={port} --user-data-dir=FOLDER"
            ) from error
        except TimeoutError as error:
            raise SourceError(f"Chrome at {where} does not answer") from error
        except (aiohttp.ClientError, ValueError, OSError) as error:
            raise SourceError(f"what answers at {where} is not Chrome's remote debugging: {error}") from error
        async with socket:
            yield Connection(socket, product)


async def _discover(http: aiohttp.ClientSession, host: str, port: int) -> tuple[str, str]:
    """Return the browser's name and the address of its own WebSocket.

    By address and not by name: Chrome talks to nobody who calls it by a name, as a page could that had one made up.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=SOCK_STREAM)
    refused: Exception | None = None
    for *_, address in found:
        place = f"[{address[0]}]:{port}" if ":" in str(address[0]) else f"{address[0]}:{port}"
        try:
            async with http.get(f"http://{place}/json/version", raise_for_status=True) as answer:
                told = msgspec.json.decode(await answer.read(), type=_Version)
        except aiohttp.ClientConnectorError as error:
            refused = error
            continue
        # The path alone: behind a tunnel, Chrome does not know where we see it.
        return told.product, f"ws://{place}{urlsplit(told.url).path}"
    raise refused or ConnectionError("no address")
