"""The reader: every sequence once and in order, whatever happens to broker, connection and consumer."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio
from nats.aio.client import Client

from rugs_bus import (
    BusUnavailableError,
    Message,
    Publisher,
    StreamSettings,
    connect,
    consume,
    consumer,
    ensure_streams,
    get_message,
    purge_below,
)
from rugs_runtime.broker import Broker
from tests.conftest import Pause, Until

pytestmark = pytest.mark.slow

SUBJECT = "rugs.events.ws_event.public_ws.tick"
CONSUMERS = "$JS.API.CONSUMER"


@pytest_asyncio.fixture
async def stream(nc: Client) -> Client:
    await ensure_streams(nc, StreamSettings(max_bytes=1 << 30))
    return nc


class Reader:
    """Reads the stream beside the test, as a writer would: it resumes after the last message it has taken."""

    def __init__(self, nc: Client, start: int = 1) -> None:
        self.nc = nc
        self.taken: list[Message] = []
        self.empty = 0
        self.resumed = 0
        self.stop = asyncio.Event()
        self._start = start

    async def resume(self) -> int:
        self.resumed += 1
        return self.taken[-1].seq + 1 if self.taken else self._start

    async def run(self) -> None:
        async for messages in consume(self.nc, resume=self.resume, stop=self.stop):
            self.taken += messages
            self.empty += not messages

    @property
    def last(self) -> int:
        return self.taken[-1].seq if self.taken else 0

    def assert_gapless(self, first: int, last: int) -> None:
        assert [message.seq for message in self.taken] == list(range(first, last + 1))
        assert all(before.time_us <= after.time_us for before, after in pairwise(self.taken))


@asynccontextmanager
async def reading(nc: Client, start: int = 1) -> AsyncIterator[Reader]:
    reader = Reader(nc, start)
    task = asyncio.create_task(reader.run())
    yield reader
    reader.stop.set()
    await asyncio.wait_for(task, 10)


async def publish(nc: Client, count: int, size: int = 1000) -> None:
    publisher = Publisher(nc)
    for number in range(count):
        await publisher.publish(SUBJECT, bytes(size), msg_id=f"{id(publisher)}-{number}", key=str(number))
    await publisher.flush(timeout=60)
    await publisher.close()


async def consumers(nc: Client) -> list[str]:
    reply = await nc.request(f"{CONSUMERS}.NAMES.RUGS_EVENTS", timeout=5)
    answer: dict[str, Any] = json.loads(reply.data)
    return list(answer["consumers"] or [])


async def test_reads_what_is_stored_and_what_comes(stream: Client, until: Until) -> None:
    await publish(stream, 500)
    async with reading(stream) as reader:
        await until(lambda: reader.last == 500)
        await publish(stream, 300)
        await until(lambda: reader.last == 800)
    reader.assert_gapless(1, 800)
    assert reader.resumed == 1
    assert reader.taken[6] == await get_message(stream, 7)


async def test_starts_where_it_is_told(stream: Client, until: Until) -> None:
    await publish(stream, 50)
    async with reading(stream, start=21) as reader:
        await until(lambda: reader.last == 50)
    reader.assert_gapless(21, 50)


async def test_what_was_purged_shows_as_a_jump(stream: Client, until: Until) -> None:
    await publish(stream, 50)
    await purge_below(stream, 31)
    async with reading(stream, start=11) as reader:
        await until(lambda: reader.last == 50)
    reader.assert_gapless(31, 50)


async def test_empty_lists_come_while_nothing_else_does(stream: Client, until: Until) -> None:
    async with reading(stream) as reader:
        started = asyncio.get_running_loop().time()
        await until(lambda: reader.empty >= 4)
        assert asyncio.get_running_loop().time() - started < 3


async def test_stop_ends_it_and_leaves_no_consumer(stream: Client, until: Until) -> None:
    await publish(stream, 10)
    async with reading(stream) as reader:
        await until(lambda: reader.last == 10)
        assert len(await consumers(stream)) == 1
    async with asyncio.timeout(5):
        while await consumers(stream):
            pass


async def test_a_caller_that_leaves_early_leaves_no_consumer(stream: Client) -> None:
    await publish(stream, 10)
    reader = Reader(stream)
    async with aclosing(consume(stream, resume=reader.resume, stop=asyncio.Event())) as lists:
        async for messages in lists:
            if messages:
                break
        assert len(await consumers(stream)) == 1
    async with asyncio.timeout(5):
        while await consumers(stream):
            pass


async def test_goes_on_after_a_long_silence(stream: Client, until: Until) -> None:
    """A consumer that the broker had forgotten after a few idle seconds would never speak again."""
    async with reading(stream) as reader:
        await until(lambda: reader.empty > 36)  # 9 seconds
        await publish(stream, 20)
        async with asyncio.timeout(1):
            await until(lambda: reader.last == 20)
    reader.assert_gapless(1, 20)
    assert reader.resumed == 1


async def test_what_is_held_is_bounded(stream: Client, until: Until) -> None:
    """Bytes on their way to a slow caller stay within what it asked for."""
    await publish(stream, 60, size=1_000_000)
    before = stream.stats["in_bytes"]
    stop = asyncio.Event()
    taken: list[Message] = []
    async with aclosing(consume(stream, resume=Reader(stream).resume, stop=stop)) as lists:
        async for messages in lists:
            taken += messages
            held = stream.stats["in_bytes"] - before - sum(len(message.body) for message in taken)
            assert held < 9_000_000
            # The caller is slow: what the broker sends unasked would arrive in the meantime.
            await asyncio.wait_for(stream.flush(), 5)
            held = stream.stats["in_bytes"] - before - sum(len(message.body) for message in taken)
            assert held < 9_000_000
            if len(taken) == 60:
                break


async def test_the_largest_message_comes_through(stream: Client, until: Until) -> None:
    await publish(stream, 3, size=8 * 1024 * 1024 - 64 * 1024)
    stop, sizes = asyncio.Event(), []
    async for messages in consume(stream, resume=Reader(stream).resume, stop=stop, max_bytes=1000):
        sizes += [len(message.body) for message in messages]
        if len(sizes) == 3:
            stop.set()
    assert sizes == [8 * 1024 * 1024 - 64 * 1024] * 3


async def test_the_consumer_is_deleted(stream: Client, until: Until) -> None:
    await publish(stream, 100)
    async with reading(stream) as reader:
        for round_ in (1, 2):
            await until(lambda expected=100 * round_: reader.last == expected)  # type: ignore[misc]
            for name in await consumers(stream):
                await stream.request(f"{CONSUMERS}.DELETE.RUGS_EVENTS.{name}", timeout=5)
            await publish(stream, 100)
        await until(lambda: reader.last == 300)
    reader.assert_gapless(1, 300)
    assert reader.resumed == 3


async def test_a_consumer_that_stalls_is_replaced(
    stream: Client, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A paused consumer looks alive and says nothing, like those that have been seen to stall."""
    monkeypatch.setattr(consumer, "_CHECK", 0.5)
    async with reading(stream) as reader:
        await until(lambda: reader.empty > 0)
        (name,) = await consumers(stream)
        pause = json.dumps({"pause_until": "2100-01-01T00:00:00Z"}).encode()
        await stream.request(f"{CONSUMERS}.PAUSE.RUGS_EVENTS.{name}", pause, timeout=5)
        await publish(stream, 10)
        await until(lambda: reader.last == 10)
    reader.assert_gapless(1, 10)
    assert reader.resumed == 2


