"""Sources in tests: a server that they connect to, and one that is kept running."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.typedefs import Handler

from rugs_capture.source import Source
from rugs_capture.supervise import Supervised
from rugs_capture.tap import Tap


@asynccontextmanager
async def serving(handlers: Mapping[str, Handler]) -> AsyncIterator[int]:
    """Serve these paths on a port, which is given, while the body runs."""
    app = web.Application()
    for path, handler in handlers.items():
        app.router.add_route("*", path, handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


@asynccontextmanager
async def kept(source: Source, tap: Tap) -> AsyncIterator[Supervised]:
    """Keep a source running, as the gateway does, while the body runs."""
    supervised = Supervised(source, tap)
    task = asyncio.create_task(supervised.keep())
    try:
        yield supervised
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
