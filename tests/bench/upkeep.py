"""Compaction and verification of a lake that the bench has made, each a process of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tests.bench.processes import run


@dataclass(frozen=True)
class Upkeep:
    """What both took; peaks in bytes. `rows` and `files` are what was found whole in the end."""

    rows: int
    files: int
    compaction_seconds: float
    compaction_cpu: float
    compaction_peak: int
    verify_seconds: float
    verify_peak: int


def keep_up(root: Path) -> Upkeep:
    """Compact a lake and verify it.

    Raises:
        RuntimeError: if it is not whole.
    """
    environment = {"RUGS_DATA_DIR": str(root)}
    compaction = run("-m", "rugs_cli.main", "compact", environment=environment)
    checking = run("-m", "rugs_cli.main", "verify", "--json", environment=environment)
    found = json.loads(checking.output)
    return Upkeep(
        rows=found["rows"],
        files=found["files"],
        compaction_seconds=compaction.seconds,
        compaction_cpu=compaction.cpu,
        compaction_peak=compaction.peak,
        verify_seconds=checking.seconds,
        verify_peak=checking.peak,
    )
