"""The simulator: a Socket.IO server on loopback that plays a show to whoever connects."""

from __future__ import annotations

import asyncio
import contextlib
import time
from functools import partial
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import socketio
from aiohttp import web
from engineio.exceptions import EngineIOError

from rugs_sim.faults import Faults
from rugs_sim.show import Message, Now, Seat, Show
from rugs_sim.wire import Lines, Socket, Whole
from rugs_sim.wire_log import WireLog

LOOPBACK: Final = "127.0.0.1"
_FINISH_SECONDS: Final = 10.0
_GOODBYE_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.01


class Stats(NamedTuple):
    """What has been sent so far, on all connections, and who listens."""

    messages: int
    bytes: int
    clients: int
    connections: int


class Simulator:
    """Plays a show. Use it as an async context manager: `url` and `port` are known once it is entered.

    Args:
        show: what to play; see `Games.play` and `Recording.play`.
        port: 0 takes any that is free.
        speed: how much faster than the show's own time.
        rate: events a second, whatever the show's own time; None keeps to it.
        clients: begin once so many are connected.
        faults: what goes wrong. Clients that poll are spared.
        log: file that every message on every wire is written to, from its beginning; see `wire_log`.
        ping_interval: seconds between pings.
        ping_timeout: seconds after which a client that answers none is gone.
        max_behind: messages that may wait for a client; one that is further behind loses its connection.

    Raises:
        OSError: if the port or the log file cannot be had.
    """

    def __init__(
        self,
        show: Show,
        *,
        host: str = LOOPBACK,
        port: int = 0,
        speed: float = 1.0,
        rate: float | None = None,
        clients: int = 0,
        faults: Faults | None = None,
        log: Path | None = None,
        ping_interval: float = 25.0,
        ping_timeout: float = 20.0,
        max_behind: int = 20_000,
    ) -> None:
        self.host = host
        self.port = port
        self.log = log
        self._show = show
        self._pace = _Pace(speed, rate)
        self._clients = clients
        self._max_behind = max_behind
        self._log = WireLog(log)
        self._lines = Lines(self._log)
        self._seats: dict[str, Seat] = {}
        """By Engine.IO session, which is a connection's name below Socket.IO."""
        self._sessions: dict[str, str] = {}
        self._sockets: set[Socket] = set()
        self._enough = asyncio.Event()
        self._server = socketio.AsyncServer(
            async_mode="aiohttp",
            always_connect=True,
            async_handlers=False,
            http_compression=False,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
        )
        engine = self._server.eio
        make_socket = partial(Socket, lines=self._lines, faults=faults or Faults(), open_sockets=self._sockets)
        engine._async = {**engine._async, "websocket": make_socket}
        self._server.on("connect", self._connected)
        self._server.on("disconnect", self._disconnected)
        self._server.on("*", self._asked)

    @property
    def url(self) -> str:
        """Where Socket.IO clients connect to."""
        return f"http://{self.host}:{self.port}"

    @property
    def page(self) -> str:
        """A page that listens: `?worker=1` does so in a worker, `?player=1` authenticates and asks."""
        return f"{self.url}/"

    @property
    def stats(self) -> Stats:
        """What has been sent so far."""
        return Stats(self._lines.messages, self._lines.bytes, len(self._seats), self._lines.count)

    def now(self) -> Now:
        """Return the game that is on."""
        return self._show.now()

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(self._log)
            runner = web.AppRunner(self._app(), shutdown_timeout=_GOODBYE_SECONDS, access_log=None)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            site = web.TCPSite(runner, self.host, self.port)
            await site.start()
            self.port = runner.addresses[0][1]
            stack.push_async_callback(self._say_goodbye)
            stack.push_async_callback(site.stop)
            playing = asyncio.create_task(self._play())
            stack.push_async_callback(_ended, playing)
            self._playing = playing
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def played(self) -> None:
        """Wait until the show is over, and all of it is on its way to the clients that still listen."""
        await asyncio.shield(self._playing)
        for socket in tuple(self._sockets):
            with contextlib.suppress(ConnectionError):
                await socket.finish()

    async def drop(self) -> None:
        """Cut every WebSocket, without a word."""
        for socket in tuple(self._sockets):
            socket.cut()

    async def _play(self) -> None:
        if self._clients > 0:
            await self._enough.wait()
        self._pace.begin()
        for cue in self._show.cues():
            await self._pace.keep(cue.at, len(cue.messages))
            for session in tuple(self._seats):
                await self._send(session, cue.messages)
            if cue.is_state:
                for session, seat in tuple(self._seats.items()):
                    await self._send(session, seat.beside_state())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FINISH_SECONDS):
                while any(self._behind(session) for session in self._seats):  # noqa: ASYNC110 - engineio tells nobody
                    await asyncio.sleep(_LOOK_SECONDS)

    async def _send(self, session: str, messages: tuple[Message, ...]) -> None:
        if self._behind(session) > self._max_behind:
            await self._cut(session, "too far behind")
            return
        with contextlib.suppress(EngineIOError):  # it has just gone
            for message in messages:
                await self._server.eio.send_packet(session, Whole(message))

    async def _cut(self, session: str, why: str) -> None:
        await self._server.eio.sockets[session].close(wait=False, abort=True)
        for socket in tuple(self._sockets):
            if socket.session == session:
                socket.cut(why)

    def _behind(self, session: str) -> int:
        socket = self._server.eio.sockets.get(session)
        return 0 if socket is None or socket.closed else int(socket.queue.qsize())

    async def _connected(self, sid: str, environ: dict[str, Any], auth: object = None) -> None:
        session = self._sessions[sid] = self._server.manager.eio_sid_from_sid(sid, "/")
        seat = self._show.seat(self._lines.of(session).number)
        await self._send(session, seat.welcome())
        self._seats[session] = seat
        if len(self._seats) >= self._clients:
            self._enough.set()

    async def _disconnected(self, sid: str, reason: str = "") -> None:
        self._seats.pop(self._sessions.pop(sid, ""), None)

    async def _asked(self, event: str, sid: str, *arguments: Any) -> tuple[Any, ...]:
        session = self._sessions.get(sid, "")
        seat = self._seats.get(session)
        if seat is None:
            return ()
        answer = seat.ask(event, arguments)
        await self._send(session, answer.messages)
        return answer.reply

    async def _say_goodbye(self) -> None:
        """End every connection as a server does that is shut down; who does not hear is cut.

        A client that still takes what is under way gets all of it.
        """
        for sid, session in tuple(self._sessions.items()):
            with contextlib.suppress(Exception):
                async with asyncio.timeout(_GOODBYE_SECONDS):
                    await self._server.disconnect(sid)
                    await self._server.eio.disconnect(session)
        sent, deadline = -1, 0.0
        while self._sockets and (self._lines.messages != sent or time.monotonic() < deadline):
            if self._lines.messages != sent:
                sent, deadline = self._lines.messages, time.monotonic() + _GOODBYE_SECONDS
            await asyncio.sleep(_LOOK_SECONDS)
        for socket in tuple(self._sockets):
            socket.cut()
        await self._server.shutdown()

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[self._note_polling])
        self._server.attach(app)
        app.router.add_get("/", partial(_static, "page.html", "text/html"))
        app.router.add_get("/feed.js", partial(_static, "feed.js", "text/javascript"))
        return app

    @web.middleware
    async def _note_polling(self, request: web.Request, handler: Any) -> web.StreamResponse:
        answer: web.StreamResponse = await handler(request)
        if request.path.startswith("/socket.io/"):
            self._lines.answered(request, answer)
        return answer


class _Pace:
    """When a cue is due."""

    def __init__(self, speed: float, rate: float | None) -> None:
        self._speed = speed
        self._rate = rate
        self._began = 0.0
        self._messages = 0

    def begin(self) -> None:
        self._began = time.monotonic()

    async def keep(self, at: int, messages: int) -> None:
        """Wait until a cue's time has come; let others go on in any case."""
        if self._rate is None:
            due = at / 1_000_000 / self._speed
        else:
            due = self._messages / self._rate
            self._messages += messages
        await asyncio.sleep(max(0.0, self._began + due - time.monotonic()))


async def _static(name: str, content_type: str, request: web.Request) -> web.Response:
    text = resources.files(__package__).joinpath(name).read_text("utf-8")
    return web.Response(text=text, content_type=content_type, headers={"Cache-Control": "no-store"})


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
