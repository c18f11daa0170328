"""The client's publisher: never in the way, and every event at the broker, in the spool, or told of by a gap."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from hashlib import sha256
from pathlib import Path

import pytest
import pytest_asyncio
from nats.aio.client import Client

from rugs_bus import ensure_streams, get_blob
from rugs_client import Publisher
from rugs_proto import decode
from rugs_runtime.broker import Broker
from tests.clientkit import STREAMS, Producer, assert_whole, messages, stored

pytestmark = pytest.mark.slow

Until = Callable[[Callable[[], bool]], Awaitable[None]]
Pause = Callable[[], Awaitable[None]]
FRAME = '42["gameStateUpdate",{"gameId":"g-1","pad":"' + "x" * 6800 + '"}]'


@pytest_asyncio.fixture
async def stream(nc: Client) -> AsyncIterator[Client]:
    await ensure_streams(nc, STREAMS)
    yield nc


def publish(publisher: Publisher, numbers: range, raw: str = FRAME) -> None:
    for number in numbers:
        assert publisher.publish("gameStateUpdate", raw=raw, fields={"n": number}, game_id="g-1")


async def flush(publisher: Publisher, seconds: float = 20) -> bool:
    return await asyncio.to_thread(publisher.flush, seconds)


async def secure(publisher: Publisher) -> bool:
    return await asyncio.to_thread(publisher.secure, 20)


async def run(program: str) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    assert await asyncio.wait_for(process.wait(), 30) == 0


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


async def test_a_disk_that_fails_in_the_middle_stops_nobody(stream: Client, broker: Broker, tmp_path: Path) -> None:
    broker.kill()
    program = (
        "import resource, sys\n"
        "from rugs_client import Publisher\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))\n"
        f"publisher = Publisher({broker.url!r}, source='cdp', spool_dir={str(tmp_path / 'spool')!r})\n"
        "for number in range(1, 401):\n"
        "    assert publisher.publish('e', raw=' ' * 7000, fields={'n': number})\n"
        "    if number == 20: assert publisher.secure(10)\n"
        "assert not publisher.secure(0.5)\n"
        "assert 'spool fails' in publisher.stats.trouble\n"
        "print('full', file=sys.stderr, flush=True)\n"
        "sys.stdin.readline()\n"
        "assert publisher.stats.dropped == publisher.stats.refused == 0\n"
        "while publisher.stats.sent < 400: publisher.flush(0.1)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "assert publisher.flush(10)\n"
        "assert publisher.stats.spooled == 0\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    told = await asyncio.wait_for(process.stderr.readline(), 30)
    broker.start()
    _, said = await asyncio.wait_for(process.communicate(b"\n"), 30)
    assert (told, process.returncode) == (b"full\n", 0), told + said
    events = await stored(stream)
    assert assert_whole(events, up_to=400) == []
    assert [e.fields["n"] for e in events] == list(range(1, 401))


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
        {"source": "elsewhere"},
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


async def test_a_program_that_ends_without_closing_leaves_its_events_in_the_spool(
    stream: Client, broker: Broker, tmp_path: Path
) -> None:
    broker.kill()
    program = (
        "from rugs_client import Publisher\n"
        f"publisher = Publisher({broker.url!r}, source='cdp', spool_dir={str(tmp_path / 'spool')!r}, close_timeout=0)\n"
        "for number in range(500): publisher.publish('e', fields={'n': number})\n"
    )
    await run(program)
    broker.start()
    with Publisher(broker.url, source="cdp", spool_dir=tmp_path / "spool") as publisher:
        assert await flush(publisher)
    assert assert_whole(await stored(stream), up_to=500) == []


async def test_a_forked_child_is_left_alone(stream: Client, broker: Broker, tmp_path: Path) -> None:
    program = (
        "import os, sys\n"
        "from rugs_client import Publisher\n"
        f"publisher = Publisher({broker.url!r}, source='cdp', spool_dir={str(tmp_path / 'spool')!r})\n"
        "publisher.publish('parent')\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    assert not publisher.publish('child')\n"
        "    sys.exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "publisher.publish('parent')\n"
        "assert publisher.flush(10)\n"
    )
    await run(program)
    assert [e.event for e in await stored(stream)] == ["parent", "parent"]


def test_an_unknown_source_is_a_mistake_of_the_program(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown source"):
        Publisher("nats://127.0.0.1:1", source="elsewhere", spool_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_it_needs_nothing_but_the_base_distribution(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "class Block:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in {'msgspec', 'pyarrow', 'duckdb', 'orjson', 'pydantic_settings', 'typer',"
        " 'rich', 'psutil'}:\n"
        "            raise ModuleNotFoundError(f'blocked: {name}')\n"
        "sys.meta_path.insert(0, Block())\n"
        "import rugs_client\n"
        "with rugs_client.Publisher('nats://127.0.0.1:1', source='ui', spool_dir=sys.argv[1], close_timeout=0) as p:\n"
        "    assert p.publish('e', fields={'n': 1})\n"
        "    assert p.secure(10)\n"
        "allowed = {'rugs_client', 'rugs_proto', 'rugs_bus'}\n"
        "assert {n.partition('.')[0] for n in sys.modules if n.startswith('rugs_')} == allowed\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, timeout=30, cwd=tmp_path)


@pytest.mark.crash
async def test_broker_away_for_the_whole_session_killed_and_restarted(
    stream: Client, broker: Broker, until: Until, tmp_path: Path
) -> None:
    broker.kill()
    durable = []
    for _ in range(3):
        producer = Producer(broker.url, tmp_path / "spool")
        await until(lambda producer=producer: producer.durable >= 200)  # type: ignore[misc]
        durable.append(producer.kill())
    broker.start()
    with Publisher(broker.url, source="cdp", spool_dir=tmp_path / "spool", session_id="mine") as publisher:
        assert await flush(publisher)
    events = await stored(stream)
    sessions = list(dict.fromkeys(e.session_id for e in events))
    assert len(sessions) == 3
    for session, number in zip(sessions, durable, strict=True):
        mine = [e for e in events if e.session_id == session]
        [gap] = assert_whole(mine)
        assert gap.fields["cause"] == "the process ended without closing"
        assert mine[-1] is gap
        assert [e.fields["n"] for e in mine[:-1]] == list(range(1, len(mine)))
        assert len(mine) - 1 >= number >= 200


@pytest.mark.crash
async def test_producer_and_broker_are_killed_again_and_again(
    stream: Client, broker: Broker, until: Until, tmp_path: Path
) -> None:
    """One session goes on through every kill: each durable event once, all others inside a gap."""
    durable: list[int] = []
    for life in range(8):
        if life % 3 == 1:
            broker.kill()
        producer = Producer(broker.url, tmp_path / "spool", session_id="s")
        await until(lambda producer=producer: producer.durable >= 60)  # type: ignore[misc]
        if life % 4 == 2:
            broker.kill()
            await asyncio.sleep(0.15)
        elif life % 3 == 1:
            broker.start()
            await asyncio.sleep(0.1)
        durable.append(producer.kill())
        if broker.pid is None:
            broker.start()
    with Publisher(broker.url, source="cdp", spool_dir=tmp_path / "spool", session_id="s") as publisher:
        publisher.publish("end")
        assert await flush(publisher)
    events = await stored(stream)
    gaps = assert_whole(events)
    assert len(gaps) == 8
    lives: list[list[int]] = [[]]
    for event in events[:-1]:
        if event.event == "gap":
            lives.append([])
        else:
            lives[-1].append(event.fields["n"])
    assert lives.pop() == []
    for numbers, known in zip(lives, durable, strict=True):
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) >= known
    print(f"8 kills: {sum(durable)} known to be durable, {sum(map(len, lives))} stored once, {len(gaps)} gaps")


async def test_damage_to_the_spool_is_told_of(stream: Client, broker: Broker, tmp_path: Path) -> None:
    broker.kill()
    with Publisher(
        broker.url, source="cdp", spool_dir=tmp_path / "spool", session_id="s", close_timeout=0
    ) as publisher:
        publish(publisher, range(1, 101))
        assert await secure(publisher)
    file = tmp_path / "spool" / "0" / "events.sqlite"
    os.truncate(file, file.stat().st_size * 2 // 3)
    broker.start()
    with Publisher(broker.url, source="cdp", spool_dir=tmp_path / "spool", session_id="s") as publisher:
        publish(publisher, range(1, 11))
        assert await flush(publisher)
        assert publisher.session_id != "s"
    events = await stored(stream)
    kept = [e for e in events if e.session_id == "s"]
    assert 20 < len(kept) < 100
    assert [e.seq for e in kept] == sorted(e.seq for e in kept)
    [gap] = assert_whole([e for e in events if e.session_id == publisher.session_id])
    assert gap.fields["cause"] == "the spool was damaged"
