"""From events to lines: what an old recorder would have written of them, byte for byte."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rugs_legacy.clock import zone
from rugs_legacy.line_formats.lines import GameTeller, Teller
from rugs_legacy.line_formats.stored import Games, Stored
from rugs_legacy.line_formats.telling import tell
from rugs_sim.made_up.feed import Feed
from rugs_sim.old_files import recorders
from tests.support.exportkit import Envelope, live, sent
from tests.support.lakekit import NOON_US, id_of
from tests.support.madeup import played

NEW_YORK = zone("America/New_York")
START = 1_764_640_800_000_000


def stored(told: Envelope) -> Stored:
    raw, fields = told.get("raw"), told["fields"]
    names = ("tick", "price", "phase", "active", "rugged", "cooldown_timer", "trade_count")
    bytes_of = (raw if isinstance(raw, str) else None, raw if isinstance(raw, bytes) else None)
    place = (told["source"], told["session_id"], told["seq"], id_of(told), told["ts"])
    what = (told["doc_type"], told["event"], told["direction"], told.get("game_id"))
    return Stored._make((*place, *what, *bytes_of, *(fields.get(name) for name in names)))


def without_time(line: bytes) -> dict[str, Any]:
    return {key: value for key, value in json.loads(line).items() if key not in ("timestamp", "ts", "seq")}


def test_captured_games_are_written_as_the_old_recorder_did() -> None:
    feed = played(12, START, 1_500)
    told = [stored(each) for each in sent(feed) if each["event"] == "gameStateUpdate"]
    old = next(recorders.games(Feed(12, START)))  # the first that is recorded from its beginning on
    game = json.loads(old[0])["game_id"]
    told = [row for row in told if row.game_id == game]
    ended = Games(frozenset([(told[-1].source, told[-1].session_id, told[-1].seq)]))
    lines = [line.content for line in GameTeller(NEW_YORK).games(told, ended)]
    assert len(old) > 100
    assert [*map(without_time, lines)] == [*map(without_time, old)]
    for line, wanted in zip(lines, old, strict=True):  # also 1 and 1.0, and the order of keys
        assert line.partition(b'"game_id"')[2] == wanted.partition(b'"game_id"')[2]
    at = json.loads(lines[1])["timestamp"]
    assert at == recorders.local(told[0].ts)


def test_captured_events_are_written_as_the_old_recorder_did() -> None:
    feed = played(13, START, 200)
    lines = [line.content for line in Teller(NEW_YORK).lines(map(stored, sent(feed)))]
    old = [*recorders.raw_capture(Feed(13, START), 201)][1:]
    assert [line.partition(b'"ts"')[2] for line in lines] == [line.partition(b'"ts"')[2] for line in old]
    assert [json.loads(line)["seq"] for line in lines] == [*range(1, 201)]


@pytest.mark.parametrize(
    ("raw", "data"),
    [
        ('42["e"]', "null"),
        ('42["e",{"a":1,"b":1.0,"c":1e3}]', '{"a": 1, "b": 1.0, "c": 1000.0}'),
        ('42["e",{"__trace":true},{"x":null}]', '[{"__trace": true}, {"x": null}]'),
        ('42["e",[]]', "[]"),
        ('42["e",0]', "0"),
        ('42["e",123456789012345678901234567890]', "123456789012345678901234567890"),
        ('42/admin,17["e","\\ud83d"]', '"\\ud83d"'),
        ('{"event":"e","data":[1]}', "[1]"),
        ('{"event":"e","data":{"n":1.0},"raw":"42[\\"e\\",{\\"n\\":1}]"}', '{"n": 1}'),
        (b"\x82\xa5event\xa1e\xa4data\x07", "7"),
    ],
)
def test_data_is_one_argument_or_all_or_null_with_numbers_as_they_came(raw: str | bytes, data: str) -> None:
    line = Teller(NEW_YORK).tell(stored(live(3, raw, event="e", ts=NOON_US)), 3)
    assert line == b'{"seq": 3, "ts": "2026-06-01T08:00:00", "event": "e", "data": %b}' % data.encode()


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("2", "ping"),
        ('43424[{"success":true}]', "ack"),
        ('42["torn', "tells of no event"),
        (b"\x00", "tells of no event"),
    ],
)
def test_what_the_old_recorder_did_not_hear_of_is_left_out_and_counted(raw: str | bytes, reason: str) -> None:
    teller = Teller(NEW_YORK)
    assert teller.tell(stored(live(1, raw)), 1) is None
    assert teller.left_out == {reason: 1}
    everything = Teller(NEW_YORK, everything=True)
    assert (everything.tell(stored(live(1, raw)), 1) is None) == (reason == "tells of no event")


def test_what_was_sent_is_no_line_of_a_raw_capture_and_one_for_those_who_want_everything() -> None:
    row = stored(live(1, '42["ask",{}]', direction="sent"))
    teller = Teller(NEW_YORK)
    assert teller.tell(row, 1) is None
    assert teller.left_out == {"sent": 1}
    assert Teller(NEW_YORK, everything=True).tell(row, 1) is not None


def test_a_tick_that_a_program_told_of_is_a_line_and_not_beside_the_states_of_the_feed() -> None:
    fields = {"tick": 4, "price": 1.5, "phase": "ACTIVE_GAMEPLAY", "active": True, "rugged": False}
    own = {**live(2, "x", doc_type="game_tick", game_id="g-1", fields=fields, event="game.tick"), "raw": None}
    state = live(1, '42["gameStateUpdate",{"gameId":"g-1","price":2,"tickCount":4,"active":true}]')
    alone = [json.loads(line.content) for line in GameTeller(NEW_YORK).games([stored(own)], Games())]
    assert [line["type"] for line in alone] == ["game_start", "tick"]
    assert {key: alone[1][key] for key in fields} == fields
    assert (alone[1]["cooldown_timer"], alone[1]["trade_count"]) == (0, 0)
    twice = Games(told_twice=frozenset([("public_ws", "session-1", "g-1")]))
    teller = GameTeller(NEW_YORK)
    both = [json.loads(line.content) for line in teller.games([stored(state), stored(own)], twice)]
    assert [line.get("price") for line in both] == [None, 2]
    assert teller.left_out == {"ticks told twice": 1}


@pytest.mark.parametrize("raw", ["", "{", "{}", "[1]", "42", "42[", '42[{"a":1}]', b"\xff", "9", "{" * 5000, None])
def test_bytes_that_tell_of_no_event_never_fail(raw: str | bytes | None) -> None:
    telling = tell(raw)
    assert telling is None or isinstance(telling.event, str)


def state(number: int, price: float = 1.5, **more: Any) -> dict[str, Any]:
    return {"active": True, "price": price, "tickCount": number, "rugged": False, "tradeCount": 3, **more}


def countdown(timer: int) -> dict[str, Any]:
    return {"cooldownTimer": timer}


def records_of(*states: dict[str, Any]) -> list[dict[str, Any]]:
    told = [
        stored(live(seq, "42" + json.dumps(["gameStateUpdate", {"gameId": "g-1", **each}])))
        for seq, each in enumerate(states, 1)
    ]
    ended = Games(frozenset([("public_ws", "session-1", len(told))]))
    return [json.loads(line.content) for line in GameTeller(NEW_YORK).games(told, ended)]


def test_the_end_of_a_game_counts_what_was_filled_in_during_the_cooldown() -> None:
    *_, last = records_of(countdown(15_000), countdown(100), state(0, 1), state(1, 0.5, rugged=True))
    assert json.dumps({key: last[key] for key in [*last][3:]}) == (
        '{"total_ticks": 4, "tick_range": [0, 1], "price_range": [0.5, 1.0], "peak_price": 1.0, "final_price": 0.5}'
    )
    *_, last = records_of(countdown(15_000), countdown(14_900))
    assert json.dumps({key: last[key] for key in [*last][3:]}) == (
        '{"total_ticks": 2, "tick_range": [0, 0], "price_range": [1.0, 1.0], "peak_price": 1.0, "final_price": 1.0}'
    )


def test_a_rug_is_told_in_the_phase_before_it() -> None:
    echo = {"active": True, "price": 0.5, "tickCount": 2, "rugged": True}  # the second telling counts no trades
    at_once = records_of(countdown(100), state(0, 1), state(1, 0.5, rugged=True), echo)
    assert [record.get("phase") for record in at_once[1:-1]] == [
        "PRESALE",
        "GAME_ACTIVATION",
        "GAME_ACTIVATION",
        "RUG_EVENT_1",
    ]
    later = records_of(state(0, 1), state(1), state(2, 0.5, rugged=True))
    assert [record["phase"] for record in later[1:-1]] == ["GAME_ACTIVATION", "ACTIVE_GAMEPLAY", "ACTIVE_GAMEPLAY"]
    assert records_of(state(7, 0.5, rugged=True))[1]["phase"] == "ACTIVE_GAMEPLAY"
