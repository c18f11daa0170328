"""A real Chromium, from the messages of its WebSockets to the bus: every one, once, in order, unaltered."""

from __future__ import annotations

import asyncio
import time

import pytest
from nats.aio.client import Client

from rugs_client import Publisher
from tests.conftest import Until
from tests.support.cdpkit import STATE, Chrome, Site, captured, capturing, needs_chromium

pytestmark = [pytest.mark.slow, needs_chromium]

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
        while not tap.sessions:
            await other.send(b"\x00", '{"not":"socket.io"}')
            await feed.send(STATE)
            await asyncio.sleep(0.01)
        await feed.do("say", "3")
        await until(lambda: feed.sent == ["3"] and tap.last_event == "pong")
        await feed.close()
        await until(lambda: not tap.sessions)
    [session] = await captured(stream, publisher)
    assert session.name == ""
    assert session.notes == ["source_connected", "beginning_missed", "gap", "source_disconnected"]
    received = session.messages("received")
    assert received == feed.received[-len(received) :]
    assert session.messages("sent") == ["3"]
    frames = [event for event in session.events if event.doc_type == "ws_event"]
    assert all(abs((event.recv_ts or 0) - event.ts) < 1_000_000 for event in frames)


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
        while len(tap.sessions) < 4:
            await elsewhere.send(STATE)
            await wires[0].send(STATE)
            await asyncio.sleep(0.01)
        await elsewhere.send("last")
        await until(lambda: tap.last_event == "unknown")
    sessions = {session.name: session for session in await captured(stream, publisher)}
    assert set(sessions) == {"feed-game", "feed-shared", "feed-elsewhere", "feed-worker-elsewhere"}
    sessions["feed-game"].is_just(game)
    sessions["feed-shared"].is_just(shared)
    late = sessions["feed-elsewhere"]
    assert late.notes[1] == "beginning_missed"
    assert late.messages("received") == elsewhere.received[-len(late.messages("received")) :]
    assert set(sessions["feed-worker-elsewhere"].messages("received")) == {STATE}


async def test_many_tabs_that_open_sockets_at_once(
    chrome: Chrome, site: Site, stream: Client, publisher: Publisher, until: Until
) -> None:
    names = [f"tab{number}" for number in range(12)]
    async with capturing(publisher, chrome, site, until) as tap:
        await asyncio.gather(*[chrome.tab(site.url(f"{name} {name}-too")) for name in names])
        wires = [await site.wire(name) for name in names]
        for wire in wires:
            await wire.do("worker", site.url("worker", "worker/a.js"))
        await until(lambda: len(site.wires.get("worker", [])) == len(names))
        await until(lambda: tap.frames == site.messages)
    sessions = await captured(stream, publisher)
    assert len(sessions) == 3 * len(names)
    for session in sessions:
        assert "beginning_missed" not in session.notes
        if session.name != "worker":
            session.is_just(site.wires[session.name][0])


async def test_a_frame_of_another_site_is_followed_where_it_goes(
    chrome: Chrome, site: Site, stream: Client, publisher: Publisher, until: Until
) -> None:
    async with capturing(publisher, chrome, site, until, pages=f"http://127.0.0.1:{site.port}/game*") as tap:
        await chrome.tab(site.url("game", "game"))
        await (await site.wire("game")).do("frame", site.url("here", host="localhost"))
        await (await site.wire("here")).do("go", site.url("there", host="localhost"))
        await (await site.wire("there")).do("go", site.url("home", "elsewhere"))
        await (await site.wire("home")).do("say", STATE)
        await until(lambda: site.wires["home"][0].sent == [STATE] and tap.frames == site.messages)
        assert len(tap.sessions) == 2
    game, here, there, home = await captured(stream, publisher)
    assert [session.name for session in (game, here, there, home)] == ["game", "here", "there", "home"]
    for session in (game, here, there, home):
        session.is_just(site.wires[session.name][0])
        assert str(session.events[0].fields["page"]).endswith("/game")
    assert here.ending == "the page was left"
    assert there.ending == "the iframe has ended"


async def test_a_page_that_is_gone_back_to(
    chrome: Chrome, site: Site, stream: Client, publisher: Publisher, until: Until
) -> None:
    async with capturing(publisher, chrome, site, until) as tap:
        tab = await chrome.tab(site.url("first"))
        await (await site.wire("first")).do("go", site.url("second", host="localhost"))
        await site.wire("second")
        await until(lambda: tap.frames == site.messages)
        await chrome.command(tab, "Runtime.evaluate", expression="history.back()")
        # Chrome has kept the first page, with its socket, which it closes as the page goes on.
        await until(lambda: site.wires["first"][0].closed)
        await until(lambda: not tap.sessions)
    first, second = await captured(stream, publisher)
    assert first.ending == second.ending == "the page was left"
    first.is_just(site.wires["first"][0])
    second.is_just(site.wires["second"][0])
