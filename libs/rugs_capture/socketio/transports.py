"""Ways to move Engine.IO messages: a WebSocket, and HTTP long polling where there is none.

`connect` raises `RefusedError` where the server answers with something else. An open transport raises `LostError`
when it ends, and never sends a request a second time: what the first answer held would be missing.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from http import HTTPStatus
from types import SimpleNamespace
from typing import Final, Protocol, Self

import aiohttp
from aiohttp import ClientSession, WSMsgType, hdrs
from yarl import URL

from rugs_capture.feed_address import FeedAddress
from rugs_capture.feed_http import explain, request_options
from rugs_capture.socketio import payload
from rugs_capture.socketio.endings import close_words, closed_by_server, quoted, refuses, retry_after
from rugs_capture.socketio.payload import Message
from rugs_core.errors import RugsError
from rugs_feed import frames
from rugs_feed.frames import read_json
from rugs_proto.subjects import MAX_BLOB

GOODBYE_SECONDS: Final = 1.0
"""How long the end of a connection may take that we end."""
_LARGEST_BODY: Final = 4 * MAX_BLOB
_EXPLAINED_BYTES: Final = 2048
_OWN_QUERY: Final = frozenset({"EIO", "transport", "sid"})
_INVALID_TEXT: Final = 1007


class RefusedError(RugsError):
    """The server answers, but not with a connection.

    Attributes:
        status: of the HTTP answer.
        retry_after: seconds that it asks to wait, or None.
    """

    def __init__(self, reason: str, status: int, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.retry_after = retry_after

    @property
    def for_all(self) -> bool:
        """Whether the server wants no other request now, by whichever transport."""
        return self.status == HTTPStatus.TOO_MANY_REQUESTS or self.retry_after is not None


class LostError(RugsError):
    """An open connection has ended.

    Attributes:
        refused: whether the server does not want the client.
        retry_after: seconds that it asks to wait, or None.
    """

    def __init__(self, reason: str, *, refused: bool = False, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.refused = refused
        self.retry_after = retry_after


class Transport(Protocol):
    """An open transport."""

    name: str

    @classmethod
    async def connect(cls, http: ClientSession, address: FeedAddress) -> Self:
        """Connect to the feed.

        Raises:
            RefusedError: if the server answers with something else.
            aiohttp.ClientError: if it does not answer.
        """

    async def receive(self) -> Sequence[Message]:
        """Wait until something comes; return its messages, none where it was only a sign of life.

        Raises:
            LostError: when the connection has ended.
        """

    async def send(self, messages: Sequence[str]) -> None:
        """Send messages. If the connection has ended, that or the next `receive` raises LostError."""

    async def close(self, *, bad_text: bool = False) -> None:
        """End it in order. `bad_text` tells the server that it has sent text that is not UTF-8.

        Raises:
            TimeoutError: if the server does not answer soon.
        """


class WebSocket(Transport):
    """Engine.IO over a WebSocket."""

    name = "websocket"

    def __init__(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        self._socket = socket

    @classmethod
    async def connect(cls, http: ClientSession, address: FeedAddress) -> Self:
        """See `Transport.connect`."""
        try:
            socket = await http.ws_connect(
                _url(address, transport="websocket"),
                max_msg_size=MAX_BLOB,
                autoping=False,
                decode_text=False,
                timeout=aiohttp.ClientWSTimeout(ws_receive=None, ws_close=GOODBYE_SECONDS),
                **request_options(address),
            )
        except aiohttp.WSServerHandshakeError as error:
            said = error.message.lower() if error.status == HTTPStatus.SWITCHING_PROTOCOLS else ""
            raise _refused(error, address, said) from error
        return cls(socket)

    async def receive(self) -> Sequence[Message]:
        """See `Transport.receive`."""
        message = await self._socket.receive()
        match message.type:
            case WSMsgType.TEXT:
                return (payload.text(message.data),)
            case WSMsgType.BINARY:
                return (bytes(message.data),)
            case WSMsgType.PING:
                with suppress(ConnectionError):
                    await self._socket.pong(message.data)
                return ()
            case WSMsgType.PONG:
                return ()
            case WSMsgType.CLOSE:
                code = message.data or 1005
                raise LostError(closed_by_server(code, message.extra or ""), refused=refuses(code))
        raise LostError(_broken(message.data))

    async def send(self, messages: Sequence[str]) -> None:
        """See `Transport.send`."""
        with suppress(ConnectionError, aiohttp.ClientError):  # what came before that is still to be received
            for message in messages:
                await self._socket.send_str(message)

    async def close(self, *, bad_text: bool = False) -> None:
        """See `Transport.close`."""
        async with asyncio.timeout(2 * GOODBYE_SECONDS):
            await self._socket.close(code=_INVALID_TEXT if bad_text else 1000)


class Polling(Transport):
    """Engine.IO over HTTP long polling: one request at a time, so that nothing overtakes anything."""

    name = "polling"

    def __init__(self, http: ClientSession, address: FeedAddress) -> None:
        self._http = http
        self._address = address
        self._options = {**request_options(address), "allow_redirects": False}
        self._session: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self._first: Sequence[Message] = ()

    @classmethod
    async def connect(cls, http: ClientSession, address: FeedAddress) -> Self:
        """See `Transport.connect`. The session is the server's, and ends when it is not asked for too long."""
        polling = cls(http, address)
        polling._first = await polling._poll()
        first = polling._first[0] if polling._first else ""
        opened = frames.decode(first) if isinstance(first, str) else None
        said = opened.payload if opened is not None and opened.packet == "open" else None
        if not isinstance(said, dict) or not isinstance(said.get("sid"), str):
            raise RefusedError("the answer does not begin with an Engine.IO open packet", HTTPStatus.OK)
        polling._session["sid"] = said["sid"]
        return polling

    async def receive(self) -> Sequence[Message]:
        """See `Transport.receive`."""
        first, self._first = self._first, ()
        if first:
            return first
        with self._lost():
            messages = await self._poll()
        if not messages:
            raise LostError("the server answers a poll with nothing")
        return messages

    async def send(self, messages: Sequence[str]) -> None:
        """See `Transport.send`."""
        with self._lost():
            headers = [*self._options["headers"], (hdrs.CONTENT_TYPE, "text/plain;charset=UTF-8")]
            options = {**self._options, "headers": headers, "data": payload.join(messages)}
            async with self._http.post(self._next_url(), **options) as answer:
                await self._checked(answer)

    async def close(self, *, bad_text: bool = False) -> None:
        """See `Transport.close`. A request that is broken off tells the server."""

    async def _poll(self) -> Sequence[Message]:
        async with self._http.get(self._next_url(), **self._options) as answer:
            return payload.split(await self._checked(answer))

    async def _checked(self, answer: aiohttp.ClientResponse) -> bytes:
        """Return the body of a good answer."""
        if answer.status != HTTPStatus.OK:
            said = _explanation(await answer.content.read(_EXPLAINED_BYTES))
            raise _refused(_response_error(answer), self._address, said)
        body = bytearray()
        async for piece in answer.content.iter_any():
            body += piece
            if len(body) > _LARGEST_BODY:
                raise LostError(f"the server's answer is larger than {_LARGEST_BODY >> 20} MiB")
        return bytes(body)

    def _next_url(self) -> URL:
        return _url(self._address, transport="polling", **self._session, t=f"{next(self._numbers):x}")

    @contextmanager
    def _lost(self) -> Iterator[None]:
        try:
            yield
        except RefusedError as error:
            reason = f"the server ended the polling session: {error}"
            raise LostError(reason, retry_after=error.retry_after) from error
        except aiohttp.ClientError as error:
            raise LostError(f"connection lost: {explain(error, self._address)}") from error


