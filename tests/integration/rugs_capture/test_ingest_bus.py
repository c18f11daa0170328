"""`rugs.ingest.>`: what the stock `nats` command sends, as it sends it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import msgpack
import pytest
import pytest_asyncio
from nats.aio.client import Client

from rugs_capture.supervise import Supervised
from rugs_proto import Envelope, encode
from rugs_runtime.broker import Broker
from tests.conftest import Until
from tests.support.clientkit import flush, stored
from tests.support.ingestkit import bus_door

pytestmark = pytest.mark.slow


@pytest_asyncio.fixture
async def door(stream: Client, broker: Broker, tmp_path: Path) -> AsyncIterator[Supervised]:
    async with bus_door(broker.url, tmp_path / "spool") as opened:
        yield opened


async def ingested(nc: Client, door: Supervised) -> list[Envelope]:
    """What the stream holds of what was sent: without what the door says of itself."""
    assert await flush(door.tap.publisher)
    return [e for e in await stored(nc) if e.doc_type != "system_event"]


async def test_a_request_is_answered_with_the_id_of_its_event(door: Supervised, stream: Client) -> None:
    answer = await stream.request("rugs.ingest.ws", b'{"event":"x","data":{"gameId":"g"}}', timeout=5)
    [event] = await ingested(stream, door)
    assert answer.data.decode() == f'{{"accepted":1,"rejected":0,"ids":["{event.id}"]}}'
    assert (event.raw, event.game_id, event.source) == ('{"event":"x","data":{"gameId":"g"}}', "g", "manual")


async def test_whatever_is_published_is_stored_with_its_bytes(door: Supervised, stream: Client, until: Until) -> None:
    packed = msgpack.packb({"event": "packed"})
    told = Envelope(
        v=1, ts=1_763_700_000_000_000, doc_type="ws_event", source="ui", session_id="s", seq=3, direction="sent"
    )  # fmt: skip
    bodies = [
        b'{"event":"a"}',
        b'42["gameStateUpdate",{"gameId":"g","price":1.5}]',
        b'451-["x",{"_placeholder":true,"num":0}]',
        packed,
        encode([told, told.model_copy(update={"seq": 4})]),
        b'{"event":"b"}\n{"event":"c"}\n',
    ]
    for body in bodies:
        await stream.publish("rugs.ingest.anything.at.all", body)
    await until(lambda: door.tap.frames == 8)
    events = await ingested(stream, door)
    assert [e.raw for e in events] == [
        *(body.decode() for body in bodies[:3]), packed, None, None, '{"event":"b"}', '{"event":"c"}'
    ]  # fmt: skip
    assert [e.event for e in events] == ["a", "gameStateUpdate", "x", "packed", "", "", "b", "c"]
    assert (events[4].session_id, events[4].seq, events[4].source) == ("s", 3, "ui")


async def test_headers_and_a_message_id(door: Supervised, stream: Client, until: Until) -> None:
    told = {"Rugs-Session": "abc", "Rugs-Source": "bot", "Rugs-Direction": "sent"}
    await stream.publish("rugs.ingest.ws", b'{"event":"x"}', headers=told)
    answers = [
        json.loads((await stream.request("rugs.ingest.ws", b'{"event":"y"}', headers={"Nats-Msg-Id": "once"})).data)
        for _ in range(2)
    ]
    assert answers[0] == answers[1]
    first, second = await ingested(stream, door)
    assert (first.session_id, first.source, first.direction) == ("abc", "bot", "sent")
    assert [second.id] == answers[0]["ids"]


async def test_what_is_bad_is_kept_as_a_reject_and_told_to_who_asks(door: Supervised, stream: Client) -> None:
    bad = [b"junk", b'{"event":', b"", b"\xc1\xff", b'{"no":"event"}']
    for body in bad:
        answer = json.loads((await stream.request("rugs.ingest.ws", body, timeout=5)).data)
        assert (answer["accepted"], answer["rejected"], answer["ids"]) == (0, 1, [])
        assert answer["errors"][0]["position"] == 1
    answer = json.loads((await stream.request("rugs.ingest.ws", b"{}", headers={"Rugs-Source": "No-body"})).data)
    assert "Rugs-Source" in answer["errors"][0]["reason"]
    mixed = json.loads((await stream.request("rugs.ingest.ws", b'{"event":"good"}\n{"bad":1}')).data)
    assert (mixed["accepted"], mixed["rejected"], mixed["errors"][0]["position"]) == (1, 1, 2)
    events = await ingested(stream, door)
    rejects = [e for e in events if e.doc_type == "reject"]
    raws = [e.raw.encode() if isinstance(e.raw, str) else e.raw for e in rejects]
    assert raws == [*bad, b"{}", b'{"bad":1}']
    assert all(e.fields["reason"] for e in rejects)
    assert [e.event for e in events if e.doc_type == "ws_event"] == ["good"]


async def test_an_old_capture_line_by_line(door: Supervised, stream: Client, until: Until) -> None:
    old = [
        f'{{"seq": {n}, "ts": "2026-01-05T01:02:03.{n:06}+00:00", "event": "gameStateUpdate", '
        f'"data": {{"gameId": "g", "tickCount": {n}}}, "source": "cdp_intercept", "direction": "received"}}'
        for n in range(1, 301)
    ]
    for _ in range(2):  # piped in twice by mistake
        for line in old:
            await stream.publish("rugs.ingest.ws", line.encode(), headers={"Rugs-Session": "old file"})
    await until(lambda: door.tap.frames == 600)
    events = await ingested(stream, door)
    assert [(e.raw, e.seq, e.fields["tick"]) for e in events] == [(line, n, n) for n, line in enumerate(old, 1)]
    assert events[6].ts == 1767574923000007


async def test_two_gateways_share_the_messages(stream: Client, broker: Broker, tmp_path: Path, until: Until) -> None:
    async with bus_door(broker.url, tmp_path / "one") as one, bus_door(broker.url, tmp_path / "two") as two:
        for n in range(400):
            await stream.publish("rugs.ingest.ws", f'{{"event":"e","data":{n}}}'.encode())
        await until(lambda: one.tap.frames + two.tap.frames == 400)
        assert one.tap.frames > 0
        assert two.tap.frames > 0
        assert await flush(one.tap.publisher)
        events = await ingested(stream, two)
    assert sorted(json.loads(str(e.raw))["data"] for e in events) == list(range(400))


async def test_what_is_too_much_is_counted_and_told_of(
    stream: Client, broker: Broker, tmp_path: Path, until: Until
) -> None:
    sent = 5000
    async with bus_door(broker.url, tmp_path / "spool", pending_messages=100) as door:
        body = b'{"event":"e","data":"' + b"x" * 2000 + b'"}'
        for _ in range(sent):
            await stream.publish("rugs.ingest.ws", body)
        await stream.flush()

        async with asyncio.timeout(20):
            while True:
                await stream.publish("rugs.ingest.ws", body)
                sent += 1
                await stream.flush()
                assert await flush(door.tap.publisher)
                events = await stored(stream)
                lost = sum(e.fields["lost"] for e in events if e.event == "gap")
                if lost and lost + len([e for e in events if e.event == "e"]) == sent:
                    break
        assert door.tap.gaps > 0
    gap = next(e for e in events if e.event == "gap")
    assert (gap.doc_type, gap.fields["since"] <= gap.fields["until"]) == ("system_event", True)


async def test_a_broker_that_was_away_is_a_gap(door: Supervised, stream: Client, broker: Broker, until: Until) -> None:
    await stream.request("rugs.ingest.ws", b'{"event":"before"}')
    broker.kill()
    await until(lambda: door.state != "live")
    broker.start()
    await until(lambda: door.state == "live")
    await until(lambda: stream.is_connected)
    await stream.request("rugs.ingest.ws", b'{"event":"after"}', timeout=5)
    assert [e.event for e in await ingested(stream, door)] == ["before", "after"]
    [gap] = [e for e in await stored(stream) if e.event == "gap"]
    assert gap.fields["cause"] == "the connection to the broker was lost"


async def test_what_has_come_is_taken_before_the_door_closes(stream: Client, broker: Broker, tmp_path: Path) -> None:
    async with bus_door(broker.url, tmp_path / "spool") as door:
        for n in range(300):
            await stream.publish("rugs.ingest.ws", f'{{"event":"e","data":{n}}}'.encode())
        await stream.flush()
        await stream.flush()  # the first PING of a plain client overtakes what still waits to be written
    assert door.tap.frames == 300
    assert len([e for e in await stored(stream) if e.event == "e"]) == 300
