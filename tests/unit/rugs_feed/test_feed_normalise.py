"""What comes in becomes the same envelope terms, whichever way it came."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_feed.frames import Frame, decode
from rugs_feed.normalise import Normal, Told, normalise, normalise_frame, read_raw
from rugs_proto.envelope import Envelope
from tests.support.legacy_lines import cdp_frame, frame

TRACE = {"__trace": True, "traceparent": "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"}
TRADE = {"gameId": "g", "playerId": "p", "username": "u", "type": "sell", "price": 2, "tickIndex": 7, "amount": 0.5}


def test_an_event_says_the_same_as_a_frame_and_by_its_name() -> None:
    by_frame = normalise_frame(decode("42" + json.dumps(["standard/newTrade", TRACE, TRADE])))
    assert by_frame == normalise("standard/newTrade", [TRACE, TRADE])
    assert by_frame[:5] == ("ws_event", "standard/newTrade", "g", "p", "u")
    assert by_frame.fields == {"action": "sell", "price": 2, "tick": 7, "amount": 0.5}


@pytest.mark.parametrize(
    ("message", "event", "fields"),
    [
        ('0{"sid":"s"}', "open", {"packet": "open"}),
        ("1", "close", {"packet": "close"}),
        ("2", "ping", {"packet": "ping"}),
        ('42["ping"]', "ping", {}),
        ('40{"sid":"s"}', "connect", {"packet": "connect"}),
        ("41/admin,", "disconnect", {"packet": "disconnect", "namespace": "/admin"}),
        ('44{"message":"no"}', "connect_error", {"packet": "connect_error", "reason": "no"}),
        ('4212["buyOrder",{"amount":1}]', "buyOrder", {"ack_id": 12}),
        (
            '4312[{"success":true,"executedPrice":1.5}]',
            "ack",
            {"packet": "ack", "ack_id": 12, "success": True, "price": 1.5},
        ),
        ('451-["x",{"_placeholder":true,"num":0}]', "x", {"packet": "binary_event", "attachments": 1}),
        (b"\x01", "attachment", {"packet": "attachment"}),
        (
            '42["gameStateUpdate",{"pr',
            "gameStateUpdate",
            {"reason": "not JSON: Unterminated string starting at at character 20"},
        ),
        ("42[1]", "", {"reason": "no event name"}),
        ("junk", "unknown", {"packet": "unknown", "reason": "no Engine.IO packet"}),
    ],
)
def test_packets_go_by_their_kind_and_events_by_their_name(message: str | bytes, event: str, fields: Any) -> None:
    said = normalise_frame(decode(message))
    assert (said.doc_type, said.event, said.fields) == ("ws_event", event, fields)


@pytest.mark.parametrize(
    ("event", "doc_type"),
    [
        ("gameStateUpdate", "ws_event"),
        ("standard/newTrade", "ws_event"),
        ("nobody.has.seen.this", "ws_event"),
        ("game.tick", "game_tick"),
        ("game.start", "system_event"),
        ("player.update", "server_state"),
        ("player.identity", "system_event"),
        ("trade.buy", "player_action"),
        ("bot.decision", "player_action"),
        ("ws.raw_event", "ws_event"),
        ("ws.source_changed", "system_event"),
        ("ui.ready", "system_event"),
        ("file.loaded", "system_event"),
        ("replay.started", "system_event"),
    ],
)
def test_an_applications_events_have_doc_types_of_their_own(event: str, doc_type: str) -> None:
    assert normalise(event).doc_type == doc_type


def test_what_comes_through_a_socket_is_always_a_ws_event() -> None:
    assert normalise_frame(decode('42["game.tick",{}]')).doc_type == "ws_event"


@pytest.mark.parametrize("name", ["x" * 513, "\ud83d"])
def test_a_name_that_no_envelope_can_carry_stays_in_the_bytes(name: str) -> None:
    assert normalise(name).event == ""
    assert normalise_frame(Frame("event", (), name)).event == ""


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ('42["e",{"a":1}]', Told("e", {"a": 1})),
        (b'42["e",{"a":1}]', Told("e", {"a": 1})),
        ("40", Told("connect", None, "connect")),
        (frame(1, "e", {"a": 1}).decode(), Told("e", {"a": 1})),
        (frame(1, "e", [TRACE, {"a": 1}]), Told("e", {"a": 1})),
        (frame(1, "connect", None), Told("connect", None)),
        (frame(1, "e", []), Told("e", None)),
        (cdp_frame(1, "e", {"a": 1}), Told("e", {"a": 1})),
        ('{"event_type": "e", "timestamp": "t", "data": [{}, {"a": 1}]}', Told("e", {"a": 1})),
        ('{"event": "e", "payload": {"a": 1}}', Told("e", {"a": 1})),
        ('{"event_name": "lost", "data": {"__trace": true}, "raw": "42[\\"e\\",{},{\\"a\\":1}]"}', Told("e", {"a": 1})),
        (b'\xef\xbb\xbf {"event": "e", "data": 1}\r', Told("e", 1)),
        ('{"no": "event"}', None),
        ('{"event": 5}', None),
        ('{"event": "e"', None),
        (b"\xff", None),
        (None, None),
    ],
)
def test_the_event_is_found_again_in_what_was_stored(raw: str | bytes | None, told: Told | None) -> None:
    assert read_raw(raw) == told


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
PARTS = st.tuples(
    st.sampled_from(["event", "ack", "binary_event", "connect_error", "disconnect"]),
    st.lists(JSON, max_size=3).map(tuple),
    st.none() | st.sampled_from(["gameStateUpdate", "playerUpdate", "e"]) | st.text(st.characters()),
    st.just("/") | st.text(st.characters()),
    st.none() | st.integers(0, 10**18 - 1),
    st.integers(0, 10**9 - 1),
)
FRAMES = st.text().map(decode) | PARTS.map(lambda parts: Frame(*parts))


@given(FRAMES)
def test_whatever_is_said_can_be_stored(message: Frame) -> None:
    said = normalise_frame(message)
    envelope: dict[str, Any] = {"v": 1, "ts": 10**15, "source": "cdp", "session_id": "s", "seq": 1, "raw": "x"}
    assert Envelope.model_validate({**envelope, "direction": "received", **said._asdict()})


@given(st.text() | st.binary() | JSON.map(json.dumps))
def test_reading_what_was_stored_never_fails(raw: str | bytes) -> None:
    told = read_raw(raw)
    assert told is None or isinstance(told.event, str)


def test_a_normal_form_is_a_value() -> None:
    assert normalise("e", {"gameId": "g"}) == Normal("ws_event", "e", "g", None, None, {})
