"""The legacy-writer, killed at random moments while frames come in: its lines are those of one that never was."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from nats.aio.client import Client

import rugs_bus
from rugs_bus import StreamSettings
from rugs_runtime.broker import Broker
from tests.support import derivekit
from tests.support.crashkit import Matrix
from tests.support.derivekit import Frame, frames
from tests.support.dualkit import LegacyWriter, expected, written
from tests.support.feedkit import TS
from tests.support.lakekit import FULL
from tests.support.stackkit import Writer, caught_up, until

pytestmark = [pytest.mark.slow, pytest.mark.crash, pytest.mark.timeout(1800)]

KILLS = 50 if FULL else 8
MATRIX = Matrix("the process that writes the old formats")


async def feed(nc: Client, told: Sequence[Frame]) -> None:
    """Publish frames, some alone and some together."""
    chance = random.Random(3)
    place = 0
    while place < len(told):
        count = chance.choice((1, 1, 1, 5, 20))
        group = told[place : place + count]
        place += count
        await derivekit.publish(nc, group)
        await asyncio.sleep(0.002)


async def test_a_legacy_writer_killed_at_random_moments(nc: Client, broker: Broker, tmp_path: Path) -> None:
    chance = random.Random(1)
    first = frames(KILLS * 90, session_id="a")
    second = frames(KILLS * 60, session_id="b", seed=6, start=TS + 60_000_000)
    cdp = [{**each, "source": "cdp", "session_id": "c"} for each in first[::3]]
    told = sorted([*first, *second, *cdp], key=lambda each: each["ts"])
    await rugs_bus.ensure_streams(nc, StreamSettings(max_bytes=1 << 30))
    writer = Writer(tmp_path / "data", broker).start()
    legacy = LegacyWriter(tmp_path / "data", broker, tmp_path / "old")
    feeding = asyncio.create_task(feed(nc, told))
    try:
        for _ in range(KILLS):
            legacy.start()
            fault = chance.choice(("killed", "killed", "killed early", "stopped"))
            if fault != "killed early":
                await until(lambda: legacy.status(nc))
            await asyncio.sleep(chance.random() * 0.5)
            if chance.random() < 0.3:
                state = await caught_up(nc, writer.root)
                await rugs_bus.purge_below(nc, chance.randint(state.first_seq, state.last_seq))
                fault += ", purged"
            if fault.startswith("stopped"):
                assert legacy.stop() == 0
            legacy.kill()
            MATRIX.note("legacy-writer", fault, lost=0, doubled=0, torn=0)
        await feeding
        legacy.start()
        assert (await legacy.done(nc))["missing"] == 0
        legacy.signal(signal.SIGTERM)
        found, wanted = written(legacy.folder), expected(told, tmp_path / "expected")
        assert [*found] == [*wanted]
        lines = {name: (found[name].splitlines(), wanted[name].splitlines()) for name in wanted}
        lost = sum(len({*want} - {*have}) for have, want in lines.values())
        doubled = sum(len(have) - len({*have}) for have, _ in lines.values())
        MATRIX.note("legacy-writer", "at the end", lost=lost, doubled=doubled)
        assert found == wanted
    finally:
        feeding.cancel()
        legacy.kill()
        writer.kill()
