"""Test vectors of the retrieval contract: records, and the text and id that every implementation must make of them.

Written to `proto/vectors/retrieval.json`. The values are made up: every row of the table, with all of its keys, with
none, with nulls and with values of a wrong type, as the feed sends it and behind a trace.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from rugs_index import contract
from rugs_index.chunk import chunk_id

Vector = dict[str, Any]

_TS: Final = "2099-01-01T03:00:01.601933+00:00"
_GAME: Final = "20990101-0123456789abcdef"
_PLAYER: Final = {"playerId": "did:privy:made-up", "username": "Ada", "level": 7}
_PAYLOADS: Final[dict[str, dict[str, Any]]] = {
    "gameStateUpdate": {
        "gameId": _GAME,
        "active": True,
        "rugged": False,
        "price": 1.0211779393570963,
        "tickCount": 5,
        "cooldownTimer": 0,
        "tradeCount": 71,
        "connectedPlayers": 201,
        "averageMultiplier": 4.703545228606745,
        "count2x": 47,
        "count10x": 7,
        "count50x": 1,
        "count100x": 0,
        "rugpool": {"instarugCount": 1, "threshold": 10, "rugpoolAmount": 0.7011900015},
        "leaderboard": [{**_PLAYER, "pnl": 0.248086054}, {"username": "Bob", "pnl": -1}],
    },
    "standard/newTrade": {
        "id": "9d33997e-2bad-4893-9de5-8e8ec708891a",
        "gameId": _GAME,
        **_PLAYER,
        "type": "sell",
        "price": 0.8317710102714284,
        "amount": 4.158855049,
        "qty": 5,
        "tickIndex": 7,
        "coin": "solana",
    },
    "newChatMessage": {
        **_PLAYER,
        "message": "café ☕ 日本\nsecond line | still the message",
        "tag": "ghoul",
        "verified": True,
        "role": "mod",
    },
    "goldenHourUpdate": {
        "status": "ACTIVE",
        "activeEventId": "golden-1",
        "currentEvent": {
            "startTime": "2099-01-01T03:00:00.000Z",
            "endTime": "2099-01-01T04:00:00.000Z",
            "prizeAmount": 0.5,
            "maxEntries": 100,
            "levelRequired": 3,
        },
    },
    "goldenHourDrawing": {
        "id": "drawing-1",
        "gameId": _GAME,
        "timestamp": 4070919601601,
        "entries": [{**_PLAYER, "entryCount": 12, "entryPercentage": 22.452736988638915}, {"username": "Bob"}],
    },
    "battleEventUpdate": {"status": "SCHEDULED", "activeEventId": "battle-1"},
    "playerUpdate": {"id": "did:privy:made-up", "role": None, "cash": 0.017619831, "xpBoost": {"active": False}},
}
_WRONG: Final[dict[str, list[Any]]] = {
    "rugpool": ["text", [1], 7, True, {}],
    "leaderboard": ["text", {"0": {}}, 7, [], [None], ["Ada"], [[]], [{}]],
    "currentEvent": ["text", [1], 7, {}, {"startTime": None}],
    "entries": ["text", {"0": {}}, 7, [], [None], [{}], [{"entryPercentage": None}], [{"entryPercentage": "12"}]],
}
_HOLDERS: Final = {
    "rugpool": "gameStateUpdate",
    "leaderboard": "gameStateUpdate",
    "currentEvent": "goldenHourUpdate",
    "entries": "goldenHourDrawing",
}
_NUMBERS: Final = [0, -1, 1.0, -0.0, 0.1, 1e16, 1e-05, 123456789.12345679, 10**20, 5e-324, 1.7976931348623157e308]
_DATA: Final[list[tuple[str, Any]]] = [
    ("null", None),
    ("an empty object", {}),
    ("an empty list", []),
    ("zero", 0),
    ("false", False),
    ("empty text", ""),
    ("a number", 7),
    ("true", True),
    ("text of 500 characters", "x" * 500),
    ("text of 501 characters", "x" * 500 + "y"),
    ("a list of one object", [{"gameId": _GAME}]),
    ("a list of two texts", ["a", "b"]),
    ("a list of two whose payload is null", [{"__trace": True}, None]),
    ("a list of two whose payload is empty", [{"__trace": True}, {}]),
    ("a list of two whose payload is a list", [{"__trace": True}, [1, "a", None, True, {"b": 1.5}]]),
    ("a list of three", [{"__trace": True}, {"gameId": _GAME, "a": 1}, "offset"]),
    ("a trace alone", {"__trace": True, "traceparent": "00-0-0-01"}),
    ("long data behind a trace", [{"__trace": True}, ["é" * 300, "ü" * 300]]),
    ("a game inside", {"gameStateUpdate": {"gameId": _GAME}}),
    ("a game id that is a number", {"gameId": 7}),
    ("ten keys and one more", {f"key{number}": number for number in range(11)}),
    ("ten keys of which few are plain", {**{f"key{n}": [n] for n in range(9)}, "last": "seen", "eleventh": "not seen"}),
    ("plain and other values", {"a": "", "b": None, "c": [], "d": {}, "e": False, "f": 0, "g": 1.5, "": "empty key"}),
]
_HEADS: Final[list[tuple[str, dict[str, Any]]]] = [
    ("no keys at all", {}),
    ("no event", {"ts": _TS, "seq": 1, "data": {"price": 1}}),
    ("an event that is null", {"event": None, "ts": None, "seq": None, "data": {"price": 1}}),
    ("an event that is empty", {"event": "", "ts": "", "seq": 0, "data": {"price": 1}}),
    ("an event that is a list", {"event": ["gameStateUpdate"], "ts": 4070919601.5, "seq": 1.0, "data": {"price": 1}}),
    ("a time and a number of other types", {"event": "connect", "ts": 4070919601, "seq": "12", "data": None}),
    ("keys of another recorder", {"event_type": "connect", "timestamp": _TS, "data": {"price": 1}}),
]
_EDGES: Final = [
    ("", ""),
    ("a", "hello"),
    ("c", "a:b"),
    ("docs/ü.md", "café ☕ 日本"),
    ("x", "line1\nline2"),
    ("x", "line1\r\nline2"),
    ("x", " trailing "),
    ("x", "e\u0301"),
    ("x", "\u00e9"),
    ("x", "\x00\ufeff\u2028"),
]


def retrieval_vectors() -> list[Vector]:
    """Return ids of texts, and texts and ids of records."""
    ids = [{"kind": "id", "source": source, "text": text, "id": chunk_id(source, text)} for source, text in _EDGES]
    return [*ids, *(_raw_event(name, record) for name, record in _records())]


def _raw_event(name: str, record: dict[str, Any]) -> Vector:
    source = "2098-12-31_22-00-00_raw.jsonl"
    text = contract.text_of(record)
    return {
        "kind": "raw_event",
        "name": name,
        "source": source,
        "record": record,
        "game_id": contract.game_id_of(record.get("data")),
        "text": text,
        "id": chunk_id(source, text),
    }


def _records() -> Iterator[tuple[str, dict[str, Any]]]:
    for event, payload in _PAYLOADS.items():
        yield f"{event}: all of its keys", _record(event, payload)
        yield f"{event}: behind a trace", _record(event, [{"__trace": True, "traceparent": "00-0-0-01"}, payload])
        yield f"{event}: a trace in its place", _record(event, {"__trace": True, "traceparent": "00-0-0-01"})
        yield f"{event}: none of its keys", _record(event, {"other": 1})
        yield f"{event}: nulls", _record(event, dict.fromkeys(payload))
        yield f"{event}: no data", _record(event, None)
    for key, values in _WRONG.items():
        for value in values:
            yield f"{_HOLDERS[key]}: {key} is {value!r}", _record(_HOLDERS[key], {key: value})
    for number in _NUMBERS:
        yield f"a number: {number!r}", _record("standard/newTrade", {"price": number, "amount": number})
        share = {"entries": [{"entryPercentage": number}]}
        yield f"a percentage: {number!r}", _record("goldenHourDrawing", share)
    for name, data in _DATA:
        yield f"data: {name}", _record("somethingNew", data)
    yield from _HEADS


def _record(event: str, data: Any) -> dict[str, Any]:
    return {"seq": 1, "ts": _TS, "event": event, "data": data}
