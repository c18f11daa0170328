"""A real Chromium, from the messages of its WebSockets to the bus: every one, once, in order, unaltered."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from nats.aio.client import Client

from rugs_bus import ensure_streams
from rugs_capture import supervise
from rugs_capture.cdp import CdpSource
from rugs_capture.cdp.protocol import connect
from rugs_capture.source import SourceError
from rugs_capture.supervise import Supervised
from rugs_capture.tap import Tap
from rugs_client import Publisher
from rugs_proto import Envelope
from rugs_runtime.broker import Broker
from tests.cdpkit import Chrome, Site, Wire, needs_chromium
from tests.clientkit import STREAMS, stored

pytestmark = [pytest.mark.slow, needs_chromium]

Until = Callable[[Callable[[], bool]], Awaitable[None]]
STATE = '42["gameStateUpdate",{"gameId":"g-1","active":true,"price":1.25,"tickCount":7,"rugged":false}]'
ODD: list[str | bytes] = [
    STATE,
    '42["standard/newTrade",{"__trace":true,"traceparent":"00-a"},{"gameId":"g-1","qty":1.0,"username":null}]',
    '42["usernameStatus",{"__trace":true},{"id":"did:privy:1","username":"\U0001f600 \u00e4"}]',
    '42424["buyOrder",{}]',
    '42/ns,["ev",{}]',
    '43424[{"success":true}]',
    '451-["b",{"_placeholder":true,"num":0}]',
    b"\x00\x01\xff",
    b"",
    '44{"message":"no"}',
    '42["nul \x00 and \\ud83d"]',
    '42["torn',
    "",
    '{"not":"socket.io"}',
    "2",
    STATE,
]


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    chrome = Chrome(tmp_path_factory.mktemp("chrome"))
    yield chrome
    chrome.kill()


@pytest_asyncio.fixture
async def site(chrome: Chrome) -> AsyncIterator[Site]:
    async with Site.serving() as site:
        yield site
        await chrome.close_all()


@pytest_asyncio.fixture
async def stream(nc: Client) -> AsyncIterator[Client]:
    await ensure_streams(nc, STREAMS)
    yield nc


@pytest.fixture
def publisher(broker: Broker, tmp_path: Path) -> Iterator[Publisher]:
    with Publisher(broker.url, source="cdp", spool_dir=tmp_path / "spool") as publisher:
        yield publisher


@asynccontextmanager
async def capturing(
    publisher: Publisher, chrome: Chrome, site: Site, until: Until, *, pages: str = "", sockets: str = "*/socket.io/*"
) -> AsyncIterator[Tap]:
    """Capture from the site's pages, and from nothing else in the browser."""
    tap = Tap(publisher, "cdp")
    source = CdpSource(port=chrome.port, pages=pages or f"http://*:{site.port}/*", sockets=sockets)
    kept = Supervised(source, tap)
    task = asyncio.create_task(kept.keep())
    try:
        await until(lambda: tap.serving)
        yield tap
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


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
        assert events[0].event == "source_connected"
        assert "secret" not in str(events[0].fields)
        found.append(Captured(str(events[0].fields["url"] or "").rpartition("/")[2], events))
    return found


async def test_every_message_is_taken_as_it_was(
    chrome: Chrome, site: Site, stream: Client, publisher: Publisher, until: Until
) -> None:
    before = time.time_ns() // 1000
    async with capturing(publisher, chrome, site, until) as tap:
        await chrome.tab(site.url("one two"))
        one, two = await site.wire("one"), await site.wire("two")
        for number, message in enumerate(ODD):
            await one.send(message)
            await two.send(f'42["other",{number}]')
            await one.do("say", f'42["answer",{number}]')
        await one.do("say-odd")
        await one.do("say-bytes", [0, 1, 255])
        await two.do("say-large", 600_000)
        await two.send('42["large","' + "y" * 5_000_000 + '"]', bytes(1_000_000))
        await until(lambda: len(one.sent) == len(ODD) + 2 and len(two.sent) == 1)
        await until(lambda: tap.frames == site.messages)
    first, second = sorted(await captured(stream, publisher))
    first.is_just(one)
    second.is_just(two)
    assert first.notes == second.notes == ["source_connected", "source_disconnected"]
    assert first.ending == "stopped"
    # An answer never stands before what it answers.
    order = [event.raw for event in first.events]
    for number in range(len(ODD)):
        assert order.index(f'42["do-say", "42[\\"answer\\",{number}]"]') < order.index(f'42["answer",{number}]')
    # Chrome's time of each, and ours: both real, and close.
    for event in first.events:
        if event.doc_type == "ws_event":
            assert event.recv_ts is not None
            assert before - 1000 <= event.ts <= event.recv_ts + 1000
    times = [event.ts for event in first.events if event.doc_type == "ws_event"]
    assert times == sorted(times)


