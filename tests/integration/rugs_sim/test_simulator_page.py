"""The simulator's page in a real Chromium: it listens, in the page or in a worker, and what it gets is captured."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from nats.aio.client import Client

from rugs_bus import ensure_streams
from rugs_capture.cdp import CdpSource
from rugs_capture.tap import Tap
from rugs_client import Publisher
from rugs_runtime.broker import Broker
from rugs_sim import Faults, Games, Simulator, read_log
from tests.support.cdpkit import Chrome, needs_chromium
from tests.support.clientkit import STREAMS, stored
from tests.support.sourcekit import kept
from tests.support.stackkit import until

pytestmark = [pytest.mark.slow, needs_chromium]

LIMIT = 30.0


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    chrome = Chrome(tmp_path_factory.mktemp("chrome"))
    yield chrome
    chrome.kill()


async def shown(chrome: Chrome, tab: str, element: str) -> str:
    """Return the text of an element of the page."""
    asked = {"expression": f"document.getElementById('{element}')?.textContent"}
    url = f"ws://127.0.0.1:{chrome.port}/devtools/page/{tab}"
    async with aiohttp.ClientSession() as http, http.ws_connect(url) as socket:
        await socket.send_json({"id": 1, "method": "Runtime.evaluate", "params": asked})
        answer: dict[str, Any] = await socket.receive_json(timeout=LIMIT)
    return str(answer["result"]["result"].get("value", ""))


def heard(log: Path) -> list[str]:
    return [line["heard"] for line in map(json.loads, log.read_text().splitlines()) if "heard" in line]


@pytest.mark.parametrize("mode", ["", "?worker=1"])
async def test_the_page_listens_and_comes_back_after_a_drop(chrome: Chrome, tmp_path: Path, mode: str) -> None:
    log = tmp_path / "log.jsonl"
    async with Simulator(Games(seed=1).play(), speed=5, log=log, ping_interval=0.3) as simulator:
        tab = await chrome.tab(simulator.page + mode)

        async def sees(element: str, text: str) -> bool:
            return await shown(chrome, tab, element) == text

        await until(lambda: sees("event", "gameStateUpdate"), LIMIT)
        assert (await shown(chrome, tab, "last")).startswith('42["')
        await until(lambda: "3" in heard(log), LIMIT)
        await simulator.drop()
        await until(lambda: sees("connections", "2"), LIMIT)
        assert simulator.stats.connections == 2
    await until(lambda: sees("state", "disconnected"), LIMIT)
    await chrome.close_all()


async def test_the_page_can_be_a_player(chrome: Chrome, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    async with Simulator(Games(seed=1).play(), log=log) as simulator:
        await chrome.tab(f"{simulator.page}?player=1")
        await until(lambda: any("gameStatePlayerUpdate" in str(each.message)[:40] for each in read_log(log)), LIMIT)
        asked = heard(log)
        assert asked[0] == "40"
        assert asked[1].startswith('42["authenticate",')
        assert asked[2] == '420["getLeaderboard",{"period":"7d"}]'
        assert any(str(each.message).startswith("430[") for each in read_log(log))
        await chrome.close_all()


@asynccontextmanager
async def capturing(chrome: Chrome, publisher: Publisher, simulator: Simulator) -> AsyncIterator[Tap]:
    tap = Tap(publisher, "cdp")
    source = CdpSource(port=chrome.port, pages=f"{simulator.url}/*", sockets="*/socket.io/*")
    async with kept(source, tap):
        await until(lambda: tap.serving)
        yield tap


@pytest.mark.parametrize("mode", ["?player=1", "?worker=1&player=1"])
async def test_all_that_the_page_gets_and_sends_is_captured_whatever_goes_wrong(
    chrome: Chrome, broker: Broker, nc: Client, tmp_path: Path, mode: str
) -> None:
    await ensure_streams(nc, STREAMS)
    log = tmp_path / "log.jsonl"
    faults = Faults(drop=150, duplicate=40, reorder=40, junk=20)
    simulator = Simulator(Games(seed=1, games=1).play(), speed=40, clients=1, faults=faults, log=log)
    with Publisher(broker.url, source="cdp", spool_dir=tmp_path / "spool") as publisher:
        async with simulator, capturing(chrome, publisher, simulator) as tap:
            await chrome.tab(simulator.page + mode)
            await simulator.played()
            await chrome.close_all()
            await until(lambda: not tap.sessions, LIMIT)
        assert await publisher.secured(LIMIT)
        assert await asyncio.to_thread(publisher.flush, LIMIT)
    sessions: dict[str, dict[str, list[str | bytes | None]]] = {}
    for event in await stored(nc):
        if event.doc_type == "ws_event":
            session = sessions.setdefault(event.session_id, {"received": [], "sent": []})
            session[event.direction].append(event.raw)
    put: dict[int, list[str | bytes]] = {}
    for logged in read_log(log):
        put.setdefault(logged.connection, []).append(logged.message)
    whole = [session for session in sessions.values() if session["received"]]
    assert len(whole) > 1
    for session, messages in zip(whole, put.values(), strict=False):
        assert session["received"] == messages[: len(session["received"])]
    told, known = [text for session in whole for text in session["sent"]], heard(log)
    assert told == known[: len(told)]
    assert len(known) - len(told) < 4, "a tab that is closed tells nothing of its last moment"
    arrived, sent = sum(len(session["received"]) for session in whole), sum(map(len, put.values()))
    assert arrived > 0.95 * sent
