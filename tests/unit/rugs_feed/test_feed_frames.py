"""What a WebSocket message is: every packet, and whatever else may come."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rugs_feed.frames import ENGINE_PACKETS, SOCKET_PACKETS, Frame, decode, encode
from tests.support.jsons import JSON, TEXT

TRACE = {"__trace": True, "traceparent": "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"}
TRADE = {"gameId": "g", "type": "buy"}
PLACEHOLDER = {"_placeholder": True, "num": 0}


@pytest.mark.parametrize(
    ("message", "frame"),
    [
        ('0{"sid":"x","pingInterval":25000}', Frame("open", ({"sid": "x", "pingInterval": 25000},))),
        ("1", Frame("close")),
        ("2", Frame("ping")),
        ("2probe", Frame("ping", ("probe",))),
        ("3", Frame("pong")),
        ("3probe", Frame("pong", ("probe",))),
        ("5", Frame("upgrade")),
        ("6", Frame("noop")),
        ("40", Frame("connect")),
        ('40{"sid":"x"}', Frame("connect", ({"sid": "x"},))),
        ("40/admin,", Frame("connect", namespace="/admin")),
        ('40/admin?a=1,{"token":"t"}', Frame("connect", ({"token": "t"},), namespace="/admin?a=1")),
        ("41", Frame("disconnect")),
        ("41/admin,", Frame("disconnect", namespace="/admin")),
        ('42["connected"]', Frame("event", (), "connected")),
        ('42["gameStateUpdate",{"price":1.0}]', Frame("event", ({"price": 1.0},), "gameStateUpdate")),
        ('42["e",null,[],0,""]', Frame("event", (None, [], 0, ""), "e")),
        ('42424["buyOrder",{"amount":1}]', Frame("event", ({"amount": 1},), "buyOrder", ack_id=424)),
        ('42/admin,["e",1]', Frame("event", (1,), "e", namespace="/admin")),
        ('42/admin,7["e",1]', Frame("event", (1,), "e", namespace="/admin", ack_id=7)),
        ("43424[]", Frame("ack", ack_id=424)),
        ('43424[{"success":true}]', Frame("ack", ({"success": True},), ack_id=424)),
        ('43/admin,1["ok"]', Frame("ack", ("ok",), namespace="/admin", ack_id=1)),
        ('44{"message":"not authorised"}', Frame("connect_error", ({"message": "not authorised"},))),
        ('44"no"', Frame("connect_error", ("no",))),
        (
            '451-["x",{"_placeholder":true,"num":0}]',
            Frame("binary_event", (PLACEHOLDER,), "x", attachments=1),
        ),
        (
            '452-/admin,5["x",{"_placeholder":true,"num":0}]',
            Frame("binary_event", (PLACEHOLDER,), "x", namespace="/admin", ack_id=5, attachments=2),
        ),
        ('461-5[{"_placeholder":true,"num":0}]', Frame("binary_ack", (PLACEHOLDER,), ack_id=5, attachments=1)),
        (b"\x00\xff", Frame("attachment", (b"\x00\xff",))),
        (b"", Frame("attachment", (b"",))),
    ],
)
def test_each_packet_is_known_and_written_again_as_it_was(message: str | bytes, frame: Frame) -> None:
    assert decode(message) == frame
    written = encode(frame)
    assert decode(written) == frame
    if '"price":1.0' not in str(message):
        assert written == message


@pytest.mark.parametrize(
    ("message", "known"),
    [
        ("", {"packet": "unknown", "problem": "no Engine.IO packet"}),
        ("hello", {"packet": "unknown", "args": ("hello",)}),
        ("٤٢[]", {"packet": "unknown"}),
        ("4", {"packet": "message", "problem": "no Socket.IO packet", "args": ()}),
        ("49x", {"packet": "message", "args": ("9x",)}),
        ("45[]", {"packet": "message", "problem": "no count of attachments"}),
        ("42", {"packet": "event", "event": None, "problem": "no arguments"}),
        ("421", {"packet": "event", "ack_id": 1, "problem": "no arguments"}),
        ("42{}", {"packet": "event", "args": ({},), "problem": "arguments are no list"}),
        ("42[]", {"packet": "event", "args": (), "problem": "no event name"}),
        ("42[1,2]", {"packet": "event", "args": (1, 2), "problem": "no event name"}),
        ('42["e",1]tail', {"event": "e", "args": (1,), "junk": "tail", "problem": "text behind the JSON"}),
        ('40{"sid":"x"}}', {"packet": "connect", "args": ({"sid": "x"},), "junk": "}"}),
        ('42["gameStateUpdate",{"pri', {"event": "gameStateUpdate", "args": (), "junk": '["gameStateUpdate",{"pri'}),
        ('42["na\\u006de",', {"event": "name"}),
        ('42["half', {"event": None}),
        ("0{", {"packet": "open", "args": (), "junk": "{"}),
        ("42" + "[" * 100_000, {"packet": "event", "event": None, "problem": "nested too deeply"}),
        ('42["e",' + "9" * 5000 + "]", {"event": "e", "args": (), "problem": "not JSON: a number too long"}),
        ("42" + "1" * 5000 + '["e"]', {"packet": "event", "ack_id": int("1" * 18)}),
        ('42["\\ud83d"]', {"event": "\ud83d", "problem": None}),
        ('42["\ud83d"]', {"event": "\ud83d", "problem": None}),
    ],
    ids=lambda value: str(value)[:20].encode("ascii", "replace").decode() if isinstance(value, str) else "",
)
def test_what_is_broken_gives_what_is_known_of_it(message: str, known: dict[str, Any]) -> None:
    frame = decode(message)
    assert frame._asdict() | known == frame._asdict()
    assert (frame.problem is None) == (known.get("problem", "?") is None)


def test_a_traced_event_has_its_trace_and_its_payload() -> None:
    frame = decode("42" + json.dumps(["standard/newTrade", TRACE, TRADE]))
    assert (frame.trace, frame.payload) == (TRACE, TRADE)
    plain = decode("42" + json.dumps(["gameStateUpdate", TRADE]))
    assert (plain.trace, plain.payload) == (None, TRADE)
    assert (decode("41").trace, decode("41").payload) == (None, None)


def test_a_number_keeps_the_form_it_was_sent_in() -> None:
    assert [type(argument) for argument in decode('42["e",1,1.0]').args] == [int, float]


def test_what_only_lenient_readers_take_is_known_all_the_same() -> None:
    (value,) = decode('42["e",NaN]').args
    assert math.isnan(value)


@pytest.mark.parametrize("frame", [Frame("unknown"), Frame("message", ("9",)), Frame("event", (math.nan,), "e")])
def test_what_is_no_packet_is_not_written(frame: Frame) -> None:
    with pytest.raises(ValueError, match=r"no packet|JSON"):
        encode(frame)


PIECES = st.sampled_from(
    [
        "0",
        "1",
        "2",
        "4",
        "42",
        "43",
        "451-",
        "46",
        "/a,",
        "/",
        ",",
        "7",
        "[",
        "]",
        "{",
        "}",
        '"e"',
        ":",
        "null",
        "\ud800",
    ]
)


@given(st.text() | st.binary() | st.lists(PIECES, max_size=12).map("".join))
@example("4" * 100)
@example("42" + "/" * 100)
def test_whatever_comes_is_a_frame(message: str | bytes) -> None:
    frame = decode(message)
    assert frame.packet in (*ENGINE_PACKETS, *SOCKET_PACKETS, "attachment", "unknown")
    assert frame.event is None or isinstance(frame.event, str)


ARGUMENTS = st.lists(JSON, max_size=3).map(tuple)
NAMESPACE = st.just("/") | TEXT.map(lambda text: "/" + text.replace(",", ""))
ACK_ID = st.none() | st.integers(0, 10**18 - 1)
EVENTS = st.tuples(ARGUMENTS, TEXT, NAMESPACE, ACK_ID).map(lambda parts: Frame("event", *parts))
FRAMES = st.one_of(
    st.sampled_from([Frame("ping"), Frame("pong", ("probe",)), Frame("close"), Frame("attachment", (b"x",))]),
    st.dictionaries(TEXT, JSON).map(lambda said: Frame("open", (said,))),
    # a bare number there would be read as an ack id; servers send an object or a text
    st.tuples(TEXT | st.dictionaries(TEXT, JSON), NAMESPACE).map(
        lambda parts: Frame("connect_error", (parts[0],), namespace=parts[1])
    ),
    NAMESPACE.map(lambda namespace: Frame("disconnect", namespace=namespace)),
    EVENTS,
    EVENTS.map(lambda frame: frame._replace(packet="ack", event=None)),
    st.tuples(EVENTS, st.integers(0, 99)).map(
        lambda parts: parts[0]._replace(packet="binary_event", attachments=parts[1])
    ),
)


@given(FRAMES)
def test_a_frame_comes_back_as_it_was_written(frame: Frame) -> None:
    assert decode(encode(frame)) == frame


@given(EVENTS, st.data())
def test_a_frame_cut_anywhere_keeps_its_name_or_says_nothing_wrong(frame: Frame, data: st.DataObject) -> None:
    message = encode(frame)
    assert isinstance(message, str)
    cut = decode(message[: data.draw(st.integers(0, len(message) - 1))])
    assert cut.problem is not None or cut.packet != "event"
    assert cut.event in (None, frame.event)
