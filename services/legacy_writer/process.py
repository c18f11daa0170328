"""The process: settings, wiring, lifecycle."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import structlog

import rugs_bus
from legacy_writer.follow import Follower
from rugs_core.locks import try_lock
from rugs_core.patience import stopped_within
from rugs_legacy.dual_write.folder import Folder
from rugs_runtime import service
from rugs_runtime.finishing import finish
from rugs_runtime.settings import DualWriteSettings, SettingsError

NAME: Final = "legacy-writer"
_LOCK: Final = ".dual-write.lock"
_LOOK_SECONDS: Final = 0.2

log = structlog.get_logger(__name__)


def main() -> int:
    """Write the old formats until SIGTERM. Where they are not wanted it says so and ends: a stack need not know."""
    return service.main(NAME, write, DualWriteSettings, unneeded=_unneeded)


def _unneeded(settings: DualWriteSettings) -> str | None:
    return None if settings.legacy_recorders_enabled else "REPLAYER_LEGACY_RECORDERS_ENABLED is not true"


async def write(settings: DualWriteSettings, stop: asyncio.Event) -> int:
    """Write what is captured into the folder until `stop` is set, to the end of the stream; return the exit code.

    Raises:
        TakenOverError: if another process writes now.
        CheckpointError: if the folder's checkpoint cannot be read.
        BusError: if the broker cannot be reached.
    """
    if settings.legacy_dir is None:
        raise SettingsError("RUGS_LEGACY_DIR must name the folder that the old formats are written to")
    settings.legacy_dir.mkdir(parents=True, exist_ok=True)
    with (settings.legacy_dir / _LOCK).open("a") as lock:
        if not try_lock(lock):
            log.warning(
                "another process writes into this folder: waiting until it ends", folder=str(settings.legacy_dir)
            )
        while not try_lock(lock):
            if await stopped_within(stop, _LOOK_SECONDS):
                return service.EXIT_OK
        return await _write(settings.legacy_dir, settings, stop)


async def _write(path: Path, settings: DualWriteSettings, stop: asyncio.Event) -> int:
    folder = Folder(path)
    folder.open()
    nc = await rugs_bus.connect(settings.broker_url, name=NAME, timeout=settings.connect_timeout)
    try:
        finished = asyncio.Event()
        follower = Follower(nc, folder, settings, finished)
        await service.answer_status(nc, NAME, follower.status)
        finishing = asyncio.create_task(finish(follower, stop, finished, settings.stop_timeout / 2))
        try:
            await follower.run()
        finally:
            finishing.cancel()
    finally:
        await nc.close()
    return service.EXIT_OK
