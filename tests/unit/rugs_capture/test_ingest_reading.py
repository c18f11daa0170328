"""Reading what was sent to us: nothing is lost, bytes stay bytes, and who is who is clear."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_capture.ingest.reading import Desk, Refused, Taken, read, refuse, reject_of
from rugs_capture.ingest.terms import Kind, Terms
from rugs_feed.normalise import read_raw
from rugs_proto import Envelope, encode, wire

NOW = 1_763_700_000_000_000
ANY = Terms()

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
objects = st.fixed_dictionaries({"event": st.text(max_size=20)}, optional={"data": json_values, "price": json_values})
blanks = st.text(alphabet=" \t\r\n", max_size=3)


def desk(start: int = 1000, *, frame_a_line: bool = True) -> Desk:
    numbers = itertools.count(start)
    return Desk("http-here", lambda: next(numbers), NOW, frame_a_line)


def results(body: bytes, terms: Terms = ANY, at: Desk | None = None) -> list[Taken | Refused]:
    return list(read(body, terms, at or desk()))


def events(body: bytes, terms: Terms = ANY) -> list[Envelope]:
    """The envelopes of a body in which nothing is refused."""
    found = results(body, terms)
    assert all(isinstance(result, Taken) for result in found), found
    return [result.envelope for result in found if isinstance(result, Taken)]


def event(content: dict[str, Any], terms: Terms = ANY) -> Envelope:
    [envelope] = events(json.dumps(content).encode(), terms)
    return envelope


def reason(body: bytes, terms: Terms = ANY) -> str:
    [result] = results(body, terms)
    assert isinstance(result, Refused)
    assert result.raw == body
    return result.reason


def raw_of(result: Taken | Refused) -> bytes:
    if isinstance(result, Refused):
        return result.raw
    raw = result.envelope.raw
    return raw.encode() if isinstance(raw, str) else raw or b""


@given(st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line) | objects.map(json.dumps)))
def test_every_line_is_taken_or_refused_with_its_bytes_and_its_number(lines: list[bytes | str]) -> None:
    packed = [line.encode() if isinstance(line, str) else line for line in lines]
    found = results(b"\n".join(packed), Terms(kind=Kind.LINES))
    wanted = [(number, line) for number, line in enumerate(packed, 1) if line.strip(b" \t\r\n")]
    assert [(result.position, raw_of(result)) for result in found] == wanted


@given(st.lists(objects))
def test_good_lines_are_all_taken(contents: list[dict[str, Any]]) -> None:
    body = b"".join(json.dumps(content).encode() + b"\r\n" for content in contents)
    assert [e.raw for e in events(body, Terms(kind=Kind.LINES))] == [json.dumps(content) + "\r" for content in contents]


@given(st.lists(json_values | objects), st.data())
def test_elements_of_an_array_are_slices_of_the_body(contents: list[Any], data: st.DataObject) -> None:
    texts = [json.dumps(content, ensure_ascii=data.draw(st.booleans())) for content in contents]
    body = "[" + ",".join(data.draw(blanks) + text + data.draw(blanks) for text in texts) + "]" + data.draw(blanks)
    found = results(body.encode("utf-8", "surrogatepass"), Terms(kind=Kind.JSON))
    if body.isascii():
        assert [(result.position, raw_of(result)) for result in found] == list(enumerate(map(str.encode, texts), 1))
    assert all(
        isinstance(result, Taken)
        for result, content in zip(found, contents, strict=False)
        if isinstance(content, dict) and content.keys() == {"event"}
    )


@given(st.binary(max_size=200), st.sampled_from(Kind), st.booleans())
def test_whatever_comes_ends_up_in_items_whose_bytes_stood_in_the_body(body: bytes, kind: Kind, a_line: bool) -> None:
    found = results(body, Terms(kind=kind), desk(frame_a_line=a_line))
    at = 0
    for result in found:
        start = body.index(raw_of(result), at)
        assert set(body[at:start]) <= set(b" \t\r\n[,]") or body[:1] >= b"\x80", "only what lies between items"
        at = start + len(raw_of(result))
    assert not body.strip(b" \t\r\n") or found or body.strip() == b"[]" or body[:1] >= b"\x80"


@given(st.lists(st.dictionaries(st.text(), json_values, max_size=3) | st.binary() | st.none(), max_size=20), st.data())
def test_elements_of_a_msgpack_array_are_slices_also_where_it_is_torn(contents: list[Any], data: st.DataObject) -> None:
    packed = [msgpack.packb(content, default=str) if _packs(content) else b"\xc0" for content in contents]
    body = msgpack.Packer().pack_array_header(len(packed)) + b"".join(packed)
    found = results(body, Terms(kind=Kind.MSGPACK))
    assert [raw_of(result) for result in found] == packed
    cut = data.draw(st.integers(1, len(body)))
    torn = results(body[:cut], Terms(kind=Kind.MSGPACK))
    assert body[:cut].endswith(b"".join(raw_of(result) for result in torn))


def _packs(content: Any) -> bool:
    try:
        msgpack.packb(content)
    except (ValueError, OverflowError):
        return False
    return True


@given(st.lists(objects, min_size=1, max_size=10), st.booleans())
def test_what_is_taken_keeps_the_contract(contents: list[dict[str, Any]], packed: bool) -> None:
    body = (
        msgpack.packb([{"event": c["event"]} for c in contents if _packs(c)])
        if packed
        else "\n".join(map(json.dumps, contents)).encode()
    )
    envelopes = [
        r.envelope for r in results(body, Terms(kind=Kind.MSGPACK if packed else Kind.LINES)) if isinstance(r, Taken)
    ]
    for envelope in envelopes:
        judged = wire.judge(encode(envelope))
        assert not judged.faults
        assert judged.events[0].digest.hex() == envelope.id
    assert len({e.id for e in envelopes}) == len(envelopes)


@given(st.lists(objects, max_size=5), st.text(min_size=1, max_size=20))
def test_with_a_key_the_same_body_gives_the_same_ids_wherever_and_whenever(
    contents: list[dict[str, Any]], key: str
) -> None:
    body = "\n".join(map(json.dumps, contents)).encode()
    terms = Terms(kind=Kind.LINES, key=key)
    again = Desk("another-process", iter(range(9)).__next__, NOW + 5_000_000)
    first = [r.envelope.id for r in read(body, terms, desk()) if isinstance(r, Taken)]
    assert first == [r.envelope.id for r in read(body, terms, again) if isinstance(r, Taken)]
    other = [r.envelope.id for r in read(body, Terms(kind=Kind.LINES, key=key + "x"), desk()) if isinstance(r, Taken)]
    assert set(first).isdisjoint(other)


def test_identity() -> None:
    body = b'{"event":"e"}'
    assert len({e.id for _ in range(3) for e in events(body + b"\n" + body)}) == 2, (
        "this desk begins at the same number"
    )
    numbers = desk()
    assert len({r.envelope.id for _ in range(3) for r in results(body, ANY, numbers) if isinstance(r, Taken)}) == 3
    told = event({"event": "e", "session": "s", "seq": 7})
    assert (told.session_id, told.seq) == ("s", 7)
    in_header = event({"event": "e", "seq": 7}, Terms(session="h"))
    assert (in_header.session_id, in_header.seq) == ("h", 7)
    nameless = event({"event": "e", "seq": 7})
    assert (nameless.session_id, nameless.seq) == ("http-here", 1000), "a number says nothing without its session"
    keyed = event({"event": "e"}, Terms(session="h", key="k"))
    assert (keyed.session_id, keyed.seq) == ("h-k", 1)
    assert event({"event": "e", "session": "s"}, Terms(key="k")).session_id == "s-k", "two keys never share a place"
    assert event({"event": "e", "session": "s", "seq": 2}, Terms(key="k")).session_id == "s"


def test_an_object_says_what_its_keys_say() -> None:
    envelope = event(
        {
            "event": "trade.buy",
            "data": {"amount": 0.5, "gameId": "g"},
            "ts": "2026-11-20T20:50:21.601933+01:00",
            "source": "bot",
            "direction": "sent",
            "player_id": "p",
            "username": "u",
            "fields": {"mood": "high", "amount": 2},
            "unheard of": [1],
        }
    )
    assert (envelope.doc_type, envelope.event, envelope.source, envelope.direction) == (
        "player_action", "trade.buy", "bot", "sent"
    )  # fmt: skip
    assert (envelope.game_id, envelope.player_id, envelope.username) == ("g", "p", "u")
    assert envelope.fields == {"mood": "high", "amount": 2, "action": "buy"}, "what is told stands before what is read"
    assert envelope.ts == 1795204221601933
    assert envelope.recv_ts == NOW
    assert event({"event": "x", "doc_type": "my_type"}).doc_type == "my_type"


def test_an_object_with_the_message_itself_says_what_the_message_says() -> None:
    message = '42["gameStateUpdate",{"gameId":"g","price":2.5,"tickCount":3}]'
    for content in ({"raw": message}, {"event": "ignored", "raw": message, "direction": "received"}):
        envelope = event(content)
        assert (envelope.event, envelope.game_id, envelope.fields["price"]) == ("gameStateUpdate", "g", 2.5)
        assert envelope.raw == json.dumps(content)
    assert event({"event": "named", "raw": "junk"}).event == "named"
    assert event({"raw": "junk"}).event == "unknown"


@pytest.mark.parametrize(
    "message",
    [
        '42["gameStateUpdate",{"gameId":"g","price":2.5}]',
        '451-["x",{"_placeholder":true,"num":0}]',
        "2",
        "40",
        '42["x"',
    ],
)
def test_websocket_messages(message: str) -> None:
    for terms in (ANY, Terms(kind=Kind.FRAMES)):
        [envelope] = events(message.encode(), terms)
        assert (envelope.doc_type, envelope.raw) == ("ws_event", message)
    two = events(f"{message}\n{message}\n".encode(), Terms(kind=Kind.FRAMES))
    assert [e.raw for e in two] == [message, message]
    [whole] = list(read(f"{message}\n".encode(), ANY, desk(frame_a_line=False)))
    assert raw_of(whole) == f"{message}\n".encode()


def test_what_is_told_to_be_a_message_is_one() -> None:
    assert [e.event for e in events(b"anything", Terms(kind=Kind.FRAMES))] == ["unknown"]
    assert [e.event for e in events(b"\xff\x00", Terms(kind=Kind.FRAMES))] == ["attachment"]
    assert reason(b"anything") == "neither JSON nor msgpack nor a WebSocket message"


def test_objects_are_objects_though_a_script_calls_them_plain_text() -> None:
    """As `fetch` and others do with whatever text is posted."""
    told = b'{"event":"a"}\n{"event":"b","data":0}'
    assert [e.event for e in events(told, Terms(kind=Kind.FRAMES))] == ["a", "b"]
    assert [e.event for e in events(b'[{"event":"a"}]', Terms(kind=Kind.FRAMES))] == ["a"]


OLD_LINES = [
    '{"seq": 3, "ts": "2026-01-05T20:50:21.601999", "event": "standard/newTrade", '
    '"data": [{"__trace": true}, {"id": "t", "gameId": "g", "price": 1.5}]}',
    '{"seq": 4, "ts": "2026-01-05T01:02:03.000004+00:00", "event": "gameStateUpdate", '
    '"data": {"gameId": "g", "price": 1.5, "tickCount": 2}, "source": "cdp_intercept", "direction": "sent"}',
    '{"timestamp": "2026-01-05T20:50:21-05:00", "event_type": "newChatMessage", '
    '"data": [{"__trace": true}, {"gameId": "g"}]}',
    '{"seq": 5, "ts": "2026-01-05T20:50:21.601999", "event": "connect", "data": null}',
]


def test_lines_of_old_captures() -> None:
    trade, state, chat, connect = events("\n".join(OLD_LINES).encode(), Terms(session="old", source="import"))
    assert (trade.event, trade.game_id, trade.fields["price"], trade.seq) == ("standard/newTrade", "g", 1.5, 3)
    assert (trade.ts, trade.fields["ts_text"]) == (NOW, "2026-01-05T20:50:21.601999"), "nobody knows where that was"
    assert (state.ts, state.direction, state.source) == (1767574923000004, "sent", "import")
    assert state.fields["source"] == "cdp_intercept", "no vantage point that we know"
    assert (chat.event, chat.ts, chat.seq) == ("newChatMessage", 1767664221000000, 1000)
    assert (connect.event, connect.seq, connect.session_id) == ("connect", 5, "old")
    assert [e.raw for e in (trade, state, chat, connect)] == OLD_LINES


def test_envelopes_are_taken_as_they_are() -> None:
    told = Envelope(
        v=1, ts=NOW, doc_type="ws_event", source="cdp", session_id="s", seq=5, direction="received", raw=b"\xff"
    )  # fmt: skip
    terms = Terms(session="other", source="ui", key="k")
    [taken] = events(encode(told), terms)
    assert taken == told.model_copy(update={"id": told.computed_id()})
    [alone, second] = events(encode([told, taken]), terms)
    assert alone == second == taken
    [from_json] = events(
        b'{"v":1,"ts":1763700000000000,"doc_type":"ws_event","source":"cdp","session_id":"s","seq":5,'
        b'"direction":"received","raw":"2"}'
    )
    assert from_json.raw == "2", "an envelope's raw, and not the line it came in"
    for wrong in ({"seq": 0}, {"id": "0" * 32}, {"blob": "0" * 64, "raw": None, "id": "0" * 32}, {"extra": 1}):
        body = msgpack.packb(msgpack.unpackb(encode(told)) | wrong)
        assert any(key in reason(body) for key in (*wrong, "id", "content"))


def test_refusals_say_why() -> None:
    assert reason(b"{}").startswith("no event")
    assert reason(b'{"event":["x"]}').startswith("event is not text")
    assert reason(b'{"event":"x"').startswith("not JSON")
    assert reason(b'{"event":"x"} and more') == "text behind the JSON"
    assert reason(b'{"event":"\xff"}') == "not UTF-8 at byte 10"
    assert reason(b'{"event":"x","session":""}').startswith("session")
    assert reason(b'{"event":"x","fields":[]}') == "fields is not an object"
    assert "finite" in reason(b'{"event":"x","fields":{"a":NaN}}')
    assert "surrogate" in reason(b'{"event":"x","fields":{"a":"\\ud83d"}}')
    assert reason(b'{"event":"x","doc_type":"Not A Type"}').startswith("doc_type")
    assert reason(b'{"event":"x","game_id":5}').startswith("game_id")
    assert reason(b"") == "empty"
    assert reason(b'{"event":' + b"[" * 100_000) == "nested too deeply"
    assert reason(b"\x81" * 100_000, Terms(kind=Kind.MSGPACK)).startswith("not msgpack")


def test_the_good_lines_of_a_bad_body_are_kept() -> None:
    found = results(b'{"event":"a"}\n{"event":\n\n{"event":"b"}\nnull\n')
    assert [(r.position, isinstance(r, Taken)) for r in found] == [(1, True), (2, False), (4, True), (5, False)]
    found = results(b'{"event":\n{"event":"b"}\n')
    assert [(r.position, isinstance(r, Taken)) for r in found] == [(1, False), (2, True)]
    assert reason(b'{\n"event":\n') != "", "lines of one broken object are not told apart"
    found = results(b'[{"event":"a"}, {"event":"b"} {"event":"c"}]')
    assert [(r.position, isinstance(r, Taken)) for r in found] == [(1, True), (2, True), (3, False)]
    assert raw_of(found[2]) == b'{"event":"c"}]', "the rest, as it came"


def test_a_large_body_of_nothing_takes_no_time() -> None:
    for body in (b"\n" * 8_000_000, b" \n" * 4_000_000 + b'{"event":"last"}'):
        began = time.process_time()
        found = results(body, Terms(kind=Kind.LINES))
        assert time.process_time() - began < 1
        assert [r.position for r in found] == [4_000_001] * (body[-1:] == b"}")
    body = b"{\n" * 4_000_000
    began = time.process_time()
    next(read(body, Terms(kind=Kind.JSON), desk()))
    assert time.process_time() - began < 1


def test_a_reject_holds_the_bytes_and_the_reason() -> None:
    for raw in (b'{"event":', b"\xff\xfe", b""):
        [refused] = results(raw, Terms(session="s", source="bot"))
        assert isinstance(refused, Refused)
        kept = reject_of(refused, Terms(session="s", source="bot"), NOW)
        assert not wire.judge(encode(kept)).faults
        assert (kept.doc_type, kept.session_id, kept.source) == ("reject", "s", "bot")
        assert kept.fields == {"reason": refused.reason, "position": 1}
        assert raw_of(Taken(1, raw, kept)) == raw
    whole = refuse(b"all of it", ANY, desk(), "no way")
    assert (whole.raw, whole.reason, whole.session_id) == (b"all of it", "no way", "http-here")


def test_what_was_stored_tells_the_same_event_again() -> None:
    for content in (
        {"event": "gameStateUpdate", "data": {"gameId": "g"}},
        {"event_type": "x", "payload": [{"__trace": True}, {"a": 1}]},
        {"event_name": "y", "args": 5},
        {"raw": '42["z",{"a":1}]'},
    ):
        envelope = event(content)
        told = read_raw(envelope.raw)
        assert told is not None
        assert told.event == envelope.event
        [packed] = events(msgpack.packb(content))
        assert isinstance(packed.raw, bytes)
        assert read_raw(packed.raw) == told
    assert read_raw(b"\xff\x00") is None, "an attachment tells of nothing"
