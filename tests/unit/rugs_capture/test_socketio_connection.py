"""The pure parts of the Socket.IO client: what it answers, how long it waits, and what it makes of polled bodies."""

from __future__ import annotations

import asyncio
import socket
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_capture.socketio import payload, watch
from rugs_capture.socketio.connection import LEAST_SILENCE, MOST_SILENCE, Connection, Recovery
from rugs_capture.socketio.endings import quoted, retry_after
from rugs_capture.socketio.watch import Watch
from rugs_feed import frames

OPEN = '0{"sid":"s","pingInterval":1000,"pingTimeout":500}'


def connection(*messages: str | bytes, **options: object) -> tuple[Connection, list[str]]:
    """Return a connection that has taken messages, and what it answered."""
    life = Connection(limit=20, **options)  # type: ignore[arg-type]
    return life, [answer for message in messages for answer in life.take(frames.decode(message))]


@pytest.mark.parametrize(
    ("said", "silence"),
    [
        ('{"pingInterval":25000,"pingTimeout":20000}', 45),
        ("{}", 45),
        ('{"pingInterval":10000}', 30),
        ('{"pingInterval":-1,"pingTimeout":0}', 45),
        ('{"pingInterval":"9","pingTimeout":true}', 45),
        ('{"pingInterval":null,"pingTimeout":[1]}', 45),
        ('{"pingInterval":NaN,"pingTimeout":NaN}', 45),
        ('{"pingInterval":1e300,"pingTimeout":1}', MOST_SILENCE),
        ('{"pingInterval":Infinity,"pingTimeout":1}', MOST_SILENCE),
        ('{"pingInterval":' + "9" * 400 + ',"pingTimeout":1}', MOST_SILENCE),
        ('{"pingInterval":1e-9,"pingTimeout":1e-9}', LEAST_SILENCE),
    ],
)
def test_absurd_times_of_a_server_do_not_keep_a_dead_connection_or_end_a_living_one(said: str, silence: float) -> None:
    life, _ = connection("0" + said, "40{}")
    assert life.due(began=0, heard=100) == 100 + silence


def test_connecting_is_over_when_its_limit_is_whatever_comes() -> None:
    life, _ = connection('42["noise"]')
    assert life.due(began=10, heard=29) == 30
    life, answers = connection('42["noise"]', OPEN, '42["more"]', b"\x00", "2")
    assert answers == ["40{}", "3"]
    assert (life.state, life.due(began=10, heard=29)) == ("connecting", 30)
    assert life.due(began=10, heard=11) == 12.5, "and before, where the server is silent"


MESSAGES = st.one_of(
    st.binary(max_size=3),
    st.text(max_size=9),
    st.sampled_from([OPEN, "40", '40{"pid":"p"}', "2", "2probe", "41", "44", "1", "6"]),
    st.builds(
        "4{}{}{}{}".format, st.sampled_from("23"), st.sampled_from(["", "/n,"]), st.integers(0, 99), st.just("[]")
    ),
    st.builds(
        '4{}{}{}{}["e",{{"_placeholder":true,"num":0}},"{}"]'.format,
        st.sampled_from(["2", "50-", "51-", "52-", "5999999999-", "61-"]),
        st.sampled_from(["", "/n,"]),
        st.sampled_from(["", "7", "12345678901234567890"]),
        st.just(""),
        st.sampled_from(["", "offset"]),
    ),
)


@given(st.lists(MESSAGES, max_size=30), st.sampled_from(["/", "/n"]))
def test_whatever_a_server_sends_it_gets_nothing_but_what_it_asked_for(
    messages: list[str | bytes], namespace: str
) -> None:
    life = Connection(limit=20, namespace=namespace, recovery=Recovery("p", "o"))
    asked: list[int] = []
    acknowledged: list[int] = []
    for message in messages:
        frame = frames.decode(message)
        opened = life.state != "opening"
        if frame.packet in ("event", "binary_event") and frame.ack_id is not None and frame.namespace == namespace:
            asked.append(frame.ack_id)
        for answer in map(frames.decode, life.take(frame)):
            assert answer.problem is None
            if answer.packet == "ack":
                assert life.state == "connected"
                assert answer.namespace == namespace
                assert answer.ack_id is not None
                acknowledged.append(answer.ack_id)
            else:
                assert answer.packet == ("pong" if opened else "connect")
                assert frame.packet == ("ping" if opened else "open")
        assert 0 < life.due(began=0, heard=0) <= MOST_SILENCE
    remaining = iter(asked)
    assert all(number in remaining for number in acknowledged), "each once, in order"


