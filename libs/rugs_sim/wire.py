"""The simulator's side of the wire: where messages are logged, harmed and sent."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web
from engineio.async_drivers.aiohttp import WebSocket
from engineio.packet import MESSAGE, Packet

from rugs_sim.faults import Damage, Drop, Faults, Send, Stall
from rugs_sim.show import Message
from rugs_sim.wire_log import WireLog

_PAYLOAD_SEPARATOR = "\x1e"


class Whole(Packet):  # type: ignore[misc]  # engineio carries no types
    """A message as Engine.IO sends it, whatever is in it; one for all who get it."""

    def __init__(self, message: Message) -> None:
        super().__init__(MESSAGE, data=message)

    def encode(self, b64: bool = False) -> Message:
        """Return the message; bytes as text where a transport asks for it."""
        if isinstance(self.data, bytes):
            encoded: Message = super().encode(b64) if b64 else self.data
            return encoded
        return str(self.data)


class Line:
    """One connection, over whichever transports it goes: what is put on the wire, counted and logged."""

    def __init__(self, number: int, log: WireLog) -> None:
        self.number = number
        self.messages = 0
        self.bytes = 0
        self._log = log

    def opened(self, transport: str) -> None:
        """Note that the connection has a (new) transport."""
        self._log.opened(self.number, transport)

    def sent(self, message: Message, fault: str = "") -> None:
        """Note a message; call it before the message is sent."""
        self.messages += 1
        self.bytes += len(message)
        self._log.sent(self.number, self.messages, message, fault)

    def heard(self, message: Message) -> None:
        """Note a message that has come."""
        self._log.heard(self.number, message)

    def closed(self, why: str) -> None:
        """Note the end."""
        self._log.closed(self.number, why)


class Lines:
    """All connections, by their Engine.IO session."""

    def __init__(self, log: WireLog) -> None:
        self.count = 0
        self._log = log
        self._by_session: dict[str, Line] = {}

    def of(self, session: str, transport: str = "") -> Line:
        """Return a session's connection; the first time, it is a new one."""
        line = self._by_session.get(session)
        if line is None:
            self.count += 1
            line = self._by_session[session] = Line(self.count, self._log)
            line.opened(transport)
        return line

    @property
    def messages(self) -> int:
        """Messages sent on all of them."""
        return sum(line.messages for line in self._by_session.values())

    @property
    def bytes(self) -> int:
        """Bytes of text and attachments sent on all of them."""
        return sum(line.bytes for line in self._by_session.values())

    def answered(self, request: web.Request, answer: web.StreamResponse) -> None:
        """Note what the answer to a poll carries."""
        polled = request.method == "GET" and request.query.get("transport", "polling") == "polling"
        if polled and answer.status == 200 and isinstance(answer, web.Response) and answer.text:
            messages = answer.text.split(_PAYLOAD_SEPARATOR)
            line = self.of(request.query.get("sid") or json.loads(messages[0][1:])["sid"], "polling")
            for message in messages:
                line.sent(message)


class Socket(WebSocket):  # type: ignore[misc]
    """A WebSocket that logs what passes, and does the harm that it is told to."""

    def __init__(self, handler: Any, server: Any, lines: Lines, faults: Faults, open_sockets: set[Socket]) -> None:
        super().__init__(handler, server)
        self._lines = lines
        self._faults = faults
        self._open_sockets = open_sockets
        self._why = "closed"

    async def __call__(self, environ: dict[str, Any]) -> web.WebSocketResponse:
        """Serve the connection until it ends."""
        self._line = self._lines.of(self.session, "websocket")
        self._damage = Damage(self._faults, self._line.number)
        self._transport: asyncio.Transport | None = environ["aiohttp.request"].transport
        if self._faults.drop_seconds > 0:
            loop = asyncio.get_running_loop()
            loop.call_later(self._faults.drop_seconds, self.cut, "fault: cut")
        self._open_sockets.add(self)
        try:
            response: web.WebSocketResponse = await super().__call__(environ)
            return response
        finally:
            self._open_sockets.discard(self)
            self._line.closed(self._why)

    async def send(self, message: Message) -> None:
        """Send a message, or what the faults make of it."""
        for action in self._damage.take(message):
            match action:
                case Send(message=told, fault=fault):
                    await self._put(told, fault)
                case Stall(seconds=seconds):
                    await asyncio.sleep(seconds)
                case Drop(clean=True):
                    self._why = "fault: closed"
                    await self._sock.close(code=1012, message=b"service restart")
                    raise ConnectionResetError("closed by the simulator")
                case Drop():
                    self.cut("fault: cut")
                    raise ConnectionResetError("cut by the simulator")

    async def finish(self) -> None:
        """Send what is still held back."""
        for action in self._damage.rest():
            if isinstance(action, Send):
                await self._put(action.message, action.fault)

    @property
    def session(self) -> str:
        """The Engine.IO session that it carries."""
        return str(self.handler.__self__.sid)

    def cut(self, why: str = "cut") -> None:
        """End the connection as a broken cable would, without a word."""
        if self._transport is not None and self in self._open_sockets:
            self._why = why
            self._transport.abort()

    async def wait(self) -> Message:
        """Return the next message from the client."""
        message: Message = await super().wait()
        self._line.heard(message)
        return message

    async def _put(self, message: Message, fault: str) -> None:
        self._line.sent(message, fault)
        await super().send(message)
