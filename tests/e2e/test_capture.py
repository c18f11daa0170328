"""`rugs capture` as a user runs it, with nothing else running; and a stack that captures."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from nats.aio.client import Client

from rugs_runtime.service import ask_status
from tests.support.feedserver import Feed
from tests.support.rawfeed import Peer, RawFeed
from tests.support.stackkit import RUGS, Rugs, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

STATE = '42["gameStateUpdate",{"gameId":"20990101-00000000000000aa","active":true,"price":1.5,"tickCount":%d}]'


async def playing(feed: Feed, socket: web.WebSocketResponse) -> None:
    """Send fifty ticks, and drop the first connection in the middle."""
    for tick in range(50):
        await feed.send(socket, STATE % tick)
        if tick == 25 and len(feed.connections) == 1:
            await socket.close()
            return


async def capturing(rugs: Rugs, feed: Feed, *more: str) -> tuple[int | None, dict[str, Any]]:
    """Run `rugs capture` until both connections have brought everything; return its exit code, and what it prints."""
    process = await asyncio.create_subprocess_exec(
        RUGS, "capture", "--url", feed.url, "--json", *more, env=rugs.environment, stdout=asyncio.subprocess.PIPE
    )
    await until(lambda: len(feed.connections) == 2 and len(feed.connections[1]) == 53)
    await asyncio.sleep(0.2)  # the last frame is on its way through the socket
    process.send_signal(signal.SIGINT)
    printed, _ = await process.communicate()
    return process.returncode, json.loads(printed)


def assert_whole(rugs: Rugs, feed: Feed) -> None:
    """Everything that went over the wire is in the lake once, in order, and every tick was derived."""
    rows = rugs.select("SELECT session_id, raw FROM ws_event ORDER BY session_id, seq")
    sent = [[message for _, message in connection] for connection in feed.connections]
    assert [row["raw"] for row in rows] == [message for connection in sent for message in connection]
    assert rugs.select("SELECT count(*) AS n, count(DISTINCT tick) AS ticks FROM game_tick") == [{"n": 50, "ticks": 50}]
    gaps = rugs.select("SELECT extra FROM system_event WHERE event = 'gap'")
    assert len(gaps) == 1
    assert rugs.json("verify")["ok"]


async def test_one_command_from_a_live_feed_to_a_valid_dataset(tmp_path: Path) -> None:
    rugs = Rugs(tmp_path, RUGS_INDEXER_ENABLED="true")
    async with Feed.serving(playing) as feed:
        code, told = await capturing(rugs, feed)
    assert code == 0
    assert told["frames"] == sum(map(len, feed.connections))
    assert (told["gaps"], told["refused"], told["error"]) == (1, 0, None)
    await asyncio.to_thread(assert_whole, rugs, feed)


async def test_a_stack_that_runs_captures_and_says_how_it_goes(tmp_path: Path) -> None:
    strange = asyncio.Event()

    async def changing(feed: Feed, socket: web.WebSocketResponse) -> None:
        """Send fifty ticks and, when told to, states of another shape."""
        await playing(feed, socket)
        await strange.wait()
        if not socket.closed:
            await feed.send(socket, *['42["gameStateUpdate",{"game":"g","at":{"tick":1}}]'] * 30)

    async with Feed.serving(changing) as feed:
        rugs = Rugs(tmp_path, RUGS_FEED_URL=feed.url, RUGS_INGEST_PORT="0")
        assert (await asyncio.to_thread(rugs, "up", "--detach")).returncode == 0
        try:
            await until(lambda: len(feed.connections) == 2 and len(feed.connections[1]) == 53)
            sources = await asyncio.to_thread(rugs.json, "sources")
            assert [source["name"] for source in sources] == ["public", "http", "bus"]
            assert {source["state"] for source in sources} == {"live"}
            assert sources[0]["game"]["tick"] == 49
            shown = (await asyncio.to_thread(rugs, "sources")).stdout.decode()
            assert "20990101-00000000000000aa tick 49 1.5x" in shown
            status = await asyncio.to_thread(rugs.json, "status")
            names = [service["name"] for service in status["services"]]
            assert names == ["parquet-writer", "capture-gateway"]
            await until(lambda: len(rugs.select("SELECT 1 FROM game_tick")) == 50)
            assert sources[0]["warnings"] == []
            strange.set()

            async def is_noticed() -> bool:
                return (await asyncio.to_thread(rugs, "sources")).returncode == 1

            await until(is_noticed)
            shown = (await asyncio.to_thread(rugs, "sources")).stdout.decode()
            assert "public: warning: no tick in the last " in shown
        finally:
            assert (await asyncio.to_thread(rugs, "down")).returncode == 0
    await asyncio.to_thread(assert_whole, rugs, feed)


async def test_a_capture_starts_its_own_gateway_again(tmp_path: Path) -> None:
    """Killed, it is back, with a gap; what all its lives have brought is counted."""
    rugs = Rugs(tmp_path, RUGS_INDEXER_ENABLED="true")
    async with Feed.serving() as feed:
        process = await asyncio.create_subprocess_exec(
            RUGS, "capture", "--url", feed.url, "--json", env=rugs.environment, stdout=PIPE, stderr=PIPE
        )
        for life in range(3):
            await until(lambda life=life: len(feed.connections) == life + 1 and len(feed.connections[life]) == 3)  # type: ignore[misc]
            async with rugs.bus() as nc:
                pid = await until_counted(nc, 3)
            if life < 2:
                os.kill(pid, signal.SIGKILL)
        process.send_signal(signal.SIGINT)
        printed, _ = await process.communicate()
    told = json.loads(printed)
    assert process.returncode == 0
    assert (told["error"], told["spools"]) == (None, [])
    stored = await asyncio.to_thread(rugs.select, "SELECT raw FROM ws_event")
    assert len(stored) == told["frames"] == sum(map(len, feed.connections))
    gaps = await asyncio.to_thread(rugs.select, "SELECT extra FROM system_event WHERE event = 'gap'")
    assert len([gap for gap in gaps if "without closing" in gap["extra"]]) == 2
    assert (await asyncio.to_thread(rugs.json, "verify"))["ok"]


async def until_counted(nc: Client, frames: int) -> int:
    """Return the capturing process, once it has sent so many frames and everybody could know."""
    while True:
        answer = await ask_status(nc, "capture")
        if answer is not None and answer["sources"][0]["bus"]["sent"] >= frames:
            await asyncio.sleep(1.5)  # the command looks every half second
            return int(answer["pid"])
        await asyncio.sleep(0.05)


async def test_a_capture_is_shown_as_what_it_is_and_a_second_one_says_that_there_is_one(tmp_path: Path) -> None:
    rugs = Rugs(tmp_path, RUGS_INDEXER_ENABLED="true")
    async with Feed.serving() as feed:
        process = await asyncio.create_subprocess_exec(RUGS, "capture", "--url", feed.url, env=rugs.environment)
        await until(lambda: feed.connections)
        status = await asyncio.to_thread(rugs.json, "status")
        assert (status["ok"], status["stack"]["kind"], status["error"]) == (True, "capture", None)
        assert [(each["name"], each["state"]) for each in status["services"]] == [
            ("parquet-writer", "running"),
            ("capture", "running"),
        ]
        assert b"`rugs capture` runs by itself" in (await asyncio.to_thread(rugs, "status")).stdout
        (source,) = await asyncio.to_thread(rugs.json, "sources", "public")
        assert (source["name"], source["program"], source["state"]) == ("public", "rugs capture", "live")
        unknown = await asyncio.to_thread(rugs, "sources", "http")
        assert (unknown.returncode, unknown.stderr) == (1, b"rugs: no source http; there are public\n")
        second = await asyncio.to_thread(rugs, "capture", "--url", feed.url)
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
    assert second.returncode == 1
    assert "another capture runs on this data folder" in second.stderr.decode()
    assert second.stdout.decode().startswith("0 frames")


async def test_a_feed_that_is_never_live_is_a_failure_that_says_why(tmp_path: Path) -> None:
    """It is not there, says nothing, or does not want us: then there are frames, but none of them is an event."""

    async def refusing(peer: Peer) -> None:
        await peer.connect(answer='44{"message":"not authorized"}')
        await peer.silence()

    async with RawFeed.serving(Peer.silence) as mute, RawFeed.serving(refusing) as unwilling:
        urls = {"absent": "http://127.0.0.1:1", "mute": mute.url, "unwilling": unwilling.url}
        capture = [
            asyncio.to_thread(Rugs(tmp_path / name), "capture", "--url", url, "--seconds", "1")
            for name, url in urls.items()
        ]
        absent, silent, refused = await asyncio.gather(*capture)
    assert [done.returncode for done in (absent, silent, refused)] == [1, 1, 1]
    assert "public: cannot connect to http://127.0.0.1:1" in absent.stderr.decode()
    assert "no frame came" in silent.stderr.decode()
    assert "not authorized" in refused.stderr.decode()
    assert [done.stdout.decode().partition(" frames")[0] for done in (absent, silent)] == ["0", "0"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "--url"),
        (("--source", "telepathy"), "public and cdp"),
        (("--url", "ftp://example.org"), "https://HOST"),
        (("--source", "cdp", "--url", "https://x"), "http://HOST:PORT"),
    ],
)
def test_wrong_usage_says_what_to_do(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    done = Rugs(tmp_path)("capture", *arguments)
    assert done.returncode == 2
    assert says in done.stderr.decode()


def test_sources_of_nothing_that_runs(tmp_path: Path) -> None:
    done = Rugs(tmp_path)("sources")
    assert done.returncode == 1
    assert "rugs up" in done.stderr.decode()
