"""The process: settings, wiring, lifecycle."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
from functools import partial
from typing import Any, Final

import psutil
import structlog

import rugs_bus
from capture_gateway.sources import build
from capture_gateway.work import Work
from rugs_bus import BusError
from rugs_core.patience import stopped_within
from rugs_runtime import service
from rugs_runtime.settings import CaptureSettings

NAME: Final = "capture-gateway"
HOLDER_SECONDS: Final = 15.0
"""How long a stack's gateway waits for another one: that of a supervisor that was killed is ending."""
_AGAIN: Final = 1.0
_LOOK: Final = 0.2

log = structlog.get_logger(__name__)


def main() -> int:
    """Run the capture-gateway until SIGTERM."""
    options = _options()
    return service.main(options.name, partial(capture, options), CaptureSettings)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=NAME,
        description="Capture from the sources that RUGS_SOURCES names until SIGTERM.",
        epilog="`rugs config show` lists the settings.",
    )
    parser.add_argument("--name", default=NAME, help="name under which it answers (default: %(default)s)")
    parser.add_argument(
        "--no-derivation", dest="derivation", action="store_false", help="do not derive: another process does"
    )
    parser.add_argument("--report", action="store_true", help="print the last status at the end, as a line of JSON")
    return parser.parse_args()


async def capture(options: argparse.Namespace, settings: CaptureSettings, stop: asyncio.Event) -> int:
    """Capture from the sources of the settings until `stop` is set; return the exit code."""
    name: str = options.name
    holder = await _holder(settings, name, stop)
    if holder is not None:
        log.error(f"another {name} runs on this data folder (pid {holder}): stop it first")
        return service.EXIT_FAILED
    work = Work(settings, build(settings))
    answering = asyncio.create_task(_answer(name, settings, work))
    try:
        work.start(derive=options.derivation)
        if name == NAME:  # one for a while leaves them to it
            work.deliver_what_was_left()
        await stop.wait()
    finally:
        answering.cancel()
        await work.stop()
        await asyncio.gather(answering, return_exceptions=True)
    if options.report:
        print(json.dumps(work.status()), flush=True)
    return service.EXIT_OK


async def _holder(settings: CaptureSettings, name: str, stop: asyncio.Event) -> int | None:
    """Return the pid of another gateway of this name on this data folder, once it had time to end."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + (HOLDER_SECONDS if name == NAME else 0)
    while (holder := service.presence(settings.data_dir, name)) not in (None, os.getpid()):
        if clock() >= deadline or await stopped_within(stop, _LOOK):
            return holder
    return None


async def _answer(name: str, settings: CaptureSettings, work: Work) -> None:
    """Answer status requests; where the broker is away, capture goes on without anybody asking."""
    memory = psutil.Process().memory_info

    def describe() -> dict[str, Any]:
        return {**work.status(), "memory_bytes": memory().rss}

    while True:
        with contextlib.suppress(BusError):
            nc = await rugs_bus.connect(settings.broker_url, name=name, timeout=settings.connect_timeout)
            try:
                await service.answer_status(nc, name, describe)
                while not nc.is_closed:  # noqa: ASYNC110 - the broker may close it for good
                    await asyncio.sleep(_AGAIN)
            finally:
                await nc.close()
        await asyncio.sleep(_AGAIN)
