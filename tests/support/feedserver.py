"""A scripted Socket.IO server: it sends just the messages that a test says, and knows which came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Self

from aiohttp import WSMsgType, web

from rugs_capture.feed_address import FeedAddress, parse_feed
from tests.support.sourcekit import serving

HELLO = '0{"sid":"made-up","upgrades":[],"pingInterval":PING,"pingTimeout":PING,"maxPayload":1000000}'

Script = Callable[["Feed", web.WebSocketResponse], Awaitable[None]]


class Feed:
    """The server, and every message that went through each of its connections, in order: (direction, message)."""

    def __init__(self, ping_ms: int) -> None:
        self.connections: list[list[tuple[str, str | bytes]]] = []
        self.refuse = False
        self.url = ""
        self._ping_ms = ping_ms
        self._script: Script | None = None
        self._sockets: list[web.WebSocketResponse] = []

    @classmethod
    @asynccontextmanager
    async def serving(cls, script: Script | None = None, *, ping_ms: int = 60_000) -> AsyncIterator[Self]:
        """Serve while the body runs; `script` is what each connection does after the handshake."""
        feed = cls(ping_ms)
        feed._script = script
        async with serving({"/socket.io/": feed._serve}) as port:
            feed.url = f"http://127.0.0.1:{port}?frontend-version=1.0"
            yield feed

    @property
    def address(self) -> FeedAddress:
        """Where it is, as a source takes it."""
        return parse_feed(self.url)

    async def send(self, socket: web.WebSocketResponse, *messages: str | bytes) -> None:
        """Send messages, and remember them."""
        for message in messages:
            self.connections[self._sockets.index(socket)].append(("received", message))
            await (socket.send_str(message) if isinstance(message, str) else socket.send_bytes(message))

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if self.refuse:
            return web.Response(status=503, text="not now")
        assert request.query["EIO"] == "4"
        assert request.query["transport"] == "websocket"
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        self._sockets.append(socket)
        came: list[tuple[str, str | bytes]] = []
        self.connections.append(came)
        await self.send(socket, HELLO.replace("PING", str(self._ping_ms)))
        connected = asyncio.Event()

        async def listen() -> None:
            async for message in socket:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    came.append(("sent", message.data))
                    connected.set()

        listening = asyncio.create_task(listen())
        await connected.wait()
        await self.send(socket, '40{"sid":"made-up"}')
        if self._script is not None:
            await self._script(self, socket)
        await listening
        return socket
