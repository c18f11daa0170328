"""Compaction and verification of a lake that the bench has made, each a process of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from rugs_lake.read.stats import by_doc_type
from tests.bench.processes import run


@dataclass(frozen=True)
class Upkeep:
    """What they took; peaks in bytes. `rows` and `files` are what was found whole in the end.

    `background` is the process that the writer starts, which leaves files that are few as they are;
    `command` is `rugs compact` after it. Together they have rewritten `rewritten` rows in `compaction_cpu` seconds,
    what it takes to start them left out.
    """

    rows: int
    files: int
    background_peak: int
    command_seconds: float
    command_peak: int
    rewritten: int
    compaction_cpu: float
    verify_seconds: float
    verify_peak: int

    @property
    def compaction_rate(self) -> float:
        """Rows that were rewritten in a second of one core."""
        return self.rewritten / self.compaction_cpu


@dataclass(frozen=True)
class Best:
    """What `rugs compact --best` made of a compacted lake: bytes of its files, and the CPU seconds that it took."""

    rows: int
    bytes: int
    cpu: float


def make_the_best(root: Path) -> Best:
    """Compress a lake as well as can be."""
    done = run("-m", "rugs_cli.main", "compact", "--best", "--json", environment={"RUGS_DATA_DIR": str(root)})
    return Best(json.loads(done.output)["rows"], sum(each.bytes for each in by_doc_type(root)), done.cpu)


def keep_up(root: Path) -> Upkeep:
    """Compact a lake and verify it.

    Raises:
        RuntimeError: if it is not whole.
    """
    environment = {"RUGS_DATA_DIR": str(root)}
    background = run("-m", "rugs_lake.maintain.compaction", str(root))
    command = run("-m", "rugs_cli.main", "compact", "--json", environment=environment)
    idle = run("-m", "rugs_lake.maintain.compaction", str(root))
    checking = run("-m", "rugs_cli.main", "verify", "--json", environment=environment)
    found = json.loads(checking.output)
    return Upkeep(
        rows=found["rows"],
        files=found["files"],
        background_peak=background.peak,
        command_seconds=command.seconds,
        command_peak=command.peak,
        rewritten=sum(json.loads(done.output)["rows"] for done in (background, command)),
        compaction_cpu=max(0.001, background.cpu + command.cpu - 2 * idle.cpu),
        verify_seconds=checking.seconds,
        verify_peak=checking.peak,
    )
