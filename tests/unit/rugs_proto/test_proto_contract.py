"""The contract, against both of its decoders: the strict model's codec, and the fast wire decoder.

Every case runs through `rugs_proto.codec` and `rugs_proto.wire`; they must agree on
what is accepted, on its id and on its content.
"""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

from rugs_proto import codec, ids, wire
from rugs_proto.envelope import MAX_DEPTH, TS_END_US, TS_MIN_US
from tests.support.decoders import GOOD, Decoder, by_codec, by_wire
from tests.support.memory import traced

CAUSE = "0123456789abcdef" * 2
both = pytest.mark.parametrize("decode", [by_codec, by_wire])


def packed(**changes: Any) -> bytes:
    """Return the good envelope with changes; `...` takes a key away."""
    return bytes(msgpack.packb({key: value for key, value in {**GOOD, **changes}.items() if value is not ...}))


def with_packed(key: str, value: bytes) -> bytes:
    """Return the good envelope with one value that msgpack would not pack."""
    content = {name: inner for name, inner in GOOD.items() if name != key}
    pairs = b"".join(msgpack.packb(name) + msgpack.packb(inner) for name, inner in content.items())
    head = bytes([0x80 | (len(content) + 1)])
    return head + pairs + bytes(msgpack.packb(key)) + value


def derived(**changes: Any) -> bytes:
    """Return a good derived event with changes."""
    return packed(**{"raw": ..., "cause": CAUSE, **changes})


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else None


ACCEPTED = {
    "plain": packed(),
    "array of one": b"\x91" + packed(),
    "id given": packed(id=ids.event_id("public_ws", "s-1", 7, GOOD["raw"])),
    "id nil": packed(id=None),
    "no raw": packed(raw=...),
    "raw bytes": packed(raw=b"\xff\x00"),
    "raw long": packed(raw="x" * 70_000),
    "first moment": packed(ts=TS_MIN_US),
    "last moment": packed(ts=TS_END_US - 1),
    "recv_ts": packed(recv_ts=TS_MIN_US),
    "largest seq": packed(seq=2**63 - 1),
    "new doc type": packed(doc_type="x" * 64),
    "longest event": packed(event="é" * 512),
    "fields": packed(fields={"a": 1, "b": [1.5, None, {"c": "ü"}], "d": True, "e": 2**64 - 1, "f": -(2**63)}),
    "fields as deep as allowed": packed(fields={"a": nested(MAX_DEPTH - 1)}),
    "origin": packed(origin={"sha256": "a" * 64, "line": 3, "tz": None}),
    "game without an id": packed(raw=..., cause=CAUSE, doc_type="game", game_id="g"),
    "tick with an odd key": packed(
        raw=..., cause=CAUSE, doc_type="game_tick", game_id="g", fields={"tick": [1, {"a": 2}], "phase": 1.5}
    ),
    **{f"derived, number {n}": derived(id=ids.derived_id("ws_event", CAUSE, n)) for n in (0, 1, 255)},
    "tick without a game": derived(doc_type="game_tick", id=ids.derived_id("game_tick", CAUSE, 0)),
    "blob": packed(raw=..., blob="b" * 64, id="1" * 32),
    "reject": packed(doc_type="reject", raw=b"\x80"),
    **{f"source {name!r}": packed(source=name) for name in ("cdp", "a", "my_bot_2", "a" * 64)},
}

