"""The folder that holds other tools which read the lake's files, made once and kept: see constraints-tools.txt."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

REPOSITORY: Final = Path(__file__).parents[2]
FOLDER: Final = REPOSITORY / ".venv-tools"
PINS: Final = REPOSITORY / "constraints-tools.txt"


def make() -> None:
    """Make the folder, or skip the test where its packages cannot be had."""
    wanted = f"{hashlib.sha256(PINS.read_bytes()).hexdigest()} {sys.version}"
    with (REPOSITORY / ".venv-tools.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test processes run side by side
        stamp = FOLDER / "made-of"
        if stamp.is_file() and stamp.read_text() == wanted:
            return
        options = ("--quiet", "--disable-pip-version-check", "--only-binary", ":all:", "--no-deps", "--upgrade")
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", *options, "--target", FOLDER, "-r", PINS],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            pytest.skip(f"pip cannot install {PINS.name}: {done.stderr.strip().splitlines()[-1:]}")
        stamp.write_text(wanted)


def environment() -> dict[str, str]:
    """Return the environment of a process that has these tools."""
    return {**os.environ, "PYTHONPATH": str(FOLDER)}
