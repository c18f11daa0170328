"""Many recording files into one state, in parallel processes; a file that comes twice, by its content, counts once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from rugs_discovery.files import Scanned, scan_file
from rugs_discovery.shred import MOST_LEVELS
from rugs_discovery.state import State

SMALL: Final = 64 << 20
"""Bytes up to which starting a process costs more than it brings."""


@dataclass(frozen=True)
class Source:
    """One file of a scan.

    Attributes:
        sha256: of its content, in hex; empty where it was skipped.
        errors: lines that are neither a record nor a message.
        events: lines that are; `lines` = `events` + `errors`.
        skipped: why the file does not count; None if it does.
    """

    file: str
    sha256: str = ""
    lines: int = 0
    blank: int = 0
    events: int = 0
    errors: int = 0
    size: int = 0
    skipped: str | None = None


@dataclass(eq=False)
class Scan:
    """What a scan found.

    Attributes:
        sources: the files, by name.
        seconds: how long it took.
    """

    state: State = field(default_factory=State)
    sources: list[Source] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def counting(self) -> list[Source]:
        """The files that count."""
        return [source for source in self.sources if source.skipped is None]


def scan(
    paths: Sequence[Path],
    *,
    timezone: str = "UTC",
    levels: int = MOST_LEVELS,
    processes: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Scan:
    """Scan recording files.

    Args:
        timezone: of times in the files that name none.
        levels: of objects and arrays that are entered.
        processes: that scan at a time; None: as many as there are cores.
        progress: is told how many bytes of the files, as they are on disk, are done, and of how many.
    """
    began = time.perf_counter()
    paths = sorted(set(paths))
    sizes = {path: _size(path) for path in paths}
    total = sum(sizes.values())
    one = partial(scan_file, timezone=timezone, levels=levels)
    count = min(processes or os.cpu_count() or 1, len(paths))
    result = Scan()
    seen: dict[str, str] = {}
    done = 0
    for path, found in _results(one, paths, count if total > SMALL else 1):
        done += sizes[path]
        progress(done, total)
        result.sources.append(_source(found, seen))
        if result.sources[-1].skipped is None:
            result.state.merge(found.state)
    result.sources.sort(key=lambda source: source.file)
    result.seconds = time.perf_counter() - began
    return result


def _results(one: Callable[[Path], Scanned], paths: Sequence[Path], processes: int) -> Iterable[tuple[Path, Scanned]]:
    """Give the results of the files in their order; the largest begin first."""
    if processes <= 1:
        yield from ((path, one(path)) for path in paths)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        by_size = sorted(paths, key=_size, reverse=True)
        waiting: dict[Path, Future[Scanned]] = {path: pool.submit(one, path) for path in by_size}
        for path in paths:
            yield path, waiting.pop(path).result()


def _source(found: Scanned, seen: dict[str, str]) -> Source:
    state = found.state
    if found.skipped is not None:
        return Source(found.path, skipped=found.skipped)
    errors = sum(state.errors.values())
    skipped = None
    if state.lines and errors == state.lines:
        skipped = "none of its lines is a record"
    elif state.lines and found.sha256 in seen:
        skipped = f"the same content as {seen[found.sha256]}"
    seen.setdefault(found.sha256, found.path)
    return Source(
        found.path, found.sha256, state.lines, found.blank, state.lines - errors, errors, state.size, skipped
    )  # fmt: skip


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
