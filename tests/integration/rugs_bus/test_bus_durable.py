"""A reader with a name and with subjects: what it passes over, what stays when it ends, and who goes on."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from nats.aio.client import Client

from rugs_bus import (
    Durable,
    Publisher,
    StreamSettings,
    connect,
    consume,
    ensure_streams,
)
from rugs_bus.api import ask
from rugs_core.errors import TakenOverError
from rugs_runtime.broker import Broker
from tests.support.stackkit import until

pytestmark = pytest.mark.slow

WANTED, OTHER = "rugs.events.ws_event.cdp.tick", "rugs.events.game_tick.cdp.tick"
INFO = "CONSUMER.INFO.RUGS_EVENTS.by-name"


class Reader:
    """Reads one subject by name, beside the test."""

    def __init__(self, nc: Client, owner: str) -> None:
        self.seqs: list[int] = []
        self.stop = asyncio.Event()
        self.task = asyncio.create_task(self._run(nc, owner))

    async def _run(self, nc: Client, owner: str) -> None:
        async def resume() -> int:
            return self.seqs[-1] + 1 if self.seqs else 1

        batches = consume(nc, resume=resume, stop=self.stop, subjects=(WANTED,), durable=Durable("by-name", owner))
        async with aclosing(batches):
            async for messages in batches:
                self.seqs += [message.seq for message in messages]

    async def end(self) -> None:
        self.stop.set()
        await asyncio.wait_for(self.task, 20)


async def publish(nc: Client, *subjects: str) -> int:
    publisher = Publisher(nc)
    taken = [await publisher.publish(each, b"x", msg_id=f"{id(publisher)}-{n}") for n, each in enumerate(subjects)]
    last = max([(await each).seq for each in taken])
    await publisher.close()
    return last


async def test_what_fits_no_subject_is_passed_over(stream: Client) -> None:
    await publish(stream, OTHER, WANTED, OTHER, OTHER, WANTED, WANTED, OTHER)
    reader = Reader(stream, "one")
    await until(lambda: len(reader.seqs) == 3)
    await reader.end()
    assert reader.seqs == [2, 5, 6]


async def test_it_stays_and_shows_how_far_its_reader_came(stream: Client) -> None:
    await publish(stream, *[WANTED] * 5)
    reader = Reader(stream, "one")
    await until(lambda: len(reader.seqs) == 5)
    await reader.end()
    await publish(stream, WANTED, OTHER, WANTED)
    info = await ask(stream, INFO)
    assert (info["config"]["durable_name"], info["delivered"]["stream_seq"], info["num_pending"]) == ("by-name", 5, 2)


async def test_of_two_readers_the_one_that_came_last_goes_on(stream: Client) -> None:
    await publish(stream, WANTED)
    first = Reader(stream, "one")
    await until(lambda: first.seqs)
    second = Reader(stream, "two")
    with pytest.raises(TakenOverError, match="another reader has taken over the consumer by-name"):
        await asyncio.wait_for(first.task, 20)
    last = await publish(stream, OTHER, WANTED)
    await until(lambda: second.seqs[-1:] == [last])
    await second.end()
    assert second.seqs == [1, 3]


async def test_a_broker_that_was_killed_is_read_on_under_the_same_name(broker: Broker) -> None:
    client = await connect(broker.url, name="reader")
    await ensure_streams(client, StreamSettings(max_bytes=1 << 28))
    reader = Reader(client, "one")
    await publish(client, *[WANTED] * 20)
    await until(lambda: len(reader.seqs) == 20)
    broker.kill()
    broker.start()
    await publish(client, *[WANTED] * 20)
    await until(lambda: len(reader.seqs) >= 40)
    await reader.end()
    assert reader.seqs == list(range(1, 41))
    assert (await ask(client, INFO))["config"]["metadata"]["rugs-owner"] == "one"
    await client.close()
