"""The process: settings, wiring, lifecycle."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

import psutil
import structlog
from nats.aio.client import Client

import rugs_bus
from parquet_writer import upkeep
from parquet_writer.pump import Pump, ensure_streams
from rugs_lake.maintain.memory import keep_small
from rugs_lake.store.paths import LakePaths
from rugs_lake.write.writer import LakeWriter
from rugs_proto.subjects import EVENTS_STREAM
from rugs_runtime import service
from rugs_runtime.finishing import finish
from rugs_runtime.settings import WriterSettings

NAME: Final = "parquet-writer"

log = structlog.get_logger(__name__)


def main() -> int:
    """Run the parquet-writer until SIGTERM; exit code 3 says that another one has taken over."""
    return service.main(NAME, write, WriterSettings)


async def write(settings: WriterSettings, stop: asyncio.Event) -> int:
    """Take the stream into the lake until `stop` is set, and what it holds then; return the exit code.

    Raises:
        TakenOverError: if another writer has taken over.
        LakeError: if the lake cannot be written.
        BusError: if the broker cannot be reached.
    """
    keep_small()
    nc = await rugs_bus.connect(settings.broker_url, name=NAME, timeout=settings.connect_timeout)
    try:
        await ensure_streams(nc, settings)
        writer = LakeWriter(LakePaths(settings.data_dir), EVENTS_STREAM)
        try:
            return await _write(nc, writer, settings, stop)
        finally:
            writer.close()
    finally:
        await nc.close()


async def _write(nc: Client, writer: LakeWriter, settings: WriterSettings, stop: asyncio.Event) -> int:
    finished = asyncio.Event()
    pump = Pump(nc, writer, settings, finished)
    memory = psutil.Process().memory_info

    def describe() -> dict[str, Any]:
        return {**pump.status(), "memory_bytes": memory().rss}

    await service.answer_status(nc, NAME, describe)
    beside = [
        asyncio.create_task(_beside(work, finished))
        for work in (
            upkeep.purge(nc, settings, lambda: pump.cursor, stop),
            upkeep.forget_blobs(nc, settings, lambda: pump.cursor, stop),
            upkeep.compact(settings, stop),
        )
    ]
    finishing = asyncio.create_task(finish(pump, stop, finished, settings.stop_timeout / 2))
    try:
        await pump.run()
    finally:
        finishing.cancel()
        for task in beside:
            task.cancel()
        all_well = all(await asyncio.gather(*beside))
    return service.EXIT_OK if all_well else service.EXIT_FAILED


async def _beside(work: Coroutine[Any, Any, None], finished: asyncio.Event) -> bool:
    """Do work beside the pump until cancelled; if it fails, end the writer loudly. Return whether it did not."""
    try:
        await work
    except asyncio.CancelledError:
        return True
    except Exception:
        log.exception("the work beside the writing ended by an error of its own")
        finished.set()
        return False
    return True
