"""What the client's queue holds: each event packed once, hashed once, and counted with all its bytes."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_client.events import Ending, Loss, entry_of
from rugs_client.intake import Intake
from rugs_client.records import Record, packed, snapshot
from rugs_proto import decode, ids
from rugs_proto.codec import to_map
from rugs_proto.envelope import Envelope
from rugs_proto.subjects import MAX_BODY
from tests.support.jsons import JSON, TEXT, texts
from tests.support.memory import traced

TS = 1_764_633_600_000_000
RECORD = Record("cdp", "ws_event", "e", None, TS, "received", None, None, None, b"", 0, None)

FIELDS: dict[str, Callable[[int], Any]] = {
    "none": lambda number: None,
    "flat": lambda number: {"tick": number, "price": 1.5 + number, "phase": "ACTIVE", "active": True},
    "flat, of every type": lambda number: {
        f"k{number}": Decimal(number) / 7,
        f"i{number}": 10**300 + number,
        "n": None,
    },
    "flat, wide texts": lambda number: {f"ü\N{ROCKET}{number}": f"ü\N{ROCKET}{number}" * 5},
    "a long number": lambda number: {"digits": Decimal("1" * 3000 + str(number)), "bits": 2**30_000 + number},
    "many small maps": lambda number: {"board": [{"id": f"p{number}-{at}", "pnl": at / 7} for at in range(200)]},
    "deep": lambda number: {"a": {"b": {"c": {"d": [{"e": [number, {"f": "g" * 100}]}] * 20}}}},
    "numbers": lambda number: {"prices": [number + at / 3 for at in range(1000)]},
    "one long text": lambda number: {"text": f"{number}" + "x" * 20_000},
    "text that is not ASCII": lambda number: {"text": f"{number}" + "ü\N{ROCKET}" * 3000},
    "many keys": lambda number: {f"key-{number}-{at}": None for at in range(1000)},
}


RAW: dict[str | None, Callable[[], str | bytes | None]] = {
    None: lambda: None,
    "text": lambda: "".join(["x"] * 3000),
    "wide text": lambda: "".join(["ü\N{ROCKET}"] * 1000),
    "bytes": lambda: bytes([0xFF] * 3000),
}
"""Each makes an object of its own."""


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "raw"), [*((kind, None) for kind in FIELDS), *(("flat", raw) for raw in RAW if raw)])
def test_the_queue_holds_no_more_than_its_bound_whatever_the_events_hold(kind: str, raw: str | None) -> None:
    bound = 500_000
    intake = Intake(10**9, bound)
    filled = 1
    with traced() as memory:
        while True:
            fields, held = snapshot(FIELDS[kind](filled))
            record = RECORD._replace(event=f"event {filled}", fields=fields, held=held, raw=RAW[raw]())
            if not intake.put(record):
                break
            filled += 1
    assert filled > 5
    assert memory.peak < 1.2 * bound + 300_000, "what is held, and the one event that is made beside it"
    assert intake.dropped == 1
    assert len(intake.take(10**9, 10**9)) == filled, "every event and the loss"
    assert intake.put(RECORD)


def test_what_is_taken_at_once_is_bounded_and_never_nothing() -> None:
    intake = Intake(100, 10**9)
    for seq in range(5):
        intake.put(RECORD._replace(raw=b"x" * 100_000, event=str(seq)))
    assert [item.event for item in intake.take(10, 250_000) if isinstance(item, Record)] == ["0", "1", "2"]
    assert [item.event for item in intake.take(10, 0) if isinstance(item, Record)] == ["3"]
    assert len(intake.take(10, 1)) == 1
    assert intake.take(10, 1) == []


def test_a_run_of_losses_of_endless_sessions_needs_no_endless_memory() -> None:
    intake = Intake(1, 10**9)
    intake.put(RECORD)
    for number in range(5000):
        assert not intake.put(RECORD._replace(session=f"s-{number}"))
    intake.drop(Loss("cdp", 1, TS, TS, "too large"))
    intake.end(Ending("cdp", "s-1"))
    losses = [item for item in intake.take(10_000, 10**9) if isinstance(item, Loss)]
    assert len(losses) <= 1001
    assert sum(loss.lost for loss in losses) == intake.dropped == 5001


NAMES = st.none() | texts(20)
RECORDS = st.builds(
    Record,
    source=st.sampled_from(["cdp", "ui"]),
    doc_type=st.sampled_from(["ws_event", "reject", "something_new"]),
    event=TEXT,
    ts=st.none() | st.just(TS - 5),
    recv_ts=st.just(TS),
    direction=st.sampled_from(["received", "internal"]),
    game_id=NAMES,
    player_id=NAMES,
    username=NAMES,
    fields=st.dictionaries(TEXT, JSON, max_size=4).map(packed),
    raw=st.none()
    | st.text(max_size=40)
    | st.binary(max_size=40)
    | st.integers(60, 70_000).map(lambda size: "x" * size),
)


@given(RECORDS, st.integers(1, 2**63 - 1))
def test_an_entry_is_what_the_contract_makes_of_its_record(record: Record, seq: int) -> None:
    entry = entry_of(record, "s", seq)
    (envelope,) = decode(entry.body)
    assert (envelope.seq, envelope.session_id, envelope.id) == (seq, "s", entry.id)
    assert entry.id == envelope.computed_id()
    assert entry.body == msgpack.packb(to_map(envelope)), "byte for byte, also the order of the keys"
    assert envelope.fields == (msgpack.unpackb(record.fields) if record.fields else {})
    wanted = record.raw
    if isinstance(wanted, str) and any("\ud800" <= letter <= "\udfff" for letter in wanted):
        wanted = wanted.encode("utf-8", "surrogatepass")
    assert envelope.raw == wanted
    assert (entry.ts, entry.doc_type) == (envelope.ts, envelope.doc_type) == (record.ts or TS, record.doc_type)


@given(st.dictionaries(TEXT, JSON | st.decimals() | st.integers(), max_size=4), st.booleans())
def test_fields_are_the_same_whether_they_are_packed_at_once_or_later(fields: dict[str, Any], copy: bool) -> None:
    kept, held = snapshot(fields, copy=copy)
    at_once, later = (entry_of(RECORD._replace(fields=each), "s", 1) for each in (packed(fields), kept))
    assert at_once == later
    assert held >= (len(kept) if isinstance(kept, bytes) else 256 * len(kept))
    fields.clear()
    assert entry_of(RECORD._replace(fields=kept), "s", 1) == later, "nobody can change what is queued"


@pytest.mark.parametrize("size", [7000, 9_000_000], ids=["in the message", "in the object store"])
def test_the_bytes_of_an_event_are_hashed_once_on_its_way(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[object] = []
    digest = ids.event_digest

    def counted(source: str, session_id: str, seq: int, raw: ids.Buffer | None, *more: bytes) -> bytes:
        if raw is not None:
            hashed.append(len(raw))
        return digest(source, session_id, seq, raw, *more)

    monkeypatch.setattr(ids, "event_digest", counted)
    entry = entry_of(RECORD._replace(raw="x" * size, fields=packed({"n": 1})), "s", 1)
    assert ids.message_id([entry.id]) == entry.id == digest("cdp", "s", 1, b"x" * size).hex()
    assert hashed == [size]


@pytest.mark.parametrize(
    ("changes", "raw", "reason"),
    [
        ({"ts": "yesterday", "fields": packed({"kept": True})}, '{"kept": true}', "ts:"),
        ({"ts": 5}, "{}", "ts:"),
        ({"doc_type": "Not A Type", "raw": "kept"}, "kept", "doc_type:"),
        ({"direction": "sideways", "raw": b"\xff"}, b"\xff", "direction:"),
        ({"fields": msgpack.packb({1: 2})}, '{"1": 2}', "int"),
        ({"fields": msgpack.packb({"a": float("nan")})}, '{"a": NaN}', "not a finite number"),
        ({"fields": msgpack.packb({"a": b"\xff"})}, msgpack.packb({"a": b"\xff"}), "bytes"),
        ({"fields": b"\x81\x91\x01\x01"}, b"\x81\x91\x01\x01", ""),
    ],
)
def test_what_breaks_the_contract_is_a_reject_that_holds_all_of_it(
    changes: dict[str, Any], raw: str | bytes, reason: str
) -> None:
    entry = entry_of(RECORD._replace(**changes), "s", 7)
    (reject,) = decode(entry.body)
    assert (reject.doc_type, reject.raw, reject.id) == ("reject", raw, entry.id)
    assert reason in reject.fields["reason"]


def test_a_frame_and_fields_that_no_message_holds_together_go_apart() -> None:
    fields = packed({"much": "y" * 100_000})
    entry = entry_of(RECORD._replace(raw="x" * (MAX_BODY - 80_000), fields=fields), "s", 1)
    assert entry.large == b"x" * (MAX_BODY - 80_000)
    assert len(entry.body) < MAX_BODY
    too_many = packed({"much": "y" * MAX_BODY})
    (reject,) = decode(entry_of(RECORD._replace(raw="kept", fields=too_many), "s", 1).body)
    assert (reject.doc_type, reject.raw) == ("reject", "kept")
    assert Envelope.model_validate(to_map(reject))
