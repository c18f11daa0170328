"""The process that derives, killed at random moments while frames come in: the result is that of one that never was."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import pytest
from nats.aio.client import Client

import rugs_bus
from rugs_bus import StreamSettings
from rugs_runtime.broker import Broker
from tests.support import derivekit
from tests.support.crashkit import Matrix
from tests.support.derivekit import Derive, Frame, derived_in, expected, frames, lost
from tests.support.lakekit import FULL
from tests.support.stackkit import Writer, caught_up, stands_still, until

pytestmark = [pytest.mark.slow, pytest.mark.crash, pytest.mark.timeout(1800)]

KILLS = 60 if FULL else 8
MATRIX = Matrix("the process that derives")


async def feed(nc: Client, told: Sequence[Frame], pace: float) -> None:
    """Publish frames, some alone and some together, one group every `pace` seconds."""
    chance = random.Random(3)
    for _, run in groupby(told, key=lambda each: each["session_id"]):
        await derivekit.publish(nc, list(run), batch=chance.choice((1, 1, 1, 2, 5)))
        await asyncio.sleep(pace)


@pytest.mark.parametrize("seed", [1, 2] if FULL else [1])
async def test_a_process_that_derives_killed_and_paused_at_random_moments(
    nc: Client, broker: Broker, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    size = KILLS * 60
    told = [
        *lost(frames(size, session_id="a"), 0.15, 1),
        *lost(frames(size, session_id="b", source="cdp", seed=6), 0.15, 2),
    ]
    told.sort(key=lambda each: each["ts"])
    await rugs_bus.ensure_streams(nc, StreamSettings(max_bytes=1 << 30))
    writer, derive = Writer(tmp_path / "lake", broker).start(), Derive(tmp_path / "lake", broker)
    feeding = asyncio.create_task(feed(nc, told, 0.0 if FULL else 0.002))
    try:
        for _ in range(KILLS):
            derive.start()
            assert derive.process is not None
            fault = chance.choice(("killed", "killed early", "paused, killed"))
            if fault != "killed early":
                await until(lambda: derive.status(nc))
            await asyncio.sleep(chance.random() * 0.5)
            if fault == "paused, killed":
                derive.signal(signal.SIGSTOP)
                await until(lambda: derive.process is not None and stands_still(derive.process.pid))
            if chance.random() < 0.3:
                state = await caught_up(nc, writer.root)
                await rugs_bus.purge_below(nc, chance.randint(state.first_seq, state.last_seq))
                fault += ", purged"
            derive.kill()
            MATRIX.note("derive", fault, lost=0, doubled=0, torn=0)
        await feeding
        derive.start()
        await derive.done(nc)
        await caught_up(nc, writer.root)
        found, wanted = derived_in(writer.root), {row["id"]: row for row in expected(told)}
        MATRIX.note(
            "derive", "at the end", lost=len(wanted.keys() - found.keys()), doubled=len(found.keys() - wanted.keys())
        )
        assert found.keys() == wanted.keys()
        assert {each: row[-1] for each, row in found.items()} == {each: row["cause"] for each, row in wanted.items()}
    finally:
        feeding.cancel()
        derive.kill()
        writer.kill()
