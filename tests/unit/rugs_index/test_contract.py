"""The retrieval contract: texts and ids of raw events, for every record that there can be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_index import contract
from rugs_index.chunk import chunk_id

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).resolve().parents[3] / "proto" / "vectors" / "retrieval.json").read_text()
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["\ud800", 10**4000, -(10**400), float("nan"), float("inf")]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)
EVENTS = (
    *("gameStateUpdate", "standard/newTrade", "newChatMessage", "goldenHourUpdate", "goldenHourDrawing"),
    *("battleEventUpdate", "playerUpdate", "unknown"),
)
KEYS = (
    *("gameId", "active", "rugged", "price", "tickCount", "cooldownTimer", "tradeCount", "connectedPlayers"),
    *("averageMultiplier", "count2x", "count10x", "count50x", "count100x", "rugpool", "leaderboard", "type", "amount"),
    *("username", "level", "qty", "tickIndex", "coin", "message", "tag", "verified", "role", "status"),
    *("activeEventId", "currentEvent", "id", "timestamp", "entries", "gameStateUpdate"),
)
PAYLOADS = st.dictionaries(st.sampled_from(KEYS), JSON, max_size=12)
RECORDS = st.fixed_dictionaries(
    {}, optional={"event": st.sampled_from(EVENTS) | JSON, "ts": JSON, "seq": JSON, "data": JSON | PAYLOADS}
)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector.get("name", vector["id"])))
def test_vectors(vector: dict[str, Any]) -> None:
    if vector["kind"] == "raw_event":
        assert contract.text_of(vector["record"]) == vector["text"]
        assert contract.game_id_of(vector["record"].get("data")) == vector["game_id"]
    assert chunk_id(vector["source"], vector["text"]) == vector["id"]


def test_every_row_of_the_table_has_vectors() -> None:
    assert {str(vector["record"].get("event")) for vector in VECTORS if "record" in vector} >= {*EVENTS[:6]}
    assert len({vector.get("name", vector["id"]) for vector in VECTORS}) == len(VECTORS)


@pytest.mark.parametrize(
    ("text", "source", "digits"),
    [
        ("", "", "e7ac0786668e0ff0"),
        ("hello", "a", "0d85930868e6abf8"),
        ("a:b", "c", "da4c12c1f1443178"),
        ("café ☕ 日本", "docs/ü.md", "fc73286a775e39be"),
        ("line1\nline2", "x", "f775fb098cabd112"),
        (" trailing ", "x", "44d4f26a09a192b6"),
    ],
)
def test_ids_of_the_contract(text: str, source: str, digits: str) -> None:
    assert chunk_id(source, text) == digits


def test_a_cooldown_frame_has_defaults_for_what_it_does_not_say() -> None:
    """Written by hand: the faults of the old texts are part of the contract."""
    data = {"gameId": "g", "cooldownTimer": 14900, "connectedPlayers": 200, "leaderboard": [{"username": None}]}
    assert contract.text_of({"seq": 3, "ts": "t", "event": "gameStateUpdate", "data": data}).split("\n") == [
        *("Event Type: gameStateUpdate", "Timestamp: t", "Sequence: 3", "Game ID: g", "Active: False"),
        *("Rugged: False", "Price: 0", "Tick Count: 0", "Cooldown Timer: 14900", "Trade Count: 0"),
        *("Connected Players: 200", "Average Multiplier: 0", "Count 2x: 0", "Count 10x: 0", "Count 50x: 0"),
        *("Count 100x: 0", "Leaderboard Size: 1", "Top Player: None (PnL: 0)"),
    ]


@given(RECORDS)
def test_no_record_makes_it_fail(record: dict[str, Any]) -> None:
    text = contract.text_of(record)
    metadata = contract.metadata_of(record, "source", 7)
    assert text.startswith("Event Type: ")
    assert len(chunk_id("source", text)) == 16
    assert type(metadata["seq"]) is int
    assert {type(metadata[key]) for key in ("event_type", "timestamp", "game_id")} == {str}


@given(RECORDS)
def test_a_record_gives_the_same_text_after_json(record: dict[str, Any]) -> None:
    try:
        again = json.loads(json.dumps(record))
    except ValueError:  # a whole number that Python does not write
        return
    assert contract.text_of(again) == contract.text_of(record)


def test_deep_data_is_written_as_far_as_python_writes_it() -> None:
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    assert contract.text_of({"data": deep}).endswith("\nData: (list too large to write)")
    assert "price: (int too large to write)" in contract.text_of({"data": {"price": 10**5000}})


def test_metadata() -> None:
    record = {"seq": 9, "ts": "2099", "event": "connect", "data": [{"__trace": True}, {"gameId": "g"}]}
    assert contract.metadata_of(record, "a.jsonl", 3) == {
        "source": "a.jsonl",
        "kind": "ws_event",
        "doc_type": "raw_event",
        "event_type": "connect",
        "game_id": "g",
        "timestamp": "2099",
        "seq": 9,
        "headers": [],
        "line_start": 3,
        "line_end": 3,
    }
    assert contract.metadata_of({}, "a.jsonl") == {
        **{"source": "a.jsonl", "kind": "ws_event", "doc_type": "raw_event", "event_type": "unknown"},
        **{"game_id": "", "timestamp": "", "seq": 0, "headers": []},
    }


def as_the_old_code_would(record: dict[str, Any]) -> str:
    """Write the contract's table down once more, as plainly as can be, for payloads of the right types."""
    event, data = record.get("event", "unknown"), record.get("data")
    lines = [f"Event Type: {event}", f"Timestamp: {record.get('ts', '')}", f"Sequence: {record.get('seq', 0)}"]
    if not data:
        return "\n".join([*lines, "Data: null"])
    if isinstance(data, list) and len(data) >= 2:
        data = data[1]
    if not isinstance(data, dict):
        return "\n".join([*lines, f"Data: {str(data)[:500]}"])
    get = data.get
    if event == "gameStateUpdate":
        lines += [f"Game ID: {get('gameId', 'unknown')}", f"Active: {get('active', False)}"]
        lines += [f"Rugged: {get('rugged', False)}", f"Price: {get('price', 0)}"]
        lines += [f"Tick Count: {get('tickCount', 0)}", f"Cooldown Timer: {get('cooldownTimer', 0)}"]
        lines += [f"Trade Count: {get('tradeCount', 0)}", f"Connected Players: {get('connectedPlayers', 0)}"]
        lines += [f"Average Multiplier: {get('averageMultiplier', 0)}"]
        lines += [f"Count {times}: {get('count' + times, 0)}" for times in ("2x", "10x", "50x", "100x")]
        if pool := get("rugpool"):
            lines += [
                f"Rugpool Amount: {pool.get('rugpoolAmount', 0)}",
                f"Instarug Count: {pool.get('instarugCount', 0)}",
            ]
        if board := get("leaderboard"):
            lines += [f"Leaderboard Size: {len(board)}"]
            lines += [f"Top Player: {board[0].get('username', 'unknown')} (PnL: {board[0].get('pnl', 0)})"]
    elif event == "standard/newTrade":
        lines += [f"Trade Type: {get('type', 'unknown')}", f"Game ID: {get('gameId', 'unknown')}"]
        lines += [f"Player: {get('username', 'unknown')} (Level {get('level', 0)})", f"Price: {get('price', 0)}"]
        lines += [f"Amount: {get('amount', 0)} SOL", f"Quantity: {get('qty', 0)}"]
        lines += [f"Tick Index: {get('tickIndex', 0)}", f"Coin: {get('coin', 'unknown')}"]
    elif event == "newChatMessage":
        lines += [f"Player: {get('username', 'unknown')} (Level {get('level', 0)})", f"Message: {get('message', '')}"]
        lines += [f"Tag: {get('tag', 'none')}", f"Verified: {get('verified', False)}", f"Role: {get('role', 'none')}"]
    elif event == "goldenHourUpdate":
        lines += [f"Status: {get('status', 'unknown')}", f"Active Event ID: {get('activeEventId', 'none')}"]
        if now := get("currentEvent"):
            lines += [f"Event Start: {now.get('startTime', 'unknown')}", f"Event End: {now.get('endTime', 'unknown')}"]
            lines += [f"Prize Amount: {now.get('prizeAmount', 0)} SOL", f"Max Entries: {now.get('maxEntries', 0)}"]
            lines += [f"Level Required: {now.get('levelRequired', 0)}"]
    elif event == "goldenHourDrawing":
        lines += [f"Drawing ID: {get('id', 'unknown')}", f"Game ID: {get('gameId', 'unknown')}"]
        entries = get("entries", [])
        lines += [f"Timestamp: {get('timestamp', 'unknown')}", f"Total Entries: {len(entries)}"]
        if entries:
            top = entries[0]
            name, count, share = top.get("username", "unknown"), top.get("entryCount", 0), top.get("entryPercentage", 0)
            lines += [f"Top Entry: {name} ({count} entries, {share:.1f}%)"]
    elif event == "battleEventUpdate":
        lines += [f"Status: {get('status', 'unknown')}", f"Event ID: {get('activeEventId', 'none')}"]
    else:
        lines += [f"{key}: {data[key]}" for key in list(data)[:10] if isinstance(data[key], str | int | float)]
    return "\n".join(lines)


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
INNER = st.dictionaries(
    st.sampled_from(("username", "pnl", "rugpoolAmount", "instarugCount", "startTime", "prizeAmount", "entryCount")),
    PLAIN,
    max_size=4,
)
ENTRIES = st.lists(
    st.builds(
        lambda inner, share: {**inner, **share},
        INNER,
        st.fixed_dictionaries({}, optional={"entryPercentage": st.floats()}),
    ),
    max_size=3,
)
NESTED = {
    "rugpool": INNER,
    "currentEvent": INNER | st.none(),
    "leaderboard": st.lists(INNER, max_size=3),
    "entries": ENTRIES,
}
WELL_TYPED = st.builds(
    lambda plain, nested: {**plain, **nested},
    st.dictionaries(st.sampled_from([key for key in KEYS if key not in NESTED]), PLAIN, max_size=30),
    st.fixed_dictionaries({}, optional=NESTED),
)


@given(st.sampled_from(EVENTS), WELL_TYPED, st.booleans())
def test_it_is_the_table_of_the_contract(event: str, payload: dict[str, Any], is_traced: bool) -> None:
    data = [{"__trace": True}, payload] if is_traced else payload
    record = {"seq": 1, "ts": "2099-01-01T03:00:01", "event": event, "data": data}
    assert contract.text_of(record) == as_the_old_code_would(record)
