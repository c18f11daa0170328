"""`python -m tests.bench.pruning`: one game out of many files, over the pruned and over the whole lake.

Both take turns in one run, with the lake as it was written (a file a commit) and after `rugs compact`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

from rich.console import Console
from rich.table import Table

import rugs_lake
from rugs_lake.maintain.compaction import compact
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.paths import LakePaths
from tests.support.lakekit import DAY_US, NOON_US, commit, message, open_writer, tick

TICKS: Final = 250
"""Ticks of a game: the feed's games have some 200 on average."""
GAMES_A_DAY: Final = 250
_QUERY: Final = "SELECT count(*), max(price) FROM tick WHERE game_id = ?"


class Taken(NamedTuple):
    """Milliseconds from `open` to the answer, the median; and how many files DuckDB was given."""

    milliseconds: float
    files: int


def make(root: Path, files: int) -> None:
    """Make a lake of as many files, a game each."""
    writer = open_writer(root)
    for number in range(files):
        about: dict[str, Any] = {
            "ts": NOON_US + number // GAMES_A_DAY * DAY_US,
            "session_id": f"session-{number // 50}",
        }
        first = number % 50 * TICKS
        ticks = (tick(n, game_of(number), seq=first + n + 1, **about) for n in range(TICKS))
        commit(writer, message(number + 1, *ticks))
    writer.close()


def game_of(number: int) -> str:
    """Return a game id as the feed makes them: the day, and what says nothing."""
    return f"2026060{1 + number // GAMES_A_DAY % 9}-{number * 2_654_435_761 % 2**32:08x}"


def compare(root: Path, files: int, rounds: int) -> tuple[Taken, Taken]:
    """Ask for some games, not pruned and pruned in turns.

    Raises:
        RuntimeError: if the answers differ.
    """
    whole: list[tuple[float, int]] = []
    pruned: list[tuple[float, int]] = []
    for place in range(rounds):
        game = game_of(place * files // rounds)
        asked: list[tuple[list[tuple[float, int]], dict[str, Any]]] = [
            (whole, {}), (pruned, {"doc_types": ["game_tick"], "games": [game]}),
        ]  # fmt: skip
        answers = set()
        for taken, conditions in asked:
            began = time.perf_counter()
            with rugs_lake.open(root, **conditions) as lake:
                answers.add(lake.sql(_QUERY, [game]).fetchall()[0])
                count = len(lake.files)
            taken.append((1000 * (time.perf_counter() - began), count))
        if len(answers) != 1 or answers.pop()[0] != TICKS:
            raise RuntimeError(f"pruned and unpruned answers differ for {game}")
    return _median(whole), _median(pruned)


def _median(taken: list[tuple[float, int]]) -> Taken:
    return Taken(median(each for each, _ in taken), int(median(count for _, count in taken)))


def main() -> int:
    """Measure, and print a table; exit code 1 if an answer is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.pruning", description=__doc__)
    parser.add_argument("--files", type=int, default=1_000, metavar="N", help="files to write (default 1,000)")
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="games to ask for (default 15)")
    options = parser.parse_args()
    table = Table("one game", "files", "ms", "pruned: files", "ms", title="Reading prunes")
    with tempfile.TemporaryDirectory(prefix="rugs-bench-") as folder:
        root = Path(folder)
        make(root, options.files)
        steps: list[tuple[str, Callable[[], object]]] = [
            ("as written", lambda: None), ("compacted", lambda: _compact(root)),
        ]  # fmt: skip
        for name, step in steps:
            step()
            whole, pruned = compare(root, options.files, options.rounds)
            row = (whole.files, f"{whole.milliseconds:.1f}", pruned.files, f"{pruned.milliseconds:.1f}")
            table.add_row(name, *map(str, row))
    Console().print(table)
    return 0


def _compact(root: Path) -> None:
    with Catalog(LakePaths(root)) as catalog:
        compact(catalog)


if __name__ == "__main__":
    sys.exit(main())
