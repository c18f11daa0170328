"""The real writer killed and paused under load: every acknowledged event is in the lake once, byte for byte."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from tests.support.crashkit import ANNOUNCE_STEPS, COMPACTION_STEPS, EXPIRY_STEPS, WRITER_STEPS, Matrix
from tests.support.lakekit import FULL
from tests.support.stackkit import LIMIT, Writer, until
from tests.support.stackload import Rig

pytestmark = [pytest.mark.slow, pytest.mark.crash, pytest.mark.timeout(1800)]

SOME_STEPS = ("file_written", "files_ready", "before_commit", "after_commit")
EAGER = {"RUGS_COMPACT_SECONDS": "0.5", "RUGS_SNAPSHOT_RETENTION": "0.5"}
"""Settings under which compaction and expiry have something to do all the time."""
KILLED = -signal.SIGKILL
COMPACTED = 3 * LIMIT
"""Seconds within which a compaction comes: it has the lowest priority, and other tests keep the cores busy."""


@pytest.fixture(scope="module")
def matrix() -> Iterator[Matrix]:
    """Collects what this module injects, and prints it at the end."""
    collected = Matrix("The writer's process, under load")
    yield collected
    print(collected)


async def test_a_writer_process_killed_at_every_step_of_a_commit(tmp_path: Path, matrix: Matrix) -> None:
    """It is started again with the next step armed: each life begins with the recovery from the one before."""
    async with Rig.running(tmp_path) as rig:
        for time in (1, 2, 5, 9) if FULL else (2,):
            for step in (
                (*WRITER_STEPS, *ANNOUNCE_STEPS)
                if FULL
                else ("file_written", "files_ready", "before_commit", "after_commit")
            ):
                rig.writer.start(RUGS_CRASH_AT=f"{step}:{time}")
                await until(lambda: rig.writer.ended is not None)
                assert rig.writer.ended == KILLED, rig.writer.log[-2000:]
                matrix.note("kill", step, **await rig.judge())
        await rig.finish()


def _has_failed(writer: Writer, failures: int) -> bool:
    """Return whether so many of the writer's compactions have failed."""
    return writer.log.count("a compaction failed") >= failures


async def test_a_writer_process_killed_while_it_compacts_and_forgets(tmp_path: Path, matrix: Matrix) -> None:
    async with Rig.running(tmp_path, **EAGER) as rig:
        for step in EXPIRY_STEPS * 3 if FULL else ():
            rig.writer.start(RUGS_CRASH_AT=step)
            await until(lambda: rig.writer.ended is not None, COMPACTED)
            assert rig.writer.ended == KILLED, rig.writer.log[-2000:]
            matrix.note("kill", step, **await rig.judge())
        for step in COMPACTION_STEPS if FULL else COMPACTION_STEPS[2:3]:
            failures = rig.writer.log.count("a compaction failed")
            rig.writer.start(RUGS_CRASH_AT=step)
            for _ in range(3 if FULL else 1):
                failures += 1
                failed = partial(_has_failed, rig.writer, failures)
                await until(failed, COMPACTED)
                assert rig.writer.ended is None  # it goes on writing
                matrix.note("kill", f"{step} (its compaction)", **await rig.judge())
            await rig.progress()
            assert await asyncio.to_thread(rig.writer.stop) == 0
        await rig.finish()


async def test_a_writer_process_killed_at_random_moments(tmp_path: Path, matrix: Matrix) -> None:
    chance = random.Random(11)
    async with Rig.running(tmp_path, **EAGER) as rig:
        for _ in range(16 if FULL else 2):
            rig.writer.start()
            await asyncio.sleep(chance.uniform(0.2, 2.5))
            rig.writer.kill()
            matrix.note("kill", "any moment", **await rig.judge())
        await rig.finish()


@pytest.mark.parametrize("seconds", [3.0, 8.0, 14.0] if FULL else [3.0])
async def test_a_writer_process_paused_beyond_its_time_outs(tmp_path: Path, matrix: Matrix, seconds: float) -> None:
    """Its consumer's patience is 2 s, a stale connection shows after 10 s."""
    async with Rig.running(tmp_path) as rig:
        rig.writer.start()
        await rig.progress()
        rig.writer.signal(signal.SIGSTOP)
        await until(lambda: rig.writer.is_paused)
        await asyncio.sleep(seconds)
        rig.writer.signal(signal.SIGCONT)
        await rig.progress()
        assert rig.writer.ended is None
        matrix.note("pause", f"any moment, {seconds:g} s", **await rig.judge())
        await rig.finish()


async def test_a_writer_process_paused_at_a_step_while_another_takes_over(tmp_path: Path, matrix: Matrix) -> None:
    """It is paused a moment after it asked for that, and may hold the database's lock by then: the rival waits."""
    async with Rig.running(tmp_path) as rig:
        for step in ("file_written", "file_renamed", "files_ready", "after_commit") if FULL else ("files_ready",):
            rig.writer.start(RUGS_STOP_AT=f"{step}:2")
            await until(lambda: rig.writer.is_paused)
            rival = Writer(rig.root, rig.broker).start()
            with suppress(TimeoutError):
                await rig.progress(limit=5)
            rig.writer.signal(signal.SIGCONT)
            await until(lambda: rig.writer.ended is not None)
            assert rig.writer.ended == 3, rig.writer.log[-2000:]
            await rig.progress()
            matrix.note("pause", f"{step}, a rival takes over", **await rig.judge())
            rival.kill()
            matrix.note("kill", "the rival", **await rig.judge())
        await rig.finish()


async def test_two_writers_at_once_killed_and_paused_in_turn(tmp_path: Path, matrix: Matrix) -> None:
    chance = random.Random(12)
    async with Rig.running(tmp_path, **EAGER) as rig:
        one, two = rig.writer, Writer(rig.root, rig.broker, **EAGER)
        try:
            for turn in range(10 if FULL else 2):
                for writer in (one, two):
                    if writer.process is None or writer.ended is not None:
                        assert writer.ended in (None, 3, KILLED), writer.log[-2000:]
                        writer.start()
                await asyncio.sleep(chance.uniform(0.2, 1.5))
                victim = chance.choice((one, two))
                if turn % 2:
                    victim.kill()
                    matrix.note("kill", "one of two writers", **await rig.judge())
                else:
                    victim.signal(signal.SIGSTOP)
                    await asyncio.sleep(chance.uniform(0.2, 1.5))
                    victim.signal(signal.SIGCONT)
                    matrix.note("pause", "one of two writers", **await rig.judge())
        finally:
            two.kill()
        one.kill()  # superseded by the other, it may be about to end by itself
        await rig.finish()
