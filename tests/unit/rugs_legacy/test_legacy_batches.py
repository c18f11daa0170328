"""Envelopes in messages: nothing lost, order kept, sizes within bounds, and fast enough."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_legacy.batches import Message, messages
from rugs_legacy.envelopes import MAX_INLINE
from rugs_legacy.recording import Counts, look_at, read
from rugs_proto import ids, wire
from rugs_proto.subjects import MAX_BODY, TARGET_BODY
from tests.support.legacy_lines import end, start, tick

SESSION = "s" * 32


def envelope(seq: int, raw: str | bytes, doc_type: str = "ws_event", event: str = "e") -> dict[str, object]:
    known = {"v": 1, "ts": 10**15, "source": "import", "session_id": SESSION, "direction": "received"}
    return {**known, "seq": seq, "raw": raw, "doc_type": doc_type, "event": event}


def judged(sent: list[Message]) -> list[wire.Event]:
    """Decode bodies as the writer does, which checks every rule of the contract."""
    events = []
    for message in sent:
        found = wire.judge(message.body)
        assert not found.faults
        assert len({event.envelope.doc_type for event in found.events}) == 1
        assert len(message.body) <= MAX_BODY
        events += found.events
    return events


def test_a_file_makes_a_message_for_each_doc_type(tmp_path: Path) -> None:
    path = tmp_path / "game_20981231_220000.jsonl"
    path.write_bytes(b"\n".join([start(), tick(1), tick(2), b"?", end()]))
    sent = list(messages(read(look_at(path, "America/New_York"), Counts())))
    assert [message.subject for message in sent] == [
        "rugs.events.system_event.import._",
        "rugs.events.game_tick.import.tick",
        "rugs.events.reject.import.line",
    ]
    events = judged(sent)
    assert sorted(event.raw or b"" for event in events) == sorted([start(), tick(1), tick(2), b"?", end()])
    assert all(event.is_text for event in events)


sizes = st.sampled_from([0, 10, 5_000, TARGET_BODY // 3, TARGET_BODY, 2 * TARGET_BODY])


@given(st.lists(st.tuples(sizes, st.sampled_from(["ws_event", "reject", "game_tick"])), max_size=12))
def test_messages_keep_all_in_order_within_bounds(wanted: list[tuple[int, str]]) -> None:
    envelopes = [envelope(seq, "x" * size, doc_type) for seq, (size, doc_type) in enumerate(wanted, 1)]
    sent = list(messages(envelopes))
    events = judged(sent)
    assert sorted(event.envelope.seq for event in events) == list(range(1, len(wanted) + 1))
    for doc_type in {doc_type for _, doc_type in wanted}:
        numbers = [event.envelope.seq for event in events if event.envelope.doc_type == doc_type]
        assert numbers == sorted(numbers)
    for message in sent:
        assert len(message.body) <= TARGET_BODY or len(wire.judge(message.body).events) == 1


def test_a_full_body_sends_out_its_neighbours_too() -> None:
    envelopes = [envelope(1, "?", "reject"), *(envelope(seq, "x" * 100_000) for seq in range(2, 30))]
    assert next(message.subject.split(".")[2] for message in messages(envelopes)) == "reject"


@pytest.mark.parametrize(("raw", "doc_type"), [("é" * MAX_INLINE, "ws_event"), (b"\xff" * (MAX_INLINE + 1), "reject")])
def test_what_is_too_long_for_a_message_is_parked(raw: str | bytes, doc_type: str) -> None:
    before, after = envelope(1, "a", doc_type), envelope(3, "b", doc_type)
    sent = list(messages([before, envelope(2, raw, doc_type), after]))
    content = raw.encode() if isinstance(raw, str) else raw
    make_id = ids.reject_id if doc_type == "reject" else ids.event_id
    name = make_id("import", SESSION, 2, content)
    assert [message.parked for message in sent] == [None, (name, content), None]
    (event,) = judged(sent[1:2])
    assert event.digest.hex() == name
    assert (event.envelope.blob, event.raw) == (sha256(content).hexdigest(), None)


def test_what_just_fits_travels_with_its_message() -> None:
    (message,) = messages([envelope(1, "x" * MAX_INLINE)])
    assert message.parked is None
    assert len(message.body) <= MAX_BODY
