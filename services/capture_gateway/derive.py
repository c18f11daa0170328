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
from nats.aio.client import Client

import rugs_bus
from rugs_bus import BusClosedError, BusUnavailableError, RefusedError
from rugs_bus.topology import stored_message
from rugs_core.patience import stopped_within
from rugs_derive import Follower
from rugs_derive.causes import SUBJECT
from rugs_proto.subjects import EVENTS_STREAM
from rugs_runtime import service
from rugs_runtime.settings import Settings

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
    return service.main(NAME, partial(derive, finish=options.finish))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=NAME, description="Derive what follows from captured events until SIGTERM.")
    parser.add_argument("--finish", action="store_true", help="end when all that the stream holds now is derived")
    return parser.parse_args()


async def derive(settings: Settings, stop: asyncio.Event, *, finish: bool) -> int:
    """Follow the stream until `stop` is set, or to its end; return the exit code.

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
        if await _wait_for_stream(nc, stop):
            finishing = asyncio.create_task(_finish(nc, follower, stop, finished, at_once=finish))
            try:
                await follower.run()
            finally:
                finishing.cancel()
    finally:
        await nc.close()
    return service.EXIT_OK


async def _finish(
    nc: Client, follower: Follower, stop: asyncio.Event, finished: asyncio.Event, *, at_once: bool
) -> None:
    """When told to stop, let it come to the end of what is there, for a while; `at_once` to the end in any case."""
    if at_once:
        end = asyncio.create_task(_end_reached(nc, follower))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait((end, stopping), return_when=asyncio.FIRST_COMPLETED)
        end.cancel()
        stopping.cancel()
    else:
        await stop.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FINISH_SECONDS):
                await _end_reached(nc, follower)
    finished.set()


async def _end_reached(nc: Client, follower: Follower) -> None:
    with contextlib.suppress(BusClosedError, RefusedError):
        while True:
            try:
                last = await stored_message(nc, EVENTS_STREAM, {"last_by_subj": SUBJECT})
                break
            except BusUnavailableError:  # nobody knows where the end is
                await asyncio.sleep(_LOOK_SECONDS)
        while last is not None and follower.position.seq < last.seq:  # noqa: ASYNC110 - seen from outside
            await asyncio.sleep(_LOOK_SECONDS)


async def _wait_for_stream(nc: Client, stop: asyncio.Event) -> bool:
    """Wait until the writer has made the stream and said which one it is; False when told to stop before."""
    while not stop.is_set():
        try:
            if (await rugs_bus.stream_state(nc)).incarnation is not None:
                return True
        except (RefusedError, BusUnavailableError):
            pass
        await stopped_within(stop, _LOOK_SECONDS)
    return False


if __name__ == "__main__":
    sys.exit(main())
