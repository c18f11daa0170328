"""The publisher in memory does what the real one does: the same tests run against both."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import nats
import pytest

from rugs_bus import ensure_streams, get_blob
from rugs_client import Publisher, attach
from rugs_client.testing import MemoryPublisher
from rugs_proto import Envelope
from rugs_runtime.broker import Broker
from tests.support.clientkit import FRAME, STREAMS, assert_whole, publish, stored
from tests.support.replayer_bus import EventBus, Events

ROOT = Path(__file__).parents[3]
TS = 1_767_225_600_000_000


@dataclass
class Kind:
    """One of the two publishers, and how to see what it published."""

    make: Callable[..., Publisher]
    events: Callable[[Publisher], list[Envelope]]
    large_object: Callable[[Publisher, str], bytes | None]


def in_memory() -> Kind:
    def of(publisher: Publisher) -> MemoryPublisher:
        assert isinstance(publisher, MemoryPublisher)
        return publisher

    return Kind(MemoryPublisher, lambda p: of(p).events, lambda p, name: of(p).large_objects.get(name))


def at_a_broker(folder: Path, stack: ExitStack) -> Kind:
    broker = Broker(folder / "broker")
    stack.callback(broker.kill)
    broker.start()

    async def ask(question: Callable[[Any], Any]) -> Any:
        nc = await nats.connect(broker.url)
        try:
            return await question(nc)
        finally:
            await nc.close()

    def events(publisher: Publisher) -> list[Envelope]:
        publisher.flush(20)
        found: list[Envelope] = asyncio.run(ask(stored))
        return found

    def large_object(publisher: Publisher, name: str) -> bytes | None:
        publisher.flush(20)
        data: bytes | None = asyncio.run(ask(lambda nc: get_blob(nc, name)))
        return data

    asyncio.run(ask(lambda nc: ensure_streams(nc, STREAMS)))
    return Kind(partial(Publisher, broker.url, spool_dir=folder / "spool"), events, large_object)


@pytest.fixture(params=["memory", pytest.param("broker", marks=pytest.mark.slow)])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kind]:
    with ExitStack() as stack:
        yield in_memory() if request.param == "memory" else at_a_broker(tmp_path, stack)


def test_what_is_published_is_there_once_in_order_and_unaltered(kind: Kind) -> None:
    before = time.time_ns() // 1000
    with kind.make(source="cdp") as publisher:
        publish(publisher, range(1, 301))
        events = kind.events(publisher)
        stats = publisher.stats
        assert (stats.accepted, stats.sent, stats.dropped, stats.refused, stats.spooled) == (300, 300, 0, 0, 0)
        assert stats.connected
        assert stats.trouble is None
    assert assert_whole(events, up_to=300) == []
    assert [e.fields["n"] for e in events] == list(range(1, 301))
    assert {(e.raw, e.event, e.game_id, e.direction, e.session_id) for e in events} == {
        (FRAME, "gameStateUpdate", "g-1", "received", publisher.session_id)
    }
    assert all(before <= e.ts == (e.recv_ts or 0) <= time.time_ns() // 1000 for e in events)


def test_every_source_and_every_session_is_numbered_for_itself(kind: Kind) -> None:
    with kind.make(source="public_ws", session_id="s") as publisher:
        for number in range(30):
            publisher.publish("e", source=("public_ws", "ui", "cdp")[number % 3], fields={"n": number})
        for name in ("a", "b", "a", "a"):
            publisher.publish("e", session=name)
        publisher.end_session("a")
        events = kind.events(publisher)
    sessions = {(e.source, e.session_id): e.seq for e in events}
    assert sessions == {
        ("public_ws", "s"): 10,
        ("ui", "s-ui"): 10,
        ("cdp", "s-cdp"): 10,
        ("public_ws", "a"): 3,
        ("public_ws", "b"): 1,
    }
    for place in sessions:
        assert assert_whole([e for e in events if (e.source, e.session_id) == place]) == []


def test_what_breaks_the_contract_is_a_reject(kind: Kind) -> None:
    bad: list[dict[str, Any]] = [
        {"doc_type": "Not A Type", "raw": "kept"},
        {"ts": 5, "fields": {"kept": True}},
        {"ts": "yesterday"},
        {"direction": "sideways"},
        {"raw": "x" * 40_000_000},
        {"fields": {"much": "x" * 9_000_000}},
    ]
    fine: list[dict[str, Any]] = [
        {"raw": "half a pair: \ud83d"},
        {"raw": bytearray(b"\xff\x00")},
        {"raw": {"not": "bytes"}},
        {"source": "not A source"},
        {"game_id": 5, "username": "x" * 1000},
        {"fields": {1: float("nan"), "object": object()}},
    ]
    with kind.make(source="cdp") as publisher:
        assert all(publisher.publish("e", **content) for content in (*bad, *fine))
        events = kind.events(publisher)
        assert publisher.stats.refused == 1, "only what no store takes is lost"
    [gap] = assert_whole(events, up_to=len(bad) + len(fine))
    assert "too large" in gap.fields["cause"]
    rejects = [e for e in events if e.doc_type == "reject"]
    assert [e.seq for e in rejects] == [1, 2, 3, 4, 6]
    assert all(e.fields["reason"] for e in rejects)
    assert [e.raw for e in rejects[:2]] == ["kept", '{"kept": true}']
    assert [e.raw for e in events[6:8]] == [b"half a pair: \xed\xa0\xbd", b"\xff\x00"]


def test_a_large_frame_is_an_object_beside_its_event(kind: Kind) -> None:
    frame = '42["full","' + "ü" * 5_000_000 + '"]'
    with kind.make(source="cdp") as publisher:
        publisher.publish("full", raw=frame)
        (event,) = kind.events(publisher)
        assert (event.raw, event.blob) == (None, sha256(frame.encode()).hexdigest())
        assert kind.large_object(publisher, str(event.id)) == frame.encode()


def test_an_envelope_passes_as_it_is_and_one_too_large_is_refused(kind: Kind) -> None:
    envelope = Envelope(
        v=1,
        ts=TS,
        doc_type="ws_event",
        source="cdp",
        session_id="mine",
        seq=7,
        direction="received",
        event="e",
        raw="r",
    )
    with kind.make(source="public_ws") as publisher:
        assert publisher.publish_envelope(envelope)
        with pytest.raises(ValueError, match="too large"):
            publisher.publish_envelope(envelope.model_copy(update={"fields": {"much": "x" * 9_000_000}}))
        (event,) = kind.events(publisher)
    assert event == envelope.model_copy(update={"id": envelope.computed_id()})


def test_a_full_queue_drops_the_newest_and_says_so(kind: Kind) -> None:
    with kind.make(source="cdp", queue_events=50) as publisher:
        taken = [publisher.publish("e", fields={"n": number}) for number in range(20_000)]
        events = kind.events(publisher)
        assert publisher.stats.dropped == taken.count(False) > 0
    gaps = assert_whole(events, up_to=20_000)
    assert [e.fields["n"] for e in events if e.event == "e"] == [n for n, yes in enumerate(taken) if yes]
    assert sum(gap.fields["lost"] for gap in gaps) == publisher.stats.dropped
    assert {gap.fields["cause"] for gap in gaps} == {"queue full"}


def test_threads_publish_at_once(kind: Kind) -> None:
    def work(publisher: Publisher, worker: int) -> None:
        for number in range(200):
            publisher.publish("a", fields={"worker": worker, "n": number})

    with kind.make(source="ui") as publisher:
        threads = [threading.Thread(target=work, args=[publisher, worker]) for worker in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        events = kind.events(publisher)
    assert assert_whole(events, up_to=800) == []
    for worker in range(4):
        assert [e.fields["n"] for e in events if e.fields["worker"] == worker] == list(range(200))


def test_what_is_published_after_the_end_is_not_taken(kind: Kind) -> None:
    with kind.make(source="cdp", session_id="s") as publisher:
        publisher.publish("in time")
    assert not publisher.publish("too late")
    assert [(e.session_id, e.seq, e.event) for e in kind.events(publisher)] == [("s", 1, "in time")]
    assert publisher.stats.dropped == 1
    assert not publisher.flush(0)


def test_asyncio_can_wait_for_it(kind: Kind) -> None:
    async def publish_one() -> Publisher:
        async with kind.make(source="cdp") as publisher:
            publisher.publish("e")
            assert await publisher.secured(20)
        return publisher

    assert len(kind.events(asyncio.run(publish_one()))) == 1


def test_an_event_bus_can_be_attached(kind: Kind) -> None:
    bus = EventBus()
    with kind.make(source="public_ws", session_id="s") as publisher, attach(bus, publisher) as attachment:
        bus.publish(Events.GAME_START, {"game_id": "g-1"})
        bus.publish(Events.WS_RAW_EVENT, {"data": {"event": "e", "data": {}, "raw": "42[1]"}})
        bus.publish(Events.TRADE_BUY, {"price": 1.5, "amount": 0.01})
        bus.start()
        bus.run_empty()
        events = kind.events(publisher)
        assert attachment.failed == 0
    bus.stop()
    assert [(e.doc_type, e.source, e.session_id, e.event, e.game_id, e.raw) for e in events] == [
        ("system_event", "public_ws", "s", "game.start", "g-1", None),
        ("ws_event", "cdp", "s-cdp", "e", None, "42[1]"),
        ("player_action", "ui", "s-ui", "trade.buy", "g-1", None),
    ]


def test_an_unknown_source_is_a_mistake_of_the_program(kind: Kind) -> None:
    with pytest.raises(ValueError, match="source"):
        kind.make(source="not A source")


def test_the_example_of_the_readme_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (example,) = [block for block in blocks if "MemoryPublisher" in block]
    exec(example, {})


@pytest.mark.slow
def test_both_publish_equal_envelopes(tmp_path: Path) -> None:
    """Ids, times and all: those that the publisher takes itself aside."""

    def events(kind: Kind) -> list[Envelope]:
        with kind.make(source="cdp", session_id="s") as publisher:
            for number in range(1, 101):
                publisher.publish("e", raw=f"42[{number}]", ts=TS + number, recv_ts=TS, fields={"price": number / 4})
            publisher.publish("e", ts=5, recv_ts=TS, raw="not an event")
            publisher.publish("gap", doc_type="system_event", ts=TS, recv_ts=TS, direction="internal", session="other")
            return kind.events(publisher)

    with ExitStack() as stack:
        assert events(in_memory()) == events(at_a_broker(tmp_path, stack))
