"""What the writer does beside writing: purge the stream, compact, forget old snapshots."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
from collections.abc import Callable
from typing import Final

import structlog
from nats.aio.client import Client

import rugs_bus
from rugs_bus import BusError
from rugs_lake import LakeError, retention
from rugs_lake.catalog import Catalog
from rugs_lake.cursor import Cursor
from rugs_lake.paths import LakePaths
from rugs_runtime.settings import Settings

PURGE_SECONDS: Final = 5.0

log = structlog.get_logger(__name__)


async def purge(nc: Client, settings: Settings, cursor: Callable[[], Cursor], stop: asyncio.Event) -> None:
    """Keep the stream within its age and bytes, never beyond what the lake has taken, until stopped."""
    while not await _stopped_within(stop, PURGE_SECONDS):
        try:
            await purge_once(nc, settings, cursor())
        except BusError as error:
            log.warning("could not purge", reason=str(error))


async def purge_once(nc: Client, settings: Settings, cursor: Cursor) -> None:
    """Purge what is too old or too much. The cursor's own message always stays: it proves which stream this is.

    A stream that was made anew or restored since holds other messages at these sequences,
    which nobody has taken: then nothing is purged.
    """
    limit = cursor.last_seq
    keep_from = max(
        await _first_within_bytes(nc, settings.stream_keep_bytes, limit),
        await _first_within_age(nc, settings.stream_keep_age, limit),
    )
    if keep_from <= (await rugs_bus.stream_state(nc)).first_seq:
        return
    if cursor.is_at(await rugs_bus.get_message(nc, limit)):
        purged = await rugs_bus.purge_below(nc, keep_from)
        log.info("purged", messages=purged, keep_from=keep_from)


async def _first_within_bytes(nc: Client, keep_bytes: int, limit: int) -> int:
    """Return the sequence to keep from, taking messages to be of average size."""
    state = await rugs_bus.stream_state(nc)
    excess = state.bytes - keep_bytes
    if excess <= 0 or state.messages == 0:
        return 0
    return min(limit, state.first_seq + -(-excess * state.messages // state.bytes))


async def _first_within_age(nc: Client, keep_seconds: float, limit: int) -> int:
    """Return the first sequence that is young enough; `limit` at the most.

    Looking at a message fetches it whole, so the stream's first ones are tried before the rest is halved.
    """
    horizon = (time.time() - keep_seconds) * 1_000_000

    async def is_old(seq: int) -> bool:
        message = await rugs_bus.get_message(nc, seq)
        return message is None or message.time_us < horizon

    low = high = (await rugs_bus.stream_state(nc)).first_seq
    step = 1
    while high < limit and await is_old(high):
        low, high, step = high + 1, min(high + step, limit), step * 2
    while low < high:
        middle = (low + high) // 2
        if await is_old(middle):
            low = middle + 1
        else:
            high = middle
    return low


async def compact(settings: Settings, stop: asyncio.Event) -> None:
    """Compact in the background, in a process of its own with low priority, and expire, until stopped."""
    paths = LakePaths(settings.data_dir)
    while not await _stopped_within(stop, settings.compact_seconds):
        command = ("-m", "rugs_lake.compaction", str(settings.data_dir))
        process = await asyncio.create_subprocess_exec("nice", "-n", "10", sys.executable, *command)
        stopping = asyncio.create_task(stop.wait())
        ended = asyncio.create_task(process.wait())
        await asyncio.wait((stopping, ended), return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            process.terminate()
        if await ended != 0 and not stop.is_set():
            log.warning("a compaction failed; the lake is as it was", exit_code=process.returncode)
        stopping.cancel()
        try:
            await asyncio.to_thread(_expire, paths, settings.snapshot_retention)
        except (LakeError, OSError, sqlite3.OperationalError) as error:
            log.warning("could not forget old snapshots", reason=str(error))


def _expire(paths: LakePaths, keep_seconds: float) -> None:
    with Catalog(paths) as catalog:
        expired = retention.expire(catalog, keep_seconds=keep_seconds)
    if expired.snapshots:
        log.info("forgot old snapshots", snapshots=expired.snapshots, files=expired.files)


async def _stopped_within(stop: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return False
    return True
