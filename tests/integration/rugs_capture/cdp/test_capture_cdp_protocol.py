"""What Chrome says in rare moments, said by a scripted server that speaks its protocol."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import pytest
from aiohttp import WSMsgType, web
from nats.aio.client import Client

from rugs_bus import get_blob
from rugs_capture.cdp import CdpSource
from rugs_capture.source import SourceError
from rugs_capture.tap import Tap
from rugs_client import Publisher
from tests.conftest import Until
from tests.support.cdpkit import STATE, Captured, captured
from tests.support.sourcekit import serving

pytestmark = pytest.mark.slow

PAGE = "https://www.example.com/game"
SOCKET = "wss://backend.example.com/socket.io/?EIO=4"


class Browser:
    """Listens as a Chrome would, says what a test lets it say, and answers every command."""

    def __init__(self) -> None:
        self.port = 0
        self.commands: list[tuple[str, str]] = []
        """(session, method) of what it was told to do."""
        self.refuses = ""
        """A method that it does not have."""
        self.holds_back = ""
        """A method that it does not answer."""
        self._socket = web.WebSocketResponse(max_msg_size=0)

    @classmethod
    @asynccontextmanager
    async def listening(cls) -> AsyncIterator[Self]:
        browser = cls()
        handlers = {"/json/version": browser._version, "/devtools/browser/made-up": browser._serve}
        async with serving(handlers) as browser.port:
            yield browser

    async def say(self, method: str, session: str = "", **params: Any) -> None:
        await self.say_raw(json.dumps({"method": method, "params": params, "sessionId": session}))

    async def say_raw(self, text: str) -> None:
        await self._socket.send_str(text)

    async def attach(self, session: str, kind: str = "page", url: str = PAGE) -> None:
        info = {"targetId": f"{session}-target", "type": kind, "url": url}
        await self.say("Target.attachedToTarget", sessionId=session, targetInfo=info, waitingForDebugger=True)

    async def frame(
        self, payload: str | bytes, number: str = "1", *, opcode: int = 0, sent: bool = False, raw: str = ""
    ) -> None:
        """Tell of a frame; an opcode other than that of the payload, and a payload as it stands, are possible."""
        binary = isinstance(payload, bytes)
        data = raw or (b64encode(payload).decode() if isinstance(payload, bytes) else payload)
        await self.say(
            "Network.webSocketFrameSent" if sent else "Network.webSocketFrameReceived",
            "page",
            requestId=number,
            timestamp=100.5,
            response={"opcode": opcode or (2 if binary else 1), "mask": sent, "payloadData": data},
        )

    async def handshake(self, number: str = "1", *, request: str = "", status: int = 101) -> None:
        asked = {"requestId": number, "timestamp": 100.0, "wallTime": 1_795_000_000.0, "request": {"headers": {}}}
        await self.say("Network.webSocketWillSendHandshakeRequest", "page", **asked)
        answer = {"status": status, "statusText": "", "headers": {}, "requestHeadersText": request}
        await self.say("Network.webSocketHandshakeResponseReceived", "page", requestId=number, response=answer)

    async def leave(self) -> None:
        await self._socket.close()

    async def _version(self, request: web.Request) -> web.Response:
        # As behind a tunnel: what it thinks its address is, is of no use.
        url = "ws://10.255.255.1:1/devtools/browser/made-up"
        return web.json_response({"Browser": "Chrome/made-up", "webSocketDebuggerUrl": url})

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        assert "Origin" not in request.headers
        await self._socket.prepare(request)
        async for message in self._socket:
            assert message.type is WSMsgType.TEXT
            command = json.loads(message.data)
            session, method = command.get("sessionId", ""), command["method"]
            self.commands.append((session, method))
            answer = {"id": command["id"], "sessionId": session, "result": {}}
            if method == self.refuses:
                answer["error"] = {"code": -32601, "message": f"'{method}' wasn't found"}
            if method != self.holds_back:
                await self._socket.send_json(answer)
        return self._socket


@asynccontextmanager
async def following(publisher: Publisher, until: Until, *, sockets: str = "*/socket.io/*") -> AsyncIterator[Browser]:
    """A browser with one page, followed until it has said what it has to say."""
    async with Browser.listening() as browser:
        tap = Tap(publisher, "cdp")
        pages = "https://*.example.com/*"
        life = asyncio.create_task(CdpSource(port=browser.port, pages=pages, sockets=sockets).run(tap))
        await until(lambda: tap.serving)
        await browser.attach("page")
        yield browser
        await browser.leave()
        with pytest.raises(SourceError, match="gone away"):
            await life
        tap.end_all("test over")


async def only(stream: Client, publisher: Publisher) -> Captured:
    [session] = await captured(stream, publisher)
    return session


async def test_attachments_of_a_socket_that_was_open_before_wait_for_a_text(
    stream: Client, publisher: Publisher, until: Until
) -> None:
    messages: list[str | bytes] = [
        *[bytes([number]) for number in range(20)],
        '451-["b",{"_placeholder":true,"num":0}]',
        b"x",
        "2",
    ]
    async with following(publisher, until) as browser:
        for message in messages:
            await browser.frame(message)
    session = await only(stream, publisher)
    assert session.messages("received") == messages
    assert session.notes == ["source_connected", "beginning_missed", "gap", "source_disconnected"]
    assert session.events[0].fields["url"] is None


@pytest.mark.parametrize("first", ['{"type":"chat"}', "", "7", "not a packet", "4hello", "2x", "0[]", "["], ids=repr)
async def test_a_socket_that_was_open_before_and_speaks_otherwise_is_left_out(
    stream: Client, publisher: Publisher, until: Until, first: str
) -> None:
    async with following(publisher, until) as browser:
        for message in (b"before", first, STATE, b"after"):
            await browser.frame(message)
    assert await captured(stream, publisher) == []


async def test_a_socket_of_many_binary_messages_is_left_out(stream: Client, publisher: Publisher, until: Until) -> None:
    async with following(publisher, until) as browser:
        for _ in range(40):
            await browser.frame(b"video")
        await browser.frame(STATE)
    assert await captured(stream, publisher) == []


async def test_where_every_socket_is_wanted_none_is_asked_what_it_speaks(
    stream: Client, publisher: Publisher, until: Until
) -> None:
    async with following(publisher, until, sockets="*") as browser:
        for message in (b"video", '{"type":"chat"}'):
            await browser.frame(message)
    assert (await only(stream, publisher)).messages("received") == [b"video", '{"type":"chat"}']


async def test_a_socket_whose_creation_was_not_told_is_known_by_its_handshake(
    stream: Client, publisher: Publisher, until: Until
) -> None:
    async with following(publisher, until) as browser:
        await browser.handshake("1", request=f"GET {SOCKET} HTTP/1.1\r\nCookie: secret\r\n\r\n")
        await browser.frame("anything", "1")
        await browser.handshake("2", request="GET wss://chat.example.com/ HTTP/1.1\r\n\r\n")
        await browser.frame(STATE, "2")
        await browser.handshake("3", request=f"GET {SOCKET} HTTP/1.1\r\n\r\n", status=403)
        await browser.say("Network.webSocketClosed", "page", requestId="3", timestamp=1.0)
        await browser.handshake("4")  # not even that is told
        await browser.frame(STATE, "4")
    first, second = await captured(stream, publisher)
    assert first.events[0].fields["url"] == "wss://backend.example.com/socket.io/"
    assert first.messages("received") == ["anything"]
    assert second.messages("received") == [STATE]
    for session in (first, second):
        assert session.notes == ["source_connected", "source_disconnected"]
        assert [event.ts for event in session.events if event.doc_type == "ws_event"] == [1_795_000_000_500_000]


async def test_no_secret_of_an_address_is_kept(stream: Client, publisher: Publisher, until: Until) -> None:
    url = "wss://u:hunter2@backend.example.com/socket.io/;jsessionid=hunter2?token=hunter2#hunter2"
    async with following(publisher, until, sockets="*") as browser:
        await browser.say("Network.webSocketCreated", "page", requestId="1", url=url)
        await browser.handshake()
        await browser.say(
            "Network.webSocketFrameError",
            "page",
            requestId="1",
            timestamp=100.5,
            errorMessage=f"no answer from '{url}'",
        )
        await browser.frame('42["url","wss://h/?token=kept"]')
    session = await only(stream, publisher)
    assert session.events[0].fields["url"] == "wss://***@backend.example.com/socket.io/;jsessionid=***"
    assert "hunter2" not in "".join(event.model_dump_json() for event in session.events)
    assert session.messages("received") == ['42["url","wss://h/?token=kept"]']


async def test_nothing_of_a_frame_is_thrown_away(stream: Client, publisher: Publisher, until: Until) -> None:
    async with following(publisher, until) as browser:
        await browser.say("Network.webSocketCreated", "page", requestId="1", url=SOCKET)
        await browser.handshake()
        await browser.frame("half a pair: \ud83d!")
        await browser.frame(b"", sent=True)
        await browser.frame("", opcode=2, raw="no base64")
        for opcode in (8, 9, 10):
            await browser.frame(b"", opcode=opcode, raw="A+g=")
        await browser.frame(bytes(30_000_000))
    session = await only(stream, publisher)
    assert session.messages("received") == ["half a pair: \ufffd!", None]
    [large] = [event.id for event in session.events if event.blob is not None]
    assert large is not None
    assert await get_blob(stream, large) == bytes(30_000_000)
    assert session.messages("sent") == [b""]
    notes = {event.event: event.fields for event in session.events if event.doc_type != "ws_event"}
    assert session.notes[1:-1] == ["payload_unseen", "frame_unreadable", *["control_frame"] * 3]
    assert notes["frame_unreadable"] == {"sent": False, "opcode": 2, "payload": "no base64"}
    assert notes["control_frame"] == {"sent": False, "opcode": 10, "payload": "A+g="}


async def test_what_is_not_understood_ends_nothing(stream: Client, publisher: Publisher, until: Until) -> None:
    async with following(publisher, until, sockets="*") as browser:
        await browser.frame("1")
        await browser.say_raw("no JSON")
        await browser.say_raw("[" * 100_000)
        await browser.say_raw('{"method":7}')
        await browser.say("Network.webSocketFrameReceived", "page", requestId="1")
        await browser.say("Network.webSocketFrameReceived", "nobody", requestId="1", timestamp=1.0)
        await browser.say("Target.detachedFromTarget", sessionId="nobody")
        await browser.say("Network.somethingNew", "page", requestId=[1])
        await browser.frame("2")
    assert (await only(stream, publisher)).messages("received") == ["1", "2"]


async def test_a_target_goes_on_when_it_tells_of_its_network_and_not_before(publisher: Publisher, until: Until) -> None:
    async with following(publisher, until) as browser:
        await until(lambda: browser.commands[-1] == ("page", "Runtime.runIfWaitingForDebugger"))
        assert browser.commands == [
            ("", "Target.setDiscoverTargets"),
            ("", "Target.setAutoAttach"),
            ("page", "Page.enable"),
            ("page", "Target.setAutoAttach"),
            ("page", "Network.enable"),
            ("page", "Runtime.runIfWaitingForDebugger"),
        ]
        browser.holds_back = "Network.enable"
        await browser.attach("slow", "shared_worker")
        await until(lambda: browser.commands[-1] == ("slow", "Network.enable"))
        browser.holds_back = "Runtime.runIfWaitingForDebugger"
        await browser.attach("unwanted", "service_worker", "https://elsewhere.net/")
        await until(lambda: browser.commands[-1] == ("unwanted", "Runtime.runIfWaitingForDebugger"))
        browser.holds_back = ""
        await browser.attach("unwanted too", "service_worker", "https://elsewhere.net/")
        await until(lambda: browser.commands[-1] == ("", "Target.detachFromTarget"))
        # The one that has not answered may not have heard it: it is not left.
        assert browser.commands.count(("", "Target.detachFromTarget")) == 1
        assert ("slow", "Runtime.runIfWaitingForDebugger") not in browser.commands
        browser.refuses = "Network.enable"  # a target that has no network goes on as well
        await browser.attach("odd", "shared_worker")
        await until(lambda: browser.commands[-1] == ("odd", "Runtime.runIfWaitingForDebugger"))


async def test_a_browser_that_cannot_do_what_is_needed_is_refused(publisher: Publisher) -> None:
    async with Browser.listening() as browser:
        browser.refuses = "Target.setAutoAttach"
        with pytest.raises(SourceError, match=r"Chrome refuses Target.setAutoAttach: .*wasn't found"):
            await CdpSource(port=browser.port).run(Tap(publisher, "cdp"))
