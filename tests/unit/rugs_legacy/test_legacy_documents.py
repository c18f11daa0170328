"""F4's metadata, F5, F7, F8, F16: a document's bytes are one record, and its rows are derived from it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rugs_feed.derive import Deriver, Heard
from rugs_legacy import documents as documents_module
from rugs_legacy.recognise import MAX_DOCUMENT, UnknownFormatError
from rugs_legacy.recording import Counts, look_at, read_again
from rugs_proto import ids
from tests.support.legacy_files import NEW_YORK, Found, document_id, ids_of, read_file, write
from tests.support.legacy_lines import GAME, frame
from tests.support.memory import traced

TEN = 4_070_919_600_000_000
"""2099-01-01T03:00:00Z."""

GAME_META: dict[str, Any] = {
    "game_id": GAME,
    "start_time": "2099-01-01T03:00:00.593236",
    "end_time": "2099-01-01T03:00:09.000000",
    "duration_ticks": 4,
    "peak_multiplier": "1.2",
    "server_seed_hash": None,
    "server_seed": None,
}
PLAYED: dict[str, Any] = {"has_player_input": True, "action_count": 1}
PRICES = ["1.0", None, "1.1000000000000000000001", "1.2"]
ACTION = {
    "game_id": GAME,
    "tick": 2,
    "timestamp": "2099-01-01T03:00:05.000000",
    "action": "BUY",
    "amount": "0.001",
    "price": "1.2",
    "balance_after": "0.099",
    "position_qty_after": "0.001",
    "entry_price": None,
    "pnl": None,
}
SESSION_META = {
    "player_id": "did:privy:1",
    "username": "someone",
    "session_start": "2099-01-01T03:00:00.000001",
    "session_end": "2099-01-01T03:09:00.000000",
}


def document(content: object) -> bytes:
    return json.dumps(content, indent=2).encode()


def read_one(folder: Path, name: str, content: object) -> tuple[str, Found]:
    recording, counts, envelopes = read_file(write(folder, name, document(content)))
    assert counts == Counts(lines=1, records=1, derived=len(envelopes) - 1)
    kept = envelopes[0]
    assert kept["raw"].encode() == document(content)
    assert (kept["doc_type"], kept["seq"], kept["origin"]["line"]) == ("system_event", 1, 1)
    assert recording.session_id == ids.import_session_id(recording.format.id, document(content))
    return recording.format.id, envelopes


@pytest.mark.parametrize(
    ("meta", "name", "format_id"),
    [
        (GAME_META | PLAYED, "20990101T030000_01234567.game.json", "F5"),
        (GAME_META | PLAYED, "whatever", "F5"),
        (GAME_META, "020000.game.json", "F8"),
    ],
)
def test_a_game(tmp_path: Path, meta: dict[str, Any], name: str, format_id: str) -> None:
    told, (game, *ticks) = read_one(tmp_path, name, {"meta": meta, "prices": PRICES})
    assert told == format_id
    assert (game["event"], game["game_id"], game["ts"]) == ("game_document", GAME, TEN + 593_236)
    assert game["origin"]["tz"] == "UTC"
    assert game["fields"] == {
        **{key: meta[key] for key in meta if key not in ("game_id", "peak_multiplier")},
        **{"peak_multiplier": 1.2, "peak_multiplier_text": "1.2", "prices": 4, "gaps": 1, "unread": 0},
    }
    assert [tick["fields"] for tick in ticks] == [
        {"tick": 0, "price": 1.0, "price_text": "1.0", "filled": True, "untimed": True},
        {"tick": 2, "price": 1.1, "price_text": "1.1000000000000000000001", "filled": True, "untimed": True},
        {"tick": 3, "price": 1.2, "price_text": "1.2", "filled": True, "untimed": True},
    ]
    assert {(tick["doc_type"], tick["game_id"], tick["ts"]) for tick in ticks} == {("game_tick", GAME, game["ts"])}
    assert {tick["cause"] for tick in ticks} == {document_id([game])}
    assert [tick["id"] for tick in ticks] == [
        ids.natural_id("game_tick", "import", GAME, tick["fields"]) for tick in ticks
    ]


def test_the_same_game_in_both_formats_has_its_ticks_once(tmp_path: Path) -> None:
    _, one = read_one(tmp_path, "a.json", {"meta": GAME_META | PLAYED, "prices": PRICES})
    _, other = read_one(tmp_path, "b.json", {"meta": GAME_META, "prices": PRICES})
    assert ids_of(one)[1:] == ids_of(other)[1:]
    assert ids_of(one)[0] != ids_of(other)[0]


def test_a_game_of_many_ticks_and_prices_that_are_none(tmp_path: Path) -> None:
    prices = [*(str(1 + tick / 100) for tick in range(1000)), "NaN", "", [1], True, 2.5, 3]
    _, (game, *ticks) = read_one(tmp_path, "a.json", {"meta": GAME_META, "prices": prices})
    assert len(ticks) == 1002
    assert (game["fields"]["unread"], game["fields"]["gaps"]) == (4, 0)
    assert [tick["fields"]["price"] for tick in ticks[-2:]] == [2.5, 3]


@pytest.mark.parametrize(
    ("name", "format_id"), [("20990101T030000_someone_demo.json", "F7"), ("030000_someone_session.json", "F8")]
)
def test_a_session(tmp_path: Path, name: str, format_id: str) -> None:
    lost = {**ACTION, "action": "SIDEBET_LOSE", "timestamp": "2099-01-01T03:00:06", "price": None, "pnl": "-0.001"}
    told, (session, *actions) = read_one(tmp_path, name, {"meta": SESSION_META, "actions": [ACTION, 5, lost]})
    assert told == format_id
    assert (session["event"], session["player_id"], session["username"]) == (
        "session_document",
        "did:privy:1",
        "someone",
    )
    assert session["ts"] == TEN + 1
    assert session["fields"] == {
        **{key: SESSION_META[key] for key in ("session_start", "session_end")},
        **{"actions": 3, "unread": 1},
    }
    seconds = [(one["event"], (one["ts"] - TEN) / 1_000_000) for one in actions]
    assert seconds == [("BUY", 5), ("SIDEBET_LOSE", 6)]
    assert actions[0]["fields"] == {
        **{key: ACTION[key] for key in ("balance_after", "position_qty_after", "entry_price", "pnl", "tick", "action")},
        **{"amount": 0.001, "amount_text": "0.001", "price": 1.2, "price_text": "1.2"},
    }
    assert {(one["doc_type"], one["game_id"], one["player_id"]) for one in actions} == {
        ("player_action", GAME, "did:privy:1")
    }
    assert ids_of(actions) == [ids.derived_id("player_action", document_id([session]), n) for n in (0, 1)]
    assert [one["origin"]["row"] for one in actions] == [0, 1]


def test_a_player_nobody_knew(tmp_path: Path) -> None:
    unknown = {**SESSION_META, "player_id": "unknown", "username": "anonymous"}
    _, (session, action) = read_one(tmp_path, "a_demo.json", {"meta": unknown, "actions": [ACTION]})
    assert not {"player_id", "username"} & (session.keys() | action.keys())


def test_more_rows_than_a_cause_can_tell_apart_come_by_pages(tmp_path: Path) -> None:
    actions = [{**ACTION, "tick": tick} for tick in range(700)]
    _, (session, *rows) = read_one(tmp_path, "a_demo.json", {"meta": SESSION_META, "actions": actions})
    pages = [row for row in rows if row["doc_type"] == "system_event"]
    told = [row for row in rows if row["doc_type"] == "player_action"]
    assert [row["fields"]["tick"] for row in told] == list(range(700))
    assert [(page["event"], page["fields"]) for page in pages] == [
        ("page", {"page": 1, "of": "player_action"}),
        ("page", {"page": 2, "of": "player_action"}),
    ]
    assert {page["cause"] for page in pages} == {document_id([session])}
    assert Counter(row["cause"] for row in told) == {
        document_id([session]): 256,
        pages[0]["id"]: 256,
        pages[1]["id"]: 188,
    }


def test_an_index_says_nothing_that_its_files_do_not_say(tmp_path: Path) -> None:
    games = [{"file": "a.game.json", "game_id": GAME, "start_time": "2099-01-01T03:00:00", "duration_ticks": 4}]
    told, (index,) = read_one(tmp_path, "index.json", {"date": "2099-01-01", "games": games, "sessions": []})
    assert (told, index["event"], index["ts"]) == ("F8", "index_document", TEN - 3 * 3_600_000_000)
    assert index["fields"] == {"day": "2099-01-01", "games": 1, "sessions": 0}


def test_the_metadata_of_a_session_of_demonstrations(tmp_path: Path) -> None:
    times = {"start_time": "2098-12-31T22:00:00.000001", "end_time": "2098-12-31T22:09:00.000001"}
    marks = {"session_id": "session_20981231_220000", **times, "games_played": 2, "total_actions": 7}
    for content in ({"_metadata": marks}, {"_metadata": marks, "more": 1}):
        told, (metadata,) = read_one(tmp_path, "session_metadata.json", content)
        assert (told, metadata["event"], metadata["ts"]) == ("F4", "session_metadata", TEN + 1)
        assert metadata["fields"] == marks
        assert metadata["origin"]["tz"] == NEW_YORK
    on_one_line = write(tmp_path, "session_metadata.json", json.dumps({"_metadata": marks}).encode())
    assert [one["event"] for one in read_file(on_one_line)[2]] == ["session_metadata"]


STATE = {"gameId": GAME, "price": 1, "tickCount": 5, "active": True, "rugged": False, "cooldownTimer": 0}
PLAYER = {"gameId": GAME, "rugpool": {"instarugCount": 5, "rugpoolAmount": 2.5}}


def events(*told: tuple[str, Any]) -> list[dict[str, Any]]:
    return [
        {"seq": seq, "ts": f"2099-01-01T03:00:{seq:02}.000001", "event": event, "data": data}
        for seq, (event, data) in enumerate(told, 2)
    ]


def test_events_in_an_array(tmp_path: Path) -> None:
    """Their times are UTC, and from each follows what follows from it live."""
    told, (array, *rows) = read_one(
        tmp_path,
        "2098-12-31_22-00-00_gameStatePlayerUpdate_samples.json",
        [*events(("gameStateUpdate", STATE), ("gameStatePlayerUpdate", PLAYER), ("connect", None)), {"seq": 9}, 5],
    )
    assert told == "F16"
    assert (array["event"], array["ts"], array["fields"]) == (
        "event_array",
        TEN + 2_000_001,
        {"events": 5, "unread": 2},
    )
    assert [(row["doc_type"], row["event"]) for row in rows] == [
        ("ws_event", "gameStateUpdate"),
        ("game_tick", "tick"),
        ("ws_event", "gameStatePlayerUpdate"),
        ("server_state", "gameStatePlayerUpdate"),
        ("ws_event", "connect"),
        ("system_event", "connect"),
    ]
    heard = [row for row in rows if row["doc_type"] == "ws_event"]
    assert ids_of(heard) == [ids.derived_id("ws_event", document_id([array]), n) for n in range(3)]
    assert [row["ts"] - TEN for row in heard] == [2_000_001, 3_000_001, 4_000_001]
    assert {row["origin"]["tz"] for row in rows} == {"UTC"}
    assert heard[1]["fields"] == {"rugpool_amount": 2.5, "instarug_count": 5}
    live = Heard(heard[0]["id"], 0, None, "import", "s", 1, "received", "gameStateUpdate", frame(1, data=STATE))
    assert [one["fields"] for one in Deriver().feed(live)] == [rows[1]["fields"]]


def test_what_follows_and_is_too_large_for_a_message_stays_in_the_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents_module, "MAX_INLINE", 5000)
    games = [{"id": f"game-{size}", "prices": [1.5] * size} for size in (10, 1000)]
    _, (_, *rows) = read_one(tmp_path, "x_samples.json", events(("gameStateUpdate", {**STATE, "gameHistory": games})))
    assert [row["game_id"] for row in rows if row["doc_type"] == "game"] == ["game-10"]


def test_an_array_on_one_line_or_with_a_record_a_line_is_no_capture_of_lines(tmp_path: Path) -> None:
    told = events(("connect", None), ("connect", None))
    for content in (json.dumps(told), "[\n" + ",\n".join(map(json.dumps, told)) + "\n]\n"):
        recording, counts, _ = read_file(write(tmp_path, "x.json", content.encode()))
        assert (recording.format.id, counts.records, counts.derived) == ("F16", 1, 4)


@pytest.mark.parametrize(
    ("name", "content", "format_id", "reason"),
    [
        ("20990101T030000_x.game.json", document({"meta": GAME_META, "prices": PRICES})[:-40], "F5", "not JSON"),
        ("x.game.json", document({"meta": GAME_META, "prices": PRICES})[:-40], "F8", "not JSON"),
        ("x_demo.json", document({"meta": SESSION_META, "actions": [ACTION]})[3:], "F7", "not JSON"),
        ("x_session.json", b"\xff" + document({"meta": SESSION_META, "actions": [ACTION]}), "F8", "not UTF-8"),
        (
            "index.json",
            b'<<<<<<< ours\n{"games": [{"game_id": "a"}]}\n=======\n{"game_id"}\n>>>>>>> theirs\n',
            "F8",
            "not JSON",
        ),
        ("x.json", document(events(("connect", None)))[:-3], "F16", "not JSON"),
        ("x_samples.json", document(events(("connect", None)))[3:], "F16", "not JSON"),
        ("session_metadata.json", b'{"_metadata": {"session_id": "s", ', "F4", "not JSON"),
        (
            "x.json",
            document({"meta": {**GAME_META, "start_time": 5}, "prices": []}),
            "F8",
            "'start_time' is not text",
        ),
        ("x.json", document({"meta": {**GAME_META, "game_id": "\ud800"}, "prices": []}), "F8", "surrogate"),
        ("x.json", document({"meta": {**SESSION_META, "session_start": "soon"}, "actions": []}), "F7", "timestamp"),
        ("x.json", document({"meta": {**SESSION_META, "x": "y" * 40_000}, "actions": []}), "F7", "bytes of fields"),
        ("x.json", document({"date": "soon", "games": [], "sessions": []}), "F8", "timestamp"),
        ("x.json", document([{"seq": "1", "ts": 1, "event": 1, "data": 1}]), "F16", "no whole record in the array"),
        ("x.json", document({"meta": GAME_META, "prices": [], "note": 1})[:-1] + b', "meta": {}}', "F8", None),
    ],
)
def test_a_damaged_document_is_kept_as_a_whole(
    tmp_path: Path, name: str, content: bytes, format_id: str, reason: str | None
) -> None:
    if reason is None:  # a key that stands twice: nothing of it is believed, and only its name says what it is
        name, reason = "x.game.json", "key stands twice"
    recording, counts, (reject, *salvaged) = read_file(write(tmp_path, name, content))
    assert (recording.format.id, counts) == (format_id, Counts(lines=1, rejected=1, salvaged=len(salvaged)))
    assert not salvaged or format_id == "F16"
    assert (reject["doc_type"], reject["fields"]["format"]) == ("reject", format_id)
    assert reason in reject["fields"]["reason"]
    assert (reject["raw"].encode() if isinstance(reject["raw"], str) else reject["raw"]) == content
    assert read_again(recording, content, 1, 0) == []


def test_a_document_that_was_mended_is_read_again(tmp_path: Path) -> None:
    """What a reader takes today that it refused before: the reject's bytes give the whole document."""
    whole = document({"meta": SESSION_META, "actions": [ACTION] * 300})
    recording, _, envelopes = read_file(write(tmp_path, "x_demo.json", whole))
    assert read_again(recording, whole, 1, 0) == envelopes


