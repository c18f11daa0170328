"""What the previous system got wrong, each as a test of the whole stack: from what comes in to what a query says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import psutil
import pytest
import pytest_asyncio
from aiohttp import web

from rugs_runtime.stack import running_stack
from tests.support.feedkit import TS, playing
from tests.support.feedserver import Feed
from tests.support.lakekit import DAY_US, body, envelope
from tests.support.stackkit import Rugs, caught_up, publish, rows, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

EMPTY = ["null", "[]", "0", "{}", '""', "false"]
"""Payloads that were all written as `{}`."""
ODD: list[str | bytes] = [
    *(f'42["empty",{payload}]' for payload in EMPTY),
    '42["empty"]',
    '43424[{"success":true,"executedPrice":1.5}]',
    '42424["buyOrder",{"amount":0.01}]',
    "2",
    "6",
    '44/admin,{"message":"no"}',
    '42["gameStateUpdate",{"gameId":"g","price":',
    '451-["picture",{"_placeholder":true,"num":0}]',
    b"\x00\xff\xfe",
    "no packet at all",
    "",
    '42["gameStateUpdate",{"gameId":7,"price":"1.5","tickCount":1.5,"active":null,"rugged":"no"}]',
    '42["standard/newTrade",{"__trace":true,"traceparent":"00-a"},{"gameId":"g","username":null,"qty":1}]',
]
BURST = 12_000
"""More at once than the queue held from which 94.7% were dropped."""


@pytest_asyncio.fixture
async def capturing(tmp_path: Path) -> AsyncIterator[tuple[Rugs, Feed]]:
    """A stack that captures from a feed which says all that is odd, and then very much at once."""

    async def script(feed: Feed, socket: web.WebSocketResponse) -> None:
        await feed.send(socket, *ODD)
        states = (playing([1, 1 + number / 10_000], 1, game=f"burst-{number // 100}") for number in range(BURST))
        await feed.send(socket, *("42" + json.dumps(["gameStateUpdate", state]) for state in states))

    async with Feed.serving(script, ping_ms=300_000) as feed:  # it never pings: one connection, however long it takes
        rugs = Rugs(tmp_path / "data", RUGS_FEED_URL=feed.url)
        assert (await asyncio.to_thread(rugs, "up", "--detach")).returncode == 0
        try:
            yield rugs, feed
        finally:
            assert (await asyncio.to_thread(rugs, "down")).returncode == 0


async def test_all_that_a_connection_says_is_there_as_it_was_and_nothing_is_rejected_or_dropped(
    capturing: tuple[Rugs, Feed],
) -> None:
    """It threw away raw frames, times and directions; empty payloads became `{}`; it stored no acknowledgements,
    handshakes, pings or broken frames; it rejected 45% of real frames; its queue of 5,000 dropped 94.7% in silence.
    """
    rugs, feed = capturing
    await until(lambda: feed.connections and len(feed.connections[0]) >= 3 + len(ODD) + BURST)
    async with rugs.bus() as nc:
        query = f"SELECT 1 FROM ws_event HAVING count(*) >= {len(feed.connections[0])}"
        await until(lambda: rows(rugs.root, query))
        await caught_up(nc, rugs.root)
    stored = rows(rugs.root, "SELECT direction, coalesce(raw_bin, encode(raw)) FROM ws_event ORDER BY session_id, seq")
    wire = [(way, said if isinstance(said, bytes) else said.encode()) for way, said in feed.connections[0]]
    for way in ("received", "sent"):
        assert [bytes(raw) for told, raw in stored if told == way] == [raw for told, raw in wire if told == way]
    assert rows(rugs.root, "SELECT count(*) FROM reject") == [(0,)]
    assert rows(rugs.root, "SELECT count(*) FROM system_event WHERE event = 'gap'") == [(0,)]
    named = {event for (event,) in rows(rugs.root, "SELECT DISTINCT event FROM ws_event")}
    assert named >= {"open", "connect", "ack", "ping", "pong", "noop", "connect_error", "attachment", "buyOrder"}
    empty = rows(rugs.root, "SELECT raw FROM ws_event WHERE event = 'empty' ORDER BY seq")
    assert [raw for (raw,) in empty] == ODD[: len(EMPTY) + 1]
    assert rows(rugs.root, "SELECT DISTINCT source FROM ws_event") == [("public_ws",)]
    late = "SELECT count(*) FROM ws_event WHERE recv_ts IS NULL OR recv_ts < ts OR recv_ts > ts + INTERVAL 5 SECONDS"
    assert rows(rugs.root, late) == [(0,)], "the times are those of receipt, not of writing"


async def test_empty_payloads_stay_what_they_were_whichever_way_they_come(stack: Rugs) -> None:
    """It wrote `null`, `[]` and `0` payloads as `{}`."""
    told = [f'{{"event":"hollow","data":{payload}}}' for payload in EMPTY]
    async with stack.bus() as nc, aiohttp.ClientSession() as http:
        (door,) = [source["url"] for source in await asyncio.to_thread(stack.json, "sources") if source["url"]]
        async with http.post(f"{door}/ingest", data="\n".join(told)) as answer:
            assert (await answer.json())["accepted"] == len(told)
        for each in told:
            reply = await nc.request("rugs.ingest.x", each.encode(), timeout=20)
            assert json.loads(reply.data)["accepted"] == 1
    query = "SELECT raw FROM ws_event WHERE event = 'hollow' ORDER BY session_id LIKE 'bus-%', seq"
    await until(lambda: len(rows(stack.root, query)) == 2 * len(told), limit=20)
    assert [raw for (raw,) in rows(stack.root, query)] == told * 2


async def test_what_comes_late_is_stored_and_derived_from_like_all_else(stack: Rugs) -> None:
    """Its checkpoint was a time, and missed every row that was older than that."""
    states = [playing([1, 1.5, 1.7], tick, game="late") for tick in (1, 2)]
    async with stack.bus() as nc:
        for seq, (state, age) in enumerate(zip(states, (0, 400 * DAY_US), strict=True), 1):
            told = envelope(
                seq, ts=TS - age, session_id="late", event="gameStateUpdate",
                raw="42" + json.dumps(["gameStateUpdate", state]),
            )  # fmt: skip
            await publish(nc, "rugs.events.ws_event.public_ws.gameStateUpdate", body(told))
    query = "SELECT tick, epoch_us(ts) FROM game_tick WHERE game_id = 'late' AND filled IS NOT TRUE ORDER BY tick"
    await until(lambda: rows(stack.root, query) == [(1, TS), (2, TS - 400 * DAY_US)])


async def test_a_file_of_nothing_and_one_of_other_columns_are_in_nobodys_way(stack: Rugs) -> None:
    """One file of zero bytes made every query fail, and old columns beside new ones hid these or failed."""
    async with stack.bus() as nc:
        await publish(nc, "rugs.events.ws_event.public_ws.x", body(envelope(1, session_id="beside")))
        await caught_up(nc, stack.root)
    (folder, *_) = sorted((stack.root / "events_parquet" / "doc_type=ws_event").iterdir())
    strangers = [folder / "part-nothing.parquet", folder / "part-torn.parquet"]
    strangers[0].touch()
    strangers[1].write_bytes(b"PAR1 and then no more")
    try:
        async with stack.bus() as nc:
            again = envelope(2, session_id="beside", fields={"price": 1.5, "never_seen_before": {"a": [1]}})
            await publish(nc, "rugs.events.ws_event.public_ws.x", body(again))
            await caught_up(nc, stack.root)
        found = stack.select("SELECT seq, price, extra FROM ws_event WHERE session_id = 'beside' ORDER BY seq")
        assert found == [
            {"seq": 1, "price": None, "extra": None},
            {"seq": 2, "price": 1.5, "extra": '{"never_seen_before":{"a":[1]}}'},
        ]
        verified = json.loads(stack("verify", "--json").stdout)
        assert (verified["missing"], verified["torn"], verified["duplicate_ids"]) == (0, 0, 0)
    finally:
        for stranger in strangers:
            stranger.unlink(missing_ok=True)


@pytest.mark.crash
async def test_what_came_before_a_silence_is_stored_without_waiting_for_more(tmp_path: Path) -> None:
    """It flushed by time only when the next event came, and lost 50 of 150 rows to a kill after 7 idle seconds."""
    rugs = Rugs(tmp_path / "data")
    assert (await asyncio.to_thread(rugs, "up", "--detach")).returncode == 0
    count = "SELECT count(*), count(DISTINCT id) FROM ws_event"
    info = running_stack(rugs.root)
    assert info is not None
    try:
        async with rugs.bus() as nc:
            for seq in range(1, 151):
                await publish(nc, "rugs.events.ws_event.public_ws.x", body(envelope(seq)))
        await until(lambda: rows(rugs.root, count) == [(150, 150)], limit=5)
    finally:
        supervisor = psutil.Process(info.pid)
        for process in [supervisor, *supervisor.children(recursive=True)]:
            process.kill()
    assert rows(rugs.root, count) == [(150, 150)]
