"""The whole way killed at random while a feed plays: what was captured is stored once, and gaps tell of all else."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rugs_capture.sim import Logged, read_log
from rugs_lake.verify import verify
from rugs_runtime.broker import Broker
from tests.cdpkit import CHROMIUM, Chrome
from tests.crashkit import Matrix
from tests.lakekit import FULL
from tests.stackkit import RUGS, Gateway, Writer, caught_up, clean_environment, connected, rows, until

pytestmark = [pytest.mark.slow, pytest.mark.crash, pytest.mark.timeout(900)]

RATE = 100
"""Events a second on each connection: twenty times the real feed."""


@pytest.fixture(scope="module")
def matrix() -> Iterator[Matrix]:
    """Collects what this module injects, and prints it at the end."""
    collected = Matrix("Capture from two sources, with the feed playing")
    yield collected
    print(collected)


@asynccontextmanager
async def playing(log: Path) -> AsyncIterator[dict[str, Any]]:
    """Run `rugs sim`; give its addresses. At the end whoever listens gets all that is on its way."""
    process = await asyncio.create_subprocess_exec(
        RUGS,
        *("sim", "--seed", "7", "--port", "0", "--rate", str(RATE), "--log", str(log), "--json"),
        env=clean_environment(),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield json.loads(await process.stdout.readline())
    finally:
        process.terminate()
        await process.communicate()


class Stored(NamedTuple):
    """The frames that one session has received, in order."""

    source: str
    session_id: str
    frames: list[bytes]


def stored_sessions(root: Path) -> list[Stored]:
    """Return what the lake holds of each session, whose numbers have to rise."""
    found: dict[tuple[str, str], list[bytes]] = defaultdict(list)
    numbers: dict[tuple[str, str], int] = {}
    query = (
        "SELECT source, session_id, seq, direction, coalesce(raw_bin, encode(raw)) FROM ws_event"
        " WHERE source <> 'manual' ORDER BY source, session_id, seq"
    )
    for source, session_id, seq, direction, raw in rows(root, query):
        assert seq > numbers.get((source, session_id), 0)
        numbers[source, session_id] = seq
        if direction == "received":
            found[source, session_id].append(bytes(raw))
    return [Stored(*place, frames) for place, frames in found.items()]


def gaps_of(root: Path) -> dict[str, list[tuple[int, int]]]:
    """Return the gaps of each source, in microseconds."""
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for source, extra in rows(root, "SELECT source, extra FROM system_event WHERE event = 'gap'"):
        told = json.loads(extra)
        found[source].append((told["since"], told["until"]))
    return found


class Account(NamedTuple):
    """What became of the messages that were put on the wires: stored once, in a gap, or neither, or more than once."""

    stored: int
    in_gaps: int
    lost: int
    doubled: int


def account(root: Path, log: Path) -> Account:
    """Compare the lake with the simulator's own log, source by source."""
    wires: dict[int, list[Logged]] = defaultdict(list)
    for logged in read_log(log):
        wires[logged.connection].append(logged)
    covered: dict[tuple[int, str], list[int]] = {(number, ""): [0] * len(wire) for number, wire in wires.items()}
    for session in stored_sessions(root):
        number, first = place_of(session.frames, wires)
        seen = covered.setdefault((number, session.source), [0] * len(wires[number]))
        for index in range(first, first + len(session.frames)):
            seen[index] += 1
    for number, source in [*covered]:
        if source:
            covered.pop((number, ""), None)
    gaps = gaps_of(root)
    counts = {"stored": 0, "in_gaps": 0, "lost": 0, "doubled": 0}
    for (number, source), seen in covered.items():
        told = gaps[source] if source else [gap for each in gaps.values() for gap in each]
        for logged, times in zip(wires[number], seen, strict=True):
            outcome = "stored" if times == 1 else "doubled" if times else "lost"
            if not times and any(since <= logged.at <= end for since, end in told):
                outcome = "in_gaps"
            counts[outcome] += 1
    return Account(**counts)


def place_of(frames: list[bytes], wires: dict[int, list[Logged]]) -> tuple[int, int]:
    """Return the connection that a session was, and where in it the session begins: it is one run of it."""
    longest = max(frames, key=len)
    for number, wire in wires.items():
        sent = [message if isinstance(message, bytes) else message.encode() for _, _, _, message, _ in wire]
        for index, message in enumerate(sent):
            first = index - frames.index(longest)
            if message == longest and first >= 0 and sent[first : first + len(frames)] == frames:
                return number, first
    raise AssertionError(f"no connection sent these {len(frames)} frames in this order: {frames[0][:200]!r}")


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: the second source cannot capture")
async def test_gateway_broker_and_writer_killed_at_random_while_two_sources_capture(
    tmp_path: Path, matrix: Matrix
) -> None:
    chance = random.Random(31)
    root, log = tmp_path / "lake", tmp_path / "wire.jsonl"
    broker = Broker(tmp_path / "broker")
    broker.start()
    writer = Writer(root, broker).start()
    chrome = Chrome(tmp_path / "chrome")
    try:
        async with playing(log) as simulator:
            gateway = Gateway(
                root,
                broker,
                RUGS_SOURCES="public,cdp",
                RUGS_FEED_URL=simulator["url"],
                RUGS_CDP_PORT=str(chrome.port),
                RUGS_CDP_PAGES=f"{simulator['url']}/*",
            ).start()
            await until(lambda: '"attached"' in gateway.log)
            await chrome.tab(simulator["page"])
            victims: dict[str, Broker | Writer] = {"gateway": gateway, "broker": broker, "writer": writer}
            try:
                for time in range(20 if FULL else 4):
                    await asyncio.sleep(chance.uniform(0.2, 3))
                    chosen = ["gateway"] if time == 1 else chance.sample([*victims], chance.choice((1, 1, 2)))
                    for name in chosen:
                        await asyncio.to_thread(victims[name].kill)
                    matrix.note("kill", " and ".join(sorted(chosen)))
                    await asyncio.sleep(chance.uniform(0, 1))
                    for name in chosen:
                        await asyncio.to_thread(victims[name].start)
                before = len(log.read_bytes())
                await until(lambda: len(log.read_bytes()) > before + 200 * 7000)
            finally:
                print(gateway.log[-4000:], file=sys.stderr)
        assert await asyncio.to_thread(gateway.stop) == 0
        async with connected(broker.url) as nc:
            await caught_up(nc, root)
        assert await asyncio.to_thread(writer.stop) == 0
        found = await asyncio.to_thread(account, root, log)
        print(f"{found.stored:,} frames stored once, {found.in_gaps:,} in recorded gaps, {found.lost:,} lost")
        matrix.note("in all", "both sources", lost=found.lost, doubled=found.doubled)
        assert found.lost == found.doubled == 0
        assert min(found.stored, found.in_gaps) > 0
        assert {session.source for session in stored_sessions(root)} == {"public_ws", "cdp"}
        assert verify(root).ok or verify(root, repair=True).ok
    finally:
        chrome.kill()
        writer.kill()
        gateway.kill()
        broker.kill()
