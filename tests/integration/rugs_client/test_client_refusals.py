"""What the broker refuses for good is told from whatever else is in the way, which is waited for: nothing is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from nats.aio.client import Client

from rugs_bus import ensure_streams
from rugs_client import Publisher
from rugs_proto.subjects import EVENTS_STREAM
from rugs_runtime.broker import Broker
from tests.support.clientkit import FRAME, STREAMS, assert_whole, flush, publish, secure, stored
from tests.support.stackkit import LIMIT, until
from tests.support.wire import Wire

pytestmark = pytest.mark.slow


async def test_a_connection_that_is_ended_for_good_again_and_again_loses_nothing(
    stream: Client, broker: Broker, tmp_path: Path
) -> None:
    """The client's connection is over then, and the publisher makes another one, however often that happens."""
    async with Wire.to(broker.port) as wire:
        publisher = Publisher(wire.url, source="cdp", spool_dir=tmp_path / "spool")
        try:
            ended = 0
            for number in range(1, 61):
                publish(publisher, range(number, number + 1))
                if publisher.stats.connected:
                    wire.end_for_good("Authentication Expired")
                    ended += 1
                await asyncio.sleep(0.02)
            assert await flush(publisher, LIMIT)
            assert ended > 2
            assert publisher.stats.refused == 0
        finally:
            await asyncio.to_thread(publisher.close)
    assert assert_whole(await stored(stream), up_to=60) == []


async def test_an_event_that_is_refused_for_good_is_counted_and_a_gap_tells_of_it(
    stream: Client, broker: Broker, tmp_path: Path
) -> None:
    js = stream.jetstream()
    await js.update_stream((await js.stream_info(EVENTS_STREAM)).config.evolve(max_msg_size=2_000))
    with Publisher(broker.url, source="cdp", spool_dir=tmp_path / "spool") as publisher:
        assert publisher.publish("before", raw="small")
        assert publisher.publish("gameStateUpdate", raw=FRAME)
        assert publisher.publish("after", raw="small")
        assert await flush(publisher, LIMIT)
        assert publisher.stats.refused == 1
    events = await stored(stream)
    [gap] = assert_whole(events, up_to=3)
    assert "message size exceeds maximum" in gap.fields["cause"]
    assert (gap.fields["lost"], [event.event for event in events]) == (1, ["before", "gap", "after"])


async def test_a_stream_that_takes_nothing_is_waited_for_whatever_it_says(
    stream: Client, broker: Broker, tmp_path: Path
) -> None:
    """A sealed stream answers 400 to everything: that says nothing about the event, and somebody can mend it."""
    js = stream.jetstream()
    await js.update_stream((await js.stream_info(EVENTS_STREAM)).config.evolve(sealed=True))
    with Publisher(broker.url, source="cdp", spool_dir=tmp_path / "spool") as publisher:
        publish(publisher, range(1, 11))
        assert await secure(publisher)
        await until(lambda: "sealed" in (publisher.stats.trouble or ""))
        assert (publisher.stats.refused, publisher.stats.sent) == (0, 0)
        await js.delete_stream(EVENTS_STREAM)
        await ensure_streams(stream, STREAMS)
        assert await flush(publisher, LIMIT)
        assert publisher.stats.refused == 0
    assert assert_whole(await stored(stream), up_to=10) == []
