"""Frames too large for a message, through the broker's object store."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import time

import pytest
from nats.aio.client import Client

from rugs_bus import BusError, StreamSettings, blobs, delete_blob, ensure_streams, forget_blobs, get_blob, put_blob
from rugs_legacy.lines import CHUNK, MAX_LINE
from rugs_proto.subjects import MAX_BLOB
from rugs_runtime.broker import Broker
from tests.conftest import Until

pytestmark = pytest.mark.slow

NAME, OTHER = "a" * 32, "b" * 32
DATA = random.Random(7).randbytes(20_000_000)


async def test_a_large_blob_comes_back_whole(nc: Client) -> None:
    await ensure_streams(nc, StreamSettings(max_bytes=1 << 20))
    await put_blob(nc, NAME, DATA)
    assert await get_blob(nc, NAME) == DATA

    theirs = await (await nc.jetstream().object_store("RUGS_BLOBS")).get(NAME)
    assert theirs.data == DATA

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


def test_the_longest_line_of_a_recording_fits() -> None:
    assert MAX_BLOB >= MAX_LINE + CHUNK


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
        with pytest.raises(BusError, match="no such stream"):
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


def meta_of(name: str) -> str:
    return f"$O.RUGS_BLOBS.M.{base64.urlsafe_b64encode(name.encode()).decode()}"


@pytest.mark.parametrize(
    "meta",
    [
        b"not json",
        b"[1]",
        b"[" * 100_000,
        b"{}",
        b'{"nuid":"gone","size":5,"chunks":1,"digest":"SHA-256=x"}',
        b'{"nuid":"gone","size":"5"}',
        b'{"nuid":">","size":5}',
        b'{"nuid":"gone","size":9000000000}',
        b'{"nuid":"n","options":{"link":{"bucket":"OTHER","name":"x"}}}',
        b'{"nuid":"n","options":{"link":{"bucket":"OTHER"}}}',
        b'{"nuid":"n","options":7}',
    ],
)
async def test_a_damaged_object_is_none_at_once_and_makes_way(nc: Client, meta: bytes) -> None:
    await ensure_streams(nc, StreamSettings(max_bytes=1 << 20))
    await put_blob(nc, OTHER, b"another's")
    await nc.jetstream().publish(meta_of(NAME), meta)
    async with asyncio.timeout(5):
        assert await get_blob(nc, NAME) is None
        await put_blob(nc, NAME, b"whole")
    assert await get_blob(nc, NAME) == b"whole"
    await nc.jetstream().publish(meta_of(NAME), meta)
    await delete_blob(nc, NAME)
    assert await get_blob(nc, OTHER) == b"another's"


@pytest.mark.parametrize("missing", [0, 1, -1])
async def test_an_object_without_all_its_pieces_is_none_at_once(nc: Client, missing: int) -> None:
    await ensure_streams(nc, StreamSettings(max_bytes=1 << 20))
    await put_blob(nc, NAME, DATA)
    js = nc.jetstream()
    last = (await js.stream_info("OBJ_RUGS_BLOBS")).state.last_seq
    await js.delete_msg("OBJ_RUGS_BLOBS", {0: 1, 1: 2, -1: last - 1}[missing])
    async with asyncio.timeout(5):
        assert await get_blob(nc, NAME) is None


async def test_other_bytes_than_were_told_are_none(nc: Client) -> None:
    await ensure_streams(nc, StreamSettings(max_bytes=1 << 20))
    await put_blob(nc, NAME, b"first")
    told = json.loads((await nc.jetstream().get_last_msg("OBJ_RUGS_BLOBS", meta_of(NAME))).data or b"")
    for changed in ({"size": 4}, {"size": 6}, {"digest": "SHA-256=AAAA"}):
        await nc.jetstream().publish(meta_of(NAME), json.dumps({**told, **changed}).encode())
        assert await get_blob(nc, NAME) is None, changed


async def test_old_objects_are_forgotten_and_young_ones_stay(nc: Client) -> None:
    await ensure_streams(nc, StreamSettings(max_bytes=1 << 20))
    assert await forget_blobs(nc, time.time_ns() // 1000 + 1) == []
    await put_blob(nc, NAME, b"old")
    between = time.time_ns() // 1000 + 1
    await put_blob(nc, OTHER, b"young")
    assert await forget_blobs(nc, between) == [NAME]
    assert [await get_blob(nc, name) for name in (NAME, OTHER)] == [None, b"young"]
    assert await forget_blobs(nc, between) == []
    assert await forget_blobs(nc, time.time_ns() // 1000 + 1) == [OTHER]
    assert await get_blob(nc, OTHER) is None
    await put_blob(nc, NAME, b"again")
    assert await get_blob(nc, NAME) == b"again"


async def test_an_object_that_is_not_young_any_more_is_put_again(nc: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its message is only on its way: `forget_blobs` must not take it for one that was left behind."""
    await ensure_streams(nc, StreamSettings(max_bytes=1 << 20))
    await put_blob(nc, NAME, b"bytes")
    between = time.time_ns() // 1000 + 1
    await put_blob(nc, NAME, b"bytes")
    monkeypatch.setattr(blobs, "FRESH_SECONDS", 0.0)
    await put_blob(nc, NAME, b"bytes")
    assert await forget_blobs(nc, between) == []
    assert await get_blob(nc, NAME) == b"bytes"


async def test_a_full_bucket_makes_who_puts_wait(nc: Client) -> None:
    await ensure_streams(nc, StreamSettings(max_bytes=1 << 20, blob_max_bytes=30_000_000))
    await put_blob(nc, NAME, DATA)
    putting = asyncio.create_task(put_blob(nc, OTHER, DATA))
    done, _ = await asyncio.wait((putting,), timeout=2)
    assert not done
    await delete_blob(nc, NAME)
    await putting
    assert await get_blob(nc, OTHER) == DATA
