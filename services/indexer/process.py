"""The process: settings, wiring, lifecycle."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, Final

import structlog

import rugs_bus
from indexer.indexing import IndexKeeping
from indexer.reporting import Reporting
from rugs_core.locks import try_lock
from rugs_core.patience import GivenUpError, Patience, stopped_within
from rugs_discovery import current
from rugs_discovery.lake import WANTED
from rugs_discovery.store import Store
from rugs_follow.lake_follower import LakeFollower
from rugs_lake import LakeUnavailableError
from rugs_lake.store.positions import Position
from rugs_runtime import service
from rugs_runtime.settings import IndexerSettings

if TYPE_CHECKING:
    from nats.aio.client import Client

NAME: Final = "indexer"
NICE: Final = 10
"""How far the process steps back behind capture and writer."""
RETRY_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.2

log = structlog.get_logger(__name__)


def main() -> int:
    """Keep discovery and the semantic index current until SIGTERM."""
    return service.main(NAME, index, IndexerSettings)


async def index(settings: IndexerSettings, stop: asyncio.Event) -> int:
    """Follow the lake until `stop` is set; return the exit code.

    Raises:
        BusError: if the broker cannot be reached.
        LakeIncompatibleError: if this program cannot read the lake.
        DiscoveryError: if the store cannot be opened.
    """
    os.nice(NICE)
    nc = await rugs_bus.connect(settings.broker_url, name=NAME, timeout=settings.connect_timeout)
    try:
        retry = Patience(stop, (LakeUnavailableError, OSError), RETRY_SECONDS)
        status: dict[str, Any] = {}
        await service.answer_status(nc, NAME, lambda: _described(status, retry))
        with current.open_lock(settings.data_dir) as lock:
            while not try_lock(lock):  # `rugs discovery build` holds it
                if await stopped_within(stop, _LOOK_SECONDS):
                    return service.EXIT_OK
            with Store(settings.data_dir) as store:
                await _follow(nc, settings, store, retry, stop, status)
    finally:
        await nc.close()
    return service.EXIT_OK


def _described(status: dict[str, Any], retry: Patience) -> dict[str, Any]:
    error = retry.trouble or status.get("index_error")
    return {**status, "state": "blocked" if retry.trouble else "running", "error": error}


async def _follow(
    nc: Client,
    settings: IndexerSettings,
    store: Store,
    retry: Patience,
    stop: asyncio.Event,
    status: dict[str, Any],
) -> None:
    root = settings.data_dir
    follower = LakeFollower(root, current.FOLLOWER, store.id, retry, stop, nc=nc, wanted=WANTED)
    reporting = Reporting(nc, root, store, status, settings.discovery_seconds)
    index = IndexKeeping(nc, settings, status)

    def note(position: Position) -> None:
        reporting.note(position)
        index.note()

    reports = asyncio.create_task(reporting.run())
    keeping = asyncio.create_task(index.run(stop)) if settings.index_enabled else None
    try:
        await current.follow(follower, root, store, retry, note)
    except GivenUpError as error:
        log.warning("stopped while it could not go on", reason=str(error))
    finally:
        reports.cancel()
        await asyncio.gather(reports, *([] if keeping is None else [keeping]), return_exceptions=True)
