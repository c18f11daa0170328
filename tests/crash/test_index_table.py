"""Processes that write the index, killed at random moments: every scope is of one commit, old or new, never of two."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rugs_index.search.filters import PUBLIC
from rugs_index.search.legs import exact_leg
from rugs_index.table.digest import digest
from rugs_index.table.errors import IndexAbsentError
from rugs_index.table.indexes import keep_optimised
from rugs_index.table.paths import IndexPaths
from rugs_index.table.rebuild import create
from rugs_index.table.store import IndexStore
from tests.support import tablekit
from tests.support.crashkit import REPOSITORY, Matrix
from tests.support.lakekit import FULL

pytestmark = [pytest.mark.slow, pytest.mark.crash, pytest.mark.timeout(1800)]

KILLS = 60 if FULL else 8
FILLERS = 2_000
"""Scopes that nobody changes: with them the table is large enough for every index."""
WRITERS = ("one", "two", "three")


@pytest.fixture(scope="module")
def matrix() -> Iterator[Matrix]:
    """Collects what this module injects, and prints it at the end."""
    collected = Matrix("The table of the index")
    yield collected
    print(collected)


class Process:
    """A process of `tests.support.tablekit`, and what it has printed."""

    def __init__(self, log: Path, *arguments: object) -> None:
        self.log = log
        self._arguments = [str(each) for each in arguments]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *more: object) -> None:
        """Start it; what it prints is added to its log."""
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.tablekit", *self._arguments, *map(str, more)],
                cwd=REPOSITORY,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                stdout=out,
                stderr=out,
            )

    def kill(self) -> None:
        """Kill it, and wait for its end. It must not have ended by itself."""
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()[-3000:]
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Kill it, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def lines(self) -> list[list[str]]:
        """Return the words of what it has printed, line by line; a line cut by a kill is none."""
        told = self.log.read_bytes() if self.log.exists() else b""
        return [line.decode().split() for line in told.split(b"\n")[:-1]]

    def wait_for(self, word: str, count: int) -> None:
        """Wait until so many lines begin with a word."""
        end = time.monotonic() + 300
        while sum(line[:1] == [word] for line in self.lines()) < count:
            assert self._process is not None
            assert self._process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < end, f"no {word}"
            time.sleep(0.02)


def count(process: Process, word: str) -> int:
    return sum(line[:1] == [word] for line in process.lines())


def possible(process: Process, seen: int) -> dict[str, list[list[str]]]:
    """Return which texts each scope may have: those of the last commit that ended, and of those that began since.

    Args:
        seen: lines that were printed before the table was read; what ended later may still be missing in it.
    """
    commits: dict[str, list[int | None]] = {}
    for place, (word, number, *scopes) in enumerate(process.lines()):
        for scope in scopes:
            is_done = word == "end" and place < seen
            commits[scope] = [int(number)] if is_done else [*commits.get(scope, [None]), int(number)]
    return {
        scope: [[] if each is None else tablekit.texts_of(tablekit.generation(scope, each)) for each in numbers]
        for scope, numbers in commits.items()
    }


def judge(root: Path, writers: list[Process]) -> dict[str, int]:
    """Return how many scopes are torn, or of a commit that they cannot be of."""
    seen = [len(process.lines()) for process in writers]
    with IndexStore.open(root) as store:
        found = tablekit.contents(store)
    lost = sum(
        scope.startswith(name) and found.get(scope, []) not in may_be
        for process, name, lines in zip(writers, WRITERS, seen, strict=True)
        for scope, may_be in possible(process, lines).items()
    )
    return {"torn": len(tablekit.torn(found)), "lost": lost}


def by_index(store: IndexStore, scope: str) -> list[str]:
    """Return the texts of a scope, as the indexes of ids and of vectors find them."""
    ids = [each.id for each in store.stored([scope])]
    hits = [hit for id_ in ids for hit in exact_leg(store, 2, PUBLIC, id=id_, vector=tablekit.vectors(1)[0])]
    for hit in hits:
        assert hit.score is not None
    return sorted(hit.text for hit in hits if hit.scope_key == scope)


def test_writers_killed_at_random_moments_beside_an_upkeep(tmp_path: Path, matrix: Matrix) -> None:
    chance = random.Random(7)
    with create(tmp_path / "data", tablekit.identity()) as store:
        store.replace_scopes(
            {scope: tablekit.generation(scope, 1) for scope in map("filler:{}".format, range(FILLERS))}
        )
        assert "vector" in keep_optimised(store).built, "upkeep has every index to keep up"
    writers = [Process(tmp_path / name, "write", tmp_path / "data", name) for name in WRITERS]
    upkeep = Process(tmp_path / "upkeep", "upkeep", tmp_path / "data")
    seed = 0
    for process in writers:
        process.start(seed := seed + 1)
    upkeep.start()
    try:
        for _ in range(KILLS):
            process = chance.choice([*writers, upkeep])
            word = "kept" if process is upkeep else "begin"
            process.wait_for(word, count(process, word) + 2)
            time.sleep(chance.random() * 0.05)
            process.kill()
            outcome = judge(tmp_path / "data", writers)
            matrix.note("kill", process.log.name, **outcome)
            assert not any(outcome.values()), outcome
            process.start(*([] if process is upkeep else [seed := seed + 1]))
    finally:
        for process in (*writers, upkeep):
            process.stop()
    with IndexStore.open(tmp_path / "data") as store:
        before, found = digest(store), tablekit.contents(store)
        for _ in range(2):
            for scope, texts in found.items():
                if not scope.startswith("filler"):
                    assert by_index(store, scope) == texts
            keep_optimised(store, force=True)
            assert digest(store) == before
    assert not any(judge(tmp_path / "data", writers).values())


def switched(process: Process) -> list[int | None]:
    """Return which rebuild may be live: the last one that ended, and those that were about to switch since."""
    numbers: list[int | None] = [None]
    for word, number in process.lines():
        if word != "begin":
            numbers = [int(number)] if word == "end" else [*numbers, int(number)]
    return numbers


def test_rebuilds_killed_at_random_moments(tmp_path: Path, matrix: Matrix) -> None:
    chance = random.Random(8)
    paths = IndexPaths(tmp_path / "data")
    process = Process(tmp_path / "log", "rebuild", tmp_path / "data")
    for seed in range(0, KILLS * 1000, 1000):
        before = count(process, "begin")
        process.start(seed)
        process.wait_for("begin", before + chance.randint(1, 2))
        time.sleep(chance.random() * 0.3)
        process.kill()
        numbers = switched(process)
        try:
            store = IndexStore.open(tmp_path / "data")
        except IndexAbsentError:
            assert None in numbers
            continue
        with store:
            found = tablekit.contents(store)
        texts = [tablekit.rebuilt(number) for number in numbers if number is not None]
        assert found in [{scope: tablekit.texts_of(rows) for scope, rows in each.items() if rows} for each in texts]
        matrix.note("kill", "rebuild", torn=0, lost=0)
        assert len(paths.stores()) <= 3, "live, previous, and the one that was killed"
