"""How far an import is, on a terminal: bytes, rate, time left."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

Watch = Callable[[Path, int], None]
"""Told of each file how many of its bytes are dealt with so far."""


def watching(files: Sequence[Path]) -> tuple[AbstractContextManager[object], Watch]:
    """Return a context in which progress is shown, and what to tell of it; nothing is shown off a terminal."""
    if not sys.stderr.isatty():
        return nullcontext(), lambda _path, _done: None
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    bar = progress.add_task("importing", total=sum(_size(path) for path in files))
    done_of: dict[Path, int] = {}
    done = 0

    def watch(path: Path, now: int) -> None:
        nonlocal done
        done += now - done_of.get(path, 0)
        done_of[path] = now
        progress.update(bar, completed=done, description=f"file {len(done_of)} of {len(files)}")

    return progress, watch


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