def test_of_a_damaged_array_the_whole_events_are_salvaged(tmp_path: Path) -> None:
    told = events(("gameStateUpdate", STATE), ("connect", None), ("disconnect", {"reason": "x"}))
    content = document(told)
    cut = content[: content.index(b"disconnect")]
    _, counts, (reject, *salvaged) = read_file(write(tmp_path, "x_samples.json", cut))
    assert counts == Counts(lines=1, rejected=1, salvaged=2)
    assert reject["raw"].encode() == cut
    assert [(one["event"], one["ts"] - TEN, one["fields"]["salvaged"]) for one in salvaged] == [
        ("gameStateUpdate", 2_000_001, True),
        ("connect", 3_000_001, True),
    ]
    assert [json.loads(one["raw"]) for one in salvaged] == told[:2]
    assert [one["origin"]["line"] for one in salvaged] == [2, 15]


@pytest.mark.parametrize("content", [b"", b"\n", b" \n\n"])
def test_an_empty_document_has_nothing(tmp_path: Path, content: bytes) -> None:
    recording, counts, envelopes = read_file(write(tmp_path, "20990101T030000_x.game.json", content))
    assert (recording.format.id, envelopes) == ("F5", [])
    assert counts.blank == content.count(b"\n")


def test_a_document_may_begin_with_a_mark_of_its_byte_order(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf" + document({"meta": GAME_META, "prices": PRICES})
    _, counts, envelopes = read_file(write(tmp_path, "x.game.json", content))
    assert counts.derived == 3
    assert envelopes[0]["raw"].encode() == content


def test_of_a_documents_own_bytes_nothing_is_looked_at_twice(tmp_path: Path) -> None:
    path = write(tmp_path, "x.game.json", document({"meta": GAME_META, "prices": PRICES}))
    assert look_at(path, "UTC").session_id == look_at(path, NEW_YORK).session_id


@pytest.mark.parametrize(
    ("name", "begin"),
    [
        ("x_samples.json", b"["),
        ("x_samples.json", b"[\n"),
        ("20990101T030000_x.game.json", b'{"meta":'),
        ("20990101T030000_x.game.json", b'{\n"meta":\n'),
        ("index.json", b'{"date":'),
        ("x_demo.json", b"{\n"),
    ],
)
def test_a_document_that_is_too_large_to_be_held_is_named_and_left_alone(
    tmp_path: Path, name: str, begin: bytes
) -> None:
    path = write(tmp_path, name, begin + b" " * MAX_DOCUMENT + b"]")
    with traced() as memory, pytest.raises(UnknownFormatError, match="no lines, and more than 32 MiB"):
        look_at(path, NEW_YORK)
    assert memory.peak < 3 * MAX_DOCUMENT


def test_a_price_that_is_no_number_to_store_is_not_read(tmp_path: Path) -> None:
    content = json.dumps({"meta": GAME_META, "prices": ["1.0"]}).replace('["1.0"]', f'["1.0", 1e999, 1{"0" * 400}]')
    game, tick = read_file(write(tmp_path, "x.game.json", content.encode()))[2]
    assert (game["fields"]["unread"], tick["fields"]["price"]) == (2, 1.0)
