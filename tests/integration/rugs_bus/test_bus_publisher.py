"""The publisher: bounded, in order per key, every message stored once, whatever the broker does."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from nats.aio.client import Client

from rugs_bus import (
    BusError,
    BusUnavailableError,
    Message,
    PubAck,
    Publisher,
    StreamSettings,
    consume,
    ensure_streams,
    get_message,
    purge_below,
    stream_state,
)
from rugs_proto.subjects import MAX_BODY
from rugs_runtime.broker import Broker
from tests.conftest import Pause, Until

pytestmark = pytest.mark.slow

SETTINGS = StreamSettings(max_bytes=256 * 1024 * 1024)
SUBJECT = "rugs.events.ws_event.public_ws.tick"


@contextlib.asynccontextmanager
async def publishing(nc: Client, **limits: float) -> AsyncIterator[Publisher]:
    publisher = Publisher(nc, **limits)  # type: ignore[arg-type]
    try:
        yield publisher
    finally:
        await publisher.close()


async def stored(nc: Client) -> list[Message]:
    """Everything that the stream holds."""
    state, messages = await stream_state(nc), list[Message]()
    if not state.messages:
        return messages

    async def resume() -> int:
        return state.first_seq

    stop = asyncio.Event()
    async for some in consume(nc, resume=resume, stop=stop):
        messages += some
        if messages and messages[-1].seq >= state.last_seq:
            stop.set()
    return messages


def assert_each_once_in_order(messages: list[Message], sent: dict[str, list[int]]) -> None:
    """Bodies are ``key:number:padding``; `sent` has the numbers of each key in the order of their publishing."""
    numbers = defaultdict(list)
    for message in messages:
        key, number, _ = message.body.split(b":", 2)
        numbers[key.decode()].append(int(number))
    assert numbers == sent


async def test_says_where_a_message_is_stored_and_that_it_was_there(stream: Client) -> None:
    async with publishing(stream) as publisher:
        first = await publisher.publish(SUBJECT, b"one", msg_id="a", headers={"Rugs-Import": "run"})
        second = await publisher.publish(SUBJECT, b"one", msg_id="a")
        third = await publisher.publish(SUBJECT, b"two", msg_id="b")
        assert [await first, await second, await third] == [PubAck(1, False), PubAck(1, True), PubAck(2, False)]
    message = await get_message(stream, 1)
    assert message is not None
    assert message.headers == {"Nats-Msg-Id": "a", "Rugs-Schema": "1", "Rugs-Import": "run"}


@pytest.mark.parametrize("limits", [{"max_in_flight": 4}, {"max_in_flight_bytes": 4000}])
async def test_what_is_in_flight_is_bounded(
    broker: Broker, stream: Client, until: Until, pause: Pause, limits: dict[str, int]
) -> None:
    async with publishing(stream, **limits) as publisher:
        await (await publisher.publish(SUBJECT, b"", msg_id="first"))
        await pause()

        async def publish_many() -> None:
            for number in range(10):
                await publisher.publish(SUBJECT, bytes(1000), msg_id=str(number), key=str(number))

        many = asyncio.create_task(publish_many())
        await until(lambda: publisher.in_flight == 4)
        with pytest.raises(BusUnavailableError, match="has not taken 4 messages"):
            await publisher.flush(timeout=0.2)
        assert publisher.in_flight == 4
        assert not many.done()

        broker.signal(signal.SIGCONT)
        await many
        await publisher.flush(timeout=10)
        assert publisher.in_flight == 0
    assert len(await stored(stream)) == 11


async def test_a_message_larger_than_the_bound_passes_alone(stream: Client) -> None:
    async with publishing(stream, max_in_flight_bytes=1000) as publisher:
        for number in range(3):
            await publisher.publish(SUBJECT, bytes(5000), msg_id=str(number), key=str(number))
            assert publisher.in_flight == 1
        await publisher.flush(timeout=10)


async def test_a_body_too_large_is_refused_and_the_connection_stays(stream: Client) -> None:
    client = stream.client_id
    async with publishing(stream) as publisher:
        with pytest.raises(BusError, match="too large"):
            await publisher.publish(SUBJECT, bytes(MAX_BODY + 1), msg_id="large")
        with pytest.raises(BusError, match="headers are too large"):
            await publisher.publish(SUBJECT, b"", msg_id="x", headers={"A": "b" * 60_000})
        largest = await publisher.publish(SUBJECT, bytes(MAX_BODY), msg_id="ok", headers={"A": "b" * 30_000})
        assert await largest == PubAck(1, False)
    assert stream.client_id == client
    assert stream.stats["reconnects"] == 0
    assert [len(message.body) for message in await stored(stream)] == [MAX_BODY]


@pytest.mark.parametrize(
    "subject", ["rugs.other.a.b.c", "rugs.events.a.b", "rugs.events.a.b.>", "rugs.events.a.b.c d", ""]
)
async def test_what_no_stream_would_take_is_refused(nc: Client, subject: str) -> None:
    async with publishing(nc) as publisher:
        with pytest.raises(BusError, match="not an event's subject"):
            await publisher.publish(subject, b"", msg_id="x")
        with pytest.raises(BusError, match="msg_id"):
            await publisher.publish(SUBJECT, b"", msg_id="")


async def test_refused_for_good_fails_and_the_next_of_its_key_goes_on(stream: Client) -> None:
    js = stream.jetstream()
    await js.update_stream((await js.stream_info("RUGS_EVENTS")).config.evolve(max_msg_size=1000))
    async with publishing(stream) as publisher:
        large = await publisher.publish(SUBJECT, bytes(2000), msg_id="large")
        small = await publisher.publish(SUBJECT, bytes(10), msg_id="small")
        with pytest.raises(BusError, match="message size exceeds maximum"):
            await large
        assert (await small).seq == 1


async def test_waits_for_the_stream_to_exist(nc: Client, until: Until) -> None:
    async with publishing(nc) as publisher:
        early = await publisher.publish(SUBJECT, b"x", msg_id="early")
        await until(lambda: publisher.trouble is not None)
        assert not early.done()
        await ensure_streams(nc, SETTINGS)
        assert await early == PubAck(1, False)
        assert publisher.trouble is None


async def test_close_fails_what_is_not_confirmed(stream: Client, until: Until, pause: Pause) -> None:
    publisher = Publisher(stream)
    await pause()
    pending = [
        await publisher.publish(SUBJECT, bytes(1_000_000), msg_id=str(number), key=str(number)) for number in range(16)
    ]
    blocked = asyncio.create_task(publisher.publish(SUBJECT, bytes(1_000_000), msg_id="last"))
    await until(lambda: stream.stats["out_bytes"] > 2_500_000)  # more than the client's own buffer takes
    async with asyncio.timeout(5):
        await publisher.close()
    for future in pending:
        with pytest.raises(BusError, match="closed"):
            await future
    with pytest.raises(BusError, match="closed"):
        await blocked
    with pytest.raises(BusError, match="closed"):
        await publisher.publish(SUBJECT, b"", msg_id="later")


async def test_a_full_stream_keeps_the_order_and_loses_nothing(stream: Client, until: Until) -> None:
    """Small messages would fit where a large one did not, and would overtake it."""
    await ensure_streams(stream, replace(SETTINGS, max_bytes=100_000))
    choose = random.Random(3)
    sent: dict[str, list[int]] = defaultdict(list)
    read: list[Message] = []
    async with publishing(stream, max_in_flight=32) as publisher:

        async def publish_all() -> None:
            for number in range(400):
                key = choose.choice("abcde")
                sent[key].append(number)
                padding = bytes(choose.choice([10, 300, 20_000]))
                await publisher.publish(SUBJECT, f"{key}:{number}:".encode() + padding, msg_id=str(number), key=key)
            await publisher.flush()

        everything = asyncio.create_task(publish_all())
        refusals = 0
        while not everything.done():
            await until(lambda: publisher.trouble is not None or everything.done())
            refusals += 1
            read += [message for message in await stored(stream) if not read or message.seq > read[-1].seq]
            await purge_below(stream, read[-1].seq - choose.randrange(3))
        await everything
        assert refusals > 10
    read += [message for message in await stored(stream) if message.seq > read[-1].seq]
    assert_each_once_in_order(read, sent)


@pytest.mark.crash
async def test_a_broker_killed_under_load_gets_each_message_once_in_order(broker: Broker, stream: Client) -> None:
    choose = random.Random(5)
    sent: dict[str, list[int]] = defaultdict(list)
    acks: list[asyncio.Future[PubAck]] = []
    async with publishing(stream) as publisher:

        async def publish_all() -> None:
            for number in range(4000):
                key = choose.choice("abcdefghij")
                sent[key].append(number)
                body = f"{key}:{number}:".encode() + bytes(choose.choice([10, 5000, 50_000]))
                acks.append(await publisher.publish(SUBJECT, body, msg_id=str(number), key=key))
            await publisher.flush(timeout=60)

        everything = asyncio.create_task(publish_all())
        for milestone in (500, 1500, 2500):
            while len(acks) < milestone:  # noqa: ASYNC110 (the load goes on beside)
                await asyncio.sleep(0.001)
            broker.kill()
            await asyncio.to_thread(broker.start)
        await everything
    messages = await stored(stream)
    assert_each_once_in_order(messages, sent)
    where = {message.seq: message.headers["Nats-Msg-Id"] for message in messages}
    assert [where[(await ack).seq] for ack in acks] == [str(number) for number in range(4000)]


@pytest.mark.crash
async def test_a_broker_paused_past_every_time_out(broker: Broker, stream: Client, until: Until, pause: Pause) -> None:
    async with publishing(stream, ack_timeout=0.3) as publisher:
        await (await publisher.publish(SUBJECT, b"a:0:", msg_id="0", key="a"))
        await pause()
        for number in range(1, 20):
            await publisher.publish(SUBJECT, f"a:{number}:".encode() + bytes(9000), msg_id=str(number), key="a")
        await until(lambda: not stream.is_connected)  # the client has given the connection up
        broker.signal(signal.SIGCONT)
        await publisher.flush(timeout=20)
    assert_each_once_in_order(await stored(stream), {"a": list(range(20))})


async def test_lost_connections_lose_nothing(stream: Client, until: Until) -> None:
    sent: dict[str, list[int]] = defaultdict(list)
    async with publishing(stream) as publisher:
        for number in range(1000):
            key = str(number % 7)
            sent[key].append(number)
            await publisher.publish(SUBJECT, f"{key}:{number}:".encode() + bytes(3000), msg_id=str(number), key=key)
            if number % 200 == 100:
                await stream.force_reconnect()
        await publisher.flush(timeout=30)
    assert stream.stats["reconnects"] > 0
    assert_each_once_in_order(await stored(stream), sent)
