"""Chunks of events: the same from a recording and from the lake, and texts that say what is there and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rugs_lake
from rugs_core.time import from_us
from rugs_discovery.messages import elements_of
from rugs_index import event_text
from rugs_index.chunk import Chunk
from rugs_index.chunkers.ws_event import Profile, chunk_of_record, chunk_of_row, content_key
from rugs_index.event import event_of
from rugs_index.event_titles import TITLES
from rugs_index.recording import read
from rugs_index.rows import COLUMNS, StoredRow, stored_rows
from rugs_sim.made_up.feed import Feed
from rugs_sim.old_files.generate import START
from rugs_sim.old_files.recorders import cdp_capture, raw_capture
from tests.support import exportkit
from tests.support.exportkit import Shelf
from tests.support.madeup import played

GAME = "20990101-0123456789abcdef"
FEED_EVENTS = (
    *("gameStateUpdate", "gameStatePlayerUpdate", "standard/newTrade", "newChatMessage", "goldenHourUpdate"),
    *("battleEventUpdate", "playerUpdate", "goldenHourDrawing", "rugRoyaleUpdate", "usernameStatus"),
    *("playerLeaderboardPosition", "rugpoolDrawing", "rugpoolStatus", "buyOrder", "sellOrder", "requestSidebet"),
    *("currentSidebet", "currentSidebetResult", "success", "ping", "sidebet", "sidebetResponse", "buyOrderResponse"),
    *("sellOrderResponse", "rugPassQuestCompleted", "godCandle50xUpdate", "globalSidebets", "authenticate"),
    *("chatHistory", "checkUsername", "connect", "gameNotification", "getLeaderboard", "getPlayerCosmetics"),
    *("getPlayerLeaderboardPosition", "inboxMessages", "leaderboardData", "maintenanceUpdate", "mutedPlayers"),
    *("newSideBet", "playerCosmetics", "rugpassStatus", "sidebetEventUpdate"),
)
"""Every event that is known of the feed, private ones too."""


def rows_of(shelf: Shelf) -> list[StoredRow]:
    columns = ", ".join("epoch_us(ts) AS ts" if name == "ts" else name for name in COLUMNS)
    query = f"SELECT {columns}, coalesce(raw, '') AS raw FROM ws_event ORDER BY ts, source, session_id, seq, id"
    with rugs_lake.open(shelf.root) as lake:
        table = lake.connection.sql(query).to_arrow_table()
    return [
        row._replace(raw=raw or None) for row, raw in zip(stored_rows(table), table["raw"].to_pylist(), strict=True)
    ]


def text_of(record: dict[str, Any]) -> list[str]:
    return chunk_of_record(record, "a.jsonl", Profile.RUGBUS).text.split("\n")


def record(event: str, data: Any, **more: Any) -> dict[str, Any]:
    return {"seq": 7, "ts": "2099-01-01T03:00:01+00:00", "event": event, "data": data, **more}


def chunks_of(path: Path, profile: Profile) -> Iterator[Chunk]:
    for each in read(path):
        assert each.record is not None
        yield chunk_of_record(each.record, path.name, profile, line=each.line)


@pytest.mark.slow
@pytest.mark.parametrize("profile", Profile)
def test_recording_and_lake_give_the_same_chunks(shelf: Shelf, profile: Profile) -> None:
    samples = (
        {"timestamp": f"2099-01-01T03:00:0{number}", "event_type": "standard/newTrade", "data": {"price": number}}
        for number in range(5)
    )
    files = [
        shelf.file("2098-12-31_22-00-00_raw.jsonl", raw_capture(Feed(5, START), 80)),
        shelf.file("2098-12-31_22-00-00_cdp.jsonl", cdp_capture(Feed(6, START), 60)),
        shelf.file("websocket_raw_samples.jsonl", (json.dumps(each).encode() for each in samples)),
    ]
    of_files: dict[tuple[str, int], Chunk] = {}
    for file in files:
        shelf.take_in(file)
        of_files |= {(chunk.id, chunk.metadata["line_start"]): chunk for chunk in chunks_of(file, profile)}
    rows = rows_of(shelf)
    of_lake = {
        (chunk.id, chunk.metadata["line_start"]): chunk for chunk in (chunk_of_row(row, profile) for row in rows)
    }
    assert of_lake.keys() == of_files.keys()
    assert len(of_lake) == len(rows) == 145
    for key, chunk in of_files.items():
        of_row = of_lake[key]
        assert of_row.text == chunk.text
        assert {name: of_row.metadata[name] for name in chunk.metadata} == chunk.metadata
        assert {"ts", "event_id", "session_id"} <= of_row.metadata.keys()


def test_a_row_read_out_of_a_document_has_the_chunk_of_its_element() -> None:
    content = json.dumps([record("newChatMessage", {"message": "hi"})], indent=1).encode()
    (element,) = elements_of(content) or []
    row = StoredRow("a" * 32, 1, "ws_event", "import", "s", 1, "received", "newChatMessage", origin_file="samples.json")
    of_file = chunk_of_record(record("newChatMessage", {"message": "hi"}), "samples.json", Profile.CLAUDE_FLOW_V1)
    assert chunk_of_row(row._replace(raw=element), Profile.CLAUDE_FLOW_V1).id == of_file.id


def live_row(raw: str | bytes | None, **changes: Any) -> StoredRow:
    row = StoredRow("b" * 32, 1_764_633_600_000_000, "ws_event", "public_ws", "s-1", 12, "received", "newChatMessage")
    return row._replace(raw=raw, **changes)


def test_a_live_row_is_told_as_an_old_recorder_would_have() -> None:
    raw = '42["newChatMessage",{"__trace":true},{"username":"Ada","level":7,"message":"hi"}]'
    chunk = chunk_of_row(
        live_row(raw, player_id="p-1", username="Ada", owner="o"), Profile.CLAUDE_FLOW_V1, scope_key="s"
    )
    assert chunk.text.startswith(
        "Event Type: newChatMessage\nTimestamp: 2025-12-02T00:00:00+00:00\nSequence: 12\nPlayer: Ada (Level 7)\n"
    )
    assert (chunk.scope_key, chunk.owner, chunk.search_text) == ("s", "o", "new chat message")
    assert chunk.metadata == {
        **{"source": "ws_event/s-1", "kind": "ws_event", "doc_type": "raw_event", "event_type": "newChatMessage"},
        **{"game_id": "", "timestamp": "2025-12-02T00:00:00+00:00", "seq": 12, "headers": []},
        **{"ts": 1_764_633_600_000_000, "event_id": "b" * 32, "session_id": "s-1", "player": "p-1", "username": "Ada"},
    }


@pytest.mark.parametrize(
    "raw", [None, "", "2", "not a message", b"\xff\xfe", '42["torn",{', "{", "[]", '{"a":1}', '451-["x",{}]']
)
@pytest.mark.parametrize("origin", [None, "a_raw.jsonl"])
@pytest.mark.parametrize("profile", Profile)
def test_no_row_makes_it_fail(raw: str | bytes | None, origin: str | None, profile: Profile) -> None:
    row = live_row(raw, origin_file=origin, extra='{"qty":5}', amount=1.5, game_id="g")
    chunk = chunk_of_row(row, profile)
    assert chunk.text
    assert chunk.metadata["game_id"] == "g"
    assert content_key(row) == content_key(row)


def test_a_row_without_bytes_says_what_its_columns_say() -> None:
    chunk = chunk_of_row(live_row(None, event="standard/newTrade", amount=1.5, extra='{"qty":5}', game_id="g"))
    assert "A player traded 5 units for 1.5 SOL." in chunk.text
    assert "Game: g" in chunk.text


def test_rows_that_say_the_same_have_one_content_key() -> None:
    one = live_row('42["newChatMessage",{"__trace":true,"n":1},{"message":"hi","level":1}]')
    two = one._replace(id="c" * 32, seq=99, source="cdp", raw='42["newChatMessage",{"level":1,"message":"hi"}]')
    other = one._replace(raw='42["newChatMessage",{"message":"ho","level":1}]')
    lost = one._replace(raw='42["newChatMessage",{"__trace":true,"n":1}]')
    assert content_key(one) == content_key(two)
    assert len({content_key(row) for row in (one, other, lost)}) == 3
    assert content_key(lost) == content_key(lost._replace(raw='42["newChatMessage",{"__trace":true,"n":2}]'))


@pytest.mark.parametrize("event", FEED_EVENTS)
def test_every_event_of_the_feed_is_told_in_words(event: str) -> None:
    assert text_of(record(event, {"__trace": True, "traceparent": "00-0-0-01"})) == [
        f"{event}: {TITLES[event]}.",
        event_text.LOST,
        "Time: 2099-01-01T03:00:01+00:00",
        "Sequence: 7",
    ]


def test_a_game_state_that_says_little_gets_no_defaults() -> None:
    """The contract's own text of this frame says `Price: 0` and `Active: False`."""
    cooldown = {"gameId": GAME, "cooldownTimer": 14900, "connectedPlayers": 200, "leaderboard": [], "price": None}
    assert text_of(record("gameStateUpdate", cooldown)) == [
        "gameStateUpdate: state of the game.",
        "The next game is in its cooldown. It starts in 14.9 s.",
        "Players connected: 200",
        f"Game: {GAME}",
        "Time: 2099-01-01T03:00:01+00:00",
        "Sequence: 7",
    ]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"active": True, "price": 1.25, "tickCount": 7}, "The game is running. Tick: 7. Price: 1.25x."),
        ({"active": True, "price": 1, "tickCount": 0}, "The game begins. Tick: 0. Price: 1x."),
        ({"active": True, "rugged": True, "price": 0.02}, "The game has rugged (crashed). Price: 0.02x."),
        ({"cooldownTimer": 7400}, "Presale: players may buy before the round. It starts in 7.4 s."),
        ({"price": "wrong"}, "The phase is not known."),
        ({"tickCount": -1, "active": [], "cooldownTimer": {}}, "The phase is not known. Tick: -1."),
    ],
)
def test_phases_in_words(data: dict[str, Any], sentence: str) -> None:
    assert text_of(record("gameStateUpdate", data))[1] == sentence


