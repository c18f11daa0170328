"""The writer keeps the stream within its age and bytes, and never purges what the lake has not taken."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

import rugs_bus
from parquet_writer import upkeep
from rugs_bus import Publisher, StreamSettings
from rugs_lake.store.cursor import Cursor, body_hash
from rugs_proto.subjects import EVENTS_STREAM, event_subject
from rugs_runtime.settings import Settings

pytestmark = pytest.mark.slow
MESSAGES = 40


async def purged_to(nc: Client, folder: Path, cursor: int, **limits: Any) -> int:
    """Publish, purge until nothing more goes, and return the stream's first sequence then."""
    await rugs_bus.ensure_streams(nc, StreamSettings(compression=False))
    publisher = Publisher(nc)
    for number in range(MESSAGES):
        await publisher.publish(event_subject("ws_event", "bot", "x"), b"\x90" + bytes(999), msg_id=str(number))
    await publisher.flush()
    await publisher.close()
    at = await rugs_bus.get_message(nc, cursor)
    assert at is not None
    taken = Cursor(EVENTS_STREAM, "a" * 32, 1, cursor, at.time_us, body_hash(at.body))
    settings = Settings(data_dir=folder, **limits)
    stop = asyncio.Event()
    purging = asyncio.create_task(upkeep.purge(nc, settings, lambda: taken, stop))
    before, now = 0, (await rugs_bus.stream_state(nc)).first_seq
    async with asyncio.timeout(20):
        while now != before or now == 1:
            await asyncio.sleep(upkeep.PURGE_SECONDS * 4)
            before, now = now, (await rugs_bus.stream_state(nc)).first_seq
    stop.set()
    await purging
    return now


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "PURGE_SECONDS", 0.05)


@pytest.mark.parametrize("cursor", [2, 17, MESSAGES])
async def test_by_age(nc: Client, tmp_path: Path, cursor: int) -> None:
    assert await purged_to(nc, tmp_path, cursor, stream_keep_age=0.01) == cursor


@pytest.mark.parametrize(("cursor", "first"), [(10, 10), (MESSAGES, 21)])
async def test_by_bytes(nc: Client, tmp_path: Path, cursor: int, first: int) -> None:
    assert abs(await purged_to(nc, tmp_path, cursor, stream_keep_bytes=21_500) - first) <= 1


class LeftBehind:
    """An object in a bucket that is older than its message, or has none."""

    def __init__(self, nc: Client, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rugs_bus, "FRESH_SECONDS", 0.0)
        self.nc = nc
        self.settings = Settings(data_dir=folder, blob_keep_age=0.001)

    async def is_left(self, cursor: Cursor) -> bool:
        await upkeep.forget_blobs_once(self.nc, self.settings, cursor)
        return await rugs_bus.get_blob(self.nc, "a" * 32) is not None


async def test_objects_left_behind_are_removed_but_none_that_a_message_waits_with(
    nc: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rugs_bus.ensure_streams(nc, StreamSettings(max_bytes=1 << 24))
    left = LeftBehind(nc, tmp_path, monkeypatch)

    async def publish(number: int) -> Cursor:
        seq = (await nc.jetstream().publish(event_subject("ws_event", "bot", "x"), b"%d" % number)).seq
        message = await rugs_bus.get_message(nc, seq)
        assert message is not None
        return Cursor(EVENTS_STREAM, "a" * 32, 1, seq, message.time_us, body_hash(message.body))

    first = await publish(1)
    second = await publish(2)
    await rugs_bus.put_blob(nc, "a" * 32, b"bytes")
    third = await publish(3)
    await asyncio.sleep(0.01)
    assert await left.is_left(Cursor(EVENTS_STREAM, "a" * 32, 1))
    assert await left.is_left(first)
    another = replace(third, last_time_us=1)  # a cursor that this stream is not of
    assert await left.is_left(another)
    left.settings = Settings(data_dir=tmp_path)
    assert await left.is_left(third)
    left.settings = Settings(data_dir=tmp_path, blob_keep_age=0.001)
    assert not await left.is_left(second)