REFUSED = {
    **{f"v {v!r}": packed(v=v) for v in (0, 2, -1, True, 1.0, "1", None, 2**64 - 1)},
    **{f"{key} missing": packed(**{key: ...}) for key in ("v", "ts", "doc_type", "source", "session_id", "seq")},
    "direction missing": packed(direction=...),
    **{f"ts {ts!r}": packed(ts=ts) for ts in (TS_MIN_US - 1, TS_END_US, True, 1.7e15, "1", None, 0)},
    "ts of year 1": packed(ts=-62_135_596_800_000_000),
    "ts of year 9999": packed(ts=253_402_300_799_999_999),
    **{f"recv_ts {ts!r}": packed(recv_ts=ts) for ts in (0, True, 1.7e15, "1")},
    **{f"seq {seq!r}": packed(seq=seq) for seq in (0, -1, 2**63, 1.0, True, "1", None)},
    **{f"doc_type {name!r}": packed(doc_type=name) for name in ("", "Upper", "a-b", "a.b", "a" * 65, "a\n", 5, None)},
    **{f"source {name!r}": packed(source=name) for name in ("", "CDP", "a-b", "a.b", "a" * 65, "a\n", 1, None)},
    **{f"direction {name!r}": packed(direction=name) for name in ("", "up", None)},
    **{f"session_id {name!r:.9}": packed(session_id=name) for name in ("", "x" * 513, 1, None)},
    **{f"event {name!r:.9}": packed(event=name) for name in ("x" * 513, 1, None, b"x")},
    **{f"{key} of the wrong type": packed(**{key: 1}) for key in ("game_id", "player_id", "username", "id", "raw")},
    **{f"fields {value!r}": packed(fields=value) for value in (None, (), "x", 1)},
    **{f"{bad} in fields": packed(fields={"a": float(bad)}) for bad in ("nan", "inf", "-inf")},
    **{f"{bad} deep in fields": packed(fields={"a": [{"b": [float(bad)]}]}) for bad in ("nan", "inf", "-inf")},
    "bytes in fields": packed(fields={"a": b"x"}),
    "number as key of fields": packed(fields={1: 2}),
    "number as key deep in fields": packed(fields={"a": {1: 2}}),
    "list as key": b"\x81\x91\x01\x01",
    "map as key": b"\x81\x80\x01",
    "list as key of fields": with_packed("fields", b"\x81\x91\x01\x01"),
    "map as key deep in fields": with_packed("fields", b"\x81\xa1k\x81\x80\x01"),
    "fields deeper than allowed": packed(fields={"a": nested(MAX_DEPTH)}),
    **{f"fields nested {n}": with_packed("fields", b"\x81\xa1k" + b"\x91" * n + b"\xc0") for n in (600, 3000, 10**6)},
    **{f"raw nested {n}": with_packed("raw", b"\x91" * n + b"\xc0") for n in (600, 3000)},
    **{f"array nested {n}": b"\x91" * n + b"\xc0" for n in (2, 600, 3000, 10**6)},
    **{f"{key} an extension": packed(**{key: msgpack.ExtType(5, b"abcd")}) for key in GOOD},
    **{f"{key} a timestamp": packed(**{key: msgpack.Timestamp(5, 6)}) for key in GOOD},
    "extension in fields": packed(fields={"a": msgpack.ExtType(5, b"abcd")}),
    "extension deep in fields": packed(fields={"a": [msgpack.ExtType(5, b"abcd")]}),
    "timestamp in fields": packed(fields={"a": msgpack.Timestamp(5, 6)}),
    "timestamp beyond all years": with_packed("fields", b"\x81\xa1k\xc7\x0c\xff\x00\x00\x00\x00\x7f" + b"\xff" * 7),
    "raw text not UTF-8": with_packed("raw", b"\xa2\xff\xfe"),
    "event not UTF-8": with_packed("event", b"\xa2\xff\xfe"),
    "event a lone surrogate": with_packed("event", b"\xa3\xed\xa0\x80"),
    "field not UTF-8": with_packed("fields", b"\x81\xa1k\xa2\xff\xfe"),
    "key not UTF-8": b"\x81\xa2\xff\xfe\x01",
    **{f"origin with {value!r}": packed(origin={"a": value}) for value in (True, 1.5, (), b"x")},
    "unknown key": packed(extra=1),
    "unknown key, nil": packed(extra=None),
    "id of something else": packed(id="0" * 32),
    "id in upper case": packed(id=ids.event_id("public_ws", "s-1", 7, GOOD["raw"]).upper()),
    "id with a newline": derived(id=ids.derived_id("ws_event", CAUSE, 0) + "\n"),
    "derived with a free id": derived(id="1" * 32),
    **{f"derived, number {n}": derived(id=ids.derived_id("ws_event", CAUSE, n)) for n in (-1, 256, 1000)},
    "derived from another cause": derived(id=ids.derived_id("ws_event", "f" * 32, 0)),
    "derived as another doc type": derived(id=ids.derived_id("player_action", CAUSE, 0)),
    **{f"told id {value!r}": packed(raw=..., cause=CAUSE, id=value) for value in ("", "x", "1" * 31, "A" * 32)},
    "told id empty where it could be computed": packed(raw=..., cause=CAUSE, doc_type="game", game_id="g", id=""),
    "game with a wrong id": packed(raw=..., cause=CAUSE, doc_type="game", game_id="g", id="1" * 32),
    "derived without an id": packed(raw=..., cause=CAUSE),
    "blob without an id": packed(raw=..., blob="b" * 64),
    **{f"blob {value!r}": packed(raw=..., blob=value, id="1" * 32) for value in ("", "b" * 63, "B" * 64, 5)},
    **{f"cause {value!r}": packed(raw=..., cause=value, id="1" * 32) for value in ("", "b" * 31, "B" * 32, 5)},
    "raw and cause": packed(cause=CAUSE, id="1" * 32),
    "raw and blob": packed(blob="b" * 64, id="1" * 32),
    "blob malformed beside a cause": packed(raw=..., blob="b", cause=CAUSE, doc_type="game", game_id="g"),
    "nothing": b"",
    "nil": b"\xc0",
    "a number": b"\x05",
    "text": b"\xa5hello",
    "JSON": b'{"v":1}',
    "a reserved byte": b"\xc1",
    "a byte too many": packed() + b"\x00",
    "an element that is no map": b"\x92" + packed() + b"\x05",
    "array that promises too much": b"\xdd\xff\xff\xff\xff",
    "map that promises too much": b"\xdf\xff\xff\xff\xff",
    "raw that promises too much": with_packed("raw", b"\xdb\xff\xff\xff\xff"),
}


