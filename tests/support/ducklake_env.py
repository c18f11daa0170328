"""The environment that holds DuckDB's own DuckLake extension, made once and kept."""

from __future__ import annotations

import fcntl
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from rugs_lake.store.paths import LakePaths

REPOSITORY: Final = Path(__file__).parents[2]
FOLDER: Final = REPOSITORY / ".venv-ducklake"
PINS: Final = REPOSITORY / "constraints-ducklake.txt"
PYTHON: Final = FOLDER / "bin" / "python"


def make() -> None:
    """Make the environment, or skip the test where its packages cannot be had."""
    wanted = hashlib.sha256(PINS.read_bytes()).hexdigest()
    with (REPOSITORY / ".venv-ducklake.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test processes run side by side
        stamp = FOLDER / "made-of"
        if stamp.is_file() and stamp.read_text() == wanted:
            return
        subprocess.run([sys.executable, "-m", "venv", "--clear", FOLDER], check=True)
        quiet = ("--quiet", "--disable-pip-version-check", "--only-binary", ":all:")
        done = subprocess.run(
            [PYTHON, "-m", "pip", "install", *quiet, "-r", PINS], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            pytest.skip(f"pip cannot install {PINS.name}: {done.stderr.strip().splitlines()[-1:]}")
        stamp.write_text(wanted)


def here(root: Path) -> str:
    """Return the options that say where the files lie."""
    path = str(LakePaths(root).data).replace("'", "''")
    return f"DATA_PATH '{path}/', OVERRIDE_DATA_PATH true"


def ask(root: Path, *queries: str, options: str | None = None) -> list[Any]:
    """Ask the lake under a data root as `lake`; return for each query its rows, every value as text.

    An error is a string instead. By default the lake is attached as users are told to.
    """
    paths = LakePaths(root)
    options = options or f"READ_ONLY, {here(root)}"
    asked = {"catalog": str(paths.catalog), "options": options, "queries": queries}
    done = subprocess.run(
        [PYTHON, Path(__file__).with_name("ducklake_query.py")],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return [answer.get("error", answer.get("rows")) for answer in json.loads(done.stdout)]
