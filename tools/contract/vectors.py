"""Test vectors: inputs, and what every implementation of the contract must make of them.

`tools.contract.export` writes them to `proto/vectors/`. Bytes are given as hex. `raw` is
``{"text": ...}``, ``{"hex": ...}``, ``{"repeat": hex, "times": n}`` or null.
"""

from __future__ import annotations

from typing import Any, Final

import msgpack

from rugs_proto import codec, ids, subjects
from rugs_proto.domains import DOMAINS
from rugs_proto.domains.domain import KeyPart
from rugs_proto.envelope import MAX_DEPTH, MAX_SEQ, TS_END_US, TS_MIN_US, Envelope

Vector = dict[str, Any]

_TS: Final = 1_764_633_600_123_456
_BASE: Final[dict[str, Any]] = {
    "v": 1,
    "ts": _TS,
    "doc_type": "ws_event",
    "source": "public_ws",
    "session_id": "s-1",
    "seq": 1,
    "direction": "received",
    "event": "gameStateUpdate",
    "raw": '42["gameStateUpdate",{"price":1.5}]',
}
_CAUSE: Final = "0123456789abcdef" * 2


def _raw_json(raw: str | bytes | None) -> Vector | None:
    if raw is None:
        return None
    return {"text": raw} if isinstance(raw, str) else {"hex": raw.hex()}


def _with(**changes: Any) -> dict[str, Any]:
    return {key: value for key, value in {**_BASE, **changes}.items() if value is not ...}


def id_vectors() -> list[Vector]:
    """Return examples of every kind of id, with the bytes that are hashed."""
    raws: list[str | bytes | None] = [None, "", "x", b"x", "é€😀", b"\xff\xfe\x00"]
    places: list[tuple[str, str, int]] = [("public_ws", "s-1", seq) for seq in (1, 127, 128, 255, 256, 65535, 65536)]
    places += [("public_ws", "s-1", 2**32 - 1), ("public_ws", "s-1", 2**32), ("public_ws", "s-1", MAX_SEQ)]
    places += [("import", "a" * length, 7) for length in (31, 32, 255, 256)] + [("cdp", "sitzung-ä", 7)]
    received = [("public_ws", "s-1", 1, raw) for raw in raws] + [(*place, "x") for place in places]
    made: list[Vector] = []
    for kind, person, make in (
        ("event", ids.EVENT_PERSON, ids.event_id),
        ("reject", ids.REJECT_PERSON, lambda s, i, n, raw: ids.reject_id(s, i, n, _encoded(raw))),
    ):
        for source, session_id, seq, raw in received if kind == "event" else received[:6]:
            made.append(
                {
                    "kind": kind,
                    "personalisation": person.decode(),
                    "source": source,
                    "session_id": session_id,
                    "seq": seq,
                    "raw": _raw_json(raw),
                    "hashed_hex": msgpack.packb([source, session_id, seq, _encoded(raw)]).hex(),
                    "id": make(source, session_id, seq, raw),
                }
            )
    for size in (255, 256, 65535, 65536):
        made.append(
            {
                "kind": "event",
                "personalisation": ids.EVENT_PERSON.decode(),
                "source": "cdp",
                "session_id": "s-1",
                "seq": 1,
                "raw": {"repeat": "61", "times": size},
                "id": ids.event_id("cdp", "s-1", 1, b"a" * size),
            }
        )
    return made + _derived_vectors() + _keyed_vectors()


def _encoded(raw: str | bytes | None) -> bytes | None:
    return raw.encode() if isinstance(raw, str) else raw


def _derived_vectors() -> list[Vector]:
    natural = [example for domain in DOMAINS.values() for example in domain.examples]
    placed = [("player_action", (_CAUSE, n)) for n in (0, 255)]
    return [
        _key_vector("derived", ids.DERIVED_PERSON, doc_type, key, ids.derived_id(doc_type, *key))
        for doc_type, key in [*natural, *placed]
    ]


def _keyed_vectors() -> list[Vector]:
    keys: list[tuple[KeyPart, ...]] = [(), ("",), ("k",), ("scope", "é€😀"), ("scope", 1, -1, 2**63, True, None)]
    return [_key_vector("keyed", ids.KEYED_PERSON, "note", key, ids.keyed_id("note", *key)) for key in keys]