async def test_a_blob_that_a_page_sends_is_told_of_without_its_content(
    chrome: Chrome, site: Site, stream: Client, publisher: Publisher, until: Until
) -> None:
    async with capturing(publisher, chrome, site, until) as tap:
        await chrome.tab(site.url("one"))
        await (one := await site.wire("one")).do("say-blob", "not shown")
        await until(lambda: one.sent == [b"not shown"] and tap.frames == site.messages)
    [session] = await captured(stream, publisher)
    assert session.messages("sent") == [b""]
    assert session.notes == ["source_connected", "payload_unseen", "source_disconnected"]


async def test_a_page_is_followed_through_reloads_links_and_its_end(
    chrome: Chrome, site: Site, stream: Client, publisher: Publisher, until: Until
) -> None:
    async with capturing(publisher, chrome, site, until) as tap:
        tab = await chrome.tab(site.url("a"))
        await site.wire("a")
        await until(lambda: tap.frames == site.messages)
        await chrome.command(tab, "Page.reload")
        again = await site.wire("a", 2)
        await until(lambda: tap.frames == site.messages)
        await again.do("go", site.url("b", host="localhost"))
        b = await site.wire("b")
        await b.do("close")
        await until(lambda: b.closed and tap.frames == site.messages and not tap.sessions)
        await chrome.command(tab, "Page.reload")
        await (await site.wire("b", 2)).close(4001)
        await until(lambda: tap.frames == site.messages and not tap.sessions)
        await chrome.command(tab, "Page.reload")
        await site.wire("b", 3)
        await until(lambda: tap.frames == site.messages)
        await chrome.close(tab)
        await until(lambda: not tap.sessions)
    sessions = await captured(stream, publisher)
    wires = [*site.wires["a"], *site.wires["b"]]
    assert [session.name for session in sessions] == ["a", "a", "b", "b", "b"]
    for session, wire in zip(sessions, wires, strict=True):
        session.is_just(wire)
        assert "beginning_missed" not in session.notes
    left, closed = "the page was left", "the socket was closed"
    assert [session.ending for session in sessions] == [left, left, closed, closed, "the page has ended"]
    # Between two sockets nothing was seen: a gap says so.
    assert [session.notes[1:2] for session in sessions] == [["source_disconnected"], *[["gap"]] * 4]


async def test_whatever_can_open_a_socket_is_followed_from_the_first_message(
    chrome: Chrome, site: Site, stream: Client, publisher: Publisher, until: Until
) -> None:
    async with capturing(publisher, chrome, site, until) as tap:
        await chrome.tab(site.url("page"))
        page = await site.wire("page")
        await page.do("popup", site.url("popup"))
        await page.do("frame", site.url("frame", host="localhost"))
        await page.do("worker", site.url("worker", "worker/a.js"))
        await page.do("shared", site.url("shared", "worker/b.js"))
        await page.do("service", site.url("service", "worker/c.js"))
        await (await site.wire("worker")).do("worker", site.url("nested", "worker/d.js"))
        for name in ("popup", "frame", "shared", "service", "nested"):
            await (await site.wire(name)).do("say", STATE)
        await until(lambda: all(len(site.wires[name][0].sent) == 1 for name in ("popup", "frame", "service", "nested")))
        await until(lambda: tap.frames == site.messages)
        assert len(tap.sessions) == 7
        await page.do("frame-away")
        await until(lambda: len(tap.sessions) == 6)
    sessions = {session.name: session for session in await captured(stream, publisher)}
    assert {name: session.events[0].fields["target"] for name, session in sessions.items()} == {
        "page": "page",
        "popup": "page",
        "frame": "iframe",
        "worker": "worker",
        "nested": "worker",
        "shared": "shared_worker",
        "service": "service_worker",
    }
    for name, session in sessions.items():
        session.is_just(site.wires[name][0])
        assert "beginning_missed" not in session.notes
        assert str(session.events[0].fields["page"]).endswith({"shared": "b.js", "service": "c.js"}.get(name, "/page"))
    assert sessions["frame"].ending == "the iframe has ended"


