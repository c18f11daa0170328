"""A writer and a compactor killed and paused at every named step, at random, and as rivals: nothing lost or doubled."""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from rugs_lake.store import faults
from rugs_lake.store.paths import LakePaths
from tests.support import lakekit, lakeproc
from tests.support.crashkit import (
    ANNOUNCE_STEPS,
    CHANGE_STEPS,
    COMPACTION_STEPS,
    EXPIRY_STEPS,
    MIGRATION_STEPS,
    REPAIR_STEPS,
    WRITER_STEPS,
    Matrix,
    cursor_of,
    disturb,
    ended,
    judge,
    start,
)
from tests.support.lakekit import FULL
from tests.support.stackkit import stands_still, wait

pytestmark = [pytest.mark.slow, pytest.mark.crash, pytest.mark.timeout(1800)]

MESSAGES = 60
FILE_STEPS = ("file_begun", "file_written", "file_fsynced", "file_renamed")
TIMES = (1, 2, 4, 7, 11) if FULL else (3,)


@pytest.fixture(scope="module")
def matrix() -> Iterator[Matrix]:
    """Collects what this module injects, and prints it at the end."""
    collected = Matrix("The lake's writer and compactor")
    yield collected
    print(collected)


@pytest.fixture(scope="module")
def full_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake that has taken the whole stream."""
    root = tmp_path_factory.mktemp("full") / "lake"
    assert ended(start("write", root, MESSAGES, root.parent / "acks")) == 0
    return root


def finish(root: Path, acks: Path, messages: int = MESSAGES) -> dict[str, int]:
    """Let a writer finish undisturbed; the lake must then be whole and complete."""
    judge(root, acks)
    while (code := ended(start("write", root, messages, acks))) != 0:
        assert code == lakeproc.SUPERSEDED
    outcome = judge(root, acks, at_rest=True)
    assert outcome == {"lost": 0, "doubled": 0, "torn": 0}
    assert {row[0] for row in lakekit.select(root, "SELECT id FROM events")} == lakeproc.expected_ids(messages)
    return outcome


def test_every_failpoint_is_tried_somewhere() -> None:
    """A test that waits for a process to come to a step names steps that it comes to."""
    beside = (*CHANGE_STEPS, *EXPIRY_STEPS, *MIGRATION_STEPS, *REPAIR_STEPS)
    tried = (*WRITER_STEPS, *ANNOUNCE_STEPS, *COMPACTION_STEPS, *beside)
    assert sorted(tried) == sorted(faults.STEPS)


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("step", WRITER_STEPS)
def test_a_writer_killed_at_a_step(tmp_path: Path, matrix: Matrix, step: str, time: int) -> None:
    root, acks = tmp_path / "lake", tmp_path / "acks"
    assert ended(start("write", root, MESSAGES, acks, crash_at=f"{step}:{time}")) == -signal.SIGKILL
    matrix.note("kill", step, **finish(root, acks))


@pytest.mark.parametrize("time", (1, 2, 3) if FULL else (1,))
@pytest.mark.parametrize("step", [*FILE_STEPS, *COMPACTION_STEPS, *EXPIRY_STEPS])
def test_a_compactor_killed_at_a_step(tmp_path: Path, full_lake: Path, matrix: Matrix, step: str, time: int) -> None:
    root, acks = tmp_path / "lake", tmp_path / "acks"
    shutil.copytree(full_lake, root)
    before = lakekit.digest_of_rows(root)
    code = ended(start("compact", root, crash_at=f"{step}:{time}"))
    assert code == -signal.SIGKILL or (time > 1 and code == 0)  # there are fewer expiries than that
    assert lakekit.digest_of_rows(root) == before
    ended(start("write", root, MESSAGES, acks))  # moves aside what was left, and says where the files are
    assert ended(start("compact", root)) == 0
    outcome = finish(root, acks)
    assert lakekit.digest_of_rows(root) == before
    assert len(lakekit.live_paths(root)) == len({path.parent for path in lakekit.live_paths(root)})
    assert len(LakePaths(root).data_files()) == len(lakekit.live_paths(root))
    matrix.note("kill", f"{step} (compaction)", **outcome)


@pytest.mark.parametrize("step", WRITER_STEPS)
def test_a_writer_paused_at_a_step_while_another_takes_over(tmp_path: Path, matrix: Matrix, step: str) -> None:
    """Paused while it holds the catalog's lock, it goes on first, with more to do than the other waits for.

    A pause takes hold a moment after it was asked for, so who holds the lock is looked at, not known by the step.
    """
    root, acks = tmp_path / "lake", tmp_path / "acks"
    first = start("write", root, MESSAGES * 100, acks, stop_at=f"{step}:3")
    wait(lambda: stands_still(first.pid))
    is_locked = holds_the_lock(root)
    second = start("write", root, MESSAGES, acks)
    if is_locked:
        wait(lambda: has_open(second.pid, LakePaths(root).catalog))
        assert second.poll() is None
    else:
        assert ended(second) == 0
    first.send_signal(signal.SIGCONT)
    assert ended(first) == lakeproc.SUPERSEDED
    assert ended(second) == 0
    matrix.note("pause", step, **finish(root, acks, max(cursor_of(root), MESSAGES)))


def holds_the_lock(root: Path) -> bool:
    """Whether somebody holds the catalog's write lock."""
    with closing(sqlite3.connect(LakePaths(root).catalog, isolation_level=None, timeout=0)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        except sqlite3.OperationalError:
            return True
    return False


def has_open(pid: int, path: Path) -> bool:
    """Whether a process has opened a file."""
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            if handle.resolve() == path:
                return True
    return False


@pytest.mark.parametrize("seed", range(10 if FULL else 1))
def test_a_writer_killed_at_random_moments(tmp_path: Path, matrix: Matrix, seed: int) -> None:
    chance = random.Random(seed)
    root, acks = tmp_path / "lake", tmp_path / "acks"
    messages = 400
    for _ in range(6):
        process = start("write", root, messages, acks)
        try:
            process.wait(chance.uniform(0.2, 0.7))
        except subprocess.TimeoutExpired:
            process.kill()
        ended(process)
        matrix.note("kill", "random moment", **judge(root, acks))
    matrix.note("restart", "undisturbed", **finish(root, acks, messages))


@pytest.mark.parametrize("seed", range(6 if FULL else 1))
def test_rival_writers_and_rival_compactors_killed_and_paused(tmp_path: Path, matrix: Matrix, seed: int) -> None:
    chance = random.Random(seed)
    root, acks = tmp_path / "lake", tmp_path / "acks"
    messages = 4_000
    commands = [("write", root, messages, acks)] * 2 + [("compact", root)] * 2
    assert ended(start("write", root, 4, acks)) == 0
    disturb(chance, commands, matrix)
    outcome = judge(root, acks)
    last = lakekit.catalog_rows(root, "SELECT last_seq FROM rugs_cursor")[0][0]
    matrix.note("kill", "all rivals at once", **outcome)
    matrix.note("restart", "after rivals", **finish(root, acks, max(last, 8)))
