"""The door for HTTP: `POST /ingest`, and `/ingest/ws` beside it.

======  ==================================================================================
status  meaning
======  ==================================================================================
200     every item was taken, and is safe at the broker or in the spool
202     some items were; `errors` names the others
400     none was: `errors`, or `error` for the request as a whole, says why
401     the token is missing or wrong
403     no token is set, and this is no program of this machine
404 405 it is `POST /ingest`, `GET /ingest/ws` and `GET /health`
408     the body took too long
413     it is too large, as it came or unpacked
415     no content type or encoding that is taken
429     too much: come again after `Retry-After` seconds
503     not known to be safe: send it again after `Retry-After` seconds, with the same key
======  ==================================================================================
"""

from __future__ import annotations

import asyncio
import os
from typing import Final

import structlog
from aiohttp import web

from rugs_capture.ingest.access import Access
from rugs_capture.ingest.limits import Room, Sender
from rugs_capture.ingest.posts import Posts
from rugs_capture.ingest.receiving import Receiver
from rugs_capture.ingest.websocket import Sockets
from rugs_capture.source import SourceError
from rugs_capture.tap import Tap
from rugs_proto.subjects import MAX_BLOB

MEBIBYTE: Final = 1024 * 1024
PATH: Final = "/ingest"
SOCKET_PATH: Final = "/ingest/ws"
HEALTH: Final = {
    "service": "rugs ingest",
    "post": PATH,
    "websocket": SOCKET_PATH,
    "takes": ["application/json", "application/x-ndjson", "application/msgpack", "text/plain"],
    "encodings": ["gzip", "zstd"],
}
_PATIENCE: Final = 2.0
"""Seconds that a body waits at the most for a place in the publisher's queue."""
_IDLE: Final = 60.0
"""Seconds after which a connection without a whole request is closed."""
_LINGER: Final = 1.0
"""Seconds for which a body that is not wanted is read on, so that its sender sees the answer."""
_GOODBYE: Final = 5.0
"""Seconds that requests have to end when the door closes."""

log = structlog.get_logger(__name__)


class HttpDoor:
    """A source that listens for what others send.

    `port` 0 takes a free one: see `url`. Without a `token` only this machine may write. `max_body`
    is in bytes, as it came and unpacked. `events_per_second` and `bytes_per_second` are what all
    who may write bring together, and `max_held` the bytes of bodies in memory at once.
    `safe_seconds` is how long an answer waits until all is safe, and `read_seconds` how
    long a body may take. Of `max_connections`, `max_sockets` may be WebSockets, with messages
    of at most `max_message` bytes, `max_unanswered` of each at once.

    Raises:
        ValueError: if `max_body` is more than the bus can take.
    """

    name = "http"

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 9147,
        token: str | None = None,
        max_body: int = 32 * MEBIBYTE,
        events_per_second: float = 20_000,
        bytes_per_second: float = 64 * MEBIBYTE,
        max_held: int = 128 * MEBIBYTE,
        safe_seconds: float = 10.0,
        read_seconds: float = 30.0,
        max_connections: int = 256,
        max_sockets: int = 32,
        max_message: int = 8 * MEBIBYTE,
        max_unanswered: int = 256,
    ) -> None:
        if max_body > MAX_BLOB:
            raise ValueError(f"a body of {max_body} bytes cannot be taken: the bus takes {MAX_BLOB}")
        self.url: str | None = None
        """Where it listens; None while it does not."""
        self._host = host
        self._port = port
        self._access = Access(token, Sender(events_per_second, bytes_per_second))
        self._room = Room(max_held)
        self._max_body = max_body
        self._safe_seconds = safe_seconds
        self._read_seconds = read_seconds
        self._max_connections = max_connections
        self._max_sockets = max_sockets
        self._max_message = min(max_message, max_body)
        self._max_unanswered = max_unanswered

    async def run(self, tap: Tap) -> None:
        """Listen until cancelled; what has come by then is answered.

        Raises:
            SourceError: if it cannot listen there.
        """
        sockets = self._sockets(tap)
        # What is compressed is unpacked here, and never beyond the limit.
        runner = web.AppRunner(
            self._app(tap, sockets),
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=_IDLE,
            lingering_time=_LINGER,
            shutdown_timeout=_GOODBYE,
        )
        await runner.setup()
        listening = None
        try:
            listening = await self._listen(runner)
            tap.serving = True
            await asyncio.Event().wait()
        finally:
            tap.serving = False
            self.url = None
            if listening is not None:
                listening.close()
            await runner.cleanup()

    async def _listen(self, runner: web.AppRunner) -> asyncio.Server:
        server = runner.server
        if server is None:  # `setup` has made it
            raise SourceError("the server was not set up")

        def connected() -> asyncio.Protocol:
            return server() if len(server.connections) < self._max_connections else _Turned()

        try:
            listening = await asyncio.get_running_loop().create_server(connected, self._host, self._port)
        except OSError as error:
            where = f"{self._host}:{self._port}"
            number = error.errno or 0
            why = os.strerror(number) if number > 0 else str(error)  # a name that is not known has another kind
            raise SourceError(f"cannot listen on {where} ({why}): set RUGS_INGEST_HOST and RUGS_INGEST_PORT") from error
        host, port = listening.sockets[0].getsockname()[:2]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        log.info("listening", url=self.url)
        return listening

    def _app(self, tap: Tap, sockets: Sockets) -> web.Application:
        posts = Posts(
            Receiver(tap, "http", patience=_PATIENCE),
            self._access,
            self._room,
            max_body=self._max_body,
            safe_seconds=self._safe_seconds,
            read_seconds=self._read_seconds,
        )

        async def close_sockets(_: web.Application) -> None:
            await sockets.close_all()

        app = web.Application()
        app.router.add_post(PATH, posts.post)
        app.router.add_get(SOCKET_PATH, sockets.serve)
        app.router.add_get("/", _health)
        app.router.add_get("/health", _health)
        app.on_shutdown.append(close_sockets)
        return app

    def _sockets(self, tap: Tap) -> Sockets:
        return Sockets(
            Receiver(tap, "ws"),
            self._access,
            max_message=self._max_message,
            max_sockets=self._max_sockets,
            max_unanswered=self._max_unanswered,
            safe_seconds=self._safe_seconds,
        )


class _Turned(asyncio.Protocol):
    """Turns away one connection too many: the process needs its sockets for more than this."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


async def _health(_: web.Request) -> web.Response:
    """Say what this is: it tells nothing that a stranger may not know."""
    return web.json_response(HEALTH)
