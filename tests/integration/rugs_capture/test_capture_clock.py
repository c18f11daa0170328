"""The wall clock is set while sources record: every session says so, and coverage counts the time that passed."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from aiohttp import web
from nats.aio.client import Client

import rugs_lake
from rugs_capture.public import PublicFeed
from rugs_capture.tap import Tap
from rugs_client import Publisher, clock
from rugs_core import time as core_time
from rugs_proto import Envelope
from rugs_query.coverage_lake import read
from rugs_runtime.broker import Broker
from tests.conftest import Until
from tests.support.clientkit import flush, messages, stored
from tests.support.feedserver import Feed
from tests.support.lakekit import store
from tests.support.sourcekit import kept

pytestmark = pytest.mark.slow

DAY_US = 86_400_000_000
STATE = '42["gameStateUpdate",{"gameId":"g-1","active":true,"price":1.25,"tickCount":7,"rugged":false}]'


class Wall:
    """The wall clock of this process, which a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._ahead_ns = 0
        for module in (clock, core_time):
            monkeypatch.setattr(module, "time_ns", lambda: time.time_ns() + self._ahead_ns)

    def set(self, by_seconds: float) -> None:
        self._ahead_ns += int(by_seconds * 1e9)

    def suspend(self, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        """Let the machine have been suspended for a while: only the monotonic clock did not go on."""
        self.set(seconds)
        monkeypatch.setattr(clock, "clock_gettime_ns", lambda which: time.clock_gettime_ns(which) + int(seconds * 1e9))


async def play(feed: Feed, socket: web.WebSocketResponse) -> None:
    while not socket.closed and not feed.refuse:
        await feed.send(socket, STATE)
        await asyncio.sleep(0.02)
    await socket.close()


@pytest.mark.parametrize("by", [-3600.0, 7200.0])
async def test_every_session_says_that_the_clock_was_set_and_coverage_counts_what_passed(
    stream: Client, broker: Broker, tmp_path: Path, until: Until, monkeypatch: pytest.MonkeyPatch, by: float
) -> None:
    """In a connection, while there is none, and while nothing comes; beside a client's session and one of a door."""
    wall, began_us = Wall(monkeypatch), time.time_ns() // 1000
    tap = Tap(Publisher(broker.url, source="public_ws", spool_dir=tmp_path / "public"), "public_ws")
    client = Publisher(broker.url, source="ui", spool_dir=tmp_path / "ui", session_id="client")
    door = Publisher(broker.url, source="manual", spool_dir=tmp_path / "door")

    def others(seq: int) -> None:
        client.publish("click", direction="internal")
        posted = Envelope(
            v=1,
            doc_type="ws_event",
            source="manual",
            session_id="posted",
            seq=seq,
            event="note",
            direction="received",
            ts=core_time.now_us(),
        )
        door.publish_envelope(posted)

    async def more(frames: int) -> None:
        before = tap.frames
        await until(lambda: tap.frames > before + frames)

    async with Feed.serving(play) as feed, kept(PublicFeed(feed.address), tap):
        await more(1)
        connected = time.monotonic()
        others(1)
        await more(40)
        wall.set(by)
        others(2)
        await more(40)
        feed.refuse = True
        await until(lambda: not tap.sessions)
        passed = time.monotonic() - connected
        wall.set(-by / 2)
        feed.refuse = False
        await more(1)
        connected = time.monotonic()
        wall.set(10)
        accepted = client.stats.sent
        await until(lambda: client.stats.sent > accepted)  # nobody publishes: the clock is looked at all the same
        await more(40)
        others(3)
        passed += time.monotonic() - connected
    tap.close()
    for publisher in (tap.publisher, client, door):
        assert await flush(publisher)
        await asyncio.to_thread(publisher.close)
    events = await stored(stream)
    steps: dict[str, list[float]] = {}
    for event in events:
        if event.event == "clock_step":
            steps.setdefault(event.session_id, []).append((event.fields["new"] - event.fields["old"]) / 1e6)
    # Who publishes nothing between two steps may see them as one.
    for session in ("client", door.session_id):
        assert sum(steps[session]) == pytest.approx(by - by / 2 + 10, abs=0.01)
    of_public = {event.session_id for event in events if event.source == "public_ws"}
    seen = {round(each) for session in of_public for each in steps.get(session, [])}
    assert seen == {round(by), round(-by / 2), 10}
    lake = tmp_path / "lake"
    store(lake, *await messages(stream))
    period = (began_us - DAY_US, began_us + DAY_US)
    (public,) = read(lake, *period, "public_ws", now=period[1])
    (own,) = read(lake, *period, "ui", now=period[1])
    (posted,) = read(lake, *period, "manual", now=period[1])
    with rugs_lake.open(lake) as opened:
        outages = opened.sql("SELECT epoch(until - since) FROM outage ORDER BY 1").fetchall()
    assert passed - 2 < public.seconds < passed + 0.5
    for each in (own, posted):
        assert each.seconds < passed + 10
        assert each.sessions == 1
    # The outage took as long as it took, told as the old clock and as the new one showed it.
    assert len(outages) == 2
    assert outages[0][0] == pytest.approx(outages[1][0], abs=0.001)
    assert outages[0][0] < 30


async def test_a_suspended_machine_is_an_outage_and_no_step(
    stream: Client, broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall = Wall(monkeypatch)
    client = Publisher(broker.url, source="ui", spool_dir=tmp_path / "ui", session_id="client")
    for number in range(4):
        client.publish(f"click {number}", direction="internal")
        assert await flush(client)
        if number == 1:
            wall.suspend(monkeypatch, 600)
    await asyncio.to_thread(client.close)
    events = await stored(stream)
    assert [event.event for event in events] == ["click 0", "click 1", "gap", "click 2", "click 3"]
    assert events[2].fields["cause"] == "the machine was suspended"
    store(tmp_path / "lake", *await messages(stream))
    (found,) = read(tmp_path / "lake", events[0].ts, events[-1].ts, now=events[-1].ts)
    assert [gap.cause for gap in found.gaps] == ["the machine was suspended"]
    assert 600 <= (found.end - found.start) / 1e6 - found.seconds < 602