@both
@pytest.mark.parametrize("body", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepts(decode: Decoder, body: bytes) -> None:
    assert len(decode(body)) == 1


@pytest.mark.parametrize("body", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_both_see_the_same(body: bytes) -> None:
    assert by_codec(body) == by_wire(body)


@both
@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED.keys())
def test_refuses(decode: Decoder, body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - pydantic's and ours; the reasons differ
        decode(body)


@both
def test_a_body_cut_at_any_byte_is_refused(decode: Decoder) -> None:
    body = msgpack.packb([GOOD, {**GOOD, "fields": {"a": [1.5, "ü"]}, "raw": b"\xff" * 40}])
    for size in range(len(body)):
        with pytest.raises(ValueError):  # noqa: PT011
            decode(body[:size])


@both
def test_text_and_the_same_bytes_are_one_event(decode: Decoder) -> None:
    (text,), (data,) = decode(packed(raw="ü")), decode(packed(raw="ü".encode()))
    assert text == data


def test_empty_array_holds_nothing() -> None:
    assert codec.decode(b"\x90") == []
    assert wire.judge(b"\x90") == wire.Judged([], [])


def test_wire_judges_one_by_one() -> None:
    elements = [{**GOOD, "v": 2}, GOOD, 5, {**GOOD, "extra": 1}, {**GOOD, "seq": 8}]
    judged = wire.judge(msgpack.packb(elements))
    assert [event.envelope.seq for event in judged.events] == [7, 8]
    assert [fault.place for fault in judged.faults] == [0, 2, 3]
    assert [msgpack.unpackb(fault.body) for fault in judged.faults] == [elements[0], 5, elements[3]]


@pytest.mark.parametrize("junk", [None, {}, "x" * 200], ids=["nil", "empty map", "text"])
def test_a_body_with_very_many_faults_is_one_fault_and_its_good_ones_are_events(junk: Any) -> None:
    apart = wire.judge(msgpack.packb([GOOD, *[junk] * wire.MAX_FAULTS, {**GOOD, "seq": 8}]))
    assert (len(apart.events), len(apart.faults)) == (2, wire.MAX_FAULTS)
    body = msgpack.packb([GOOD, *[junk] * (wire.MAX_FAULTS + 1), {**GOOD, "seq": 8}])
    judged = wire.judge(body)
    assert [event.envelope.seq for event in judged.events] == [7, 8]
    (fault,) = judged.faults
    assert (fault.place, fault.body) == (0, body)
    assert fault.reason.startswith("element 1: ")
    assert fault.reason.endswith(f"; and {wire.MAX_FAULTS} more")


@pytest.mark.slow
def test_a_million_faults_take_little_memory() -> None:
    body = b"\xdd" + (1_000_000).to_bytes(4, "big") + b"\xc0" * 1_000_000
    with traced() as memory:
        assert len(wire.judge(body).faults) == 1
    assert memory.peak < 5_000_000


def test_an_array_cut_or_too_long_is_one_fault_as_a_whole() -> None:
    body = msgpack.packb([None, GOOD, None])
    for wrong in (body[:-1], body + b"\xc0", body[:-1] + b"\xc1"):
        assert [(fault.place, fault.body) for fault in wire.judge(wrong).faults] == [(0, wrong)]
        assert wire.judge(wrong).events == []


def test_wire_holds_envelopes_to_the_doc_type_of_their_subject() -> None:
    judged = wire.judge(msgpack.packb([GOOD, {**GOOD, "doc_type": "game_tick"}]), "ws_event")
    assert [event.envelope.doc_type for event in judged.events] == ["ws_event"]
    assert [fault.place for fault in judged.faults] == [1]


@pytest.mark.parametrize(
    "body",
    [
        packed(**{"k" * 1_000_000: 1}),
        packed(fields={"k" * 1_000_000: float("nan")}),
        packed(fields={"k" * 1_000_000: {"a": {1: 2}}}),
        packed(fields={"a\nb": b"x"}),
    ],
)
def test_reasons_are_one_short_line(body: bytes) -> None:
    (fault,) = wire.judge(body).faults
    assert 0 < len(fault.reason) <= 300
    assert "\n" not in fault.reason


def test_a_long_key_above_many_values_costs_nothing_extra() -> None:
    """Building an error's place for every value would take minutes here."""
    body = packed(fields={"k" * 1_000_000: {"a": list(range(100_000))}})
    assert by_codec(body) == by_wire(body)
