"""Frames too large for a message, through the broker's object store."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from hashlib import sha256

import pytest
from nats.aio.client import Client

from rugs_bus import BusError, StreamSettings, delete_blob, ensure_streams, get_blob, put_blob
from rugs_runtime.broker import Broker

pytestmark = pytest.mark.slow

Until = Callable[[Callable[[], bool]], Awaitable[None]]
DATA = random.Random(7).randbytes(20_000_000)


async def test_a_large_blob_comes_back_whole(nc: Client) -> None:
    await ensure_streams(nc, StreamSettings(max_bytes=1 << 20))
    digest = await put_blob(nc, DATA)
    assert digest == sha256(DATA).hexdigest()
    assert await get_blob(nc, digest) == DATA

    stored = (await nc.jetstream().stream_info("OBJ_RUGS_BLOBS")).state.bytes
    assert await put_blob(nc, DATA) == digest
    assert (await nc.jetstream().stream_info("OBJ_RUGS_BLOBS")).state.bytes == stored

    await delete_blob(nc, digest)
    assert await get_blob(nc, digest) is None
    assert (await nc.jetstream().stream_info("OBJ_RUGS_BLOBS")).state.bytes < 10_000

    assert await put_blob(nc, DATA[:100]) != digest
    assert await put_blob(nc, DATA) == digest
    assert await get_blob(nc, digest) == DATA


async def test_an_empty_blob_and_one_that_is_not_there(nc: Client) -> None:
    await ensure_streams(nc, StreamSettings(max_bytes=1 << 20))
    assert await get_blob(nc, await put_blob(nc, b"")) == b""
    unknown = sha256(b"unknown").hexdigest()
    assert await get_blob(nc, unknown) is None
    await delete_blob(nc, unknown)


async def test_a_missing_bucket_is_an_error_at_once(nc: Client) -> None:
    async with asyncio.timeout(5):
        with pytest.raises(BusError, match="no object store"):
            await put_blob(nc, b"x")


@pytest.mark.crash
async def test_a_broker_killed_while_a_blob_is_put(broker: Broker, nc: Client, until: Until) -> None:
    await ensure_streams(nc, StreamSettings(max_bytes=1 << 20))
    putting = asyncio.create_task(put_blob(nc, DATA))
    await until(lambda: nc.stats["out_bytes"] > 2_000_000)
    broker.kill()
    await asyncio.to_thread(broker.start)
    assert await get_blob(nc, await putting) == DATA
