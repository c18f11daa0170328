"""`POST /ingest`: what was accepted is safe and arrives once; what is not is refused to its sender's face."""

from __future__ import annotations

import asyncio
import gzip
import json
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgpack
import pytest
import pytest_asyncio
import zstandard
from nats.aio.client import Client

from rugs_bus import StreamSettings, ensure_streams
from rugs_capture.ingest.http import HttpDoor
from rugs_capture.source import SourceError
from rugs_client import Publisher
from rugs_proto import Envelope, encode
from rugs_runtime.broker import Broker
from tests.conftest import Until
from tests.support.clientkit import STREAMS, flush, stored
from tests.support.ingestkit import JSON, LINES, DoorProcess, Open, http_door, lines

pytestmark = pytest.mark.slow

FRAME = '42["gameStateUpdate",{"gameId":"g-1","price":1.5,"tickCount":3}]'


@pytest_asyncio.fixture
async def opened(stream: Client, broker: Broker, tmp_path: Path) -> AsyncIterator[Open]:
    async with http_door(broker.url, tmp_path / "spool") as door:
        yield door


async def test_whatever_is_accepted_is_stored_with_the_bytes_that_came(opened: Open, stream: Client) -> None:
    packed = msgpack.packb({"event": "packed", "data": {"gameId": "g-2"}})
    whole = Envelope(
        v=1, ts=1_763_700_000_000_000, doc_type="x", source="cdp", session_id="s", seq=9, direction="sent", raw=""
    )  # fmt: skip
    sent: list[tuple[bytes, str, list[str | bytes]]] = [
        (b'{"event":"a","data":null}', "application/json", ['{"event":"a","data":null}']),
        (b'[{"event":"b"} ,\n {"event":"c"}]', "application/json", ['{"event":"b"}', '{"event":"c"}']),
        (b'{"event":"d"}\r\n\r\n{"event":"e"}\n', "application/x-ndjson", ['{"event":"d"}\r', '{"event":"e"}']),
        (packed, "application/msgpack", [packed]),
        (encode([whole]), "application/msgpack", [""]),
        (f"{FRAME}\n2\n".encode(), "text/plain", [FRAME, "2"]),
        (b"\xff\x01", "text/plain", [b"\xff\x01"]),
        (b'{"event":"f"}', "application/x-www-form-urlencoded", ['{"event":"f"}']),
        (FRAME.encode(), "application/octet-stream", [FRAME]),
    ]
    ids, raws = [], []
    for body, content_type, items in sent:
        answer = await opened.post(body, {"Content-Type": content_type})
        assert (answer.status, answer.body["accepted"]) == (200, len(items)), answer
        assert (answer.body["rejected"], answer.body["errors"]) == (0, [])
        ids += answer.ids
        raws += items
    assert await flush(opened.publisher)
    events = await stored(stream)
    assert [(e.id, e.raw) for e in events] == list(zip(ids, raws, strict=True))
    assert {e.source for e in events} == {"manual", "cdp"}
    names = ["a", "b", "c", "d", "e", "packed", "", "gameStateUpdate", "ping", "attachment", "f", "gameStateUpdate"]
    assert [e.event for e in events] == names
    assert events[6] == whole.model_copy(update={"id": whole.computed_id()})
    assert opened.tap.frames == len(raws)


async def test_a_bad_line_is_named_and_the_good_ones_are_kept(opened: Open, stream: Client) -> None:
    answer = await opened.post(b'{"event":"a"}\n{"event"\n\n[]\n{"event":"b"}', LINES)
    assert answer.status == 202
    assert (answer.body["accepted"], answer.body["rejected"]) == (2, 2)
    assert [error["position"] for error in answer.body["errors"]] == [2, 4]
    assert all(error["reason"] for error in answer.body["errors"])
    answer = await opened.post(b'{"event"', JSON)
    assert (answer.status, answer.body["accepted"], answer.body["ids"]) == (400, 0, [])
    assert await flush(opened.publisher)
    assert [e.event for e in await stored(stream)] == ["a", "b"], "nothing else: its sender was told"


