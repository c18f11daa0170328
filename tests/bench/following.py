"""`python -m tests.bench.following`: how fast a follower of the lake reads, and what a look that finds nothing costs.

Ticks in many files, as the writer commits them and after `rugs compact`. The pieces are read with all columns.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from rugs_lake.maintain.compaction import compact
from rugs_lake.read.pieces import next_piece
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.paths import LakePaths
from rugs_lake.store.positions import Position
from tests.support.lakekit import commit, message, open_writer, tick

TICKS_A_MESSAGE = 100
LOOKS = 50


class Read(NamedTuple):
    """Rows and pieces that were read, in how many seconds; milliseconds of a look that finds nothing, the median."""

    rows: int
    pieces: int
    seconds: float
    look: float


def make(root: Path, ticks: int, files: int) -> None:
    """Make a lake of so many ticks in so many files, some games a file."""
    writer = open_writer(root)
    seq = 0
    for number in range(files):
        sent = []
        for first in range(0, ticks // files, TICKS_A_MESSAGE):
            seq += 1
            game, session = f"20260601-{number}-{first // 500}", f"session-{number // 10}"
            told = (
                tick(n, game, session_id=session, seq=number * ticks // files + n + 1)
                for n in range(first, first + TICKS_A_MESSAGE)
            )
            sent.append(message(seq, *told))
        commit(writer, *sent)
    writer.close()


def follow(root: Path) -> Read:
    """Read everything from nothing, then look for more."""
    position: Position | None = None
    rows = pieces = 0
    began = time.perf_counter()
    while (piece := next_piece(root, position)) is not None:
        position = piece.position
        pieces += 1
        rows += 0 if piece.rows is None else piece.rows.num_rows
    seconds = time.perf_counter() - began
    return Read(rows, pieces, seconds, median(_look(root, position) for _ in range(LOOKS)))


def _look(root: Path, position: Position | None) -> float:
    began = time.perf_counter()
    if next_piece(root, position) is not None:
        raise RuntimeError("nothing was committed, and there is something new")
    return 1000 * (time.perf_counter() - began)


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.following", description=__doc__)
    parser.add_argument("--ticks", type=int, default=300_000, metavar="N", help="ticks in all (default 300,000)")
    parser.add_argument("--files", type=int, default=50, metavar="N", help="files to write (default 50)")
    options = parser.parse_args()
    table = Table("lake", "rows", "pieces", "rows/s", "nothing new: ms", title="A follower of the lake")
    with tempfile.TemporaryDirectory(prefix="rugs-bench-") as folder:
        root = Path(folder)
        make(root, options.ticks, options.files)
        steps: list[tuple[str, Callable[[], object]]] = [
            ("as written", lambda: None), ("compacted", lambda: _compact(root)),
        ]  # fmt: skip
        for name, step in steps:
            step()
            read = follow(root)
            figures = (read.rows, read.pieces, round(read.rows / read.seconds))
            table.add_row(name, *(f"{figure:,}" for figure in figures), f"{read.look:.1f}")
    Console().print(table)
    return 0


def _compact(root: Path) -> None:
    with Catalog(LakePaths(root)) as catalog:
        compact(catalog)


if __name__ == "__main__":
    sys.exit(main())
