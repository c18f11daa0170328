"""Changes killed at every step and beside rivals: nothing is lost, doubled or torn, and nothing comes back."""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from rugs_lake.maintain.verify import verify
from rugs_lake.store.orphans import sweep
from rugs_lake.store.paths import LakePaths
from rugs_lake.write.writer import LakeWriter
from tests.support import lakekit, lakeproc
from tests.support.crashkit import CHANGE_STEPS, Matrix, cursor_of, disturb, ended, start
from tests.support.lakekit import FULL

pytestmark = [pytest.mark.slow, pytest.mark.crash, pytest.mark.timeout(1800)]

MESSAGES = 60
GAME = "game-0"
STEPS = ("file_begun", "file_written", "file_fsynced", "file_renamed", *CHANGE_STEPS)
TIMES = (1, 2, 3) if FULL else (1,)


@pytest.fixture(scope="module")
def matrix() -> Iterator[Matrix]:
    """Collects what this module injects, and prints it at the end."""
    collected = Matrix("Changes of stored rows")
    yield collected
    print(collected)


@pytest.fixture(scope="module")
def full_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake that has taken the whole stream."""
    root = tmp_path_factory.mktemp("full") / "lake"
    assert ended(start("write", root, MESSAGES, root.parent / "acks")) == 0
    return root


def of_the_game(last_seq: int = MESSAGES) -> set[str]:
    told = (each for seq in range(1, last_seq + 1) for each in lakeproc.told(seq))
    return {lakekit.id_of(each) for each in told if each.get("game_id") == GAME}


def ids_in(root: Path) -> list[str]:
    return [row[0] for row in lakekit.select(root, "SELECT id FROM events")]


def send_again(root: Path, last_seq: int = MESSAGES) -> None:
    """Take the whole stream once more, as after it was rebuilt from a backup; move aside what a killed process left."""
    writer = LakeWriter(LakePaths(root), lakekit.STREAM)
    sweep(writer.catalog, writer.cursor)
    writer.meet("f" * 32, None)
    for seq in range(1, last_seq + 1):
        lakekit.commit(writer, lakeproc.stream_message(seq))
    writer.close()


def outcome(root: Path, last_seq: int = MESSAGES) -> dict[str, int]:
    """Send everything again; return what is lost, doubled, torn, or came back (which counts as doubled)."""
    send_again(root, last_seq)
    found, expected = ids_in(root), lakeproc.expected_ids(last_seq) - of_the_game(last_seq)
    report = verify(root)
    assert report.ok, report.as_dict()
    doubled = len(found) - len(set(found)) + len(set(found) - expected)
    return {"lost": len(expected - set(found)), "doubled": doubled, "torn": len(report.torn) + len(report.missing)}


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("step", STEPS)
def test_a_removal_killed_at_a_step(tmp_path: Path, full_lake: Path, matrix: Matrix, step: str, time: int) -> None:
    root = tmp_path / "lake"
    shutil.copytree(full_lake, root)
    before, gone = set(ids_in(root)), of_the_game()
    code = ended(start("remove", root, GAME, crash_at=f"{step}:{time}"))
    assert code == -signal.SIGKILL or time > 1  # it commits once
    assert set(ids_in(root)) == (before if code and step != "change_after_commit" else before - gone)
    assert ended(start("remove", root, GAME)) == 0
    after = outcome(root)
    assert after == {"lost": 0, "doubled": 0, "torn": 0}
    matrix.note("kill", f"{step} (removal)", **after)


@pytest.mark.parametrize("step", STEPS)
def test_a_correction_killed_at_a_step(tmp_path: Path, full_lake: Path, matrix: Matrix, step: str) -> None:
    root = tmp_path / "lake"
    shutil.copytree(full_lake, root)
    before = set(ids_in(root))
    assert ended(start("shift", root, crash_at=f"{step}:1")) == -signal.SIGKILL
    assert ended(start("shift", root)) == 0
    (days,) = lakekit.select(root, "SELECT list(DISTINCT date ORDER BY date)::VARCHAR FROM game_tick")
    assert days == ("[2026-06-02]",)
    send_again(root)
    assert sorted(ids_in(root)) == sorted(before)
    assert verify(root).ok
    matrix.note("kill", f"{step} (correction)", lost=0, doubled=0, torn=0)


@pytest.mark.parametrize("seed", range(8 if FULL else 1))
def test_removals_and_corrections_beside_rivals(tmp_path: Path, matrix: Matrix, seed: int) -> None:
    """Writers, compactions, corrections and removals at once, killed and paused; the removal comes to its end."""
    chance = random.Random(seed)
    root, acks = tmp_path / "lake", tmp_path / "acks"
    messages = 2_000
    assert ended(start("write", root, 8, acks)) == 0
    commands = [("write", root, messages, acks), ("compact", root), ("remove", root, GAME), ("shift", root)]
    disturb(chance, commands, matrix)
    assert ended(start("remove", root, GAME)) == 0
    after = outcome(root, max(cursor_of(root), 8))
    assert after == {"lost": 0, "doubled": 0, "torn": 0}
    matrix.note("kill", "all rivals at once", **after)
