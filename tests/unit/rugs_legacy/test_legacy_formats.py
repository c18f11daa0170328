"""How each known format's lines are understood, and why others are refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_feed.extract import PAYLOAD_KEYS, extract
from rugs_feed.phases import PHASE_VERSION
from rugs_legacy.errors import UnreadableError
from rugs_legacy.formats import FORMATS, f1_game, f4_demonstration, f9_raw_capture, f10_cdp_capture
from rugs_legacy.record import Parse, Record
from tests.support.legacy_lines import GAME, cdp_frame, end, frame, line, start, tick

NEW_YORK = "America/New_York"
read_typed = f1_game.FORMAT.reader(NEW_YORK)
read_raw = f9_raw_capture.FORMAT.reader(NEW_YORK)
read_cdp = f10_cdp_capture.FORMAT.reader(NEW_YORK)


def same_the_slow_way(parse: Parse, content: bytes) -> Record:
    """Read a line both ways: a blank after the first brace is what no recorder wrote."""
    quick, slow = parse(content), parse(content.replace(b'{"', b'{ "', 1))
    assert quick == slow
    assert [type(value) for value in quick.fields.values()] == [type(value) for value in slow.fields.values()]
    return quick


def test_the_registry_is_what_the_documentation_says() -> None:
    """Every format has a number, a version and a title of its own; F11 and F13 are no recordings."""
    text = (Path(__file__).parents[3] / "docs" / "old-formats.md").read_text()
    told = re.findall(r"^\| (F\d+) \| ([^,:|]*)", text, re.MULTILINE)
    assert {number for number, _ in told} == {f"F{number}" for number in range(1, 17)}
    titles = dict(told)
    for format_ in FORMATS:
        assert titles[format_.id].strip() == format_.title or format_ is f4_demonstration.METADATA
    assert {number for number, _ in told} - {format_.id for format_ in FORMATS} == {"F11", "F13"}


def test_a_tick() -> None:
    record = same_the_slow_way(read_typed, tick(3))
    assert record.ts == 4_070_919_603_066_931  # 2099-01-01T03:00:03.066931Z
    assert (record.recv_ts, record.zone, record.direction) == (None, NEW_YORK, "received")
    assert (record.doc_type, record.event, record.game_id) == ("game_tick", "tick", GAME)
    assert record.fields == {
        "tick": 3,
        "price": 1.25,
        "phase": "ACTIVE_GAMEPLAY",
        "active": True,
        "rugged": False,
        "cooldown_timer": 0,
        "trade_count": 12,
        "phase_read": "ACTIVE_GAMEPLAY",
        "phase_version": PHASE_VERSION,
    }


@pytest.mark.parametrize(
    ("flags", "phase"),
    [
        ({"phase": "UNKNOWN", "active": False, "cooldown_timer": 14900}, "COOLDOWN"),
        ({"phase": "UNKNOWN", "active": False, "cooldown_timer": 10001}, "COOLDOWN"),
        ({"phase": "PRESALE", "active": False, "cooldown_timer": 10000}, "PRESALE"),
        ({"phase": "GAME_ACTIVATION", "tick": 0}, "GAME_ACTIVATION"),
        ({"phase": "ACTIVE_GAMEPLAY", "rugged": True}, "RUGGED"),
        ({"phase": "RUG_EVENT_1", "rugged": True, "trade_count": 0}, "RUGGED"),
        ({"phase": "UNKNOWN", "active": False}, None),
    ],
)
def test_the_phase_as_written_and_the_phase_as_it_should_be(flags: dict[str, Any], phase: str | None) -> None:
    fields = same_the_slow_way(read_typed, tick(**flags)).fields
    assert (fields["phase"], fields.get("phase_read")) == (flags["phase"], phase)
    assert fields.get("phase_version") == (None if phase is None else PHASE_VERSION)


@pytest.mark.parametrize(
    ("price", "cooldown_timer", "is_filler"),
    [("1.0", 14900, True), ("1", 14900, False), ("1.0", 0, False), ("1.25", 14900, False)],
)
def test_a_price_that_the_recorder_made_up_is_marked(price: str, cooldown_timer: int, is_filler: bool) -> None:
    content = tick(0, cooldown_timer=cooldown_timer).replace(b"1.25", price.encode())
    record = same_the_slow_way(read_typed, content)
    assert record.fields.get("is_filler", False) is is_filler
    assert type(record.fields["price"]) is type(json.loads(price))


def test_keys_that_no_recorder_wrote_are_kept() -> None:
    assert read_typed(tick(1, note={"by": ["hand"]})).fields["note"] == {"by": ["hand"]}


def test_start_and_end_of_a_game() -> None:
    record = read_typed(start(session_game_number=30))
    assert (record.doc_type, record.event, record.fields) == ("system_event", "game_start", {"session_game_number": 30})
    record = read_typed(end(status="incomplete", incomplete_reason="disconnect"))
    assert (record.event, record.game_id) == ("game_end", GAME)
    assert record.fields["tick_range"] == [0, 3]
    assert record.fields["incomplete_reason"] == "disconnect"


def test_start_and_end_of_a_session() -> None:
    first = {"type": "session_start", "timestamp": "2098-12-31T22:00:00", "session_id": "s", "max_games": 2}
    record = read_typed(line(first))
    assert (record.event, record.game_id, record.fields) == ("session_start", None, {"session_id": "s", "max_games": 2})
    last = {"type": "session_end", "timestamp": "2098-12-31T22:00:00", "total_games": 2, "total_ticks": 8}
    assert read_typed(line({**last, "ending_balance": None})).fields["ending_balance"] is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"## the phase of these rows is wrong", "not JSON"),
        (b"[1, 2]", "not a JSON object"),
        (b"17", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"{}", "no known type"),
        (b'{"type": ["tick"]}', "no known type"),
        (tick(type="trade"), "no known type"),
        (tick(price=...), "missing required field `price`"),
        (tick(price="1.25"), r"at `\$.price`"),
        (tick(price=None), r"at `\$.price`"),
        (tick(tick=2**63), "9223372036854775807"),
        (tick(tick=10**30), "9223372036854775807"),
        (tick(tick=1.0), r"at `\$.tick`"),
        (tick(tick=True), r"at `\$.tick`"),
        (tick(active=1), r"at `\$.active`"),
        (tick(game_id=None), r"at `\$.game_id`"),
        (tick(game_id="x" * 513), "length <= 512"),
        (tick(phase="\ud800"), "no whole tick"),
        (tick(note="\udc00"), "no whole tick"),
        (tick(note=2**64), "note does not fit 64 bits"),
        (tick(timestamp=1761858904), r"at `\$.timestamp`"),
        (tick(timestamp="0001-01-01T00:00:00"), "outside 2000 to 2200"),
        (tick(timestamp="9999-12-31T23:59:59.999999"), "outside 2000 to 2200"),
        (tick(timestamp="2025-10-30T15:06:58.066931+00:00"), "offset"),
        (tick()[:-1] + b', "tick": 4}', "key stands twice: 'tick'"),
        (tick()[:-1] + b"\x00}", "not JSON"),
        (tick() + b"\x00", "not JSON"),
        (tick(note="x" * 70_000), "longer than any record"),
        (b'{"type": "tick", "a": ' + b"[" * 60_000 + b"}", "nested too deeply"),
        (end(total_ticks=None), r"no whole game_end: .* at `\$.total_ticks`"),
        (end()[:-20] + b"}", "missing required field `final_price`|not JSON"),
        (b"\xff" + tick(), "not UTF-8 at byte 0"),
    ],
)
def test_a_line_that_is_no_record_is_refused_with_its_reason(content: bytes, reason: str) -> None:
    with pytest.raises(UnreadableError, match=reason) as caught:
        read_typed(content)
    assert "\n" not in str(caught.value)


STATE = {
    "gameId": GAME,
    "price": 1,
    "tickCount": 5,
    "active": True,
    "rugged": False,
    "cooldownTimer": 0,
    "partialPrices": {"values": {"4": 1.5}},
}


def test_a_raw_capture_is_local_and_received() -> None:
    record = same_the_slow_way(read_raw, frame(1, data=STATE))
    assert record.ts == record.recv_ts == 4_070_919_601_601_933
    assert (record.zone, record.direction, record.doc_type, record.event) == (
        NEW_YORK,
        "received",
        "ws_event",
        "gameStateUpdate",
    )
    assert (record.game_id, record.fields["price"], type(record.fields["price"])) == (GAME, 1, int)


def test_a_cdp_capture_is_aware_and_says_its_direction() -> None:
    record = same_the_slow_way(read_cdp, cdp_frame(1, data=STATE, direction="sent"))
    assert (record.ts, record.zone, record.direction) == (4_070_919_601_601_933, "", "sent")
    assert read_cdp(cdp_frame(1, ts="2098-12-31T22:00:01.601933")).zone == NEW_YORK


def test_several_arguments_and_none() -> None:
    trade = {"gameId": GAME, "playerId": "p", "username": None, "type": "sell", "price": 2.5}
    record = same_the_slow_way(read_raw, frame(1, "standard/newTrade", [{"__trace": True}, trade]))
    assert (record.player_id, record.fields) == ("p", {"action": "sell", "price": 2.5})
    for data in (None, [], "text", 5, True, [None], [[1]]):
        assert same_the_slow_way(read_raw, frame(1, "connect", data)).fields == {}


@pytest.mark.parametrize("number", [b"1e400", b"9" * 30, b"9" * 6000])
def test_a_number_that_no_envelope_can_carry_is_left_in_the_frame(number: bytes) -> None:
    record = read_raw(frame(1, data={**STATE, "price": 123454321}).replace(b"123454321", number))
    assert record.game_id == GAME
    assert "price" not in record.fields


def test_half_a_surrogate_pair_is_left_in_the_frame() -> None:
    record = read_raw(frame(1, "newChatMessage", {"playerId": "p", "username": "a\ud83d", "message": "\ud83d"}))
    assert (record.player_id, record.username) == ("p", None)


@pytest.mark.parametrize(
    ("parse", "content", "reason"),
    [
        (read_raw, frame()[:-1], "not JSON"),
        (read_raw, frame(data={"a": 1}).replace(b"1}", b"01}"), "not JSON"),
        (read_raw, frame(data={"a": 1}).replace(b"1}", b"nan}"), "not JSON"),
        (read_raw, b'{"ts": "20', "not JSON: Unterminated string starting at character 7"),
        (read_raw, frame() + frame(2), "not JSON"),
        (read_raw, b'{"seq": 1, "ts": "2098-12-31T22:00:00.000001", "event": "e"}', "'data' is missing"),
        (read_raw, frame()[:-1] + b', "event": "b"}', "key stands twice: 'event'"),
        (read_raw, frame().replace(b"1,", b"1.0,", 1), "seq is not a whole number"),
        (read_raw, frame(ts=5), "'ts' is not text"),
        (read_raw, frame().replace(b'"gameStateUpdate"', b"null"), "event is not text"),
        (read_raw, frame(event="e" * 513), "longer than 512"),
        (read_raw, frame(event="\ud800"), "half a surrogate"),
        (read_raw, frame(ts="2025-12-15T05:39:20.267811+00:00"), "offset"),
        (read_raw, b'{"seq": 1, "ts": "x", "event": "e", "data": ' + b"[" * 60_000, "not JSON|too deeply"),
        (read_cdp, frame(), "'source' is missing"),
        (read_cdp, cdp_frame(direction="up"), "no known direction"),
        (read_cdp, cdp_frame()[:-1] + b', "direction": "sent"}', "key stands twice"),
        (read_cdp, cdp_frame(ts="2199-12-31T23:59:59.999999-05:00"), "outside 2000 to 2200"),
    ],
)
def test_a_line_that_is_no_capture_is_refused_with_its_reason(parse: Parse, content: bytes, reason: str) -> None:
    with pytest.raises(UnreadableError, match=reason):
        parse(content)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*PAYLOAD_KEYS, "source", "data", ""]), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(JSON, st.sampled_from(["gameStateUpdate", "standard/newTrade", "x"]))
def test_skipping_what_is_not_looked_at_changes_nothing(data: Any, event: str) -> None:
    """The fast way, which decodes a few keys, says what `extract` says of the whole payload."""
    for parse, content in ((read_raw, frame(1, event, data)), (read_cdp, cdp_frame(1, event, data))):
        assert parse(content)[6:10] == extract(event, data)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("key", ["tick", "price", "cooldown_timer", "trade_count", "note"])
def test_a_number_that_is_not_finite_is_left_out_and_the_record_stands(key: str, value: float) -> None:
    """As live capture takes them: Python writes them, and the bytes keep them."""
    changes: dict[str, Any] = {key: value}
    found = read_typed(tick(**changes)).fields
    changes[key] = 1
    expected = read_typed(tick(**changes)).fields
    read_from_it = ("phase_read", "phase_version")
    assert key not in found
    assert {name: found[name] for name in found if name not in read_from_it}.items() <= expected.items()
    assert "price" not in read_typed(tick().replace(b"1.25", b"1e400")).fields, "what no double holds is infinite"
    nested = read_typed(tick(note={"a": [value, 1.5, {"b": value}]})).fields
    assert nested["note"] == {"a": [None, 1.5, {"b": None}]}
    assert read_typed(end(price_range=[value, 2], final_price=value)).fields["price_range"] == [None, 2]


def test_a_name_that_is_not_finite_is_no_name() -> None:
    with pytest.raises(UnreadableError, match="no whole tick"):
        read_typed(tick(phase=float("nan")))
