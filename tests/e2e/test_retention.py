"""What the stream keeps: purged below the lake's cursor, never the cursor's own message, never what is not taken."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.js.api import ConsumerConfig, DeliverPolicy
from pydantic import ByteSize

import rugs_bus
from parquet_writer.upkeep import purge_once
from rugs_bus import StreamSettings, ensure_streams, stream_state
from rugs_lake.store.cursor import Cursor, body_hash
from rugs_proto.subjects import EVENTS_STREAM
from rugs_runtime.settings import Settings
from tests.support.lakekit import body, envelope
from tests.support.stackkit import Rugs, caught_up, cursor, publish, rows, until

pytestmark = pytest.mark.slow

SUBJECT = "rugs.events.ws_event.public_ws.x"


async def test_old_messages_are_purged_up_to_the_cursor_and_nothing_is_lost(tmp_path: Path) -> None:
    rugs = Rugs(tmp_path / "data", RUGS_STREAM_KEEP_AGE="1s", RUGS_FLUSH_SECONDS="0.1")
    assert rugs("up", "--detach").returncode == 0
    try:
        async with rugs.bus() as nc:
            user = ConsumerConfig(durable_name="probe", deliver_policy=DeliverPolicy.ALL)
            await nc.jetstream().add_consumer(EVENTS_STREAM, user)
            made = (await nc.jetstream().consumer_info(EVENTS_STREAM, "probe")).config
            for seq in range(1, 101):
                await publish(nc, SUBJECT, body(envelope(seq)))
            last = (await caught_up(nc, rugs.root)).last_seq

            async def purged() -> bool:
                state = await stream_state(nc)
                return state.first_seq >= last and state.messages == 1  # derivation may have left a mark behind it

            await until(purged)
            assert await rugs_bus.get_message(nc, (await stream_state(nc)).last_seq) is not None
            assert (await nc.jetstream().consumer_info(EVENTS_STREAM, "probe")).config == made
        before = cursor(rugs.root)
        assert rugs("down").returncode == 0
        assert rugs("up", "--detach").returncode == 0
        async with rugs.bus() as nc:
            await publish(nc, SUBJECT, body(envelope(101)))
            await caught_up(nc, rugs.root)
            assert await nc.jetstream().consumer_info(EVENTS_STREAM, "probe") is not None
        after = cursor(rugs.root)
        assert before is not None
        assert after is not None
        assert after.incarnation == before.incarnation
        assert after.last_seq > before.last_seq >= last
        assert rows(rugs.root, "SELECT count(*), count(DISTINCT id) FROM events") == [(101, 101)]
        assert rows(rugs.root, "SELECT * FROM gap") == []
        assert rugs.json("verify")["ok"] is True
    finally:
        rugs("down")


def keeping(size: int, seconds: float) -> Settings:
    return Settings(stream_keep_bytes=ByteSize(size), stream_keep_age=seconds)


async def fill(nc: Client, count: int) -> Cursor:
    """Fill a new stream; return the cursor of a lake that has taken 60 % of it."""
    await ensure_streams(nc, StreamSettings(max_bytes=1 << 28))
    for seq in range(1, count + 1):
        await publish(nc, SUBJECT, body(envelope(seq, raw=os.urandom(5_000))))
    at = await rugs_bus.get_message(nc, count * 6 // 10)
    assert at is not None
    return Cursor(EVENTS_STREAM, "a" * 32, 1, at.seq, at.time_us, body_hash(at.body))


async def test_too_many_bytes_are_purged_but_never_what_is_not_taken(nc: Client) -> None:
    taken = await fill(nc, 100)
    await purge_once(nc, keeping(300_000, 3600.0), taken)
    state = await stream_state(nc)
    assert state.last_seq == 100
    assert 30 <= state.first_seq <= 45
    assert state.bytes <= 330_000
    await purge_once(nc, keeping(1, 3600.0), taken)
    assert (await stream_state(nc)).first_seq == taken.last_seq
    await purge_once(nc, keeping(1, 0.000_001), taken)
    assert (await stream_state(nc)).first_seq == taken.last_seq


async def test_a_stream_made_anew_is_not_purged_by_the_cursor_of_the_old_one(nc: Client) -> None:
    """Between the stream's replacement and the writer's look at it, the cursor's number means other messages."""
    taken = await fill(nc, 20)
    await nc.jetstream().delete_stream(EVENTS_STREAM)
    await fill(nc, 50)
    await purge_once(nc, keeping(1, 0.000_001), taken)
    assert (await stream_state(nc)).messages == 50


async def test_a_full_stream_refuses_and_purging_makes_room(tmp_path: Path) -> None:
    """What does not fit waits at the producer; nothing that was stored goes to make room before the lake has it."""
    rugs = Rugs(
        tmp_path / "data", RUGS_STREAM_MAX_BYTES="1000000", RUGS_STREAM_KEEP_BYTES="100000", RUGS_FLUSH_SECONDS="0.1"
    )
    assert rugs("up", "--detach").returncode == 0
    try:
        async with rugs.bus() as nc:
            publisher = rugs_bus.Publisher(nc)
            for seq in range(1, 151):
                content = body(envelope(seq, raw=os.urandom(10_000)))
                await publisher.publish(SUBJECT, content, msg_id=f"full-{seq}", key="session-1")
            await publisher.flush(90)
            await publisher.close()
            await caught_up(nc, rugs.root)
            assert (await stream_state(nc)).bytes <= 1_000_000
        assert rows(rugs.root, "SELECT count(*), count(DISTINCT id) FROM events") == [(150, 150)]

        def lag() -> int:
            return int(json.loads(rugs("status", "--json").stdout)["lake"]["lag"])

        await until(lambda: lag() == 0)  # derivation has told how far it is, a moment later
        assert rugs.json("verify")["ok"] is True
    finally:
        rugs("down")
