"""The environment that holds sentence-transformers and torch, made once and kept: see constraints-torch.txt.

`python -m tests.support.torch_env` makes it ahead of the tests.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).parents[2]
FOLDER: Final = REPOSITORY / ".venv-torch"
PINS: Final = REPOSITORY / "constraints-torch.txt"
PYTHON: Final = FOLDER / "bin" / "python"
_OPTIONS: Final = ("--quiet", "--disable-pip-version-check", "--only-binary", ":all:", "--no-compile")


class CannotBeMadeError(Exception):
    """The environment cannot be had here; the message says why."""


def is_made() -> bool:
    """Return whether the environment is there, and up to date."""
    stamp = FOLDER / "made-of"
    return stamp.is_file() and stamp.read_text() == _wanted()


def make() -> None:
    """Make the environment, unless it is there; it takes some minutes.

    Raises:
        CannotBeMadeError: if pip cannot install it, or would install CUDA.
    """
    with (REPOSITORY / ".venv-torch.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test processes run side by side
        if is_made():
            return
        subprocess.run([sys.executable, "-m", "venv", "--clear", FOLDER], check=True)
        report = json.loads(_pip("--dry-run", "--report", "-"))
        names = [package["metadata"]["name"] for package in report["install"]]
        cuda = [name for name in names if name.startswith(("nvidia-", "cuda-"))]
        if cuda:
            raise CannotBeMadeError(f"pip would install CUDA ({', '.join(cuda)}): point it at a CPU build of torch")
        _pip()
        (FOLDER / "made-of").write_text(_wanted())


def _wanted() -> str:
    return f"{hashlib.sha256(PINS.read_bytes()).hexdigest()} {sys.version}"


def _pip(*options: str) -> str:
    command = [str(PYTHON), "-m", "pip", "install", *_OPTIONS, *options, "-r", str(PINS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CannotBeMadeError(f"pip cannot install {PINS.name}: {done.stderr.strip().splitlines()[-1:]}")
    return done.stdout


if __name__ == "__main__":
    make()
