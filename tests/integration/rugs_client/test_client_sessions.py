"""Sessions that a program names itself: numbered apart, gone on with after a restart, ended."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from nats.aio.client import Client

from rugs_client import Publisher
from rugs_proto import Envelope
from rugs_runtime.broker import Broker
from tests.support.clientkit import flush, stored

pytestmark = pytest.mark.slow

ENVELOPE = Envelope(
    v=1,
    ts=1_790_000_000_000_000,
    doc_type="ws_event",
    source="manual",
    session_id="theirs",
    seq=7,
    direction="received",
    event="e",
    raw="{}",
)


async def test_named_sessions_are_numbered_each_for_itself(stream: Client, broker: Broker, tmp_path: Path) -> None:
    with Publisher(broker.url, source="cdp", spool_dir=tmp_path) as publisher:
        for number in range(4):
            publisher.publish("a", session="one")
            publisher.publish("b", session="two", source="manual")
            publisher.publish("c", fields={"n": number})
        assert await flush(publisher)
        own = publisher.session_id
    numbers: dict[tuple[str, str], list[int]] = {}
    for event in await stored(stream):
        numbers.setdefault((event.source, event.session_id), []).append(event.seq)
    assert numbers == {("cdp", "one"): [1, 2, 3, 4], ("manual", "two"): [1, 2, 3, 4], ("cdp", own): [1, 2, 3, 4]}


async def test_a_named_session_goes_on_after_a_restart_and_an_ended_one_begins_anew(
    stream: Client, broker: Broker, tmp_path: Path
) -> None:
    for _ in range(2):
        async with Publisher(broker.url, source="cdp", spool_dir=tmp_path) as publisher:
            publisher.publish("x", session="kept", raw=f"{time.monotonic_ns()}")
            publisher.publish("x", session="ended", raw=f"{time.monotonic_ns()}")
            publisher.end_session("ended")
            assert await flush(publisher)
    events = await stored(stream)
    assert [event.seq for event in events if event.session_id == "kept"] == [1, 2]
    assert [event.seq for event in events if event.session_id == "ended"] == [1, 1]
    assert not [event for event in events if event.event == "gap"]


async def test_envelopes_go_as_they_are_and_are_safe_when_it_says_so(
    stream: Client, broker: Broker, tmp_path: Path
) -> None:
    async with Publisher(broker.url, source="cdp", spool_dir=tmp_path) as publisher:
        assert publisher.publish_envelope(ENVELOPE)
        assert await publisher.secured(10)
        too_large = ENVELOPE.model_copy(update={"fields": {"x": "y" * 9_000_000}})
        with pytest.raises(ValueError, match="too large"):
            publisher.publish_envelope(too_large)
        assert await flush(publisher)
    assert not await publisher.secured(1)
    assert not publisher.publish_envelope(ENVELOPE)
    [event] = await stored(stream)
    assert (event.session_id, event.seq, event.raw) == ("theirs", 7, "{}")


async def test_a_full_queue_refuses_envelopes_to_the_face_and_notes_no_loss(
    stream: Client, broker: Broker, tmp_path: Path
) -> None:
    broker.kill()
    publisher = Publisher(broker.url, source="cdp", spool_dir=tmp_path, queue_events=0)
    one = Envelope(
        v=1,
        ts=1_790_000_000_000_000,
        doc_type="e",
        source="manual",
        session_id="s",
        seq=1,
        direction="received",
        raw="",
    )
    assert not publisher.publish_envelope(one)
    assert publisher.stats.dropped == 1
    publisher.close(0.1)
    assert publisher.stats.spooled == 0


async def test_what_a_named_session_lost_is_told_in_it(stream: Client, broker: Broker, tmp_path: Path) -> None:
    with Publisher(broker.url, source="cdp", spool_dir=tmp_path, queue_bytes=2000) as publisher:
        publisher.publish("small", session="one")
        while publisher.publish("large", session="one", raw="x" * 900):
            pass
        publisher.end_session("one")
        assert await flush(publisher)
    events = [event for event in await stored(stream) if event.session_id == "one"]
    assert [event.event for event in events if event.doc_type == "system_event"] == ["gap"]
    assert sum(event.fields.get("lost", 1) for event in events) == events[-1].seq
