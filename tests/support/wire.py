"""A wire between a client and a real broker, which a test cuts or freezes at a given moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final, Self

GREETINGS: Final = 2
"""How many connections in a row are greeted, and dropped before they are answered."""


class Wire:
    """Passes bytes on from whoever connects to `url`, and does what it was told when so many `pieces` have passed."""

    def __init__(self, port: int) -> None:
        self.url = ""
        self.pieces = 0
        self.at: int | None = None
        self.fault: Callable[[], None] = lambda: None
        self._target = port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._clients: set[asyncio.StreamWriter] = set()
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._greet_only = 0

    @classmethod
    @asynccontextmanager
    async def to(cls, port: int) -> AsyncIterator[Self]:
        """A wire to a port while the body runs."""
        wire = cls(port)
        wire._server = await asyncio.start_server(wire._serve, "127.0.0.1", 0)
        wire.url = f"nats://127.0.0.1:{wire._server.sockets[0].getsockname()[1]}"
        try:
            yield wire
        finally:
            wire.cut_for_good()

    def arm(self, at: int, fault: Callable[[], None]) -> None:
        """Do this when so many pieces more have passed; 0 is now."""
        self.at, self.fault = self.pieces + at, fault
        self._look()

    def cut(self) -> None:
        """Drop every connection, as a broker does that is killed and is back at once."""
        writers, self._writers = self._writers, set()
        for writer in writers:
            writer.transport.abort()

    def cut_for_good(self) -> None:
        """Drop every connection, and take no new one."""
        if self._server is not None:
            self._server.close()
        self.cut()
        self._thawed.set()

    def greet_and_drop(self) -> None:
        """Drop every connection; the next ones are greeted, and dropped before their first answer."""
        self._greet_only = GREETINGS
        self.cut()

    def end_for_good(self, reason: str) -> None:
        """Tell every client that its connection is over, for a reason after which it does not connect again."""
        for client in self._clients & self._writers:
            client.write(f"-ERR '{reason}'\r\n".encode())

    def freeze(self) -> None:
        """Pass nothing on any more, and say nothing: a broker that is paused."""
        self._thawed.clear()

    def thaw(self) -> None:
        """Pass on what waits, and all that comes."""
        self._thawed.set()

    def _look(self) -> None:
        if self.at is not None and self.pieces >= self.at:
            self.at = None
            self.fault()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self._clients.add(writer)
        greeted_only, self._greet_only = self._greet_only > 0, max(0, self._greet_only - 1)
        with suppress(OSError, EOFError):
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._target)
            self._writers.add(to_writer)
            if greeted_only:
                writer.write(await to_reader.readline())
                await reader.readuntil(b"PING\r\n")
                writer.close()
                to_writer.transport.abort()
                return
            await asyncio.gather(self._pass(reader, to_writer), self._pass(to_reader, writer))
        writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(1 << 16):
                await self._thawed.wait()
                writer.write(piece)
                await writer.drain()
                self.pieces += 1
                self._look()
        writer.transport.abort()