@pytest.mark.parametrize(
    ("event", "data", "sentence"),
    [
        (
            "standard/newTrade",
            {"username": "Ada", "level": 7, "type": "buy", "qty": 2, "amount": 2.5, "price": 1.25, "gameId": GAME},
            "Ada (level 7) bought 2 units for 2.5 SOL at 1.25x.",
        ),
        ("standard/newTrade", {"username": None, "type": ["sell"]}, "A player traded."),
        ("newChatMessage", {"username": "Ada", "message": "to the\nmoon  ☕"}, "Ada wrote: to the moon ☕"),
        ("newChatMessage", {"message": None}, "A player wrote"),
        ("newSideBet", {"username": "Ada", "betAmount": 0.012}, "Ada bet 0.012 SOL that the game rugs."),
        ("somethingNew", {"newKey": True, "empty": [], "nothing": None}, "New key: yes"),
        ("somethingNew", {"timestamp": 2070919601601}, "Timestamp: 2035-08-16T23:26:41.601000+00:00"),
        ("playerUpdate", {"levelInfo": {"xp": 3, "level": 7}, "cash": 0.0176198311}, "Cash: 0.0176198 SOL"),
        ("goldenHourDrawing", {"id": "d", "entries": [{"username": "Ada"}, {}]}, "Entries: 2, first Ada"),
        ("buyOrder", {"amount": 0.5}, "Amount: 0.5 SOL"),
        ("connect", None, event_text.NO_DATA),
        ("connect", {}, event_text.NO_DATA),
        ("chatHistory", "hello", "Data: hello"),
        ("chatHistory", [1, 2, 3, 4], "Data: 4"),
        ("chatHistory", 0, "Data: 0"),
    ],
)
def test_sentences(event: str, data: Any, sentence: str) -> None:
    assert text_of(record(event, data))[1] == sentence


