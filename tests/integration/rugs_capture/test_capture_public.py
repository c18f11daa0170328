"""The public feed, from a real socket to the bus: every message of every connection, once, in order, unaltered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from nats.aio.client import Client

from rugs_capture import supervise
from rugs_capture.feed_address import parse_feed
from rugs_capture.public import PublicFeed
from rugs_capture.supervise import Supervised
from rugs_capture.tap import Tap
from rugs_client import Publisher
from rugs_proto import Envelope
from rugs_runtime.broker import Broker
from tests.conftest import Until
from tests.support import stackkit
from tests.support.clientkit import stored
from tests.support.feedserver import Feed
from tests.support.sourcekit import kept
from tests.support.stackkit import Gateway

pytestmark = pytest.mark.slow

STATE = '42["gameStateUpdate",{"gameId":"g-1","active":true,"price":1.25,"tickCount":7,"rugged":false}]'
ODD: list[str | bytes] = [
    STATE,
    '42["standard/newTrade",{"__trace":true,"traceparent":"00-a"},{"gameId":"g-1","qty":1.0,"username":null}]',
    '42["nobody has seen this",null,[],0,false]',
    '42/admin,["e",{}]',
    '4217["ask",{"x":1}]',
    '43424[{"success":true}]',
    '451-["b",{"_placeholder":true,"num":0}]',
    b"\x00\x01\xff",
    '42["torn',
    "no packet at all",
    "",
    "42[]",
    '42["\\ud83d",{"emoji":"\U0001f600","nul":"\\u0000"}]',
    '44/admin,{"message":"no"}',
    '42["large",{"pad":"' + "x" * 5_000_000 + '"}]',
    "2",
    "6",
    STATE,
]


@asynccontextmanager
async def capturing(url: str, broker: Broker, folder: Path) -> AsyncIterator[Supervised]:
    publisher = Publisher(broker.url, source="public_ws", spool_dir=folder)
    try:
        async with kept(PublicFeed(parse_feed(url)), Tap(publisher, "public_ws")) as source:
            yield source
    finally:
        await asyncio.to_thread(publisher.close)


def sessions(events: list[Envelope]) -> list[list[Envelope]]:
    """Return the events of each session, in order of their numbers, which have no hole."""
    found: dict[str, list[Envelope]] = {}
    for event in events:
        found.setdefault(event.session_id, []).append(event)
    for of_one in found.values():
        assert [event.seq for event in of_one] == [*range(1, len(of_one) + 1)]
    return list(found.values())


def frames(events: list[Envelope]) -> list[tuple[str, str | bytes | None]]:
    return [(event.direction, event.raw) for event in events if event.doc_type == "ws_event"]


async def test_every_message_arrives_as_it_was(stream: Client, broker: Broker, tmp_path: Path, until: Until) -> None:
    async def script(feed: Feed, socket: web.WebSocketResponse) -> None:
        await feed.send(socket, *ODD)

    async with Feed.serving(script) as feed, capturing(feed.url, broker, tmp_path) as source:
        # Hello, our connect, its answer, the odd ones; a ping and a question are answered by us.
        await until(lambda: source.tap.frames == 3 + len(ODD) + 2)
        assert source.state == "live"
        assert source.tap.seen is not None
        assert (source.tap.seen.game_id, source.tap.seen.price, source.tap.seen.tick) == ("g-1", 1.25, 7)
    [events] = sessions(await stored(stream))
    received = [raw for direction, raw in frames(events) if direction == "received"]
    assert received == [message for direction, message in feed.connections[0] if direction == "received"]
    sent = [raw for direction, raw in frames(events) if direction == "sent"]
    assert sent == [message for direction, message in feed.connections[0] if direction == "sent"]
    assert sent == ["40{}", "4317[]", "3"]
    assert [event.event for event in events if event.doc_type != "ws_event"] == [
        "source_connecting",
        "source_connected",
        "source_disconnected",
    ]
    assert events[-1].fields == {"reason": "stopped"}
    assert {event.source for event in events} == {"public_ws"}
    assert all(event.recv_ts is not None for event in events)


async def test_a_dropped_connection_is_a_gap_between_two_sessions(
    stream: Client, broker: Broker, tmp_path: Path, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervise, "FIRST_PAUSE", 0.05)

    async def script(feed: Feed, socket: web.WebSocketResponse) -> None:
        await feed.send(socket, STATE)
        if len(feed.connections) == 1:
            await socket.close(code=1012, message=b"restarting")

    async with Feed.serving(script) as feed, capturing(feed.url, broker, tmp_path) as source:
        await until(lambda: len(feed.connections) == 2 and source.tap.frames == 8)
    first, second = sessions(await stored(stream))
    assert [event.event for event in second[:6]] == [
        "source_connecting",
        "open",
        "connect",
        "connect",
        "source_connected",
        "gap",
    ]
    gap = second[5]
    assert gap.doc_type == "system_event"
    assert "1012" in gap.fields["cause"]
    assert "restarting" in gap.fields["cause"]
    assert gap.ts == gap.fields["since"]
    assert gap.fields["since"] == max(event.recv_ts or 0 for event in first if event.raw is not None) - 1_000_000
    answer, state = (
        event.ts for event in second if event.raw and event.direction == "received" and event.event != "open"
    )
    assert gap.fields["since"] < answer <= gap.fields["until"] <= state
    assert first[-1].event == "source_disconnected"
    assert first[-1].fields["reason"] == gap.fields["cause"]
    assert first[0].session_id not in source.tap.sessions


async def test_a_feed_that_drops_again_and_again_is_back_at_once_each_time(
    stream: Client, broker: Broker, tmp_path: Path, until: Until
) -> None:
    """What it says while we wait is lost for good: only a feed that brings nothing is left alone for longer."""

    async def script(feed: Feed, socket: web.WebSocketResponse) -> None:
        await feed.send(socket, *[STATE] * supervise.STEADY_FRAMES)
        await socket.close()

    async with Feed.serving(script) as feed, capturing(feed.url, broker, tmp_path) as source:
        await until(lambda: len(feed.connections) == 8 and source.tap.gaps == 7)
    gaps = [event.fields for event in await stored(stream) if event.event == "gap"]
    pauses = sorted(gap["until"] - gap["since"] - 1_000_000 for gap in gaps)
    assert len(pauses) == 7
    assert pauses[-1] < 1_000_000


async def test_a_server_that_falls_silent_is_given_up(
    stream: Client, broker: Broker, tmp_path: Path, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervise, "FIRST_PAUSE", 0.05)
    async with Feed.serving(ping_ms=300) as feed, capturing(feed.url, broker, tmp_path):
        await until(lambda: len(feed.connections) == 2)
    first, *_ = sessions(await stored(stream))
    assert first[-1].fields["reason"] == "the server has stopped answering"


async def test_a_feed_that_is_not_there_is_tried_again_and_says_why(
    broker: Broker, tmp_path: Path, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervise, "FIRST_PAUSE", 0.05)
    async with Feed.serving() as feed:
        feed.refuse = True
        async with capturing(feed.url, broker, tmp_path) as source:
            await until(lambda: source.attempts > 2 and source.error is not None)
            assert source.error is not None
            assert source.error.startswith(f"cannot connect to {parse_feed(feed.url).shown}")
            assert "503" in source.error
            assert source.state in ("waiting", "connecting")
            feed.refuse = False
            await until(lambda: source.state == "live")
            assert source.status()["error"] is None


async def test_without_a_broker_everything_waits_in_the_spool(
    stream: Client, broker: Broker, tmp_path: Path, until: Until
) -> None:
    async def script(feed: Feed, socket: web.WebSocketResponse) -> None:
        await feed.send(socket, *[STATE] * 200)

    broker.kill()
    async with Feed.serving(script) as feed:
        async with capturing(feed.url, broker, tmp_path) as source:
            await until(lambda: source.tap.frames == 203 and source.tap.publisher.stats.spooled >= 204)
        broker.start()
        await until(lambda: stream.is_connected)
        async with capturing(feed.url, broker, tmp_path) as source:
            await until(lambda: source.tap.frames == 203)
    first, second = sessions(await stored(stream))
    assert frames(first) == feed.connections[0]
    assert frames(second) == feed.connections[1]


async def test_what_a_source_left_in_its_spool_is_sent_though_it_is_not_captured_any_more(
    stream: Client, broker: Broker, tmp_path: Path, until: Until
) -> None:
    async def script(feed: Feed, socket: web.WebSocketResponse) -> None:
        await feed.send(socket, *[STATE] * 50)

    spool = tmp_path / "data" / "state" / "spool" / "public"
    broker.kill()
    async with Feed.serving(script) as feed, capturing(feed.url, broker, spool) as source:
        await until(lambda: source.tap.frames == 53)
    broker.start()
    await until(lambda: stream.is_connected)
    gateway = Gateway(tmp_path / "data", broker, RUGS_SOURCES="bus").start()
    try:
        await until(lambda: "had left" in gateway.log)
    finally:
        assert gateway.stop() == 0
    [events] = sessions(await stored(stream))
    assert frames(events) == feed.connections[0]


async def test_feeds_with_names_of_their_own_are_sources_beside_each_other(
    stream: Client, broker: Broker, tmp_path: Path, until: Until
) -> None:
    async def script(feed: Feed, socket: web.WebSocketResponse) -> None:
        await feed.send(socket, STATE)

    async with Feed.serving(script) as one, Feed.serving(script) as two:
        feeds = f"one={one.url}&token=hunter2,two={two.url}"
        gateway = Gateway(tmp_path / "data", broker, RUGS_SOURCES="bus", RUGS_FEEDS=feeds).start()
        try:
            await until(lambda: all(len(feed.connections) == 1 for feed in (one, two)))
            told: dict[str, Any] = {}

            async def are_live() -> bool:
                nonlocal told
                told = await gateway.status(stream)
                return [each["state"] for each in told.get("sources", ())] == ["live"] * 3

            await stackkit.until(are_live)
        finally:
            assert gateway.stop() == 0
    assert [(each["name"], each["source"]) for each in told["sources"]] == [
        ("one", "one"), ("two", "two"), ("bus", "manual"),
    ]  # fmt: skip
    assert told["sources"][0]["url"] == f"{one.url}&token=***"
    found = sessions(await stored(stream))
    assert {events[0].source: frames(events) for events in found} == {
        "one": one.connections[0], "two": two.connections[0],
    }  # fmt: skip
    assert {path.name for path in (tmp_path / "data" / "state" / "spool").iterdir()} >= {"one", "two"}


@pytest.mark.crash
async def test_killed_while_the_feed_is_away_the_gap_begins_where_the_connection_was_lost(
    stream: Client, broker: Broker, tmp_path: Path, until: Until
) -> None:
    async def script(feed: Feed, socket: web.WebSocketResponse) -> None:
        await feed.send(socket, STATE)
        if len(feed.connections) == 1:
            feed.refuse = True
            await socket.close()

    async with Feed.serving(script) as feed:
        gateway = Gateway(tmp_path / "data", broker, RUGS_SOURCES="public", RUGS_FEED_URL=feed.url).start()
        try:
            await until(lambda: "503" in gateway.log)
            await asyncio.sleep(3)  # longer ago than a process's last sign of life
            await asyncio.to_thread(gateway.kill)
            feed.refuse = False
            gateway.start()
            await until(lambda: len(feed.connections) == 2)
        finally:
            gateway.stop()
    events = await stored(stream)
    last = max(event.recv_ts or 0 for event in events if event.session_id == events[0].session_id and event.raw)
    gaps = sorted((event.fields["since"], event.fields["until"]) for event in events if event.event == "gap")
    assert gaps[0][0] == last - 1_000_000
    assert gaps[-1][0] <= gaps[0][1], "no hole between what the crash left and what the new process missed"
