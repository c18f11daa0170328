"""The writer keeps the stream within its age and bytes, and never purges what the lake has not taken."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

import rugs_bus
from parquet_writer import upkeep
from rugs_bus import Publisher, StreamSettings
from rugs_lake.cursor import Cursor, body_hash
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