@pytest.mark.crash
async def test_the_broker_is_killed_under_load(broker: Broker, stream: Client, until: Until) -> None:
    async with reading(stream) as reader:
        load = asyncio.create_task(publish(stream, 3000, size=5000))
        for milestone in (300, 1200, 2100):
            await until(lambda expected=milestone: reader.last > expected)  # type: ignore[misc]
            broker.kill()
            await asyncio.to_thread(broker.start)
        await load
        await until(lambda: reader.last == 3000)
    reader.assert_gapless(1, 3000)
    assert reader.resumed > 1


@pytest.mark.crash
async def test_the_broker_is_stopped_for_a_while(broker: Broker, stream: Client, until: Until) -> None:
    async with reading(stream) as reader:
        await publish(stream, 10)
        await until(lambda: reader.last == 10)
        broker.stop()
        empty = reader.empty
        await until(lambda: reader.empty > empty + 4)
        await asyncio.to_thread(broker.start)
        await publish(stream, 10)
        await until(lambda: reader.last == 20)
    reader.assert_gapless(1, 20)


@pytest.mark.crash
async def test_the_broker_is_paused_past_every_time_out(
    broker: Broker, stream: Client, until: Until, pause: Pause
) -> None:
    async with reading(stream) as reader:
        load = asyncio.create_task(publish(stream, 2000, size=5000))
        await until(lambda: reader.last > 200)
        await pause()
        await until(lambda: not stream.is_connected)  # the client has given the connection up
        broker.signal(signal.SIGCONT)
        await load
        await until(lambda: reader.last == 2000)
    reader.assert_gapless(1, 2000)
    assert reader.resumed > 1


