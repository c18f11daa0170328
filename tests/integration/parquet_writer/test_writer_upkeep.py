"""The writer's own compaction: started where there is something to do, never left behind, and no word of it ends it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import psutil
import pytest

from parquet_writer import upkeep
from rugs_lake.store.paths import LakePaths
from rugs_runtime.settings import Settings
from tests.support import lakekit
from tests.support.lakekit import commit, envelope, message, open_writer
from tests.support.stackkit import until

pytestmark = pytest.mark.slow


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that is run in place of the compaction; it notes each start in a file beside it."""
    path = tmp_path / "program"
    path.write_text("")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))
    return path


def does(program: Path, what: str) -> None:
    program.write_text(f"#!/bin/sh\necho $$ >> {program}.started\n{what}\n")


def started(program: Path) -> list[int]:
    note = program.with_name(f"{program.name}.started")
    return [int(line) for line in note.read_text().split()] if note.exists() else []


def due(root: Path) -> None:
    """Store so many small files that they are to be merged."""
    writer = open_writer(root)
    for seq in range(1, 10):
        commit(writer, message(seq, envelope(seq)))
    writer.close()


@pytest.mark.parametrize("told", ['{"files_before": 9, "fi', "", "[]", '"files_before"', "\\377", "{}"])
async def test_what_a_compaction_says_in_half_ends_nobody(program: Path, tmp_path: Path, told: str) -> None:
    due(tmp_path / "lake")
    does(program, f"printf '{told}'")
    stop = asyncio.Event()
    settings = Settings(data_dir=tmp_path / "lake", compact_seconds=0.01)
    compacting = asyncio.create_task(upkeep.compact(settings, stop))
    await until(lambda: len(started(program)) >= 3 or compacting.done())
    stop.set()
    await compacting
    assert lakekit.checked(tmp_path / "lake").files == 9


@pytest.mark.parametrize("how", ["stopped", "cancelled"])
async def test_a_compaction_that_does_not_end_is_ended_and_reaped(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(upkeep, "_END_SECONDS", 0.1)
    due(tmp_path / "lake")
    does(program, "trap '' TERM\nwhile true; do sleep 0.1; done")
    stop = asyncio.Event()
    settings = Settings(data_dir=tmp_path / "lake", compact_seconds=0.01)
    compacting = asyncio.create_task(upkeep.compact(settings, stop))
    await until(lambda: started(program))
    stop.set() if how == "stopped" else compacting.cancel()
    await asyncio.wait((compacting,))
    assert not psutil.pid_exists(started(program)[0])


async def test_no_compaction_is_started_where_there_is_nothing_to_compact(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lakekit.store(tmp_path / "lake", message(1, envelope(1)), message(2, envelope(2)))
    does(program, "printf '{}'")
    looks = 0
    expire = upkeep._expire

    def counted(paths: LakePaths, keep_seconds: float) -> None:
        nonlocal looks
        looks += 1
        expire(paths, keep_seconds)

    monkeypatch.setattr(upkeep, "_expire", counted)
    stop = asyncio.Event()
    settings = Settings(data_dir=tmp_path / "lake", compact_seconds=0.01)
    compacting = asyncio.create_task(upkeep.compact(settings, stop))
    await until(lambda: looks >= 5)
    stop.set()
    await compacting
    assert started(program) == []
