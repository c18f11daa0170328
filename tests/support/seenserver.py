"""A Socket.IO server at any path that keeps what each connection said of itself, and an HTTP proxy on the way to it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple, Self

from aiohttp import WSMsgType, web

CERTIFICATE: Final = Path(__file__).with_name("self-signed.pem")
"""A certificate of localhost and 127.0.0.1, signed by itself, and its key, which is no secret."""
STATE: Final = '["gameStateUpdate",{"gameId":"g-1","active":true,"price":1.25,"tickCount":7,"rugged":false}]'


class Seen(NamedTuple):
    """What a connection said of itself; `connect` is its connect packet."""

    path: str
    query: list[tuple[str, str]]
    headers: Mapping[str, str]
    connect: str


class SeenServer:
    """The server. A connection gets one state of a game."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.port = 0

    @classmethod
    @asynccontextmanager
    async def serving(cls, *, over_tls: bool = False) -> AsyncIterator[Self]:
        """Serve while the body runs."""
        server = cls()
        app = web.Application()
        app.router.add_get("/{path:.*}", server._serve)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        context = None
        if over_tls:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(CERTIFICATE)
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        server.port = int(runner.addresses[0][1])
        try:
            yield server
        finally:
            await runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(
            '0{"sid":"s","upgrades":[],"pingInterval":60000,"pingTimeout":60000,"maxPayload":1000000}'
        )
        connect = str((await socket.receive()).data)
        self.seen.append(Seen(request.path, list(request.query.items()), request.headers, connect))
        namespace, comma, _ = connect.removeprefix("40").partition(",") if connect.startswith("40/") else ("", "", "")
        await socket.send_str(f'40{namespace}{comma}{{"sid":"s"}}')
        await socket.send_str(f"42{namespace}{comma}{STATE}")
        async for message in socket:
            if message.type != WSMsgType.TEXT:
                break
        return socket


class Proxy:
    """An HTTP proxy that wants this user and password, and takes every host for 127.0.0.1."""

    def __init__(self, authorization: str) -> None:
        self.requests: list[str] = []
        self.port = 0
        self._authorization = authorization
        self._writers: set[asyncio.StreamWriter] = set()

    @classmethod
    @asynccontextmanager
    async def serving(cls, authorization: str) -> AsyncIterator[Self]:
        """Serve while the body runs."""
        proxy = cls(authorization)
        server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)
        proxy.port = int(server.sockets[0].getsockname()[1])
        async with server:
            yield proxy
            for writer in [*proxy._writers]:
                writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        line, *headers = head.decode().split("\r\n")
        self.requests.append(line)
        if f"Proxy-Authorization: {self._authorization}" not in headers:
            writer.write(
                b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            await writer.drain()
            writer.close()
            return
        method, target, version = line.split(" ")
        place = target if method == "CONNECT" else target.split("/")[2]
        there_reader, there = await asyncio.open_connection("127.0.0.1", int(place.rpartition(":")[2]))
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            path = "/" + target.split("/", 3)[3]
            kept = [header for header in headers if not header.startswith("Proxy-")]
            there.write("\r\n".join([f"{method} {path} {version}", *kept]).encode())
        self._writers.update((writer, there))
        await asyncio.gather(_pump(reader, there), _pump(there_reader, writer))
        self._writers.difference_update((writer, there))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
