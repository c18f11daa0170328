"""The bench runs, its lakes are whole, and its figures have their shape. How fast it is, is not tested."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]


@pytest.mark.slow
@pytest.mark.timeout(320)
def test_bench_runs(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "tests.bench", "--quick", "--frames", "200", "--ticks", "2000"]
    environment = {name: value for name, value in os.environ.items() if name != "RECORDINGS"}
    done = subprocess.run(
        [*command, "--folder", tmp_path, "--json", figures],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for title in (
        "Speed",
        "Bytes on disk",
        "Bytes a row by column",
        "Memory",
        "Codecs",
        "Importer",
        "ticks: read_json",
        "every lake is whole",
    ):
        assert title in done.stdout
    kinds = json.loads(figures.read_text())["kinds"]
    assert [kinds[kind]["backlog"]["events"] for kind in ("frames", "ticks")] == [200, 2000]
    for kind in kinds.values():
        assert kind["imported"]["stored"] == kind["lines"]
        assert kind["upkeep"]["rows"] == kind["backlog"]["events"]
        assert kind["sizes"]["upkeep"]["rows"] == kind["lines"]
        assert set(kind["backlog"]["peak"]) == {"broker", "writer"}
