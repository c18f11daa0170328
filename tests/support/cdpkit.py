"""A real browser, and a site that knows every message that went through each of its WebSockets.

The site's pages and workers do what the server tells them through their sockets: see `_CLIENT`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
import signal
import socket
import subprocess
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, Self
from urllib.parse import quote

import aiohttp
import psutil
import pytest
from aiohttp import WSMsgType, web
from nats.aio.client import Client
from yarl import URL

from rugs_capture.cdp import CdpSource
from rugs_capture.tap import Tap
from rugs_client import Publisher
from rugs_proto import Envelope
from tests.conftest import Until
from tests.support.clientkit import stored
from tests.support.sourcekit import kept, serving

CHROMIUM: Final = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
needs_chromium: Final = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium"
)

STATE: Final = '42["gameStateUpdate",{"gameId":"g-1","active":true,"price":1.25,"tickCount":7,"rugged":false}]'

_CLIENT: Final = """
function open_(name) {
  const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/socket.io/${name}?EIO=4&token=secret`);
  socket.binaryType = 'arraybuffer';
  socket.onmessage = ({data}) => {
    if (typeof data !== 'string' || !data.startsWith('42["do-')) return;
    const [what, argument] = JSON.parse(data.slice(2));
    if (what === 'do-say') socket.send(argument);
    if (what === 'do-say-bytes') socket.send(new Uint8Array(argument));
    if (what === 'do-say-blob') socket.send(new Blob([argument]));
    if (what === 'do-say-odd') socket.send('half a pair: \\ud83d, a whole one: \\ud83d\\ude00, nul: \\u0000');
    if (what === 'do-say-large') socket.send('42["large","' + 'x'.repeat(argument) + '"]');
    if (what === 'do-close') socket.close();
    if (what === 'do-go') location.href = argument;
    if (what === 'do-push') history.pushState({}, '', argument);
    if (what === 'do-popup') window.open(argument);
    if (what === 'do-worker') globalThis.worker = new Worker(argument);
    if (what === 'do-shared') globalThis.shared = new SharedWorker(argument);
    if (what === 'do-service') navigator.serviceWorker.register(argument, {scope: '/' + argument.split('=')[1]});
    if (what === 'do-frame') {
      const frame = document.createElement('iframe');
      frame.src = argument;
      document.documentElement.appendChild(frame);
    }
    if (what === 'do-frame-away') document.querySelector('iframe').remove();
  };
}
for (const name of new URLSearchParams(location.search).get('open').split(' ')) {
  if (name.startsWith('poll')) poll_(name); else open_(name);
}
async function poll_(name) {  // as a Socket.IO client with its default transports does
  const query = `/socket.io/${name}?EIO=4&transport=`;
  const handshake = await (await fetch(`${query}polling&t=1`)).text();
  const session = `&sid=${JSON.parse(handshake.slice(1)).sid}`;
  await fetch(`${query}polling${session}`, {method: 'POST', body: '40'});
  while (!(await (await fetch(`${query}polling${session}`)).text()).includes('do-upgrade'));
  const socket = new WebSocket(`${location.origin.replace('http', 'ws')}${query}websocket${session}`);
  socket.onopen = () => socket.send('2probe');
  socket.onmessage = ({data}) => { if (data === '3probe') socket.send('5'); };
}
"""


class Chrome:
    """A headless Chromium with remote debugging, in a folder of its own."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        assert CHROMIUM is not None
        folder.mkdir(parents=True, exist_ok=True)
        told = folder / "DevToolsActivePort"
        told.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [
                CHROMIUM,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--disable-popup-blocking",
                "--site-per-process",
                "--no-first-run",
                f"--remote-debugging-port={port}",
                f"--user-data-dir={folder}",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.port = port
        limit = time.monotonic() + 30
        while not self._listens(told):
            assert time.monotonic() < limit
            assert self._process.poll() is None
            time.sleep(0.02)

    def _listens(self, told: Path) -> bool:
        if self.port == 0 and told.exists() and len(words := told.read_text().split()) == 2:
            self.port = int(words[0])
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            return True
        return False

    def kill(self) -> None:
        """End it as a crash would, with all its processes."""
        with suppress(psutil.NoSuchProcess):
            mine = psutil.Process(self._process.pid)
            for process in [mine, *mine.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the browser's main process."""
        self._process.send_signal(number)

    async def tab(self, url: str) -> str:
        """Open a tab; return its number."""
        made: dict[str, str] = await self._ask("PUT", f"new?{quote(url, safe='')}")
        return made["id"]

    async def close(self, tab: str) -> None:
        """Close a tab."""
        await self._ask("GET", f"close/{tab}")

    async def close_all(self) -> None:
        """Close all tabs but an empty one."""
        tabs = [tab["id"] for tab in await self._ask("GET", "list") if tab["type"] == "page"]
        await self.tab("about:blank")
        for tab in tabs:
            await self.close(tab)

    async def command(self, tab: str, method: str, **params: Any) -> None:
        """Give a tab a command of the DevTools protocol, as another client would."""
        url = f"ws://127.0.0.1:{self.port}/devtools/page/{tab}"
        async with aiohttp.ClientSession() as http, http.ws_connect(url) as socket:
            await socket.send_json({"id": 1, "method": method, "params": params})
            with suppress(TypeError):  # it closes: the tab has crashed
                await socket.receive(timeout=5)

    async def _ask(self, method: str, what: str) -> Any:
        async with (
            aiohttp.ClientSession() as http,
            http.request(method, URL(f"http://127.0.0.1:{self.port}/json/{what}", encoded=True)) as answer,
        ):
            text = await answer.text()
            return json.loads(text) if text[:1] in "[{" else text


class Wire:
    """One WebSocket, seen from the server: what the page received, and what it sent."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self.received: list[str | bytes] = []
        self.times: list[int] = []
        """When each was sent to the page, microseconds, UTC."""
        self.sent: list[str | bytes] = []
        self.closed = False
        self._socket = socket
        self._request = request

    async def send(self, *messages: str | bytes) -> None:
        """Send messages to the page."""
        for message in messages:
            self.received.append(message)
            self.times.append(time.time_ns() // 1000)
            await (self._socket.send_str(message) if isinstance(message, str) else self._socket.send_bytes(message))

    async def do(self, what: str, argument: object = None) -> None:
        """Tell the page what to do."""
        await self.send(f"42{json.dumps(['do-' + what, argument])}")

    async def close(self, code: int = 1000) -> None:
        """Close it from the server's side."""
        await self._socket.close(code=code)

    def send_nonsense(self) -> None:
        """Send a text that is no UTF-8, for which the page fails the connection."""
        assert self._request.transport is not None
        self._request.transport.write(b"\x81\x02\xff\xfe")


class Polled:
    """One connection over HTTP polling, seen from the server."""

    def __init__(self) -> None:
        self.times: list[int] = []
        """When each message was fetched, microseconds, UTC."""
        self._messages: asyncio.Queue[str] = asyncio.Queue()

    def send(self, *messages: str) -> None:
        """Send messages to the page: it fetches them."""
        for message in messages:
            self._messages.put_nowait(message)

    async def answer(self, request: web.Request) -> web.Response:
        """Answer what the page asks."""
        if request.method == "POST":
            return web.Response(text="ok")
        if "sid" not in request.query:
            said = '0{"sid":"polled","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000}'
        else:
            said = await self._messages.get()
        self.times.append(time.time_ns() // 1000)
        return web.Response(text=said)


class Site:
    """Pages and workers at any path that opens the sockets named in `?open=`, and those sockets, by name.

    Those whose name begins with `poll` begin with HTTP polling.
    """

    def __init__(self) -> None:
        self.wires: dict[str, list[Wire]] = {}
        self.polled: dict[str, Polled] = defaultdict(Polled)
        self.refuse = False
        self.refused = 0
        self.port = 0
        self._opened = asyncio.Condition()

    @classmethod
    @asynccontextmanager
    async def serving(cls) -> AsyncIterator[Self]:
        """Serve while the body runs."""
        site = cls()
        handlers = {
            "/socket.io/{name}": site._socket,
            "/{kind:worker}/{path:.*}": site._script,
            "/{path:.*}": site._page,
        }
        async with serving(handlers) as site.port:
            yield site

    def url(self, opens: str, path: str = "page", host: str = "127.0.0.1") -> str:
        """Return the URL of a page, or a worker's script, that opens these sockets at once."""
        return f"http://{host}:{self.port}/{path}?open={opens.replace(' ', '%20')}"

    async def wire(self, name: str, number: int = 1) -> Wire:
        """Wait until a socket of that name was opened so many times; return the last."""
        async with asyncio.timeout(20), self._opened:
            await self._opened.wait_for(lambda: len(self.wires.get(name, [])) >= number)
            return self.wires[name][number - 1]

    @property
    def messages(self) -> int:
        """How many messages went through all sockets."""
        return sum(len(wire.received) + len(wire.sent) for wire in itertools.chain(*self.wires.values()))

    async def _page(self, request: web.Request) -> web.Response:
        script = f"<script>{_CLIENT}</script>" if "open" in request.query else ""
        return web.Response(text=f"<!doctype html><title>made up</title>{script}", content_type="text/html")

    async def _script(self, request: web.Request) -> web.Response:
        return web.Response(
            text=_CLIENT,
            content_type="text/javascript",
            headers={"Service-Worker-Allowed": "/", "Cache-Control": "no-store"},
        )

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if self.refuse:
            self.refused += 1
            return web.Response(status=503)
        if request.query.get("transport") == "polling":
            return await self.polled[request.match_info["name"]].answer(request)
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        wire = Wire(socket, request)
        if "sid" not in request.query:
            await wire.send('0{"sid":"made-up","pingInterval":25000}', "40")
        async with self._opened:
            self.wires.setdefault(request.match_info["name"], []).append(wire)
            self._opened.notify_all()
        async for message in socket:
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                wire.sent.append(message.data)
                if message.data == "2probe":
                    await wire.send("3probe")
        wire.closed = True
        return socket


@asynccontextmanager
async def capturing(
    publisher: Publisher, chrome: Chrome, site: Site, until: Until, *, pages: str = "", sockets: str = "*/socket.io/*"
) -> AsyncIterator[Tap]:
    """Capture from the site's pages, and from nothing else in the browser."""
    tap = Tap(publisher, "cdp")
    source = CdpSource(port=chrome.port, pages=pages or f"http://*:{site.port}/*", sockets=sockets)
    async with kept(source, tap):
        await until(lambda: tap.serving)
        yield tap


class Captured(NamedTuple):
    """What is stored of one socket."""

    name: str
    events: list[Envelope]

    def messages(self, direction: str) -> list[str | bytes | None]:
        return [event.raw for event in self.events if event.doc_type == "ws_event" and event.direction == direction]

    @property
    def notes(self) -> list[str]:
        return [event.event for event in self.events if event.doc_type != "ws_event"]

    @property
    def ending(self) -> str:
        reason = self.events[-1].fields["reason"]
        assert isinstance(reason, str)
        return reason

    def is_just(self, wire: Wire) -> None:
        """Check that it is what the server knows of, and nothing else."""
        assert self.messages("received") == wire.received
        assert self.messages("sent") == wire.sent


async def captured(stream: Client, publisher: Publisher) -> list[Captured]:
    """Return every session, in the order in which they began."""
    assert await publisher.secured(20)
    assert await asyncio.to_thread(publisher.flush, 20)
    sessions: dict[str, list[Envelope]] = {}
    for event in await stored(stream):
        sessions.setdefault(event.session_id, []).append(event)
    found = []
    for events in sessions.values():
        assert [event.seq for event in events] == [*range(1, len(events) + 1)]
        assert {event.source for event in events} == {"cdp"}
        if events[0].session_id == publisher.session_id:  # what is told of no open session
            continue
        assert events[0].event in ("source_connected", "source_connecting")
        assert "secret" not in str(events[0].fields)
        found.append(Captured(str(events[0].fields["url"] or "").rpartition("/")[2], events))
    return found