TRANSPORTS: Final[Mapping[str, type[Transport]]] = {kind.name: kind for kind in (WebSocket, Polling)}


@asynccontextmanager
async def http_session(address: FeedAddress) -> AsyncIterator[ClientSession]:
    """Give the session that a transport uses. It follows no redirect, and sends no request a second time."""

    async def refuse(_: ClientSession, __: SimpleNamespace, told: aiohttp.TraceRequestRedirectParams) -> None:
        raise _refused(_response_error(told.response), address)

    once = aiohttp.TraceConfig()
    once.on_request_redirect.append(refuse)
    once.on_connection_create_start.append(_sent_once)
    once.on_connection_reuseconn.append(_sent_once)
    http = ClientSession(
        cookie_jar=aiohttp.CookieJar(unsafe=True),  # a load balancer's, also where it has no name
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # the connection's own clock is over all of it
        trace_configs=[once],
    )
    try:
        yield http
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await http.close()


async def _sent_once(_: ClientSession, request: SimpleNamespace, __: object) -> None:
    if getattr(request, "sent", False):
        raise aiohttp.ServerDisconnectedError("the server closed the connection before it answered")
    request.sent = True


def _url(address: FeedAddress, **own: str) -> URL:
    query = [(name, value) for name, value in address.query if name not in _OWN_QUERY]
    return URL(address.base + address.path).with_query([*query, ("EIO", "4"), *own.items()])


def _response_error(answer: aiohttp.ClientResponse) -> aiohttp.ClientResponseError:
    return aiohttp.ClientResponseError(answer.request_info, (), status=answer.status, headers=answer.headers)


def _refused(error: aiohttp.ClientResponseError, address: FeedAddress, said: str = "") -> RefusedError:
    headers: Mapping[str, str] = error.headers or {}
    if target := headers.get(hdrs.LOCATION):
        said = f"it points to {quoted(target)}: give that address, if you trust it"
    reason = explain(error, address) + (f" ({said})" if said else "")
    return RefusedError(reason, error.status, retry_after(headers))


def _explanation(body: bytes) -> str:
    """Return the message of an Engine.IO error: ``{"code": 1, "message": "Session ID unknown"}``."""
    try:
        said, _ = read_json(body.decode())
    except ValueError:
        return ""
    message = said.get("message") if isinstance(said, dict) else None
    return quoted(message) if isinstance(message, str) else ""


def _broken(error: object) -> str:
    """Return why a WebSocket brings no more messages, where the server has not said it."""
    if isinstance(error, aiohttp.WebSocketError):
        return f"the server's messages cannot be read: {close_words(error.code)}: {quoted(str(error.args[-1]))}"
    return close_words(1006) + (f": {quoted(str(error))}" if isinstance(error, Exception) else "")