async def test_headers_say_whose_events_they_are(opened: Open, stream: Client) -> None:
    told = {"Rugs-Session": "mine", "Rugs-Source": "bot", "Rugs-Direction": "sent"}
    assert (await opened.post(FRAME, told | {"Content-Type": "text/plain"})).status == 200
    answer = await opened.post(FRAME, {"Rugs-Source": "No-body"})
    assert (answer.status, answer.body["accepted"]) == (400, 0)
    assert "Rugs-Source" in answer.body["error"]
    assert await flush(opened.publisher)
    [event] = await stored(stream)
    assert (event.session_id, event.source, event.direction, event.game_id) == ("mine", "bot", "sent", "g-1")


async def test_a_body_that_is_sent_again_with_its_key_is_stored_once(opened: Open, stream: Client) -> None:
    body = lines(0, 50)
    keyed = LINES | {"Idempotency-Key": "batch 7", "Rugs-Session": "s"}
    first, again = await opened.post(body, keyed), await opened.post(body, keyed)
    assert first.ids == again.ids
    numbered = json.dumps({"event": "e", "session": "s", "seq": 5})
    assert (await opened.post(numbered, JSON)).ids == (await opened.post(numbered, JSON)).ids
    plain = [await opened.post(body, LINES), await opened.post(body, LINES)]
    assert set(plain[0].ids).isdisjoint(plain[1].ids), "who does not say so sends new events"
    assert await flush(opened.publisher)
    assert len(await stored(stream)) == 50 + 1 + 100


def in_skippable_frames(content: bytes) -> bytes:
    """Pack as pzstd and seekable zstd do: several frames, with others before, between and behind that are skipped."""
    half, skipped = len(content) // 2, struct.pack("<II", 0x184D2A5E, 700) + bytes(700)
    return skipped + zstandard.compress(content[:half]) + skipped + zstandard.compress(content[half:]) + skipped


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
async def test_packed_bodies(opened: Open, stream: Client, encoding: str) -> None:
    pack = gzip.compress if encoding == "gzip" else in_skippable_frames
    told = LINES | {"Content-Encoding": encoding}
    body = lines(0, 2000)
    answer = await opened.post(pack(body), told)
    assert (answer.status, answer.body["accepted"]) == (200, 2000)
    for torn in (pack(body)[:-5], body, b""):
        answer = await opened.post(torn, told)
        assert (answer.status, answer.body["accepted"]) == (400, 0)
    assert await flush(opened.publisher)
    assert [f"{e.raw!s}\n" for e in await stored(stream)] == body.decode().splitlines(keepends=True)


async def test_what_is_too_large_is_refused_packed_or_not(stream: Client, broker: Broker, tmp_path: Path) -> None:
    limit = 100_000
    async with http_door(broker.url, tmp_path / "spool", max_body=limit) as opened:

        async def in_pieces() -> AsyncIterator[bytes]:
            for _ in range(30):
                yield b"x" * 10_000

        zeros = b"0" * 50_000_000
        streamed = zstandard.ZstdCompressor().compressobj()
        bombs: list[tuple[Any, str]] = [
            (b"x" * (limit + 1), "identity"),
            (in_pieces(), "identity"),
            (gzip.compress(zeros), "gzip"),
            (zstandard.compress(zeros), "zstd"),
            (streamed.compress(zeros) + streamed.flush(), "zstd"),
        ]
        for body, encoding in bombs:
            answer = await opened.post(body, LINES | {"Content-Encoding": encoding})
            assert (answer.status, answer.body["accepted"]) == (413, 0)
            assert str(limit) in answer.body["error"]
        assert (await opened.post(lines(0, 10), LINES)).status == 200, "the door is open as before"
        assert opened.door._room.held == 0


async def test_unknown_types_and_encodings(opened: Open) -> None:
    assert (await opened.post(b"x", {"Content-Type": "image/png"})).status == 415
    assert (await opened.post(b"x", {"Content-Encoding": "br"})).status == 415
    async with opened.client.put(f"{opened.url}/ingest", data=b"x") as response:
        assert response.status == 405
    for path in ("/", "/health"):
        async with opened.client.get(opened.url + path) as response:
            assert (await response.json())["service"] == "rugs ingest"