def _key_vector(kind: str, person: bytes, doc_type: str, key: tuple[KeyPart, ...], made: str) -> Vector:
    hashed = [doc_type, *key]
    return {
        "kind": kind,
        "personalisation": person.decode(),
        "key": hashed,
        "hashed_hex": msgpack.packb(hashed).hex(),
        "id": made,
    }


def subject_vectors() -> list[Vector]:
    """Return examples of subjects built from names, and of subjects that are not ours (tokens null)."""
    names = [
        ("ws_event", "cdp", "gameStateUpdate"),
        ("ws_event", "public_ws", "standard/newTrade"),
        ("system_event", "import", ""),
        ("ws_event", "cdp", "a.b c*d>e"),
        ("ws_event", "cdp", "größe-1"),
        ("ws_event", "my_bot_2", "tick"),
    ]
    built: list[Vector] = [
        {
            "doc_type": doc_type,
            "source": source,
            "event": event,
            "subject": (subject := subjects.event_subject(doc_type, source, event)),
            "tokens": list(subjects.parse_event_subject(subject)),
        }
        for doc_type, source, event in names
    ]
    sharded: Vector = {"subject": "rugs.events.game_tick.cdp.tick.3", "tokens": ["game_tick", "cdp", "tick"]}
    foreign = ["", "rugs.events", "rugs.events.a.b", "rugs.events.a..c", "rugs.ingest.a.b.c", "other.events.a.b.c"]
    return [*built, sharded, *({"subject": subject, "tokens": None} for subject in foreign)]


def envelope_vectors() -> list[Vector]:
    """Return bodies with the envelopes that they hold."""
    derived = _with(doc_type="game_tick", raw=..., cause=_CAUSE, game_id="g-1", event="tick")
    bodies: list[tuple[str, list[dict[str, Any]], bool]] = [
        ("a frame", [_with()], False),
        ("a frame that carries its id", [_with(id=Envelope(**_BASE).computed_id())], False),
        ("no optional key", [_with(event=..., raw=...)], False),
        ("bytes that are not UTF-8", [_with(raw=b"\xff\x00\xfe")], False),
        ("text packed as bin is the same event", [_with(raw=str(_BASE["raw"]).encode())], False),
        ("an unknown doc type", [_with(doc_type="something_new")], False),
        ("a source of a name of its own", [_with(source="my_bot_2"), _with(source="x" * 64)], True),
        ("first and last microsecond", [_with(ts=TS_MIN_US), _with(ts=TS_END_US - 1, seq=MAX_SEQ)], True),
        ("an empty array", [], True),
        ("two events in a message", [_with(), _with(seq=2, raw="3")], True),
        (
            "a derived tick",
            [{**derived, "fields": {"tick": 0, "phase": "ACTIVE", "rugged": False, "price": 1.0}}],
            False,
        ),
        ("a completed game", [_with(doc_type="game", raw=..., cause=_CAUSE, game_id="g-1", event="")], False),
        (
            "a derived event without a natural key",
            [_with(doc_type="player_action", raw=..., cause=_CAUSE, id=ids.derived_id("player_action", _CAUSE, 3))],
            False,
        ),
        ("raw in the object store", [_with(raw=..., blob="ab" * 32, id=_CAUSE)], False),
        (
            "an imported line",
            [
                _with(
                    source="import",
                    recv_ts=_TS + 5,
                    player_id="p",
                    username="ü",
                    fields={"price": 1.25, "tick": 3, "active": True, "list": [1, None, {"a": "b"}]},
                    origin={"sha256": "cd" * 32, "file": "game_1.jsonl", "line": 3, "offset": 512, "tz": None},
                )
            ],
            False,
        ),
        ("a reject", [_with(doc_type="reject", source="import", raw=b'{"cut', fields={"reason": "not JSON"})], False),
    ]
    return [_envelope_vector(name, envelopes, as_array) for name, envelopes, as_array in bodies]


def _envelope_vector(name: str, envelopes: list[dict[str, Any]], as_array: bool) -> Vector:
    body = msgpack.packb(envelopes if as_array else envelopes[0])
    expected = [{**codec.to_map(envelope), "raw": _raw_json(envelope.raw)} for envelope in codec.decode(body)]
    return {"name": name, "body_hex": body.hex(), "envelopes": expected}


