"""The life of a feed's connection: what is dead ends soon, what sends is alive, and each end says why it was."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from rugs_capture import supervise
from rugs_capture.public import PublicFeed
from rugs_capture.source import AWAY_PAUSE, LOST_PAUSE, REFUSED_PAUSE, SourceError
from rugs_proto import Envelope
from rugs_proto.subjects import MAX_BLOB
from tests.conftest import Until
from tests.support.rawfeed import (
    PING,
    STATE,
    TEXT,
    Peer,
    RawFeed,
    Recorder,
    Script,
    close_frame,
    live,
    opening,
    ws_frame,
)
from tests.support.sourcekit import kept

pytestmark = pytest.mark.slow

LIMIT = 0.6
"""Seconds that connecting may take here."""
SILENCE = 0.6
"""Seconds of silence that the feeds here ask for."""
SOON = 15.0
"""Seconds in which a busy machine has noticed either."""


class Ended(NamedTuple):
    error: SourceError
    was_live: bool
    seconds: float
    events: list[Envelope]


async def run(folder: Path, *scripts: Script, limit: float = SOON) -> Ended:
    """Run a source once against a feed, until it ends."""
    recorder = Recorder(folder)
    async with RawFeed.serving(*scripts) as feed:
        began = time.monotonic()
        with pytest.raises(SourceError) as caught:
            async with asyncio.timeout(2 * SOON):
                await PublicFeed(feed.address, connect_timeout=limit).run(recorder.tap)
    was_live = recorder.tap.live
    return Ended(caught.value, was_live, time.monotonic() - began, await recorder.events())


async def run_all(folder: Path, scripts: Mapping[str, Script], *, limit: float = SOON) -> dict[str, Ended]:
    """Run a source against each of many feeds, all at once."""
    tasks = {name: asyncio.create_task(run(folder / name, script, limit=limit)) for name, script in scripts.items()}
    await asyncio.gather(*tasks.values())
    return {name: task.result() for name, task in tasks.items()}


async def upgraded(peer: Peer) -> None:
    await peer.upgrade()
    await peer.silence()


async def answered_in_drops(peer: Peer) -> None:
    await peer.dribble(b"HTTP/1.1 101 Switching Protocols\r\n" + b"X-More: and more\r\n" * 1000)


async def only_control_frames(peer: Peer) -> None:
    await peer.upgrade()
    await peer.again(ws_frame(b"", PING))


async def only_noise(peer: Peer) -> None:
    await peer.upgrade()
    await peer.again(ws_frame('42["noise"]') + ws_frame("0 this is no open packet") + ws_frame(b"\x00"))


async def open_in_drops(peer: Peer) -> None:
    await peer.upgrade()
    await peer.dribble(ws_frame(opening() + " " * 1000))


async def opened(peer: Peer) -> None:
    await peer.upgrade()
    await peer.say(opening())
    await peer.silence()


async def opened_and_sending(peer: Peer) -> None:
    await peer.upgrade()
    await peer.say(opening())
    await peer.again(ws_frame(STATE) + ws_frame('40/elsewhere,{"sid":"x"}'))


async def connected(peer: Peer) -> None:
    await peer.connect(silence=SILENCE)
    await peer.silence()


async def connected_then_drops(peer: Peer) -> None:
    await peer.connect(silence=SILENCE)
    await peer.dribble(ws_frame("x" * 1000))


async def test_whatever_is_dead_is_given_up_within_its_limit_and_never_counts_as_live(tmp_path: Path) -> None:
    """Nothing may keep an attempt alive but the answer to its connect packet, nor a connection but whole messages."""
    never_live = {
        "mute": Peer.silence,
        "answered_in_drops": answered_in_drops,
        "upgraded": upgraded,
        "only_control_frames": only_control_frames,
        "only_noise": only_noise,
        "open_in_drops": open_in_drops,
        "opened": opened,
        "opened_and_sending": opened_and_sending,
    }
    once_live = {"connected": connected, "connected_then_drops": connected_then_drops}
    ends, lost = await asyncio.gather(
        run_all(tmp_path, never_live, limit=LIMIT), run_all(tmp_path, once_live, limit=SOON)
    )
    assert {name: end.was_live for name, end in ends.items()} == dict.fromkeys(never_live, False)
    assert {name: end.was_live for name, end in lost.items()} == dict.fromkeys(once_live, True)
    assert {str(end.error) for end in lost.values()} == {"the server has stopped answering"}
    said = {name: str(end.error).rpartition(": ")[2] for name, end in ends.items()}
    unanswered, unopened = "no answer within 0.6 s", "no open packet within 0.6 s"
    assert said == {
        **dict.fromkeys(("mute", "answered_in_drops"), unanswered),
        **dict.fromkeys(("upgraded", "only_control_frames", "only_noise", "open_in_drops"), unopened),
        **dict.fromkeys(("opened", "opened_and_sending"), "no answer to the Socket.IO connect packet within 0.6 s"),
    }
    assert max(end.seconds for end in (*ends.values(), *lost.values())) < SOON
    assert {end.error.longest_pause for end in (*ends.values(), *lost.values())} == {LOST_PAUSE}
    assert [event.event for event in ends["mute"].events] == []
    notes = [event.event for event in ends["opened_and_sending"].events if event.doc_type == "system_event"]
    assert notes == ["source_connecting", "source_disconnected"]
    assert STATE in [event.raw for event in ends["opened_and_sending"].events]


async def test_what_arrives_is_life_though_no_ping_comes(tmp_path: Path, until: Until) -> None:
    async def states(peer: Peer) -> None:
        await peer.connect(silence=SILENCE)
        await peer.again(ws_frame(STATE), SILENCE / 10)

    async def binary(peer: Peer) -> None:
        await peer.connect(silence=SILENCE)
        await peer.again(ws_frame(b"\x01"), SILENCE / 10)

    async def control_frames(peer: Peer) -> None:
        await peer.connect(silence=SILENCE)
        await peer.again(ws_frame(b"", PING), SILENCE / 10)

    async def lives(name: str, script: Script) -> None:
        recorder = Recorder(tmp_path / name)
        async with RawFeed.serving(script) as feed, kept(PublicFeed(feed.address), recorder.tap) as source:
            await until(lambda: source.state == "live")
            began = time.monotonic()
            await until(lambda: time.monotonic() - began > 3 * SILENCE)
            assert (name, source.state, source.attempts) == (name, "live", 1)
        await recorder.events()

    scripts = {"states": states, "binary": binary, "control_frames": control_frames}
    await asyncio.gather(*(lives(name, script) for name, script in scripts.items()))


def ending_with(*messages: str | bytes, raw: bytes = b"", connected: bool = True, abort: bool = False) -> Script:
    """Return a script that ends a connection that is live, or one that is about to be."""

    async def script(peer: Peer) -> None:
        if connected:
            await peer.connect()
            await peer.say(STATE)
        else:
            await peer.upgrade()
            await peer.say(opening())
            await peer.hear()
        await peer.say(*messages)
        await peer.send(raw)
        if abort:
            peer.abort()
        elif raw and not raw.startswith(b"\x88"):
            await peer.silence()

    return script


BAD_TEXT = b'42["newChatMessage",{"text":"\xff\xfe half \xf0\x9f\x98"}]'
LARGE = b"\x81\x7f" + (MAX_BLOB + 1).to_bytes(8, "big") + b"42"


async def test_each_end_says_what_it_was(tmp_path: Path) -> None:
    scripts = {
        "connect_error": ending_with('44{"message":"not authorized"}', connected=False),
        "connect_error live": ending_with('44{"message":"token\\u001b[2J expired","data":{}}'),
        "connect_error of old servers": ending_with('44"not you"', connected=False),
        "connect_error without a word": ending_with("44", connected=False),
        "connect_error that is no JSON": ending_with("44{not JSON", connected=False),
        "disconnect": ending_with("41"),
        "Engine.IO close": ending_with("1"),
        "1000": ending_with(raw=close_frame(1000)),
        "1001": ending_with(raw=close_frame(1001)),
        "1008 connecting": ending_with(raw=close_frame(1008, "no token"), connected=False),
        "1008 live": ending_with(raw=close_frame(1008, "no token")),
        "1012": ending_with(raw=close_frame(1012, "restarting")),
        "4401": ending_with(raw=close_frame(4401, "who are you?"), connected=False),
        "no code": ending_with(raw=b"\x88\x00"),
        "1002": ending_with(raw=ws_frame("reserved bits", first=0xF0)),
        "1007": ending_with(raw=ws_frame(BAD_TEXT, TEXT)),
        "1009": ending_with(raw=LARGE),
        "cut": ending_with(abort=True),
        "cut in a frame": ending_with(raw=ws_frame("x" * 99)[:50], abort=True),
    }
    ends = await run_all(tmp_path, scripts)
    said = {name: str(end.error).rpartition("cannot connect to http://127.0.0.1:")[2] for name, end in ends.items()}
    said = {name: text.partition(": ")[2] if text[:5].isdigit() else text for name, text in said.items()}
    lost = "connection lost without a close frame (1006)"
    assert said.pop("1002").startswith("the server's messages cannot be read: protocol error (1002): ")
    assert said.pop("1009").startswith("the server's messages cannot be read: message too large (1009): ")
    assert said == {
        "connect_error": "the server refuses the connection: not authorized",
        "connect_error live": "the server refuses the connection: token [2J expired",
        "connect_error of old servers": "the server refuses the connection: not you",
        "connect_error without a word": "the server refuses the connection: it does not say why",
        "connect_error that is no JSON": "the server refuses the connection: {not JSON",
        "disconnect": "the server ended the session (Socket.IO disconnect)",
        "Engine.IO close": "the server closed the connection",
        "1000": "the server closed the connection: normal closure (1000)",
        "1001": "the server closed the connection: the server is going away (1001)",
        "1008 connecting": "the server closed the connection: policy violation (1008): no token",
        "1008 live": "the server closed the connection: policy violation (1008): no token",
        "1012": "the server closed the connection: the server restarts (1012): restarting",
        "4401": "the server closed the connection: close code (4401): who are you?",
        "no code": "the server closed the connection: no reason given (1005)",
        "1007": "the server sent text that is not UTF-8 (1007)",
        "cut": lost,
        "cut in a frame": lost,
    }
    refusing = {name for name, end in ends.items() if end.error.longest_pause == REFUSED_PAUSE}
    assert refusing == {*(name for name in scripts if name.startswith("connect_error")), "1008 connecting", "4401"} - {
        "connect_error live"
    }
    assert BAD_TEXT in [event.raw for event in ends["1007"].events], "its bytes are kept all the same"
    assert '44{"message":"not authorized"}' in [event.raw for event in ends["connect_error"].events]


def refusing(status: str, *headers: str, body: bytes = b"") -> Script:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.answer(status, *headers, "Connection: close", body=body)

    return script


async def test_each_refusal_is_named_and_what_it_asks_for_is_obeyed(tmp_path: Path) -> None:
    dates = ("Date: Mon, 30 Nov 2026 10:00:00 GMT", "Retry-After: Mon, 30 Nov 2026 10:01:30 GMT")
    target = "https://elsewhere.example/socket.io/?token=hidden"
    scripts = {
        "seconds": refusing("429 Too Many Requests", "Retry-After: 120"),
        "a date": refusing("503 Service Unavailable", *dates),
        "a date that is over": refusing("503 Service Unavailable", "Retry-After: Mon, 30 Nov 2020 10:00:00 GMT"),
        "for ever": refusing("429 Too Many Requests", "Retry-After: 99999999999"),
        "nonsense": refusing("429 Too Many Requests", "Retry-After: soon"),
        "unauthorized": refusing("401 Unauthorized"),
        "forbidden": refusing("403 Forbidden", body=b'{"code":4,"message":"Forbidden here"}'),
        "away": refusing("502 Bad Gateway", body=b"<html>"),
        "moved": refusing("301 Moved Permanently", f"Location: {target}"),
        "a page": refusing("200 OK", "Content-Type: text/html", body=b"<html>a hotel's network</html>"),
        "not a WebSocket": refusing("101 Switching Protocols", "Upgrade: something"),
    }

    async def refusing_and_mute(peer: Peer) -> None:
        await peer.request()
        await peer.answer("400 Bad Request")
        await peer.silence()

    async def no_http(peer: Peer) -> None:
        await peer.request()
        await peer.close(b"SSH-2.0-OpenSSH_9\r\n")

    ends = await run_all(tmp_path, scripts | {"no HTTP": no_http})
    ends |= await run_all(tmp_path, {"refusing and mute": refusing_and_mute}, limit=LIMIT)
    errors = {name: end.error for name, end in ends.items()}
    assert {name: error.retry_after for name, error in errors.items() if error.retry_after is not None} == {
        "seconds": 120,
        "a date": 90,
        "a date that is over": 0,
        "for ever": 3600,
    }
    assert {name for name, error in errors.items() if error.longest_pause == AWAY_PAUSE} == {
        "a date",
        "a date that is over",
        "away",
    }
    named = {
        "seconds": "429 Too Many Requests",
        "unauthorized": "401 Unauthorized",
        "forbidden": "Forbidden here",
        "away": "502 Bad Gateway",
        "moved": "https://elsewhere.example/socket.io/?token=***",
        "a page": "polling: the answer does not begin with an Engine.IO open packet",
        "not a WebSocket": "upgrade",
        "no HTTP": "does not speak HTTP",
        "refusing and mute": "websocket: the server answers 400 Bad Request; polling: no answer within 0.6 s",
    }
    assert {name: part for name, part in named.items() if part not in str(errors[name])} == {}
    assert "hidden" not in str(errors["moved"])


async def test_a_feed_that_asks_to_be_left_alone_is_left_alone(tmp_path: Path, until: Until) -> None:
    recorder = Recorder(tmp_path)
    script = refusing("429 Too Many Requests", "Retry-After: 120")
    async with RawFeed.serving(script) as feed, kept(PublicFeed(feed.address), recorder.tap) as source:
        await until(lambda: source.state == "waiting")
        assert 100 < (source.status()["retry_seconds"] or 0) <= 121
        assert len(feed.peers) == 1, "not by another transport either"
    await recorder.events()


@pytest.mark.parametrize(
    ("failures", "longest", "least", "most"),
    [(0, LOST_PAUSE, 0.25, 0.5), (3, LOST_PAUSE, 2, 4), (99, LOST_PAUSE, 2.5, 5), (99, REFUSED_PAUSE, 150, 300)],
)
def test_pauses_grow_up_to_a_limit_and_differ(failures: int, longest: float, least: float, most: float) -> None:
    assert supervise.next_pause(failures, 0, longest) == least
    assert supervise.next_pause(failures, 1, longest) == most


async def test_a_refused_feed_is_tried_with_growing_pauses_and_is_live_when_it_admits_us(
    tmp_path: Path, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervise, "FIRST_PAUSE", 0.01)
    refused = ending_with('44{"message":"not authorized"}', connected=False)
    recorder = Recorder(tmp_path)
    async with (
        RawFeed.serving(*[refused] * 4, live) as feed,
        kept(PublicFeed(feed.address), recorder.tap) as source,
    ):
        await until(lambda: source.error is not None)
        assert source.error is not None
        assert source.error.endswith("not authorized")
        await until(lambda: source.state == "live")
        assert (source.attempts, recorder.tap.connections) == (5, 1)
    assert len([event for event in await recorder.events() if event.event == "source_connected"]) == 1
