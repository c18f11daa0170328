"""F3, F4, F6, F12, F14, F15: how their lines are understood, from records of the exact shapes that were written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rugs_legacy.errors import UnreadableError
from rugs_legacy.formats import (
    f3_recorder_sink,
    f4_demonstration,
    f6_player_actions,
    f9_raw_capture,
    f10_cdp_capture,
    f12_explorer_samples,
    f14_golden_hour,
    f15_notebook,
)
from rugs_legacy.formats.actions import CATEGORIES
from rugs_legacy.record import LineFormat, Parse, Record
from tests.support.legacy_lines import GAME, line

NEW_YORK = "America/New_York"
TEN = 4_070_919_600_000_000
"""2098-12-31T22:00:00 in New York, 2099-01-01T03:00:00Z."""


def read(format_: LineFormat, content: bytes, name: str = "") -> Record:
    assert format_.record_start.match(content)
    return format_.reader(NEW_YORK, name)(content)


TICK = {
    "game_id": GAME,
    "tick": 0,
    "timestamp": "2098-12-31T22:00:00.345486",
    "price": 1.1,
    "phase": "ACTIVE_GAMEPLAY",
    "active": True,
    "rugged": False,
    "cooldown_timer": 0,
    "trade_count": 12,
}


def test_a_tick_of_the_recorder_sink() -> None:
    record = read(f3_recorder_sink.FORMAT, line(TICK))
    assert (record.ts, record.recv_ts, record.zone) == (TEN + 345_486, None, NEW_YORK)
    assert (record.doc_type, record.event, record.game_id) == ("game_tick", "tick", GAME)
    assert record.fields == {
        **{key: TICK[key] for key in TICK if key not in ("game_id", "timestamp")},
        "phase_read": "GAME_ACTIVATION",
        "phase_version": 1,
    }
    assert f3_recorder_sink.FORMAT.reader(NEW_YORK)(line(TICK).replace(b'{"', b'{ "', 1)) == record
    kept = read(f3_recorder_sink.FORMAT, line({**TICK, "note": [1]}))
    assert kept.fields == {**record.fields, "note": [1]}


def test_a_filler_of_the_recorder_sink() -> None:
    filler = {**TICK, "price": 1.0, "active": False, "phase": "UNKNOWN", "cooldown_timer": 14900, "trade_count": 0}
    assert read(f3_recorder_sink.FORMAT, line(filler)).fields["is_filler"] is True
    for unlike in ({"cooldown_timer": 0}, {"trade_count": 5}, {"trade_count": 5, "more": 1}):
        assert "is_filler" not in read(f3_recorder_sink.FORMAT, line({**filler, **unlike})).fields


def test_header_and_footer_of_the_recorder_sink() -> None:
    header = {"game_id": None, "start_time": "2098-12-31T22:00:00.651625", "version": "1.0"}
    record = read(f3_recorder_sink.FORMAT, line({"_metadata": header}))
    assert (record.ts, record.doc_type, record.event, record.game_id) == (
        TEN + 651_625,
        "system_event",
        "recording_start",
        None,
    )
    assert record.fields == {"version": "1.0"}
    assert read(f3_recorder_sink.FORMAT, line({"_metadata": {**header, "game_id": GAME}})).game_id == GAME
    footer = {"end_time": "2098-12-31T22:00:00.652964", "tick_count": 2, "total_bytes": 450}
    record = read(f3_recorder_sink.FORMAT, line({"_metadata": footer}))
    assert (record.event, record.fields) == ("recording_end", {"tick_count": 2, "total_bytes": 450})


STATE = {
    "balance": "0.1",
    "position": {"entry_price": "1.10", "amount": "0.001", "entry_tick": 3, "entry_time": None},
    "sidebet": None,
    "bet_amount": "0.001",
    "sell_percentage": "1.0",
    "current_tick": 17,
    "current_price": "1.2345678901234567890123",
    "phase": "ACTIVE_GAMEPLAY",
}
PRESS = {
    "type": "action",
    "action_id": "3f0c9a52-0000-4000-8000-000000000000",
    "category": "TRADE_BUY",
    "button": "BUY",
    "timestamp_pressed": TEN // 1000 + 566,
    "timestamp_confirmed": TEN // 1000 + 567,
    "latency_ms": 1,
    "state_before": STATE,
    "amount": "0.001",
    "confirmation": {"server": "x"},
}
DEMONSTRATION = f"game_001_{GAME}.jsonl"


def test_a_press_of_a_demonstration() -> None:
    record = read(f4_demonstration.FORMAT, line(PRESS), DEMONSTRATION)
    assert (record.ts, record.zone, record.doc_type, record.event) == (TEN + 566_000, "", "player_action", "BUY")
    assert record.game_id == GAME
    assert record.fields == {
        **{key: PRESS[key] for key in PRESS if key not in ("type", "button", "amount")},
        "action": "BUY",
        "amount": 0.001,
        "amount_text": "0.001",
        "tick": 17,
        "price": 1.2345678901234567,
        "price_text": "1.2345678901234567890123",
        "phase": "ACTIVE_GAMEPLAY",
    }


@pytest.mark.parametrize("button", CATEGORIES)
def test_the_category_follows_from_the_button(button: str) -> None:
    """The recorder wrote a share of a sale as a bet."""
    written = "BET_INCREMENT" if button.endswith("%") else CATEGORIES[button]
    fields = read(f4_demonstration.FORMAT, line({**PRESS, "button": button, "category": written})).fields
    assert (fields["action"], fields["category"]) == (button, CATEGORIES[button])
    assert fields.get("category_written") == ("BET_INCREMENT" if button.endswith("%") else None)


def test_a_press_is_known_by_when_it_was_pressed_not_by_its_line() -> None:
    parse = f4_demonstration.FORMAT.reader(NEW_YORK)
    presses = [("X", 1), ("SELL", 4), ("BUY", 2), ("+0.01", 3)]  # as the lines stand
    records = [parse(line({**PRESS, "button": b, "timestamp_pressed": TEN // 1000 + at})) for b, at in presses]
    assert [record.event for record in sorted(records, key=lambda record: record.ts)] == ["X", "BUY", "+0.01", "SELL"]


def test_the_game_stands_in_the_header_and_in_the_name() -> None:
    header = {"game_id": GAME, "session_id": "session_20981231_220000", "game_number": 1}
    begun = line({"_header": {**header, "start_time": "2098-12-31T22:00:00.566510"}})
    parse = f4_demonstration.FORMAT.reader(NEW_YORK)
    assert parse(line(PRESS)).game_id is None
    record = parse(begun)
    assert (record.event, record.game_id, record.ts) == ("recording_start", GAME, TEN + 566_510)
    assert record.fields == {"session_id": "session_20981231_220000", "game_number": 1}
    assert parse(line(PRESS)).game_id == GAME
    footer = {**header, "end_time": "2098-12-31T22:00:09.000001", "action_count": 3}
    assert parse(line({"_footer": footer})).fields["action_count"] == 3
    made_up = read(f4_demonstration.FORMAT, line(PRESS), "game_002_game_4070919600.jsonl")
    assert (made_up.game_id, made_up.fields["game_is_placeholder"]) == ("game_4070919600", True)


ACTION = {
    "type": "action",
    "action_id": "3f0c9a52-0000-4000-8000-000000000001",
    "game_id": GAME,
    "tick": 2,
    "timestamp": "2099-01-01T03:00:00.594676",
    "category": "TRADE_BUY",
    "button": "BUY",
    "drift_detected": True,
    "timestamp_pressed_ms": TEN // 1000 + 594,
    "amount": "0.001",
    "local_state": {
        "balance": "0.1",
        "position_qty": "0",
        "position_entry_price": None,
        "position_pnl": None,
        "sidebet_active": False,
        "sidebet_amount": None,
        "bet_amount": "0.001",
        "sell_percentage": "1",
        "current_tick": 2,
        "current_price": "1.2",
        "phase": "ACTIVE_GAMEPLAY",
    },
    "server_state": {
        "cash": "3.967072345",
        "position_qty": "0.2222919",
        "avg_cost": "1.259605046",
        "cumulative_pnl": "0.26",
        "total_invested": None,
        "timestamp": 4070919600.5946033,
    },
    "drift_details": [{"field": "balance", "local": "0.1", "server": "3.967072345", "diff": "3.867072345"}],
}


def test_a_player_action() -> None:
    record = read(f6_player_actions.FORMAT, line(ACTION))
    assert (record.ts, record.recv_ts, record.zone) == (TEN + 594_000, TEN + 594_676, "UTC")
    assert (record.doc_type, record.event, record.game_id) == ("player_action", "BUY", GAME)
    expected: dict[str, Any] = {
        "action": "BUY",
        "tick": 2,
        "amount": 0.001,
        "amount_text": "0.001",
        "price": 1.2,
        "price_text": "1.2",
        "phase": "ACTIVE_GAMEPLAY",
        "cash": 3.967072345,
        "position_qty": 0.2222919,
        "avg_cost": 1.259605046,
        "cumulative_pnl": 0.26,
    }
    kept = ("action_id", "category", "drift_detected", "timestamp_pressed_ms")
    states = ("local_state", "server_state", "drift_details")
    assert record.fields == {**expected, **{key: ACTION[key] for key in (*kept, *states)}}


def test_a_number_that_is_none_is_left_out_and_one_that_is_no_text_is_taken() -> None:
    unusable: tuple[object, ...] = ("NaN", "Infinity", "0x1", "1_0", " 1", "", "1" * 101, None, True, [], 10**19)
    for amount in unusable:
        assert "amount" not in read(f6_player_actions.FORMAT, line({**ACTION, "amount": amount})).fields
    for number in (0.5, 2):
        fields = read(f6_player_actions.FORMAT, line({**ACTION, "amount": number})).fields
        assert (fields["amount"], type(fields["amount"]), "amount_text" in fields) == (number, type(number), False)


PAYLOAD = {"gameId": GAME, "price": 2, "tickCount": 5, "active": True, "rugged": False, "cooldownTimer": 0}
TRACE = {"__trace": True, "traceparent": "00-0"}
TRADE = {"gameId": GAME, "playerId": "p", "username": None, "type": "sell", "price": 2.5}


def check_same_as_live(record: Record, payload: dict[str, Any], event: str) -> None:
    """An event is understood as F9's are, which is as live ones are."""
    content = line({"seq": 1, "ts": "2098-12-31T22:00:00.000000", "event": event, "data": payload})
    same = f9_raw_capture.FORMAT.reader(NEW_YORK)(content)
    assert record[3:10] == same[3:10]