@given(st.integers(0, 5), st.booleans())
def test_a_binary_event_is_acknowledged_when_its_last_attachment_has_come(count: int, pings: bool) -> None:
    head = f'45{count}-8["e"' + "".join(f',{{"_placeholder":true,"num":{n}}}' for n in range(count)) + "]"
    life, _ = connection(OPEN, "40{}")
    answers = [life.take(frames.decode(head))]
    for _ in range(count):
        if pings:
            assert life.take(frames.decode("2")) == ["3"]
        answers.append(life.take(frames.decode(b"\x00")))
    assert answers == [[]] * count + [["438[]"]]
    assert life.take(frames.decode(b"\x00")) == []


def test_an_event_that_comes_before_the_answer_to_connect_is_acknowledged_after_it() -> None:
    _, answers = connection(OPEN, '427["early"]', "40{}", '428["late"]')
    assert answers == ["40{}", "437[]", "438[]"]


@pytest.mark.parametrize(
    ("messages", "recovery"),
    [
        (['40{"pid":"p"}', '42["e",{},"o1"]', '42["e",{},"o2"]'], Recovery("p", "o2")),
        (['40{"pid":"p"}', '42["e",{},"o1"]', '42["e",{}]', '427["asks","text"]'], Recovery("p", "o1")),
        (['40{"pid":"p"}', '42["e",{},"o1"]', '42/other,["e","o2"]', '43["o3"]'], Recovery("p", "o1")),
        (['40{"pid":"p"}', '42["e"]'], None),
        (['40{"sid":"s"}', '42["e",{},"o1"]'], None),
        (['40{"pid":7}', '42["e",{},"o1"]'], None),
        (['40{"pid":"p"}', '42["e","' + "long" * 1000 + '"]'], None),
        (['42["missed",{},"o5"]', '40{"pid":"old"}'], Recovery("old", "o5")),
        (['40{"pid":"old"}'], Recovery("old", "o0")),
        (['40{"pid":"new"}'], None),
    ],
)
def test_what_the_next_connection_asks_for(messages: list[str], recovery: Recovery | None) -> None:
    life, answers = connection(OPEN, *messages, recovery=Recovery("old", "o0"), auth={"offset": "mine"})
    assert answers[0] == '40{"pid":"old","offset":"mine"}', "a client's own payload comes first, as in the real one"
    assert life.recovery == recovery
    assert life.recovered == (recovery is not None and recovery.pid == "old")


@given(st.lists(st.one_of(st.binary(), st.text(st.characters(codec="utf-8", exclude_characters="\x1e")))))
def test_a_polled_body_is_split_into_the_messages_that_it_carries(messages: list[str | bytes]) -> None:
    sent = [message for message in messages if not isinstance(message, str) or message[:1] != "b"]
    expected = sent if payload.join(sent) else []
    assert payload.split(payload.join(sent)) == expected


@given(st.binary())
def test_any_polled_body_is_kept_byte_for_byte(body: bytes) -> None:
    for message, packet in zip(payload.split(body), body.split(b"\x1e"), strict=bool(body)):
        match message:
            case payload.BadText(data):
                assert data == packet
            case str():
                assert message.encode() == packet
            case bytes():
                assert packet.startswith(b"b")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "120"}, 120),
        ({"Retry-After": " 1.5 "}, 1.5),
        ({"Retry-After": "-5"}, 0),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": ""}, None),
        ({}, None),
        ({"Retry-After": "Mon, 30 Nov 2026 10:02:00 GMT"}, 120),
        ({"Retry-After": "Mon, 30 Nov 2026 10:02:00 GMT", "Date": "Mon, 30 Nov 2026 09:58:00 GMT"}, 240),
        ({"Retry-After": "Mon, 30 Nov 2026 10:02:00 GMT", "Date": "no date"}, 120),
        ({"Retry-After": "Mon, 99 Nov 2026 10:02:00 GMT"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, now=datetime(2026, 11, 30, 10, tzinfo=UTC)) == seconds


@given(st.text())
def test_what_the_other_side_says_is_shown_on_one_line(said: str) -> None:
    line = quoted(said)
    assert line.isprintable()
    assert len(line) <= 201


async def test_a_process_that_was_held_up_reads_what_is_waiting_before_it_gives_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "_HELD_UP", 0.1)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        async with Watch(lambda began, heard: heard + 0.2) as clock:
            reader, writer = await asyncio.open_connection(sock=ours)
            theirs.send(b"waiting")
            time.sleep(0.5)  # noqa: ASYNC251 - a machine that slept
            assert await reader.read(7) == b"waiting"
            clock.heard()
            await asyncio.sleep(0.01)
        writer.close()
        assert not clock.expired
        with pytest.raises(TimeoutError):
            async with Watch(lambda began, heard: heard + 0.2) as clock:
                await asyncio.Event().wait()
        assert clock.expired
