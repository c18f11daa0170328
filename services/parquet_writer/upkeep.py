"""What the writer does beside writing: purge stream and object store, compact, forget old snapshots."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import orjson
import structlog
from nats.aio.client import Client

import rugs_bus
from rugs_bus import BusError
from rugs_core.patience import stopped_within
from rugs_core.time import SECOND_US, now_us
from rugs_lake import LakeError
from rugs_lake.maintain import compaction, retention
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.cursor import Cursor
from rugs_lake.store.paths import LakePaths
from rugs_runtime.settings import WriterSettings

PURGE_SECONDS: Final = 5.0
FORGET_SECONDS: Final = 86400.0
_NICE: Final = 10
_END_SECONDS: Final = 5.0
"""How long a compaction may take to end when told to."""

log = structlog.get_logger(__name__)


async def purge(nc: Client, settings: WriterSettings, cursor: Callable[[], Cursor], stop: asyncio.Event) -> None:
    """Keep the stream within its age and bytes, never beyond what the lake has taken, until stopped."""
    while not await stopped_within(stop, PURGE_SECONDS):
        try:
            await purge_once(nc, settings, cursor())
        except BusError as error:
            log.warning("could not purge", reason=str(error))


async def purge_once(nc: Client, settings: WriterSettings, cursor: Cursor) -> None:
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
    horizon = now_us() - keep_seconds * SECOND_US

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


async def compact(settings: WriterSettings, stop: asyncio.Event) -> None:
    """Compact in the background where there is something to compact, and expire, until stopped."""
    paths = LakePaths(settings.data_dir)
    while not await stopped_within(stop, settings.compact_seconds):
        try:
            if await asyncio.to_thread(_is_due, paths):
                await _compact_once(settings, stop)
            await asyncio.to_thread(_expire, paths, settings.snapshot_retention)
        except (LakeError, OSError, sqlite3.Error) as error:
            log.warning("could not compact, or not forget old snapshots; the lake is as it was", reason=str(error))


def _is_due(paths: LakePaths) -> bool:
    with Catalog(paths, read_only=True) as catalog:
        return compaction.is_due(catalog)


async def _compact_once(settings: WriterSettings, stop: asyncio.Event) -> None:
    """Run a compaction as a process of its own with low priority; end it when told to stop, or cancelled."""
    command = (sys.executable, "-m", "rugs_lake.maintain.compaction", str(settings.data_dir))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    stopping = asyncio.create_task(stop.wait())
    ended = asyncio.create_task(process.communicate())
    try:
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.setpriority(os.PRIO_PROCESS, process.pid, _NICE)
        await asyncio.wait((stopping, ended), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        if not await _within(_END_SECONDS, ended):
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await ended
    told, _ = ended.result()
    if process.returncode != 0:
        if not stop.is_set():
            log.warning("a compaction failed; the lake is as it was", exit_code=process.returncode)
    elif (done := _read_outcome(told)) is None:
        log.warning("a compaction did not say what it has done")
    elif done["files_before"]:
        log.info("compacted", **done)


async def _within(seconds: float, ended: asyncio.Task[Any]) -> bool:
    """Wait for a task, also when cancelled meanwhile; return whether it has ended in time."""
    done, _ = await asyncio.wait((ended,), timeout=seconds)
    return bool(done)


def _read_outcome(told: bytes) -> dict[str, Any] | None:
    """Return what a compaction has printed; None where it was not one whole line of its figures."""
    try:
        done = orjson.loads(told)
    except orjson.JSONDecodeError:
        return None
    return done if isinstance(done, dict) and "files_before" in done else None


def _expire(paths: LakePaths, keep_seconds: float) -> None:
    with Catalog(paths) as catalog:
        expired = retention.expire(catalog, keep_seconds=keep_seconds)
    if expired.snapshots:
        log.info("forgot old snapshots", snapshots=expired.snapshots, files=expired.files)


async def forget_blobs(nc: Client, settings: WriterSettings, cursor: Callable[[], Cursor], stop: asyncio.Event) -> None:
    """Remove objects that were left behind, at the start and then daily, until stopped.

    The writer deletes an event's object once it has stored the event. What stays is of
    messages that were sent twice, or never, and of rejects.
    """
    while True:
        try:
            await forget_blobs_once(nc, settings, cursor())
        except BusError as error:
            log.warning("could not look for objects that were left behind", reason=str(error))
        if await stopped_within(stop, FORGET_SECONDS):
            return


async def forget_blobs_once(nc: Client, settings: WriterSettings, cursor: Cursor) -> None:
    """Remove objects that are too old, but none whose message may still be waiting to be taken.

    A stream that is not the one that the cursor knows may have any message waiting: then nothing is removed.
    """
    if cursor.last_seq and not cursor.is_at(await rugs_bus.get_message(nc, cursor.last_seq)):
        return
    waiting = await rugs_bus.next_message(nc, cursor.last_seq + 1)
    now = time.time()
    oldest_needed = (waiting.time_us / 1e6 if waiting is not None else now) - rugs_bus.FRESH_SECONDS
    names = await rugs_bus.forget_blobs(nc, int(min(now - settings.blob_keep_age, oldest_needed) * 1e6))
    if names:
        log.info("removed objects that were left behind", objects=len(names), names=names[:100])
