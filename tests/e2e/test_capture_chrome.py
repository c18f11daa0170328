"""`rugs capture --source cdp`: what a real Chromium receives from a feed, and sends, is in the lake."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rugs_sim import Games, Simulator
from tests.support.cdpkit import Chrome, needs_chromium
from tests.support.stackkit import RUGS, Rugs, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180), needs_chromium]

Wire = tuple[tuple[str, ...], tuple[str, ...]]
"""What one connection received, and what it sent, in order; binary messages as base64."""


@pytest.fixture
def chrome(tmp_path: Path) -> Iterator[Chrome]:
    chrome = Chrome(tmp_path / "chrome")
    yield chrome
    chrome.kill()


def logged(path: Path) -> list[Wire]:
    """Return what the simulator knows of each connection."""
    wires: dict[int, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for line in map(json.loads, path.read_text().splitlines()):
        received, sent = wires[line["connection"]]
        received.extend(line[key] for key in ("frame", "base64") if key in line)
        sent.extend(line[key] for key in ("heard", "heard_base64") if key in line)
    return sorted((tuple(received), tuple(sent)) for received, sent in wires.values())


def stored(rugs: Rugs) -> list[Wire]:
    """Return what the lake knows of each session."""
    rows = rugs.select(
        "SELECT session_id, direction, coalesce(raw, base64(raw_bin)) AS message FROM events"
        " WHERE doc_type = 'ws_event' AND source = 'cdp' ORDER BY session_id, seq"
    )
    wires: dict[str, dict[str, list[str]]] = defaultdict(lambda: {"received": [], "sent": []})
    for row in rows:
        wires[row["session_id"]][row["direction"]].append(row["message"])
    return sorted((tuple(wire["received"]), tuple(wire["sent"])) for wire in wires.values())


async def test_one_command_from_a_browser_to_a_valid_dataset(chrome: Chrome, tmp_path: Path) -> None:
    rugs, log = Rugs(tmp_path / "data"), tmp_path / "log.jsonl"
    show = Games(seed=7, games=1).play()
    capture = await asyncio.create_subprocess_exec(
        RUGS, "capture", "--source", "cdp", "--url", f"http://127.0.0.1:{chrome.port}", "--json",
        env=rugs.environment, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    own_log = tmp_path / "data" / "state" / "logs" / "capture.log"
    await until(lambda: own_log.exists() and '"attached"' in own_log.read_text())
    async with Simulator(show, rate=400, clients=2, log=log) as simulator:
        await chrome.tab(simulator.page)
        await chrome.tab(f"{simulator.page}?worker=1&player=1")
        await simulator.played()
        await until(lambda: asyncio.to_thread(lambda: stored(rugs) == logged(log)))
        capture.send_signal(signal.SIGINT)
        printed, _ = await capture.communicate()
    told: dict[str, Any] = json.loads(printed)
    assert capture.returncode == 0
    assert (told["refused"], told["error"]) == (0, None)
    # All of it was there before the end; since then a ping or two may have come.
    wires = stored(rugs)
    assert len(wires) == 2
    for (received, sent), (all_received, all_sent) in zip(wires, logged(log), strict=True):
        assert received == all_received[: len(received)]
        assert sent == all_sent[: len(sent)]
    assert told["frames"] == sum(len(received) + len(sent) for received, sent in wires)
    assert any(message.startswith('42["authenticate"') for _, sent in wires for message in sent)
    connected = rugs.select("SELECT extra FROM system_event WHERE event = 'source_connected' ORDER BY ts")
    assert [json.loads(row["extra"])["target"] for row in connected] == ["page", "worker"]
    assert rugs.select("SELECT count(*) AS n FROM game_tick")[0]["n"] > 50
    assert rugs.json("verify")["ok"]
