"""The process: settings, wiring, lifecycle."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from typing import Any, Final

import psutil
import structlog

import rugs_bus
from capture_gateway.sources import build
from capture_gateway.work import Work
from rugs_bus import BusError
from rugs_runtime import service
from rugs_runtime.settings import Settings, SettingsError

NAME: Final = "capture-gateway"
NO_DERIVATION: Final = "--no-derivation"
_AGAIN: Final = 1.0

log = structlog.get_logger(__name__)


def main() -> int:
    """Run the capture-gateway until SIGTERM."""
    try:
        settings = Settings.load()
    except SettingsError as error:
        print(f"{NAME}: {error}", file=sys.stderr)
        return service.EXIT_FAILED
    derive = NO_DERIVATION not in sys.argv[1:]
    return service.run(NAME, lambda stop: capture(settings, stop, derive=derive), settings)


async def capture(settings: Settings, stop: asyncio.Event, *, derive: bool) -> int:
    """Capture from the sources of the settings until `stop` is set; return the exit code."""
    holder = service.presence(settings.data_dir, NAME)
    if holder not in (None, os.getpid()):
        log.error("another capture-gateway runs on this data folder: stop it first", pid=holder)
        return service.EXIT_FAILED
    work = Work(settings, build(settings))
    answering = asyncio.create_task(_answer(settings, work))
    try:
        work.start(derive=derive)
        await stop.wait()
    finally:
        answering.cancel()
        await work.stop()
        await asyncio.gather(answering, return_exceptions=True)
    return service.EXIT_OK


async def _answer(settings: Settings, work: Work) -> None:
    """Answer status requests; where the broker is away, capture goes on without anybody asking."""
    memory = psutil.Process().memory_info

    def describe() -> dict[str, Any]:
        return {**work.status(), "memory_bytes": memory().rss}

    while True:
        with contextlib.suppress(BusError):
            nc = await rugs_bus.connect(settings.broker_url, name=NAME, timeout=settings.connect_timeout)
            try:
                await service.answer_status(nc, NAME, describe)
                await asyncio.Event().wait()
            finally:
                await nc.close()
        await asyncio.sleep(_AGAIN)


if __name__ == "__main__":
    sys.exit(main())