def test_what_the_client_sent_says_so() -> None:
    assert text_of(record("getLeaderboard", {"period": "7d"}, direction="sent"))[1] == "The client sent it."


def test_the_payload_is_the_last_argument_that_is_an_object() -> None:
    data = [{"__trace": True}, {"message": "hi"}, "offset-1"]
    assert text_of(record("newChatMessage", data))[1] == "A player wrote: hi"


def test_records_of_other_recorders() -> None:
    assert text_of({"event_name": "newChatMessage", "data": {}, "raw": '42["newChatMessage",{"message":"hi"}]'})[1] == (
        "A player wrote: hi"
    )
    assert text_of({"type": "tick", "timestamp": "2099", "game_id": "g", "tick": 3, "price": 1.5}) == [
        *("tick: tick.", "Tick: 3", "Price: 1.5x", "Game: g", "Time: 2099")
    ]
    assert text_of({}) == ["unknown: unknown.", event_text.NO_DATA]


def test_ids_come_last_and_the_origin_survives_a_long_payload() -> None:
    lines = text_of(
        record("somethingNew", {"tradeId": "x" * 40, "gameId": GAME, "note": "n", "long": "word " * 90_000})
    )
    assert lines[1] == "Note: n"
    assert lines[3].startswith("Trade id: ")
    assert lines[-3:] == [f"Game: {GAME}", "Time: 2099-01-01T03:00:01+00:00", "Sequence: 7"]
    many = text_of(record("somethingNew", {f"key{number}": "x" * 90 for number in range(900)}))
    assert len("\n".join(many)) < 1400
    assert many[-1] == "Sequence: 7"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["\ud800", 10**400]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=4)
            | st.sampled_from(["price", "leaderboard", "rugpool", "gameHistory", "username", "type", "count2x", "pnl"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            **{"event": st.sampled_from(FEED_EVENTS) | JSON, "ts": JSON, "seq": JSON, "data": JSON},
            **{"direction": JSON, "raw": JSON, "type": JSON, "event_type": JSON},
        },
    )
)
def test_no_record_makes_it_fail(hostile: dict[str, Any]) -> None:
    chunk = chunk_of_record(hostile, "a.jsonl")
    assert len(chunk.text) < 2200
    assert len(chunk.id) == 16
    assert chunk == chunk_of_record(hostile, "a.jsonl")


def test_a_text_does_not_depend_on_what_was_lost_around_it() -> None:
    """The feed's own frames: each text has the event's name first, and its place in the recording last."""
    for seq, sent in enumerate(played(4, START, 120), 1):
        lines = text_of(record(sent.event, list(sent.arguments), seq=seq))
        assert lines[0].startswith(f"{sent.event}: ")
        assert lines[-1] == f"Sequence: {seq}"
        assert event_of(record(sent.event, list(sent.arguments))).payload in sent.arguments


@pytest.mark.slow
def test_live_rows_of_a_lake_have_the_texts_of_their_events(shelf: Shelf) -> None:
    events = played(4, START, 20)
    shelf.put(exportkit.sent(events))
    expected = [
        text_of({"seq": seq, "ts": from_us(sent.at).isoformat(), "event": sent.event, "data": list(sent.arguments)})
        for seq, sent in enumerate(events, 1)
    ]
    assert [chunk_of_row(row).text.split("\n") for row in rows_of(shelf)] == expected
