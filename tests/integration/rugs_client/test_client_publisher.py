"""The client's publisher: never in the way, and every event at the broker, in the spool, or told of by a gap."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

from rugs_bus import ensure_streams, get_blob
from rugs_client import Publisher
from rugs_proto import decode
from rugs_runtime.broker import Broker
from tests.conftest import Pause
from tests.support.clientkit import FRAME, STREAMS, assert_whole, flush, messages, publish, secure, stored

pytestmark = pytest.mark.slow


async def test_what_is_published_arrives_once_in_order_and_unaltered(
    stream: Client, broker: Broker, tmp_path: Path
) -> None:
    before = time.time_ns() // 1000
    async with Publisher(broker.url, source="cdp", spool_dir=tmp_path / "spool") as publisher:
        publish(publisher, range(1, 301))
        assert await flush(publisher)
        assert publisher.stats.sent == publisher.stats.accepted == 300
        assert (publisher.stats.dropped, publisher.stats.refused, publisher.stats.spooled) == (0, 0, 0)
        assert publisher.stats.connected
        assert publisher.stats.trouble is None
    events = await stored(stream)
    assert assert_whole(events, up_to=300) == []
    assert [e.fields["n"] for e in events] == list(range(1, 301))
    assert {(e.raw, e.event, e.game_id, e.direction, e.session_id) for e in events} == {
        (FRAME, "gameStateUpdate", "g-1", "received", publisher.session_id)
    }
    assert all(before <= e.ts == (e.recv_ts or 0) <= time.time_ns() // 1000 for e in events)


async def test_threads_and_tasks_publish_at_once(stream: Client, broker: Broker, tmp_path: Path) -> None:
    with Publisher(broker.url, source="ui", spool_dir=tmp_path / "spool") as publisher:

        def from_a_thread(worker: int) -> None:
            for number in range(200):
                publisher.publish("a", fields={"worker": worker, "n": number})

        async def from_a_task(worker: int) -> None:
            for number in range(200):
                publisher.publish("a", fields={"worker": worker, "n": number})
                await asyncio.sleep(0)

        threads = [threading.Thread(target=from_a_thread, args=[worker]) for worker in range(4)]
        for thread in threads:
            thread.start()
        await asyncio.gather(*(from_a_task(worker) for worker in range(4, 8)))
        for thread in threads:
            await asyncio.to_thread(thread.join)
        assert await flush(publisher)
    events = await stored(stream)
    assert assert_whole(events, up_to=1600) == []
    for worker in range(8):
        assert [e.fields["n"] for e in events if e.fields["worker"] == worker] == list(range(200))


async def test_each_source_of_a_session_is_numbered_for_itself(stream: Client, broker: Broker, tmp_path: Path) -> None:
    with Publisher(broker.url, source="public_ws", spool_dir=tmp_path / "spool", session_id="s") as publisher:
        for number in range(30):
            publisher.publish("e", source=("public_ws", "ui", "cdp")[number % 3], fields={"n": number})
        assert await flush(publisher)
    events = await stored(stream)
    assert [e.fields["n"] for e in events] == list(range(30))
    for source, session in (("public_ws", "s"), ("ui", "s-ui"), ("cdp", "s-cdp")):
        assert_whole([e for e in events if (e.source, e.session_id) == (source, session)], up_to=10)


async def test_a_paused_broker_stops_nobody_and_nothing_is_lost(
    stream: Client, broker: Broker, pause: Pause, tmp_path: Path
) -> None:
    publisher = Publisher(broker.url, source="cdp", spool_dir=tmp_path / "spool")
    publish(publisher, range(1, 11))
    assert await flush(publisher)
    await pause()
    slowest = 0.0
    for number in range(11, 1011):
        begin = time.perf_counter()
        publish(publisher, range(number, number + 1))
        slowest = max(slowest, time.perf_counter() - begin)
    assert slowest < 1.0, "far below any time-out of the bus; usually microseconds"
    assert await secure(publisher), "in the spool, since the broker does not answer"
    assert not await flush(publisher, 0.2)
    assert publisher.stats.spooled >= 900
    broker.signal(signal.SIGCONT)
    assert await flush(publisher)
    await asyncio.to_thread(publisher.close)
    assert assert_whole(await stored(stream), up_to=1010) == []


async def test_closing_with_a_paused_broker_is_quick_and_leaves_all_in_the_spool(
    stream: Client, broker: Broker, pause: Pause, tmp_path: Path
) -> None:
    publisher = Publisher(broker.url, source="cdp", spool_dir=tmp_path / "spool", session_id="s", close_timeout=0.1)
    publish(publisher, range(1, 11))
    assert await flush(publisher)
    await pause()
    publish(publisher, range(11, 51))
    begin = time.monotonic()
    await asyncio.to_thread(publisher.close)
    assert time.monotonic() - begin < 6
    assert not publisher.publish("too late")
    broker.signal(signal.SIGCONT)
    with Publisher(broker.url, source="cdp", spool_dir=tmp_path / "spool") as publisher:
        assert await flush(publisher)
    assert assert_whole(await stored(stream), up_to=50) == []


async def test_a_backlog_is_batched_and_kept_in_order(stream: Client, broker: Broker, tmp_path: Path) -> None:
    broker.kill()
    with Publisher(broker.url, source="cdp", spool_dir=tmp_path / "spool") as publisher:
        for number in range(1, 601):
            doc_type = "ws_event" if number <= 400 else "player_action"
            publisher.publish("a" if number % 2 else "b", doc_type=doc_type, raw=FRAME, fields={"n": number})
        assert await secure(publisher)
        assert publisher.stats.trouble
        broker.start()
        assert await flush(publisher)
        assert publisher.stats.spooled == 0
    held = await messages(stream)
    assert len(held) < 30
    assert [e.fields["n"] for m in held for e in decode(m.body)] == list(range(1, 601)), "each is there once"
    assert {m.subject for m in held if len(decode(m.body)) > 1} == {
        "rugs.events.ws_event.cdp._",
        "rugs.events.player_action.cdp._",
    }


async def test_without_a_stream_events_wait_for_it(nc: Client, broker: Broker, tmp_path: Path) -> None:
    with Publisher(broker.url, source="cdp", spool_dir=tmp_path / "spool") as publisher:
        publish(publisher, range(1, 21))
        assert await secure(publisher)
        assert not await flush(publisher, 0.3)
        assert publisher.stats.trouble
        await ensure_streams(nc, STREAMS)
        assert await flush(publisher)
    assert_whole(await stored(nc), up_to=20)


async def test_the_broker_comes_and_goes(stream: Client, broker: Broker, tmp_path: Path) -> None:
    with Publisher(broker.url, source="cdp", spool_dir=tmp_path / "spool") as publisher:
        for life in range(6):
            publish(publisher, range(100 * life + 1, 100 * life + 51))
            if life % 2:
                broker.kill()
            publish(publisher, range(100 * life + 51, 100 * life + 101))
            if life % 2:
                await asyncio.sleep(0.05 * life)  # each time another moment
                broker.start()
        assert await flush(publisher)
        assert publisher.stats.refused == 0
    events = await stored(stream)
    assert assert_whole(events, up_to=600) == []
    assert [e.fields["n"] for e in events] == list(range(1, 601))


async def test_a_full_spool_refuses_the_newest_and_says_so(stream: Client, broker: Broker, tmp_path: Path) -> None:
    broker.kill()
    with Publisher(broker.url, source="cdp", spool_dir=tmp_path / "spool", spool_bytes=300_000) as publisher:
        for first in range(1, 201, 20):
            publish(publisher, range(first, first + 20))
            assert await secure(publisher)
        assert publisher.stats.refused > 100
        assert publisher.stats.trouble
        lost = publisher.stats.refused
        broker.start()
        assert await flush(publisher)
        publish(publisher, range(201, 211))
        assert await flush(publisher)
    [gap] = assert_whole(await stored(stream), up_to=210)
    assert gap.fields["cause"] == "spool full"
    assert gap.fields["lost"] == lost
    assert gap.fields["last_seq"] == 200


async def test_a_full_queue_drops_the_newest_and_says_so(stream: Client, broker: Broker, tmp_path: Path) -> None:
    with Publisher(broker.url, source="cdp", spool_dir=tmp_path / "spool", queue_events=50) as publisher:
        taken = [publisher.publish("e", fields={"n": number}) for number in range(20_000)]
        assert await flush(publisher)
        assert publisher.stats.dropped == taken.count(False) > 0
    events = await stored(stream)
    gaps = assert_whole(events, up_to=20_000)
    assert [e.fields["n"] for e in events if e.event == "e"] == [n for n, yes in enumerate(taken) if yes]
    assert sum(gap.fields["lost"] for gap in gaps) == publisher.stats.dropped
    assert {gap.fields["cause"] for gap in gaps} == {"queue full"}


async def test_without_a_disk_it_still_publishes(stream: Client, broker: Broker, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with Publisher(broker.url, source="cdp", spool_dir=tmp_path / "file" / "spool", session_id="s") as publisher:
        publish(publisher, range(1, 101))
        assert await flush(publisher)
        assert publisher.session_id != "s", "how far s had come cannot be known"
    assert_whole(await stored(stream), up_to=100)


async def test_a_large_frame_goes_through_the_object_store(stream: Client, broker: Broker, tmp_path: Path) -> None:
    frame = '42["full","' + "ü" * 5_000_000 + '"]'
    with Publisher(broker.url, source="cdp", spool_dir=tmp_path / "spool") as publisher:
        publish(publisher, range(1, 3))
        assert publisher.publish("full", raw=frame)
        publish(publisher, range(4, 6))
        assert await flush(publisher)
        broker.kill()
        publisher.publish("full", raw=frame.encode()[:-1])
        assert await secure(publisher)
        broker.start()
        assert await flush(publisher)
    events = await stored(stream)
    assert_whole(events, up_to=6)
    first, second = [e for e in events if e.event == "full"]
    assert (first.raw, first.blob) == (None, sha256(frame.encode()).hexdigest())
    assert await get_blob(stream, str(first.id)) == frame.encode()
    assert await get_blob(stream, str(second.id)) == frame.encode()[:-1]


async def test_what_breaks_the_contract_is_stored_as_a_reject(stream: Client, broker: Broker, tmp_path: Path) -> None:
    publisher = Publisher(broker.url, source="cdp", spool_dir=tmp_path / "spool")
    bad: list[dict[str, object]] = [
        {"doc_type": "Not A Type", "raw": "kept"},
        {"ts": 5, "fields": {"kept": True}},
        {"ts": "yesterday"},
        {"direction": "sideways"},
        {"raw": "x" * 40_000_000},
        {"fields": {"much": "x" * 9_000_000}},
    ]
    deep: list[object] = []
    deep.append(deep)
    fine: list[dict[str, object]] = [
        {"raw": "half a pair: \ud83d"},
        {"raw": bytearray(b"\xff\x00")},
        {"raw": {"not": "bytes"}},
        {"source": "Else-Where"},
        {"game_id": 5, "username": "x" * 1000},
        {"fields": [1, 2]},
        {"fields": {1: float("nan"), "object": object(), "deep": deep}},
    ]
    for content in (*bad, *fine):
        assert publisher.publish("e", **content)  # type: ignore[arg-type]
    assert publisher.publish(None)  # type: ignore[arg-type]
    assert await flush(publisher)
    assert publisher.stats.refused == 1, "only what no store takes is lost"
    await asyncio.to_thread(publisher.close)
    events = await stored(stream)
    [gap] = assert_whole(events, up_to=len(bad) + len(fine) + 1)
    assert "too large" in gap.fields["cause"]
    rejects = [e for e in events if e.doc_type == "reject"]
    assert [e.seq for e in rejects] == [1, 2, 3, 4, 6]
    assert rejects[0].raw == "kept"
    assert all(e.fields["reason"] for e in rejects)
    assert rejects[1].raw == '{"kept": true}'
    assert next(e for e in events if e.seq == 7).raw == b"half a pair: \xed\xa0\xbd"
    assert next(e for e in events if e.seq == 8).raw == b"\xff\x00"


async def test_a_session_that_is_told_goes_on_where_it_was(stream: Client, broker: Broker, tmp_path: Path) -> None:
    for life in range(3):
        with Publisher(broker.url, source="cdp", spool_dir=tmp_path / "spool", session_id="s") as publisher:
            publish(publisher, range(10 * life + 1, 10 * life + 11))
            assert await flush(publisher)
    assert assert_whole(await stored(stream), up_to=30) == [], "closed in order: nothing is missing"


async def test_programs_that_run_at_once_have_a_spool_each_and_the_next_takes_over_what_they_left(
    stream: Client, broker: Broker, tmp_path: Path
) -> None:
    broker.kill()
    several = [
        Publisher(broker.url, source="cdp", spool_dir=tmp_path / "spool", session_id="s", close_timeout=0)
        for _ in range(3)
    ]
    assert len({publisher.session_id for publisher in several}) == 3
    for publisher in several:
        publish(publisher, range(1, 41))
        assert await secure(publisher)
        await asyncio.to_thread(publisher.close)
    broker.start()
    with Publisher(broker.url, source="cdp", spool_dir=tmp_path / "spool") as publisher:
        assert await flush(publisher)
    events = await stored(stream)
    for one in several:
        assert assert_whole([e for e in events if e.session_id == one.session_id], up_to=40) == []


@pytest.mark.parametrize("source", ["", "Else-Where", "a" * 65, "a\n", 5])
def test_a_source_whose_name_does_not_fit_is_a_mistake_of_the_program(tmp_path: Path, source: Any) -> None:
    with pytest.raises(ValueError, match="not a source's name"):
        Publisher("nats://127.0.0.1:1", source=source, spool_dir=tmp_path)
    assert not list(tmp_path.iterdir())
