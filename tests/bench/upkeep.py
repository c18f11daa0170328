"""Compaction and verification of a lake that the bench has made, each a process of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tests.bench.processes import run


@dataclass(frozen=True)
class Upkeep:
    """What they took; peaks in bytes. `rows` and `files` are what was found whole in the end.

    `background` is the process that the writer starts, which leaves files that are few as they are;
    `command` is `rugs compact` after it.
    """

    rows: int
    files: int
    background_peak: int
    command_seconds: float
    command_peak: int
    compaction_cpu: float
    verify_seconds: float
    verify_peak: int


def keep_up(root: Path) -> Upkeep:
    """Compact a lake and verify it.

    Raises:
        RuntimeError: if it is not whole.
    """
    environment = {"RUGS_DATA_DIR": str(root)}
    background = run("-m", "rugs_lake.compaction", str(root))
    command = run("-m", "rugs_cli.main", "compact", environment=environment)
    checking = run("-m", "rugs_cli.main", "verify", "--json", environment=environment)
    found = json.loads(checking.output)
    return Upkeep(
        rows=found["rows"],
        files=found["files"],
        background_peak=background.peak,
        command_seconds=command.seconds,
        command_peak=command.peak,
        compaction_cpu=background.cpu + command.cpu,
        verify_seconds=checking.seconds,
        verify_peak=checking.peak,
    )