async def test_a_body_that_breaks_off_or_never_ends_leaves_nothing(
    stream: Client, broker: Broker, tmp_path: Path, until: Until
) -> None:
    async with http_door(broker.url, tmp_path / "spool", read_seconds=0.3) as opened:
        host, port = opened.url.removeprefix("http://").split(":")
        head = b"POST /ingest HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(head + b'{"event":"never"}\n')
        assert b" 408 " in await reader.readline(), "one byte a minute holds nothing up for long"
        writer.close()
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(head + b'{"event":"torn"}\n')
        await writer.drain()
        writer.close()
        assert (await opened.post(b'{"event":"whole"}', JSON)).status == 200
        await until(lambda: opened.door._room.held == 0)
        assert await flush(opened.publisher)
    assert [e.event for e in await stored(stream)] == ["whole"]


async def test_one_connection_too_many_is_turned_away(stream: Client, broker: Broker, tmp_path: Path) -> None:
    async with http_door(broker.url, tmp_path / "spool", max_connections=2) as opened:
        host, port = opened.url.removeprefix("http://").split(":")
        idle = [await asyncio.open_connection(host, int(port)) for _ in range(2)]
        with pytest.raises(aiohttp.ClientError):
            await opened.post(b'{"event":"e"}', JSON)
        idle[0][1].close()
        async with asyncio.timeout(10):
            while True:
                try:
                    answer = await opened.post(b'{"event":"e"}', JSON)
                    break
                except aiohttp.ClientError:  # the door has not noticed yet
                    await asyncio.sleep(0.01)
        assert answer.status == 200
        idle[1][1].close()


async def test_only_the_token_opens(stream: Client, broker: Broker, tmp_path: Path) -> None:
    async with http_door(broker.url, tmp_path / "spool", token="s3cret") as opened:
        for wrong in ({}, {"Authorization": "Bearer s3cre"}, {"Authorization": "Basic s3cret"}):
            answer = await opened.post(b'{"event":"e"}', wrong)
            assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await opened.client.ws_connect(f"{opened.url}/ingest/ws", headers=wrong)
        answer = await opened.post(b'{"event":"e"}', {"Authorization": "Bearer s3cret"})
        assert answer.status == 200


async def test_a_web_page_from_elsewhere_may_not_write(opened: Open) -> None:
    for told in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}):
        answer = await opened.post(b'{"event":"e"}', told)
        assert (answer.status, answer.body["accepted"]) == (403, 0)
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await opened.client.ws_connect(f"{opened.url}/ingest/ws", headers=told)
    answer = await opened.post(b'{"event":"e"}', {"Origin": "http://localhost:3000"})
    assert answer.status == 200, "a page of this machine's own may"


async def test_more_than_the_rate_is_asked_to_come_later(stream: Client, broker: Broker, tmp_path: Path) -> None:
    async with http_door(broker.url, tmp_path / "spool", events_per_second=100) as opened:
        assert (await opened.post(lines(0, 500), LINES)).status == 200
        answer = await opened.post(lines(0, 1), LINES)
        assert (answer.status, answer.body["accepted"]) == (429, 0)
        assert 2 <= int(answer.headers["Retry-After"]) <= 4, "500 events, of which 200 are a burst, at 100 a second"


async def test_too_much_at_once_is_asked_to_come_later(
    stream: Client, broker: Broker, tmp_path: Path, until: Until
) -> None:
    async with http_door(broker.url, tmp_path / "spool", max_held=50_000) as opened:
        going_on = asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield b" " * 40_000
            await going_on.wait()
            yield b'{"event":"slow"}'

        slow = asyncio.create_task(opened.post(slowly(), JSON))
        await until(lambda: opened.door._room.held >= 40_000)
        answer = await opened.post(b" " * 20_000, JSON)
        assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
        going_on.set()
        assert (await slow).status == 200


async def test_without_a_broker_the_spool_takes_it_and_it_arrives_once(
    stream: Client, broker: Broker, tmp_path: Path
) -> None:
    async with http_door(broker.url, tmp_path / "spool") as opened:
        broker.kill()
        answers = [await opened.post(lines(n * 50, 50), LINES) for n in range(4)]
        assert {answer.status for answer in answers} == {200}
        broker.start()
        assert await flush(opened.publisher)
    assert [e.id for e in await stored(stream)] == [event_id for answer in answers for event_id in answer.ids]