async def test_a_socket_that_was_open_before_is_taken_from_now_on_if_it_speaks_socketio(
    chrome: Chrome, site: Site, stream: Client, publisher: Publisher, until: Until
) -> None:
    await chrome.tab(site.url("feed other"))
    feed, other = await site.wire("feed"), await site.wire("other")
    async with capturing(publisher, chrome, site, until) as tap:
        await other.send(b"\x00", '{"not":"socket.io"}', "2")
        await feed.send(b"an attachment", STATE)
        await feed.do("say", "3")
        await until(lambda: feed.sent == ["3"] and tap.frames == 4)
        await feed.close()
        await until(lambda: not tap.sessions)
    [session] = await captured(stream, publisher)
    assert session.name == ""
    assert session.notes == ["source_connected", "beginning_missed", "source_disconnected"]
    assert session.messages("received") == feed.received[2:]
    assert session.messages("sent") == ["3"]
    received = [event for event in session.events if event.doc_type == "ws_event"]
    assert all(abs((event.recv_ts or 0) - event.ts) < 1_000_000 for event in received)


async def test_other_pages_and_other_sockets_are_left_alone(
    chrome: Chrome, site: Site, stream: Client, publisher: Publisher, until: Until
) -> None:
    pages = f"http://127.0.0.1:{site.port}/game*,http://127.0.0.1:{site.port}/worker/b.js*"
    async with capturing(publisher, chrome, site, until, pages=pages, sockets="*/socket.io/feed*") as tap:
        await chrome.tab(site.url("feed-elsewhere", "elsewhere"))
        elsewhere = await site.wire("feed-elsewhere")
        await elsewhere.do("worker", site.url("feed-worker-elsewhere", "worker/a.js"))
        await elsewhere.do("service", site.url("feed-service-elsewhere", "worker/c.js"))
        await elsewhere.do("shared", site.url("feed-shared", "worker/b.js"))
        await chrome.tab(site.url("feed-game chat", "game"))
        wires = [await site.wire(name) for name in ("feed-worker-elsewhere", "feed-service-elsewhere", "chat")]
        for wire in wires:
            await wire.send(STATE)
        game, shared = await site.wire("feed-game"), await site.wire("feed-shared")
        await game.send(STATE)
        await shared.send(STATE)
        await until(lambda: tap.frames == 6)
        # The other page becomes the game, without being loaded anew.
        await elsewhere.do("push", "/game/2")
        await elsewhere.do("say", STATE)
        await until(lambda: elsewhere.sent == [STATE] and len(tap.sessions) == 3)
        await wires[0].send(STATE)
        await until(lambda: len(tap.sessions) == 4)
    sessions = {session.name: session for session in await captured(stream, publisher)}
    assert set(sessions) == {"feed-game", "feed-shared", "feed-elsewhere", "feed-worker-elsewhere"}
    sessions["feed-game"].is_just(game)
    sessions["feed-shared"].is_just(shared)
    assert sessions["feed-elsewhere"].messages("sent") == [STATE]
    assert sessions["feed-elsewhere"].notes[1] == "beginning_missed"
    assert sessions["feed-worker-elsewhere"].messages("received") == [STATE]


async def test_a_tab_that_crashes_ends_its_sessions_and_is_followed_again(
    chrome: Chrome, site: Site, stream: Client, publisher: Publisher, until: Until
) -> None:
    async with capturing(publisher, chrome, site, until) as tap:
        tab = await chrome.tab(site.url("page"))
        await (await site.wire("page")).do("worker", site.url("worker", "worker/a.js"))
        await site.wire("worker")
        await until(lambda: tap.frames == site.messages)
        await chrome.command(tab, "Page.crash")
        await until(lambda: not tap.sessions)
        await chrome.command(tab, "Page.reload")
        await site.wire("page", 2)
        await until(lambda: tap.frames == site.messages)
    page, worker, again = await captured(stream, publisher)
    assert page.ending == "the page has crashed"
    assert worker.ending == "the worker has ended"
    assert "gap" in again.notes
    again.is_just(site.wires["page"][1])


