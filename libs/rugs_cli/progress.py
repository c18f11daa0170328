"""How far a command is, on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rugs_cli.live_line import is_foreground

Progress = Callable[[int, int], None]
"""Told how much is done, and of how much."""


@contextmanager
def progress_of(what: str, *, in_bytes: bool = False) -> Iterator[Progress]:
    """Show how much is done and the time left on a terminal's standard error while the body runs."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    if not is_foreground(sys.stderr):
        yield lambda _done, _total: None
        return
    amount = DownloadColumn() if in_bytes else MofNCompleteColumn()
    columns = (TextColumn(what), BarColumn(), amount, TimeRemainingColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
