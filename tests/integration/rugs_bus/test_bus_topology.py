"""The streams: made once, brought to the settings, never losing what they hold."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest
from nats.aio.client import Client

from rugs_bus import (
    BusError,
    StreamSettings,
    connect,
    ensure_streams,
    get_message,
    purge_below,
    set_incarnation,
    stream_state,
)
from rugs_runtime.broker import Broker

pytestmark = pytest.mark.slow

SETTINGS = StreamSettings(max_bytes=64 * 1024 * 1024)
SUBJECT = "rugs.events.ws_event.public_ws.tick"


async def fill(nc: Client, count: int, size: int = 100) -> None:
    js = nc.jetstream()
    for number in range(count):
        await js.publish(SUBJECT, bytes(size), headers={"Nats-Msg-Id": f"m{number}", "Odd": "a: b é"})


async def test_ensure_streams_may_be_repeated_and_run_by_many_at_once(broker: Broker) -> None:
    clients = [await connect(broker.url, name="test") for _ in range(5)]
    for _ in range(2):
        await asyncio.gather(*(ensure_streams(client, SETTINGS) for client in clients))
    state = await stream_state(clients[0])
    assert state == (None, 1, 0, 0, 0, SETTINGS.max_bytes)
    for client in clients:
        await client.close()


async def test_the_incarnation_outlives_updates_and_restarts(broker: Broker, nc: Client) -> None:
    await ensure_streams(nc, SETTINGS)
    await set_incarnation(nc, "first-life")
    await ensure_streams(
        nc, replace(SETTINGS, max_bytes=SETTINGS.max_bytes * 2, compression=False, duplicate_window=60)
    )
    assert (await stream_state(nc)).incarnation == "first-life"
    config = (await nc.jetstream().stream_info("RUGS_EVENTS")).config
    assert (config.max_bytes, config.duplicate_window) == (SETTINGS.max_bytes * 2, 60.0)

    broker.kill()
    broker.start()
    assert (await stream_state(nc)).incarnation == "first-life"


async def test_setting_the_incarnation_changes_nothing_else(nc: Client) -> None:
    await ensure_streams(nc, SETTINGS)
    js = nc.jetstream()
    before = (await js.stream_info("RUGS_EVENTS")).config
    await js.update_stream(before.evolve(description="an operator's note"))
    await set_incarnation(nc, "x")
    after = (await js.stream_info("RUGS_EVENTS")).config
    assert after.description == "an operator's note"
    assert (after.max_bytes, after.subjects, after.discard) == (before.max_bytes, before.subjects, before.discard)


async def test_a_lower_limit_loses_nothing_that_is_stored(nc: Client) -> None:
    await ensure_streams(nc, SETTINGS)
    await fill(nc, 50, size=1000)
    await ensure_streams(nc, replace(SETTINGS, max_bytes=10_000))
    assert (await stream_state(nc)).messages == 50


async def test_streams_that_the_broker_cannot_hold_are_an_error(nc: Client) -> None:
    with pytest.raises(BusError, match="RUGS_EVENTS cannot be kept"):
        await ensure_streams(nc, replace(SETTINGS, max_bytes=1 << 60))


async def test_get_message_returns_what_was_stored(nc: Client) -> None:
    await ensure_streams(nc, SETTINGS)
    await fill(nc, 2)
    message = await get_message(nc, 2)
    assert message is not None
    assert (message.seq, message.subject, message.body) == (2, SUBJECT, bytes(100))
    assert message.headers == {"Nats-Msg-Id": "m1", "Odd": "a: b é"}
    assert abs(message.time_us / 1e6 - time.time()) < 60
    assert await get_message(nc, 3) is None
    assert await get_message(nc, 0) is None


async def test_purge_keeps_the_message_it_is_given(nc: Client) -> None:
    await ensure_streams(nc, SETTINGS)
    await fill(nc, 10)
    assert await purge_below(nc, 0) == 0
    assert await purge_below(nc, 1) == 0
    assert await purge_below(nc, 7) == 6
    state = await stream_state(nc)
    assert (state.first_seq, state.last_seq, state.messages) == (7, 10, 4)
    assert await get_message(nc, 6) is None
    assert await get_message(nc, 7) is not None


async def test_purge_beyond_the_end_is_refused(nc: Client) -> None:
    await ensure_streams(nc, SETTINGS)
    await fill(nc, 3)
    with pytest.raises(BusError, match="ends at 3"):
        await purge_below(nc, 5)
    assert (await stream_state(nc)).messages == 3


async def test_connect_says_what_is_wrong_without_the_password() -> None:
    with pytest.raises(BusError, match=r"no NATS server answers at nats://\*\*\*@127\.0\.0\.1:1 ") as caught:
        await connect("nats://user:secret@127.0.0.1:1", name="test", timeout=0.3)
    assert "secret" not in str(caught.value)


async def test_connect_waits_for_a_broker_that_is_starting(broker: Broker) -> None:
    broker.kill()
    connecting = asyncio.create_task(connect(broker.url, name="test"))
    await asyncio.sleep(0)
    await asyncio.to_thread(broker.start)
    client = await connecting
    assert client.is_connected
    await client.close()