@pytest.mark.crash
async def test_what_was_accepted_survives_the_kill_of_the_process(
    stream: Client, broker: Broker, tmp_path: Path
) -> None:
    broker.kill()
    door = await asyncio.to_thread(DoorProcess, broker.url, tmp_path / "spool")
    ids: list[str] = []
    async with aiohttp.ClientSession() as client:
        for number in range(5):
            async with client.post(f"{door.url}/ingest", data=lines(number, 20), headers=LINES) as response:
                assert response.status == 200
                ids += (await response.json())["ids"]
        door.kill()
    broker.start()
    async with Publisher(broker.url, source="manual", spool_dir=tmp_path / "spool") as successor:
        assert await flush(successor)
    events = [e for e in await stored(stream) if e.event != "gap"]
    assert [e.id for e in events] == ids


async def test_clients_at_once_get_all_of_it_in(opened: Open, stream: Client) -> None:
    async def client(name: str) -> list[str]:
        told = LINES | {"Rugs-Session": name}
        return [event_id for n in range(15) for event_id in (await opened.post(lines(n * 20, 20), told)).ids]

    ids = await asyncio.gather(client("one"), client("two"))
    assert await flush(opened.publisher)
    events = await stored(stream)
    for name, own in zip(("one", "two"), ids, strict=True):
        mine = [e for e in events if e.session_id == name]
        assert [e.id for e in mine] == own
        assert [e.seq for e in mine] == sorted({e.seq for e in mine})
        assert [json.loads(str(e.raw))["data"]["n"] for e in mine] == list(range(300))


async def test_what_neither_broker_nor_disk_takes_is_not_accepted(broker: Broker, tmp_path: Path) -> None:
    broker.kill()
    (tmp_path / "file").write_text("in the way")
    async with http_door(
        broker.url, tmp_path / "file" / "spool", publisher={"queue_events": 100}, safe_seconds=0.3
    ) as opened:
        answer = await opened.post(lines(0, 10), LINES)
        assert (answer.status, answer.body["accepted"], answer.body["ids"]) == (503, 0, [])
        assert answer.headers["Retry-After"]
        answer = await opened.post(lines(0, 2000, pad=8000), LINES)
        assert (answer.status, answer.body["rejected"]) in {(429, 0), (503, 0)}


async def test_a_full_spool_is_told_and_nothing_is_accepted_that_is_not_kept(
    stream: Client, broker: Broker, tmp_path: Path
) -> None:
    async with http_door(broker.url, tmp_path / "spool", publisher={"spool_bytes": 200_000}) as opened:
        broker.kill()
        answers = [await opened.post(lines(n * 20, 20, pad=1000), LINES) for n in range(20)]
        assert answers[0].status == 200
        assert {answer.status for answer in answers} == {200, 429, 503}
        assert all(answer.headers["Retry-After"] for answer in answers if answer.status != 200)
        broker.start()
        assert await flush(opened.publisher)
        ids = {e.id for e in await stored(stream)}
        assert {event_id for answer in answers for event_id in answer.ids} <= ids
        assert (await opened.post(lines(0, 1), LINES)).status == 200, "there is room again"


async def test_a_stream_that_is_full_is_borne_by_the_spool(broker: Broker, nc: Client, tmp_path: Path) -> None:
    await ensure_streams(nc, StreamSettings(max_bytes=100_000))
    async with http_door(broker.url, tmp_path / "spool") as opened:
        answers = [await opened.post(lines(n * 50, 50, pad=1000), LINES) for n in range(6)]
        assert {answer.status for answer in answers} == {200}
        await ensure_streams(nc, STREAMS)
        assert await flush(opened.publisher)
        assert len(await stored(nc)) == 300


async def test_requests_are_answered_when_the_door_closes(
    stream: Client, broker: Broker, tmp_path: Path, until: Until
) -> None:
    async with http_door(broker.url, tmp_path / "spool") as opened:
        posting = asyncio.create_task(opened.post(lines(0, 3000), LINES))
        await until(lambda: opened.publisher.stats.accepted > 0)
        closing = next(task for task in asyncio.all_tasks() if "HttpDoor.run" in repr(task.get_coro()))
        closing.cancel()
        assert (await posting).body["accepted"] == 3000


async def test_the_port_is_taken(opened: Open, broker: Broker, tmp_path: Path) -> None:
    port = int(opened.url.rpartition(":")[2])
    with pytest.raises(SourceError, match="RUGS_INGEST_PORT"):
        await HttpDoor(port=port).run(opened.tap)