async def test_a_socket_that_is_refused_is_no_session_and_one_that_breaks_says_why(
    chrome: Chrome, site: Site, stream: Client, publisher: Publisher, until: Until
) -> None:
    async with capturing(publisher, chrome, site, until) as tap:
        site.refuse = True
        tab = await chrome.tab(site.url("page"))
        await until(lambda: site.refused > 0)
        site.refuse = False
        await chrome.command(tab, "Page.reload")
        page = await site.wire("page")
        await page.send(STATE)
        await until(lambda: tap.frames == site.messages)
        page.send_nonsense()
        await until(lambda: not tap.sessions)
    [session] = await captured(stream, publisher)
    session.is_just(page)
    assert session.notes == ["source_connected", "socket_error", "source_disconnected"]


async def test_a_browser_that_is_killed_and_started_again_is_a_gap(
    tmp_path: Path, stream: Client, publisher: Publisher, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervise, "FIRST_PAUSE", 0.2)
    first = Chrome(tmp_path / "chrome")
    async with Site.serving() as site, capturing(publisher, first, site, until) as tap:
        await first.tab(site.url("page"))
        await (await site.wire("page")).send(STATE)
        await until(lambda: tap.frames == site.messages)
        first.kill()
        await until(lambda: not tap.sessions)
        second = Chrome(tmp_path / "chrome", first.port)
        try:
            await until(lambda: tap.serving)
            await second.tab(site.url("page"))
            await site.wire("page", 2)
            await until(lambda: tap.frames == site.messages)
        finally:
            second.kill()
    before, after = await captured(stream, publisher)
    before.is_just(site.wires["page"][0])
    after.is_just(site.wires["page"][1])
    assert before.ending.startswith("Chrome has gone away")
    gap = after.events[1]
    assert gap.event == "gap"
    assert gap.fields["cause"] == before.ending
    assert gap.fields["since"] == max(event.recv_ts or 0 for event in before.events if event.doc_type == "ws_event")


async def test_a_browser_that_hangs_is_given_up(tmp_path: Path, publisher: Publisher, site: Site, until: Until) -> None:
    chrome = Chrome(tmp_path / "chrome")
    try:
        tap = Tap(publisher, "cdp")
        life = asyncio.create_task(CdpSource(port=chrome.port, heartbeat=0.4).run(tap))
        await until(lambda: tap.serving)
        chrome.signal(signal.SIGSTOP)
        with pytest.raises(SourceError, match="gone away"):
            await asyncio.wait_for(life, 10)
    finally:
        chrome.kill()


async def test_where_no_chrome_listens_one_line_says_what_to_do(publisher: Publisher, site: Site) -> None:
    tap = Tap(publisher, "cdp")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(SourceError) as refused:
        await CdpSource(port=port).run(tap)
    assert str(refused.value) == (
        f"no Chrome listens at 127.0.0.1:{port}: start it with --remote-debugging-port={port} --user-data-dir=FOLDER"
    )
    with pytest.raises(SourceError, match="is not Chrome's remote debugging"):
        await CdpSource(port=site.port).run(tap)
    with pytest.raises(SourceError, match="no Chrome listens"):
        await CdpSource("no-such-host.invalid").run(tap)


async def test_a_name_is_looked_up_because_chrome_answers_to_addresses_only(
    chrome: Chrome, site: Site, publisher: Publisher, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    look_up = loop.getaddrinfo

    async def as_in_a_hosts_file(host: str, *args: Any, **options: Any) -> Any:
        return await look_up("127.0.0.1" if host == "browser" else host, *args, **options)

    monkeypatch.setattr(loop, "getaddrinfo", as_in_a_hosts_file)
    tap = Tap(publisher, "cdp")
    life = asyncio.create_task(CdpSource("browser", chrome.port).run(tap))
    await until(lambda: tap.serving)
    life.cancel()


async def test_when_the_capture_dies_no_page_waits_for_it(chrome: Chrome, site: Site, until: Until) -> None:
    async with connect("127.0.0.1", chrome.port) as connection:
        everything = [{"type": kind} for kind in ("page", "service_worker", "shared_worker")]
        told = {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True, "filter": everything}
        await connection.call("Target.setAutoAttach", told)
        await chrome.tab(site.url("page"))
        async for event in connection.events():
            if b'"waitingForDebugger":true' in event.params:
                break
        assert not site.wires
    await site.wire("page")
