"""The whole way killed at random while a feed plays: what was captured is stored once, and gaps tell of all else."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rugs_lake.maintain.verify import verify
from rugs_runtime.broker import Broker
from tests.support.capturekit import account, playing, stored_sessions
from tests.support.cdpkit import CHROMIUM, Chrome
from tests.support.crashkit import Matrix
from tests.support.lakekit import FULL
from tests.support.stackkit import Gateway, Service, Writer, caught_up, connected, until

pytestmark = [pytest.mark.slow, pytest.mark.crash, pytest.mark.timeout(1800)]

RATE = 100
"""Events a second on each connection: twenty times the real feed."""


@pytest.fixture(scope="module")
def matrix() -> Iterator[Matrix]:
    """Collects what this module injects, and prints it at the end."""
    collected = Matrix("Capture from two sources, with the feed playing")
    yield collected
    print(collected)


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
        async with playing(log, RATE) as simulator:
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
            victims: dict[str, Broker | Service] = {"gateway": gateway, "broker": broker, "writer": writer}
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
                assert gateway.process is not None
                started = f'"pid": {gateway.process.pid}, "event": "started"'
                await until(lambda: '"attached"' in gateway.log.partition(started)[2])
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