def _nested(depth: int) -> list[Any] | None:
    return [_nested(depth - 1)] if depth else None


def bad_vectors() -> list[Vector]:
    """Return bodies that break the contract, with the ids of what is accepted and the places of what is not.

    `codec` takes a body as a whole or not at all; a consumer judges element by
    element (`accepted`, `refused`). A body that is no map or array is refused at 0.
    """
    good = msgpack.packb(_with())
    whole: dict[str, bytes] = {
        "empty": b"",
        "nil": b"\xc0",
        "text": msgpack.packb("hello"),
        "JSON": b'{"v":1}',
        "cut in the middle": good[: len(good) // 2],
        "a byte too many": good + b"\x00",
        "a reserved byte": b"\xc1",
        "an array that promises too much": b"\xdd\xff\xff\xff\xff",
        "a list as key": b"\x81\x91\x01\x01",
    }
    maps: dict[str, dict[Any, Any]] = {
        **{f"version {v!r}": _with(v=v) for v in (0, 2, True, 1.0, "1", None)},
        **{f"{key} missing": _with(**{key: ...}) for key in ("v", "ts", "doc_type", "source", "session_id", "seq")},
        **{f"ts {ts!r}": _with(ts=ts) for ts in (TS_MIN_US - 1, TS_END_US, -62_135_596_800_000_000, True, 1.7e15, "1")},
        **{f"seq {seq!r}": _with(seq=seq) for seq in (0, -1, MAX_SEQ + 1, 1.0)},
        **{f"doc_type {name!r}": _with(doc_type=name) for name in ("", "Upper", "a-b", "a" * 65, "a\n", None)},
        **{f"{name} in fields": _with(fields={"a": [{"b": float(name)}]}) for name in ("nan", "inf", "-inf")},
        "fields nested too deep": _with(fields={"a": _nested(MAX_DEPTH)}),
        "bytes in fields": _with(fields={"a": b"x"}),
        "extension type in fields": _with(fields={"a": msgpack.ExtType(5, b"abcd")}),
        "timestamp extension as ts": _with(ts=msgpack.Timestamp(1_764_633_600, 0)),
        "number as key in fields": _with(fields={1: 2}),
        "unknown key": _with(extra=1),
        "number as key": {**_with(), 5: 1},
        **{f"source {name!r}": _with(source=name) for name in ("", "Upper", "a-b", "a" * 65, "a\n", None)},
        "unknown direction": _with(direction="sideways"),
        "empty session": _with(session_id=""),
        "event too long": _with(event="x" * 513),
        "raw a number": _with(raw=5),
        "id of something else": _with(id="0" * 32),
        "id malformed": _with(id="xyz"),
        "cause malformed": _with(raw=..., cause="xyz", id=_CAUSE),
        "cause without a natural key or an id": _with(raw=..., cause=_CAUSE),
        "derived with an id of another cause": _with(
            doc_type="player_action", raw=..., cause=_CAUSE, id=ids.derived_id("player_action", "f" * 32, 0)
        ),
        "derived with a position too large": _with(
            doc_type="player_action", raw=..., cause=_CAUSE, id=ids.derived_id("player_action", _CAUSE, 256)
        ),
        "raw and cause": _with(cause=_CAUSE),
        "raw and blob": _with(blob="ab" * 32, id=_CAUSE),
        "blob without an id": _with(raw=..., blob="ab" * 32),
        "origin with a fraction": _with(origin={"line": 1.5}),
    }
    good_id = Envelope(**_BASE).computed_id()
    refused: list[Vector] = [
        {"name": name, "body_hex": body.hex(), "accepted": [], "refused": [0]}
        for name, body in [*whole.items(), *((name, msgpack.packb(value)) for name, value in maps.items())]
    ]
    mixed = msgpack.packb([_with(v=2), _with(), 5, _with(extra=1)])
    mixed_vector: Vector = {"name": "good among bad", "body_hex": mixed.hex(), "accepted": [good_id]}
    utf8_vector: Vector = {
        "name": "text that is not UTF-8",
        "body_hex": good.replace(b"gameState", b"gameSta\xff\xfe").hex(),
        "accepted": [],
    }
    return [*refused, {**mixed_vector, "refused": [0, 2, 3]}, {**utf8_vector, "refused": [0]}]
