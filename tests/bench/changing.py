"""`python -m tests.bench.changing`: removing one game beside a running writer, and what refusals cost the writer.

The lake is compacted before. The write lock's longest hold is that of the removal's own transactions. The writer's
speed with rules and tombstones is compared with that of a lake without any, in turns.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from pathlib import Path
from sqlite3 import Connection
from statistics import median
from typing import Final

from rich.console import Console
from rich.table import Table

from rugs_lake.maintain.compaction import compact
from rugs_lake.maintain.removal import remove_scope
from rugs_lake.store import changes
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.change_scope import NOTHING, ChangeScope
from rugs_lake.store.paths import LakePaths
from rugs_lake.store.rows import scope_hash
from rugs_lake.write.writer import LakeWriter
from rugs_proto.message import Message
from tests.bench.pruning import TICKS, game_of
from tests.support.lakekit import NOON_US, STREAM, commit, message, open_writer, tick

GAMES_A_COMMIT: Final = 100


def ticks_of(seq: int, games: range) -> Iterator[Message]:
    """Give a message for each game: its ticks."""
    for place, number in enumerate(games):
        session = {"ts": NOON_US, "session_id": f"session-{number // 50}"}
        first = number % 50 * TICKS
        yield message(seq + place, *(tick(n, game_of(number), seq=first + n + 1, **session) for n in range(TICKS)))


def make(root: Path, ticks: int) -> int:
    """Make a compacted lake of so many ticks; return how many games it has."""
    games = ticks // TICKS
    writer = open_writer(root)
    for start in range(0, games, GAMES_A_COMMIT):
        commit(writer, *ticks_of(start + 1, range(start, min(start + GAMES_A_COMMIT, games))))
    writer.close()
    with Catalog(LakePaths(root)) as catalog:
        compact(catalog)
    return games


def keep_writing(root: Path, stop: Event) -> None:
    """Commit a new game some times a second until told to stop."""
    writer = LakeWriter(LakePaths(root), STREAM)
    number = 10_000_000
    writer.meet("b" * 32, None)
    while not stop.wait(0.1):
        number += 1
        commit(writer, *ticks_of(writer.next_seq, range(number, number + 1)))
    writer.close()


@contextmanager
def timed_locks(held: list[float]) -> Iterator[None]:
    """Note how long each transaction of this process holds the write lock, in seconds."""
    real = Catalog.transaction

    @contextmanager
    def timed(catalog: Catalog) -> Iterator[Connection]:
        began = 0.0
        with real(catalog) as connection:
            began = time.perf_counter()
            yield connection
        held.append(time.perf_counter() - began)

    Catalog.transaction = timed  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        Catalog.transaction = real  # type: ignore[method-assign]


def removal(root: Path, ticks: int, rounds: int) -> tuple[float, float, int]:
    """Return the median seconds of removing a game beside a writer, and the longest hold of the write lock in ms."""
    games = make(root, ticks)
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    writer = context.Process(target=keep_writing, args=(root, stop))
    writer.start()
    taken, held = [], list[float]()
    try:
        for place in range(rounds):
            scope = ChangeScope(game=game_of(place * games // rounds))
            began = time.perf_counter()
            with timed_locks(held), Catalog(LakePaths(root)) as catalog:
                done = remove_scope(catalog, scope)
            taken.append(time.perf_counter() - began)
            if done.rows != TICKS:
                raise RuntimeError(f"{done.rows} rows of {scope.game} were removed, and not {TICKS}")
    finally:
        stop.set()
        writer.join()
    return median(taken), 1000 * max(held), games * TICKS


def refuse(root: Path, rules: int, tombstones: int) -> None:
    """Have a lake refuse so many games and so many ids."""
    with Catalog(LakePaths(root)) as catalog, catalog.transaction() as connection:
        for number in range(rules):
            scope = ChangeScope(game=f"gone-{number}")
            change = changes.insert_change(connection, 1, "removal", scope, 0, NOTHING)
            changes.insert_rule(connection, changes.Rule(change, "removal", scope))
        session = scope_hash("public_ws", "session-0")
        changes.insert_tombstones(connection, ((session, os.urandom(16)) for _ in range(tombstones)))


def writing(folder: Path, rules: int, tombstones: int, rounds: int) -> tuple[float, float]:
    """Return the median ticks a second of commits into a lake without refusals and into one with them."""
    writers = [open_writer(folder / name) for name in ("without", "with")]
    refuse(folder / "with", rules, tombstones)
    rates: list[list[float]] = [[], []]
    for start in range(0, rounds * GAMES_A_COMMIT, GAMES_A_COMMIT):
        messages = list(ticks_of(start + 1, range(start, start + GAMES_A_COMMIT)))
        for writer, found in zip(writers, rates, strict=True):
            began = time.perf_counter()
            commit(writer, *messages)
            found.append(GAMES_A_COMMIT * TICKS / (time.perf_counter() - began))
    for writer in writers:
        writer.close()
    return median(rates[0]), median(rates[1])


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.changing", description=__doc__)
    parser.add_argument("--ticks", type=int, default=1_000_000, metavar="N", help="ticks to store (default 1,000,000)")
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="games to remove (default 7)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seconds, held, stored = removal(Path(folder) / "lake", options.ticks, options.rounds)
        without, refusing = writing(Path(folder), 1_000, 100_000, 9)
    table = Table(title="Changing what is stored", title_justify="left")
    for heading in ("", "measured", "aim"):
        table.add_column(heading)
    table.add_row(f"remove one game out of {stored:,} ticks, beside a writer", f"{seconds:.2f} s", "below 2 s")
    table.add_row("longest hold of the write lock by a removal", f"{held:.0f} ms", "below 100 ms")
    told = f"{refusing:,.0f} of {without:,.0f} ticks/s ({100 * refusing / without:.0f}%)"
    table.add_row("commit with 1,000 rules and 100,000 tombstones", told, "at least 95%")
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