@pytest.mark.parametrize(
    ("event", "data", "payload"),
    [("gameStateUpdate", PAYLOAD, PAYLOAD), ("standard/newTrade", [TRACE, TRADE], TRADE)],
)
def test_a_sample_of_the_explorer(event: str, data: Any, payload: dict[str, Any]) -> None:
    content = line({"timestamp": "2098-12-31T22:00:00.420892", "event_type": event, "data": data})
    record = read(f12_explorer_samples.FORMAT, content)
    assert (record.ts, record.recv_ts, record.zone) == (TEN + 420_892, TEN + 420_892, NEW_YORK)
    check_same_as_live(record, payload, event)


def test_an_event_of_a_golden_hour() -> None:
    """The time is the one in milliseconds: of the other the zone is not known."""
    times = {"ts": "2098-12-31T17:00:00.420892", "ts_ms": TEN // 1000 + 420}
    record = read(f14_golden_hour.FORMAT, line({**times, "event": "gameStateUpdate", "data": [PAYLOAD]}))
    assert (record.ts, record.zone) == (TEN + 420_000, "")
    check_same_as_live(record, PAYLOAD, "gameStateUpdate")
    with pytest.raises(UnreadableError, match="a note, no record"):
        f14_golden_hour.FORMAT.reader(NEW_YORK)(b'# Session: {"a": 1}')


@pytest.mark.parametrize(
    ("captured_at", "ts", "zone"),
    [
        ("2098-12-31T22:00:00.420892", TEN + 420_892, NEW_YORK),
        ("2099-01-01T03:00:00.420892+00:00", TEN + 420_892, ""),
        (TEN / 1_000_000 + 0.5, TEN + 500_000, ""),
        (TEN // 1_000_000, TEN, ""),
    ],
)
def test_an_event_of_a_notebook(captured_at: object, ts: int, zone: str) -> None:
    """The first argument was kept, and beside it the whole message: that one has the payload."""
    message = "42" + json.dumps(["standard/newTrade", TRACE, TRADE])
    told = {"event_name": "standard/newTrade", "data": TRACE, "raw": message}
    record = read(f15_notebook.FORMAT, line({**told, "timestamp": 17.5, "captured_at": captured_at}))
    assert (record.ts, record.recv_ts, record.zone) == (ts, ts, zone)
    check_same_as_live(record, TRADE, "standard/newTrade")


@pytest.mark.parametrize("raw", [None, 5, "", "42[", '42["other",{"gameId":"x"}]', "2"])
def test_a_message_that_is_not_the_event_does_not_count(raw: object) -> None:
    told = {"event_name": "gameStateUpdate", "data": PAYLOAD, "raw": raw, "captured_at": "2098-12-31T22:00:00"}
    check_same_as_live(read(f15_notebook.FORMAT, line(told)), PAYLOAD, "gameStateUpdate")


def test_a_message_inside_a_cdp_capture_counts_too() -> None:
    message = "42" + json.dumps(["standard/newTrade", TRACE, TRADE])
    content = {"seq": 1, "ts": "2099-01-01T03:00:00.000000+00:00", "event": "standard/newTrade", "data": TRACE}
    source = {"source": "cdp", "direction": "received"}
    assert read(f10_cdp_capture.FORMAT, line({**content, **source})).player_id is None
    for rest in ({"raw": message, **source}, {**source, "raw": message}):
        check_same_as_live(read(f10_cdp_capture.FORMAT, line({**content, **rest})), TRADE, "standard/newTrade")


def parser(format_: LineFormat) -> Parse:
    return format_.reader(NEW_YORK)


sink, demo = parser(f3_recorder_sink.FORMAT), parser(f4_demonstration.FORMAT)
player, notes = parser(f6_player_actions.FORMAT), parser(f15_notebook.FORMAT)
hours, samples = parser(f14_golden_hour.FORMAT), parser(f12_explorer_samples.FORMAT)


@pytest.mark.parametrize(
    ("parse", "content", "reason"),
    [
        (sink, line({**TICK, "type": "tick"}), "it has a type"),
        (sink, line({**TICK, "price": "1.1"}), r"at `\$.price`"),
        (sink, line({key: TICK[key] for key in TICK if key != "active"}), "missing required field `active`"),
        (sink, line({**TICK, "timestamp": "2098-12-31T22:00:00+00:00"}), "offset"),
        (sink, line(TICK)[:-1] + b', "tick": 4}', "key stands twice: 'tick'"),
        (sink, line({"_metadata": {"version": "1.0"}}), "neither a start nor an end"),
        (sink, line({"_metadata": {"start_time": 5}}), "'start_time' is not text"),
        (sink, line({"_metadata": [1]}), "'_metadata' is no object"),
        (sink, line({**TICK, "note": "x" * 70_000}), "longer than any record"),
        (sink, line({**TICK, "note": 2**64}), "does not fit 64 bits"),
        (demo, line({**PRESS, "type": "tick"}), "no known type"),
        (demo, line({**PRESS, "timestamp_pressed": 1.5}), "'timestamp_pressed' is no whole number"),
        (demo, line({**PRESS, "timestamp_pressed": 1}), "timestamp_pressed is outside 2000 to 2200"),
        (demo, line({**PRESS, "timestamp_pressed": 10**30}), "timestamp_pressed is outside 2000 to 2200"),
        (demo, line({**PRESS, "button": None}), "'button' is not text"),
        (demo, line({**PRESS, "button": "b" * 513}), "button is longer than 512"),
        (demo, line({**PRESS, "state_before": "x"}), "'state_before' is no object"),
        (demo, line({**PRESS, "note": "\ud800"}), "no whole record"),
        (demo, line({"_header": {"game_id": 5, "start_time": "2098-12-31T22:00:00"}}), "game_id is not text"),
        (demo, line({**PRESS, "note": "x" * 40_000}), "bytes of fields"),
        (player, line({**ACTION, "timestamp": "2099-01-01 03:00"}), "timestamp is not as this format"),
        (player, line({**ACTION, "type": None}), "no known type"),
        (player, line({key: ACTION[key] for key in ACTION if key != "action_id"}), "'action_id' is missing"),
        (hours, line({"ts": "x", "ts_ms": 5, "event": "e", "data": []}), "ts_ms is outside"),
        (hours, line({"ts": "x", "ts_ms": TEN // 1000, "event": "e"}), "'data' is missing"),
        (samples, line({"timestamp": None, "event_type": "e", "data": {}}), "'timestamp' is not text"),
        (samples, line({"timestamp": "2098-12-31T22:00:00", "event_type": 5, "data": {}}), "event_type is not text"),
        (notes, line({"event_name": "e", "data": {}, "captured_at": True}), "is no time"),
        (notes, line({"event_name": "e", "data": {}, "captured_at": 17.5}), "captured_at is outside"),
    ],
)
def test_a_line_that_is_no_record_is_refused_with_its_reason(parse: Parse, content: bytes, reason: str) -> None:
    with pytest.raises(UnreadableError, match=reason) as caught:
        parse(content)
    assert "\n" not in str(caught.value)
