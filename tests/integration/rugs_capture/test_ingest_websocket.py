"""`/ingest/ws`: each message is answered, in order, when it is safe; what is too much is not read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgpack
import pytest
import pytest_asyncio
from nats.aio.client import Client

from rugs_runtime.broker import Broker
from tests.support.clientkit import flush, stored
from tests.support.ingestkit import JSON, Open, http_door, lines

pytestmark = pytest.mark.slow


@pytest_asyncio.fixture
async def opened(stream: Client, broker: Broker, tmp_path: Path) -> AsyncIterator[Open]:
    async with http_door(broker.url, tmp_path / "spool", max_message=1_000_000) as door:
        yield door


def event(number: int) -> str:
    return json.dumps({"event": "e", "data": number})


async def test_each_message_is_answered_in_order(opened: Open, stream: Client) -> None:
    sent: list[str | bytes] = [
        event(1),
        '42["x",{"gameId":"g"}]',
        msgpack.packb([{"event": "m"}, {"event": "n"}]),
        f"{event(2)}\n{event(3)}",
        "junk",
        f"[{event(4)}, 5]",
        b"\xff",
    ]
    async with opened.client.ws_connect(f"{opened.url}/ingest/ws", headers={"Rugs-Session": "s"}) as socket:
        for message in sent:
            await (socket.send_bytes(message) if isinstance(message, bytes) else socket.send_str(message))
        answers = [await socket.receive_json() for _ in sent]
    assert [(a["status"], a["accepted"], a["rejected"]) for a in answers] == [
        (200, 1, 0), (200, 1, 0), (200, 2, 0), (200, 2, 0), (400, 0, 1), (202, 1, 1), (400, 0, 1)
    ]  # fmt: skip
    assert answers[5]["errors"] == [{"position": 2, "reason": "not a JSON object"}]
    assert await flush(opened.publisher)
    events = await stored(stream)
    assert [e.id for e in events] == [event_id for a in answers for event_id in a["ids"]]
    assert {e.session_id for e in events} == {"s"}
    assert [e.seq for e in events] == sorted({e.seq for e in events})


async def test_many_messages_of_several_sockets(opened: Open, stream: Client) -> None:
    async def talk(name: str) -> list[str]:
        answers: list[dict[str, Any]] = []
        async with opened.client.ws_connect(f"{opened.url}/ingest/ws", headers={"Rugs-Session": name}) as socket:

            async def listen() -> None:
                answers.extend([await socket.receive_json() for _ in range(500)])

            listening = asyncio.create_task(listen())
            for number in range(500):
                await socket.send_str(event(number))
            await listening
        return [a["ids"][0] for a in answers]

    ids = await asyncio.gather(*(talk(name) for name in "abc"))
    assert await flush(opened.publisher)
    events = await stored(stream)
    for name, own in zip("abc", ids, strict=True):
        mine = [e for e in events if e.session_id == name]
        assert [e.id for e in mine] == own
        assert [json.loads(str(e.raw))["data"] for e in mine] == list(range(500))


async def test_without_a_broker_the_spool_takes_it(opened: Open, stream: Client, broker: Broker) -> None:
    async with opened.client.ws_connect(f"{opened.url}/ingest/ws") as socket:
        broker.kill()
        for number in range(20):
            await socket.send_str(event(number))
        answers = [await socket.receive_json() for _ in range(20)]
    assert {a["status"] for a in answers} == {200}
    broker.start()
    assert await flush(opened.publisher)
    assert [e.id for e in await stored(stream)] == [a["ids"][0] for a in answers]


async def test_more_than_the_rate_waits(stream: Client, broker: Broker, tmp_path: Path) -> None:
    async with http_door(broker.url, tmp_path / "spool", events_per_second=100) as opened:
        clock = asyncio.get_running_loop().time
        began = clock()
        async with opened.client.ws_connect(f"{opened.url}/ingest/ws") as socket:
            await socket.send_bytes(lines(0, 300))
            await socket.send_bytes(lines(300, 3000))
            answers = [await socket.receive_json() for _ in range(2)]
        assert [a["accepted"] for a in answers] == [300, 3000]
        assert clock() - began > 0.9, "two seconds' worth at once; a second for the rest, before the next message"
        posted = await opened.post(event(1), JSON)
        assert posted.status == 429, "whoever comes from this machine shares its limits: half a minute of debt"


async def test_a_message_that_is_too_large_ends_the_socket(opened: Open, stream: Client) -> None:
    async with opened.client.ws_connect(f"{opened.url}/ingest/ws") as socket:
        await socket.send_str(event(1))
        assert (await socket.receive_json())["status"] == 200
        await socket.send_str("x" * 1_000_001)
        closing = await socket.receive()
        assert closing.type is aiohttp.WSMsgType.CLOSE
        assert closing.data == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
    assert (await opened.post(event(2), JSON)).status == 200


async def test_sockets_are_bounded_and_keys_are_not_for_them(stream: Client, broker: Broker, tmp_path: Path) -> None:
    async with http_door(broker.url, tmp_path / "spool", max_sockets=1) as opened:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await opened.client.ws_connect(f"{opened.url}/ingest/ws", headers={"Idempotency-Key": "k"})
        assert refused.value.status == 400
        async with opened.client.ws_connect(f"{opened.url}/ingest/ws"):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await opened.client.ws_connect(f"{opened.url}/ingest/ws")
            assert refused.value.status == 429
        async with opened.client.get(f"{opened.url}/ingest/ws") as response:
            assert response.status == 400


async def test_who_hangs_up_at_once_is_stored_all_the_same(opened: Open, stream: Client) -> None:
    async with opened.client.ws_connect(f"{opened.url}/ingest/ws") as socket:
        for number in range(50):
            await socket.send_str(event(number))
    async with asyncio.timeout(10):
        while opened.tap.frames < 50:  # noqa: ASYNC110 (seen from outside)
            await asyncio.sleep(0.005)
    assert await flush(opened.publisher)
    assert len(await stored(stream)) == 50


async def test_sockets_are_told_when_the_door_closes(stream: Client, broker: Broker, tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as client:
        async with http_door(broker.url, tmp_path / "spool") as opened:
            socket = await client.ws_connect(f"{opened.url}/ingest/ws")
            await socket.send_str(event(1))
            assert (await socket.receive_json())["accepted"] == 1
            listening = asyncio.create_task(socket.receive())
        closing = await listening
        assert (closing.type, closing.data) == (aiohttp.WSMsgType.CLOSE, aiohttp.WSCloseCode.GOING_AWAY)