async def test_lost_connections(stream: Client, broker: Broker, until: Until) -> None:
    feeder = await connect(broker.url, name="feeder")
    async with reading(stream) as reader:
        load = asyncio.create_task(publish(feeder, 2000, size=20_000))
        for milestone in (200, 800, 1400):
            await until(lambda expected=milestone: reader.last > expected)  # type: ignore[misc]
            await stream.force_reconnect()
        await load
        await until(lambda: reader.last == 2000)
    reader.assert_gapless(1, 2000)
    await feeder.close()


async def test_resume_is_tried_again_while_the_bus_is_away(stream: Client) -> None:
    await publish(stream, 5)
    stop, attempts = asyncio.Event(), 0

    async def resume() -> int:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise BusUnavailableError("not yet")
        return 4

    lists: list[list[int]] = []
    async for messages in consume(stream, resume=resume, stop=stop):
        lists.append([message.seq for message in messages])
        if messages and messages[-1].seq == 5:
            stop.set()
    assert lists[:2] == [[], []]
    assert [seq for some in lists for seq in some] == [4, 5]


async def test_other_errors_of_resume_pass_through(stream: Client) -> None:
    async def resume() -> int:
        raise RuntimeError("superseded")

    with pytest.raises(RuntimeError, match="superseded"):
        async for _ in consume(stream, resume=resume, stop=asyncio.Event()):
            pass


async def test_a_stream_that_is_not_there_is_waited_for(nc: Client) -> None:
    async with aclosing(consume(nc, resume=Reader(nc).resume, stop=asyncio.Event())) as batches:
        assert await anext(batches) == []
        await ensure_streams(nc, StreamSettings(max_bytes=1 << 28))
        await nc.request("rugs.events.a.b.c", b"x", timeout=5)
        async for messages in batches:
            if messages:
                assert [message.body for message in messages] == [b"x"]
                break


async def test_hostile_messages_do_not_stop_the_reader(broker: Broker, until: Until) -> None:
    """The server takes nearly any bytes as subject and headers; the client's own reader dies of some."""
    client = await connect(broker.url, name="test")
    await ensure_streams(client, StreamSettings(max_bytes=1 << 30))
    reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
    writer.write(b'CONNECT {"verbose":false,"headers":true}\r\n')
    odd = [bytes([byte]) for byte in range(256) if byte not in b" \t\r\n.*>"]
    for byte in odd:
        writer.write(b"PUB rugs.events.a.%s.c 3\r\nabc\r\n" % byte)
    for header in (
        b"NATS/1.0 \xff\xff\xff odd\r\nA\xff: b\xff\r\nno colon\r\n\r\n",
        b"NATS/1.0\r\n\xff\r\n: \r\n\r\n",
        b"junk",
    ):
        head, total = len(header), len(header) + 3
        writer.write(b"HPUB rugs.events.a.\x0b.c %d %d\r\n%sabc\r\n" % (head, total, header))
    writer.write(b"PING\r\n")
    await writer.drain()
    while await reader.readline() != b"PONG\r\n":
        pass
    writer.close()
    await publish(client, 1)
    async with reading(client) as beside:
        await until(lambda: bool(beside.taken) and beside.taken[-1].subject == SUBJECT)
    last = beside.last
    beside.assert_gapless(1, last)
    assert last == len(odd) + 4
    assert {message.body for message in beside.taken[:-1]} == {b"abc"}
    assert [await get_message(client, message.seq) for message in beside.taken[1:]] == beside.taken[1:]
    await client.close()
