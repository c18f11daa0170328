"""Which argument of an event is its payload: the same one on every way in, whatever stands before and behind it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_capture.ingest.reading import Desk, Taken, read
from rugs_capture.ingest.terms import Terms
from rugs_client.mapping import Mapper
from rugs_feed import frames
from rugs_feed.extract import Extract, extract
from rugs_feed.normalise import normalise, normalise_frame, read_raw
from rugs_legacy.formats import LINE_FORMATS
from rugs_legacy.formats.f16_event_array import FORMAT as EVENT_ARRAY
from rugs_legacy.line_formats.lines import GameTeller
from rugs_legacy.line_formats.stored import Stored
from rugs_proto.arguments import payload_of
from tests.support.feedkit import derive, heard, playing
from tests.support.legacy_lines import cdp_frame, frame, line

EVENT = "gameStateUpdate"
STATE = playing([1, 1.1, 1.2, 1.3], 2, game="g")
SAID = extract(EVENT, STATE)
TRACE = {"__trace": True, "traceparent": "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"}
PLACEHOLDER = {"_placeholder": True, "num": 0}

SHAPES: dict[str, list[Any]] = {
    "alone": [STATE],
    "offset": [STATE, "Q8gPj0"],
    "trace": [TRACE, STATE],
    "trace and offset": [TRACE, STATE, "Q8gPj0"],
    "several behind": [STATE, "Q8gPj0", "Q8gPj1", 7, 1.5, None, True, ""],
    "null before": [None, STATE, None],
    "array behind": [STATE, [], [1, {"gameId": "x"}]],
    "array before": [["x"], STATE, "Q8gPj0"],
    "object before": [{"gameId": "x", "price": 9}, STATE, "Q8gPj0"],
    "trace behind": [STATE, TRACE],
    "attachment behind": [STATE, PLACEHOLDER, "Q8gPj0"],
    "all": [TRACE, None, STATE, PLACEHOLDER, [3], TRACE, "Q8gPj0", None],
}
NONE_SHAPES: dict[str, list[Any]] = {
    "nothing": [],
    "null": [None],
    "offset only": ["Q8gPj0"],
    "trace only": [TRACE],
    "trace and null": [TRACE, None],
    "trace and offset": [TRACE, "Q8gPj0"],
    "attachment": [PLACEHOLDER],
    "attachment and offset": [PLACEHOLDER, "Q8gPj0"],
    "array and offset": [[STATE], "Q8gPj0"],
    "numbers": [1, 2],
}
"""Arguments none of which is a payload by the rule."""


def _line(format_id: str, content: bytes) -> Extract:
    (form,) = [form for form in LINE_FORMATS if form.id == format_id]
    record = form.reader("America/New_York")(content)
    return Extract(record.game_id, record.player_id, record.username, record.fields)


def _frame(arguments: list[Any], **changes: Any) -> Extract:
    message = frames.encode(frames.Frame("event", tuple(arguments), EVENT)._replace(**changes))
    return Extract(*normalise_frame(frames.decode(message))[2:])


def _of_array(arguments: list[Any]) -> Extract:
    told = {"seq": 1, "ts": "2099-01-01T03:00:00.500001", "event": EVENT, "data": arguments}
    (record,) = EVENT_ARRAY.read([told], "UTC").rows
    return Extract(record.game_id, record.player_id, record.username, record.fields)


def _posted(body: bytes) -> Extract:
    (found,) = read(body, Terms(), Desk("http", lambda: 1, 1_763_700_000_000_000))
    assert isinstance(found, Taken), found
    envelope = found.envelope
    return Extract(envelope.game_id, envelope.player_id, envelope.username, envelope.fields)


SAMPLE_TIME = "2098-12-31T22:00:00.500001"
WAYS: dict[str, Callable[[list[Any]], Extract]] = {
    "frame": _frame,
    "frame with an acknowledgement": lambda arguments: _frame(arguments, ack_id=7),
    "binary frame": lambda arguments: _frame(arguments, packet="binary_event", attachments=1),
    "name": lambda arguments: Extract(*normalise(EVENT, arguments)[2:]),
    "F9": lambda arguments: _line("F9", frame(1, EVENT, arguments)),
    "F9, unusual": lambda arguments: _line("F9", frame(1, EVENT, arguments).replace(b'{"seq"', b'{ "seq"', 1)),
    "F10": lambda arguments: _line("F10", cdp_frame(1, EVENT, arguments)),
    "F10 with its message": lambda arguments: _line(
        "F10", cdp_frame(1, EVENT, {"lost": 1}, raw="42" + json.dumps([EVENT, *arguments]))
    ),
    "F12": lambda arguments: _line("F12", line({"timestamp": SAMPLE_TIME, "event_type": EVENT, "data": arguments})),
    "F14": lambda arguments: _line(
        "F14", line({"ts": SAMPLE_TIME, "ts_ms": 4_070_919_600_000, "event": EVENT, "data": arguments})
    ),
    "F15": lambda arguments: _line(
        "F15", line({"event_name": EVENT, "data": arguments, "timestamp": 1.0, "captured_at": SAMPLE_TIME})
    ),
    "F16": _of_array,
    "posted": lambda arguments: _posted(json.dumps({"event": EVENT, "data": arguments}).encode()),
    "posted as args": lambda arguments: _posted(json.dumps({"event": EVENT, "args": arguments}).encode()),
    "posted in msgpack": lambda arguments: _posted(msgspec.msgpack.encode({"event": EVENT, "payload": arguments})),
    "posted frame": lambda arguments: _posted(("42" + json.dumps([EVENT, *arguments])).encode()),
}
TRANSPORT = ("packet", "attachments", "ack_id")
"""What a frame says of itself, beside its payload."""


def without_transport(said: Extract) -> Extract:
    return said._replace(fields={key: value for key, value in said.fields.items() if key not in TRANSPORT})


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_payload_is_the_last_argument_that_is_an_object(shape: str, way: str) -> None:
    assert payload_of(SHAPES[shape]) == STATE
    assert without_transport(WAYS[way](SHAPES[shape])) == SAID


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shape", NONE_SHAPES)
def test_where_no_argument_is_an_object_nothing_is_made_up(shape: str, way: str) -> None:
    arguments = NONE_SHAPES[shape]
    assert payload_of(arguments) == (arguments[-1] if arguments else None)
    assert without_transport(WAYS[way](arguments)) == (None, None, None, {})


@pytest.mark.parametrize("shape", SHAPES)
def test_ticks_follow_from_every_shape_whichever_bytes_are_stored(shape: str) -> None:
    arguments = SHAPES[shape]
    for raw in (
        "42" + json.dumps([EVENT, *arguments]),
        frame(1, EVENT, arguments).decode(),
        cdp_frame(1, EVENT, arguments),
        json.dumps({"event_type": EVENT, "args": arguments}),
        msgspec.msgpack.encode({"event": EVENT, "payload": arguments, "binary": b"\xff"}),
    ):
        told = read_raw(raw)
        assert told is not None
        assert told.payload == STATE
        rows = derive([heard(1, None)._replace(raw=raw)])
        assert [row["fields"]["tick"] for row in rows] == [0, 1, 2], "two that only the prices tell, and its own"


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_written_for_old_programs_has_the_tick(shape: str) -> None:
    stored = Stored._make([None] * len(Stored._fields))._replace(
        source="public_ws", session_id="s", seq=1, ts=4_070_919_600_000_000, doc_type="ws_event", event=EVENT,
        direction="received", game_id="g", raw="42" + json.dumps([EVENT, *SHAPES[shape]]),
    )  # fmt: skip
    record = GameTeller(ZoneInfo("UTC")).tick(stored)
    assert record is not None
    assert (record["tick"], record["price"], record["active"]) == (2, 1.2, True)


@pytest.mark.parametrize("kind", [list, tuple])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_producer_names_the_game_of_every_shape(shape: str, kind: Callable[[list[Any]], Any]) -> None:
    published = Mapper().publication("WS_RAW_EVENT", "ws.raw_event", {"event": EVENT, "data": kind(SHAPES[shape])})
    assert published is not None
    assert published["game_id"] == "g"


@pytest.mark.parametrize("reply", [[{"success": True, "executedPrice": 1.5}], [None, {"success": True}], []])
@pytest.mark.parametrize("behind", [[], ["Q8gPj0"], [None, 3]])
def test_an_acknowledgement_says_what_its_object_says(reply: list[Any], behind: list[Any]) -> None:
    said = normalise_frame(frames.decode("4312" + json.dumps([*reply, *behind])))
    assert said.fields.get("success") == (True if reply else None)


SCALARS = st.lists(st.none() | st.booleans() | st.integers() | st.text(max_size=5), max_size=4)
OBJECTS = st.dictionaries(st.text(max_size=5), st.integers(), max_size=3)


@given(st.lists(SCALARS | OBJECTS, max_size=3), OBJECTS, SCALARS)
def test_no_number_text_or_null_behind_a_payload_hides_it(before: list[Any], payload: Any, behind: list[Any]) -> None:
    assert payload_of([*before, payload, *behind]) is payload
    assert payload_of(payload) is payload
