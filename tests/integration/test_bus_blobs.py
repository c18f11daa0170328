"""Frames too large for a message, through the broker's object store."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest
from nats.aio.client import Client

from rugs_bus import BusError, StreamSettings, delete_blob, ensure_streams, get_blob, put_blob
from rugs_bus.blobs import MAX_BLOB
from rugs_runtime.broker import Broker

pytestmark = pytest.mark.slow

Until = Callable[[Callable[[], bool]], Awaitable[None]]
NAME, OTHER = "a" * 32, "b" * 32
DATA = random.Random(7).randbytes(20_000_000)


async def test_a_large_blob_comes_back_whole(nc: Client) -> None:
    await ensure_streams(nc, StreamSettings(max_bytes=1 << 20))
    await put_blob(nc, NAME, DATA)
    assert await get_blob(nc, NAME) == DATA

    stored = (await nc.jetstream().stream_info("OBJ_RUGS_BLOBS")).state.bytes
    await put_blob(nc, NAME, DATA)
    assert (await nc.jetstream().stream_info("OBJ_RUGS_BLOBS")).state.bytes == stored

    await delete_blob(nc, NAME)
    assert await get_blob(nc, NAME) is None
    assert (await nc.jetstream().stream_info("OBJ_RUGS_BLOBS")).state.bytes < 10_000

    await put_blob(nc, NAME, DATA[:100])
    await put_blob(nc, NAME, DATA)
    assert await get_blob(nc, NAME) == DATA


async def test_the_same_bytes_of_two_events_are_two_objects(nc: Client) -> None:
    await ensure_streams(nc, StreamSettings(max_bytes=1 << 20))
    await put_blob(nc, NAME, b"same")
    await put_blob(nc, OTHER, b"same")
    await delete_blob(nc, NAME)
    assert await get_blob(nc, OTHER) == b"same"


async def test_more_than_a_reader_can_hold_is_refused(nc: Client) -> None:
    await ensure_streams(nc, StreamSettings(max_bytes=1 << 20))
    with pytest.raises(BusError, match="too large"):
        await put_blob(nc, NAME, bytes(MAX_BLOB + 1))


async def test_an_empty_blob_and_one_that_is_not_there(nc: Client) -> None:
    await ensure_streams(nc, StreamSettings(max_bytes=1 << 20))
    await put_blob(nc, NAME, b"")
    assert await get_blob(nc, NAME) == b""
    assert await get_blob(nc, OTHER) is None
    await delete_blob(nc, OTHER)


async def test_a_missing_bucket_is_an_error_at_once(nc: Client) -> None:
    async with asyncio.timeout(5):
        with pytest.raises(BusError, match="no object store"):
            await put_blob(nc, NAME, b"x")


@pytest.mark.crash
async def test_a_broker_killed_while_a_blob_is_put(broker: Broker, nc: Client, until: Until) -> None:
    await ensure_streams(nc, StreamSettings(max_bytes=1 << 20))
    putting = asyncio.create_task(put_blob(nc, NAME, DATA))
    await until(lambda: nc.stats["out_bytes"] > 2_000_000)
    broker.kill()
    await asyncio.to_thread(broker.start)
    await putting
    assert await get_blob(nc, NAME) == DATA
