"""The crash matrix: what was injected where, and what became of the events."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rugs_lake.maintain.verify import verify
from rugs_lake.store import ledger
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.cursor import read_cursor
from rugs_lake.store.orphans import orphans
from rugs_lake.store.paths import LakePaths
from tests.support import lakekit, lakeproc

REPOSITORY: Final = Path(__file__).parents[2]

WRITER_STEPS: Final = (
    *("file_begun", "file_written", "file_fsynced", "file_renamed", "files_ready"),
    *("transaction_begun", "rows_inserted", "before_commit", "after_commit"),
)
"""Failpoints that a writer comes to with every commit, whoever runs it."""
ANNOUNCE_STEPS: Final = ("after_announce",)
"""Those that only the parquet-writer's process comes to, with every commit as well."""
COMPACTION_STEPS: Final = (
    "compaction_read",
    "compaction_written",
    "compaction_before_commit",
    "compaction_after_commit",
)
CHANGE_STEPS: Final = ("change_written", "change_files_ready", "change_before_commit", "change_after_commit")
EXPIRY_STEPS: Final = ("expiry_forgotten", "expiry_deleted")
MIGRATION_STEPS: Final = (
    *("migration_written", "migration_staged", "migration_epoch_taken"),
    *("migration_before_commit", "migration_after_commit"),
)
REPAIR_STEPS: Final = ("given_up",)


@dataclass
class Matrix:
    """Counts by fault and place: how often it was injected, and what was lost, doubled or torn."""

    title: str
    rows: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        MATRICES.append(self)

    @property
    def total(self) -> Counter[str]:
        """Counts over all faults."""
        return sum(self.rows.values(), Counter())

    def note(self, fault: str, where: str, **counts: int) -> None:
        """Add a fault's outcome."""
        self.rows.setdefault((fault, where), Counter()).update({"faults": 1, **counts})

    def __str__(self) -> str:
        heads = ("faults", "lost", "doubled", "torn")
        lines = [f"\n{self.title}", f"{'fault':<12}{'at':<38}" + "".join(f"{head:>9}" for head in heads)]
        for (fault, where), counts in self.rows.items():
            lines.append(f"{fault:<12}{where:<38}" + "".join(f"{counts[head]:>9}" for head in heads))
        return "\n".join([*lines, f"{'in all':<50}" + "".join(f"{self.total[head]:>9}" for head in heads)])


MATRICES: Final[list[Matrix]] = []
"""Every matrix of this run, for the sum at its end."""


def start(*arguments: str | int | Path, crash_at: str = "", stop_at: str = "") -> subprocess.Popen[bytes]:
    """Start a writer or a compactor (see `tests.support.lakeproc`), armed with a fault."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.lakeproc", *map(str, arguments)],
        cwd=REPOSITORY,
        env={**os.environ, "RUGS_CRASH_AT": crash_at, "RUGS_STOP_AT": stop_at},
        stderr=subprocess.PIPE,
    )


def ended(process: subprocess.Popen[bytes], limit: float = 300) -> int:
    """Wait for a process; return its exit code, negative for a signal."""
    _, errors = process.communicate(timeout=limit)
    if process.returncode not in (0, lakeproc.SUPERSEDED, -signal.SIGKILL):
        raise AssertionError(errors.decode())
    return process.returncode


def last_ack(acks: Path) -> int:
    """Return the last sequence whose commit had returned."""
    return acks_in(acks.read_bytes()) if acks.exists() else 0


def acks_in(told: bytes) -> int:
    """Return the last sequence in what a writer told; a line cut by a kill does not count."""
    return max(map(int, told.split(b"\n")[:-1]), default=0)


def cursor_of(root: Path) -> int:
    """Return how far the lake has come; 0 where there is none yet."""
    if not LakePaths(root).catalog.exists():
        return 0
    with Catalog(LakePaths(root), read_only=True) as catalog:
        if catalog.one("SELECT 1 FROM rugs_cursor") is None:
            return 0
        return read_cursor(catalog.connection, lakekit.STREAM).last_seq


def _age_orphans(root: Path) -> None:
    """Make what a killed process left look old: `verify` need not wait for its commit."""
    with Catalog(LakePaths(root), read_only=True) as catalog:
        for name in orphans(catalog):
            os.utime(LakePaths(root).data / name, (0, 0))


def judge(root: Path, acks: Path, *, at_rest: bool = False) -> dict[str, int]:
    """Compare a lake with the stream, up to its cursor; return what is lost, doubled and torn.

    Directly after a kill files may lie about that nobody refers to; once a writer has
    started again (`at_rest`) there are none, and nothing else is wrong.
    """
    if not LakePaths(root).catalog.exists():
        assert last_ack(acks) == 0
        return {"lost": 0, "doubled": 0, "torn": 0}
    last = cursor_of(root)
    assert last >= last_ack(acks)
    found = [row[0] for row in lakekit.select(root, "SELECT id FROM events")]
    rejects = lakekit.select(root, "SELECT count(*) FROM reject")[0][0]
    expected = lakeproc.expected_ids(last)
    assert not set(found) - expected
    assert rejects == lakeproc.expected_rejects(last)
    if not at_rest:
        _age_orphans(root)
    report = verify(root, fast=not at_rest)
    assert not [*report.sequences, *report.catalog], report.as_dict()
    assert report.ok or not at_rest, report.as_dict()
    run = ledger.run(root, lakeproc.RUN)
    if run is not None:
        counted = lakeproc.counted_ids(last)
        assert (run.last_message, run.stored, run.stored + run.duplicates) == (last, len(set(counted)), len(counted))
    return {
        "lost": len(expected - set(found)),
        "doubled": len(found) - len(set(found)),
        "torn": len(report.torn) + len(report.missing),
    }


def disturb(chance: random.Random, commands: Sequence[tuple[str | int | Path, ...]], matrix: Matrix) -> None:
    """Run commands at once, kill and pause them at random, start again what has ended, and kill all at the end."""
    running = [start(*command) for command in commands]
    try:
        for _ in range(20):
            time.sleep(chance.uniform(0.05, 0.4))
            place = chance.randrange(len(running))
            victim = running[place]
            if victim.poll() is not None:
                ended(victim)
                running[place] = start(*commands[place])
            elif chance.random() < 0.5:
                victim.kill()
                ended(victim)
                running[place] = start(*commands[place])
                matrix.note("kill", f"rival {commands[place][0]}")
            else:
                victim.send_signal(signal.SIGSTOP)
                time.sleep(chance.uniform(0.1, 0.6))
                victim.send_signal(signal.SIGCONT)
                matrix.note("pause", f"rival {commands[place][0]}")
    finally:
        for process in running:
            process.kill()
            process.communicate()
