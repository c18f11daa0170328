"""A feed that speaks whatever bytes a test says: each connection is a script over a raw socket."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Self

from rugs_capture.feed_address import FeedAddress, parse_feed
from rugs_capture.tap import Tap
from rugs_client import Publisher
from rugs_client.spool import Spool
from rugs_proto import Envelope, decode

STATE: Final = '42["gameStateUpdate",{"gameId":"g-1","active":true,"price":1.25,"tickCount":7,"rugged":false}]'
TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def opening(silence: float = 40.0) -> str:
    """Return an open packet that asks for so many seconds of patience, both its times together."""
    half = int(silence * 500)
    return f'0{{"sid":"made-up","upgrades":[],"pingInterval":{half},"pingTimeout":{half},"maxPayload":1000000}}'


def ws_frame(payload: str | bytes, opcode: int | None = None, *, first: int = 0x80) -> bytes:
    """Return a WebSocket frame as a server sends it; `first` has the bits beside the opcode."""
    data = payload.encode() if isinstance(payload, str) else payload
    kind = opcode if opcode is not None else TEXT if isinstance(payload, str) else BINARY
    size = len(data)
    if size < 126:
        return bytes([first | kind, size]) + data
    if size < 1 << 16:
        return bytes([first | kind, 126]) + struct.pack(">H", size) + data
    return bytes([first | kind, 127]) + struct.pack(">Q", size) + data


def close_frame(code: int, reason: str = "") -> bytes:
    """Return a close frame."""
    return ws_frame(struct.pack(">H", code) + reason.encode(), CLOSE)


class Peer:
    """One client that has come."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self.number = number
        """From 1."""
        self.head = b""
        """Its request."""
        self.heard: list[str] = []
        """Text messages that came from it."""
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        self._writer.write(data)
        await self._writer.drain()

    async def say(self, *messages: str | bytes) -> None:
        """Send WebSocket messages."""
        await self.send(b"".join(map(ws_frame, messages)))

    async def again(self, data: bytes, seconds: float = 0.02) -> None:
        """Send the same again and again, as long as the client is there."""
        while True:
            await self.send(data)
            await asyncio.sleep(seconds)

    async def dribble(self, data: bytes, seconds: float = 0.02) -> None:
        """Send bytes one by one, and then none."""
        for byte in data:
            await self.send(bytes([byte]))
            await asyncio.sleep(seconds)
        await self.silence()

    async def silence(self) -> None:
        """Say nothing until the client has gone."""
        while await self._reader.read(1 << 16):
            pass

    async def request(self) -> bytes:
        """Read a request to its end; return its head."""
        self.head = await self._reader.readuntil(b"\r\n\r\n")
        lengths = [line for line in self.head.lower().split(b"\r\n") if line.startswith(b"content-length: ")]
        await self._reader.readexactly(int(lengths[0].split(b": ")[1]) if lengths else 0)
        return self.head

    async def answer(self, status: str, *headers: str, body: bytes = b"") -> None:
        """Answer a request with anything but an upgrade."""
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
        await self.send("\r\n".join(lines).encode() + body)

    async def close(self, data: bytes = b"") -> None:
        """Send bytes and end the connection."""
        await self.send(data)
        self._writer.close()
        raise ConnectionResetError

    async def upgrade(self) -> None:
        """Accept the WebSocket."""
        await self.request()
        assert b"Upgrade: websocket" in self.head
        key = next(line for line in self.head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
        accept = base64.b64encode(hashlib.sha1(key.split(b": ")[1] + _GUID).digest())
        await self.send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )

    async def hear(self) -> str:
        """Return the client's next text message."""
        while True:
            first, second = await self._reader.readexactly(2)
            size = second & 0x7F
            if size >= 126:
                wide = 2 if size == 126 else 8
                size = int.from_bytes(await self._reader.readexactly(wide), "big")
            mask = await self._reader.readexactly(4)
            masked = await self._reader.readexactly(size)
            data = bytes(each ^ mask[i % 4] for i, each in enumerate(masked)) if size < 1 << 16 else b"(long)"
            if first & 0x0F == TEXT:
                self.heard.append(data.decode())
                return self.heard[-1]
            if first & 0x0F == CLOSE:
                raise ConnectionResetError

    async def connect(self, *, silence: float = 40.0, answer: str = '40{"sid":"made-up"}') -> str:
        """Go through the whole handshake; return the client's connect packet."""
        await self.upgrade()
        await self.say(opening(silence))
        asked = await self.hear()
        await self.say(answer)
        return asked

    def abort(self) -> None:
        """End the connection as a broken cable would."""
        transport: asyncio.Transport = self._writer.transport  # type: ignore[assignment]
        transport.abort()


Script = Callable[[Peer], Awaitable[None]]


async def live(peer: Peer) -> None:
    """A connection as it should be, which brings states without end."""
    await peer.connect()
    await peer.again(ws_frame(STATE))


class RawFeed:
    """Serves a script to each connection: the first to the first, and the last to all that are left."""

    def __init__(self, scripts: Iterable[Script]) -> None:
        self.peers: list[Peer] = []
        self.url = ""
        self._scripts = list(scripts)
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def serving(cls, *scripts: Script) -> AsyncIterator[Self]:
        """Serve while the body runs."""
        feed = cls(scripts)
        server = await asyncio.start_server(feed._serve, "127.0.0.1", 0)
        server.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)  # who is not read soon notices
        feed.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield feed
        finally:
            server.close()
            for task in feed._tasks:
                task.cancel()
            await asyncio.gather(*feed._tasks, return_exceptions=True)

    @property
    def address(self) -> FeedAddress:
        """Where it is, as a source takes it."""
        return parse_feed(self.url)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        peer = Peer(reader, writer, len(self.peers) + 1)
        self.peers.append(peer)
        script = self._scripts[min(peer.number, len(self._scripts)) - 1]
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await script(peer)
        writer.close()


class Recorder:
    """A tap without a broker: what goes into it waits in a spool, where `events` finds it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._publisher = Publisher("nats://127.0.0.1:1", source="public_ws", spool_dir=folder, close_timeout=0)
        self.tap = Tap(self._publisher, "public_ws")

    async def events(self) -> list[Envelope]:
        """Close it, and return all that it has recorded, in order."""
        self.tap.end_all("stopped")
        await asyncio.to_thread(self._publisher.close)
        spool = Spool(self._folder / "0", max_bytes=1 << 30)
        rows = spool.read(0, 1 << 30)
        spool.close()
        return [envelope for row in rows for envelope in decode(row.entry.body)]
