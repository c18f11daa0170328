"""The process that derives: settings, wiring, lifecycle. The capture-gateway keeps it running, beside itself."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
from functools import partial
from typing import Any, Final

import psutil
import structlog

import rugs_bus
from rugs_bus import BusClosedError, BusUnavailableError
from rugs_derive import Follower
from rugs_runtime import service
from rugs_runtime.finishing import finish
from rugs_runtime.settings import CommonSettings
from rugs_runtime.stopping import Stop, StoppedError

NAME: Final = "derive"
_LOOK_SECONDS: Final = 0.1
_FINISH_SECONDS: Final = 5.0
_NICE: Final = 5
"""What came in is captured and stored first; what follows from it can wait."""

log = structlog.get_logger(__name__)


def main() -> int:
    """Derive until SIGTERM; exit code 3 says that another process has taken over."""
    options = _options()
    os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    return service.main(NAME, partial(derive, at_once=options.finish), CommonSettings)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=NAME, description="Derive what follows from captured events until SIGTERM.")
    parser.add_argument("--finish", action="store_true", help="end when all that the stream holds now is derived")
    return parser.parse_args()


async def derive(settings: CommonSettings, stop: Stop, *, at_once: bool) -> int:
    """Follow the stream until `stop` is set, or with `at_once` to its end; return the exit code.

    Raises:
        TakenOverError: if another process derives now.
        BusError: if the broker cannot be reached.
    """
    nc = await rugs_bus.connect(settings.broker_url, name=NAME, timeout=settings.connect_timeout)
    try:
        finished = asyncio.Event()
        follower = Follower(nc, settings.data_dir, finished)
        memory = psutil.Process().memory_info

        def describe() -> dict[str, Any]:
            return {**follower.status(), "memory_bytes": memory().rss}

        await service.answer_status(nc, NAME, describe)
        end = _to_the_end(follower, stop, finished) if at_once else finish(follower, stop, finished, _FINISH_SECONDS)
        finishing = asyncio.create_task(end)
        try:
            await follower.run()
        finally:
            finishing.cancel()
    finally:
        await nc.close()
    return service.EXIT_OK


async def _to_the_end(follower: Follower, stop: Stop, finished: asyncio.Event) -> None:
    """Let it come to the end of what is there now, however long that takes, unless told to stop."""
    with contextlib.suppress(StoppedError):
        await stop.first(_end_reached(follower))
    finished.set()


async def _end_reached(follower: Follower) -> None:
    with contextlib.suppress(BusClosedError):
        while True:
            try:
                last = await follower.last()
                break
            except BusUnavailableError:  # nobody knows where the end is
                await asyncio.sleep(_LOOK_SECONDS)
        while follower.taken < last:  # noqa: ASYNC110 - seen from outside
            await asyncio.sleep(_LOOK_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
