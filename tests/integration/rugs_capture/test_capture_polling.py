"""Long polling, where the server or something before it refuses WebSockets: the same packets, byte for byte."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import socketio
from aiohttp import web

from rugs_capture import supervise
from rugs_capture.feed_address import parse_feed
from rugs_capture.public import PublicFeed
from rugs_capture.source import SourceError
from rugs_capture.supervise import Supervised
from tests.conftest import Until
from tests.support.rawfeed import Peer, RawFeed, Recorder, Script, live, opening
from tests.support.sourcekit import kept

pytestmark = pytest.mark.slow


@asynccontextmanager
async def polled(server: socketio.AsyncServer) -> AsyncIterator[str]:
    """Serve Socket.IO without WebSockets; give the URL."""
    app = web.Application()
    server.attach(app)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_every_packet_comes_as_a_message_of_its_own(tmp_path: Path, until: Until) -> None:
    """A real server, which refuses the WebSocket, pings, asks, and sends several packets in one answer."""
    server = socketio.AsyncServer(
        async_mode="aiohttp", transports=["polling"], ping_interval=0.3, ping_timeout=5, always_connect=True
    )
    answers: list[object] = []

    async def greet(sid: str) -> None:
        answers.append(await server.call("asks", {"x": 1}, to=sid))
        await server.emit("text", {"separator": "\x1e"}, to=sid)
        await server.emit("binary", (b"\x00\x01\xff", {"and": b"\x1e"}), to=sid)
        answers.append(await server.call("binary ask", b"\x1eb", to=sid))
        answers.append(await server.call("last", to=sid))

    async def connect(sid: str, *_: object) -> None:
        server.start_background_task(greet, sid)

    server.on("connect", connect)
    recorder = Recorder(tmp_path)
    async with polled(server) as url, kept(PublicFeed(parse_feed(url)), recorder.tap) as source:
        await until(lambda: len(answers) == 3 and source.state == "live" and recorder.tap.last_event == "pong")
    events = await recorder.events()
    frames = [(event.direction, event.raw) for event in events if event.doc_type == "ws_event"]
    assert [raw for direction, raw in frames if direction == "received" and raw != "2"][2:] == [
        '421["asks",{"x":1}]',
        '42["text",{"separator":"\\u001e"}]',
        '452-["binary",{"_placeholder":true,"num":0},{"and":{"_placeholder":true,"num":1}}]',
        b"\x00\x01\xff",
        b"\x1e",
        '451-2["binary ask",{"_placeholder":true,"num":0}]',
        b"\x1eb",
        '423["last"]',
    ]
    sent = [raw for direction, raw in frames if direction == "sent" and raw != "3"]
    assert sent == ["40{}", "431[]", "432[]", "433[]"]
    assert [event.fields.get("transport") for event in events if event.event == "source_connected"] == ["polling"]


Answer = tuple[str, bytes]
"""A status, and a body; whole if the status is 200."""
OK: Answer = ("200 OK", b"ok")
UNKNOWN: Answer = ("400 Bad Request", b'{"code":1,"message":"Session ID unknown"}')


def polling(*answers: Answer) -> Script:
    """Return a script that refuses the WebSocket, answers each other request in turn, and then says nothing."""
    left = iter(answers)

    async def script(peer: Peer) -> None:
        while b"transport=websocket" in await peer.request():
            await peer.answer("400 Bad Request", body=b'{"code":0,"message":"Transport unknown"}')
        while (answer := next(left, None)) is not None:
            status, body = answer
            if status == "cut":
                await peer.close(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + body)
            await peer.answer(status, body=body)
            await peer.request()
        await peer.silence()

    return script


async def test_each_end_of_polling_says_what_it_was(tmp_path: Path) -> None:
    """Nothing is tried a second time: what the first answer held would be missing without a word."""
    connected = ("200 OK", opening(0.6).encode() + b'\x1e40{"sid":"x"}')

    async def run(name: str, *answers: Answer) -> tuple[str, list[str | bytes | None]]:
        recorder = Recorder(tmp_path / name)
        async with RawFeed.serving(polling(*answers)) as feed:
            with pytest.raises(SourceError) as caught:
                await PublicFeed(feed.address, connect_timeout=2).run(recorder.tap)
        events = await recorder.events()
        return str(caught.value), [event.raw for event in events if event.doc_type == "ws_event"]

    scripts: dict[str, tuple[Answer, ...]] = {
        "silent": (connected, OK),
        "nothing": (connected, OK, ("200 OK", b"")),
        "closed": (connected, OK, ("200 OK", b'42["e"]\x1e1')),
        "bad text": (connected, OK, ("200 OK", b'42["\xff"]\x1e42["behind it"]')),
        "no base64": (connected, OK, ("200 OK", b"b=\x1ebAA==\x1e1")),
        "unknown": (connected, OK, UNKNOWN),
        "cut": (connected, OK, ("cut", b'42["e"]')),
    }
    ends = await asyncio.gather(*(run(name, *answers) for name, answers in scripts.items()))
    found = dict(zip(scripts, ends, strict=True))
    reasons = {name: reason for name, (reason, _) in found.items()}
    assert reasons.pop("cut").startswith("connection lost: ")
    assert reasons == {
        "silent": "the server has stopped answering",
        "nothing": "the server answers a poll with nothing",
        "closed": "the server closed the connection",
        "bad text": "the server sent text that is not UTF-8 (1007)",
        "no base64": "the server closed the connection",
        "unknown": "the server ended the polling session: the server answers 400 Bad Request (Session ID unknown)",
    }
    raws = {name: raws[3:] for name, (_, raws) in found.items()}
    assert raws["closed"] == ['42["e"]', "1"]
    assert raws["bad text"] == [b'42["\xff"]', '42["behind it"]']
    assert raws["no base64"] == ["b=", base64.b64decode("AA=="), "1"]


async def test_a_websocket_that_is_never_answered_makes_way_for_polling(
    tmp_path: Path, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something between us and the server swallows upgrades: twice in a row, and polling is tried first."""
    monkeypatch.setattr(supervise, "FIRST_PAUSE", 0.01)

    async def polled_once(peer: Peer) -> None:
        assert b"transport=polling" in await peer.request()
        await peer.answer("200 OK", body=opening().encode() + b'\x1e40{"sid":"x"}')
        await peer.silence()

    recorder = Recorder(tmp_path)

    def is_live(source: Supervised) -> bool:
        return source.state == "live"

    async with (
        RawFeed.serving(Peer.silence, Peer.silence, polled_once, live) as feed,
        kept(PublicFeed(feed.address, connect_timeout=0.3), recorder.tap) as source,
    ):
        await until(lambda: is_live(source))
        feed.peers[2].abort()
        await until(lambda: len(feed.peers) == 4 and is_live(source))
        assert b"transport=websocket" in feed.peers[3].head, "and then it is the WebSocket's turn again"
    await recorder.events()
