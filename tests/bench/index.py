"""`python -m tests.bench.index`: how fast the table of the index is built, searched and changed, and what it takes.

The vectors are made up, since embedding 100,000 texts takes minutes: unit vectors with 384 numbers in clusters of
clusters, as those of texts of a few kinds; queries are vectors near them. So the speed is that of real ones, and the
recall is that of vectors that are about as hard to tell apart. Texts are made up of words as frequent as in a language,
with identifiers among them. Each figure is of this table alone: embedding a query is measured elsewhere.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from rugs_index.search.filters import EVERYONE, PUBLIC, Filters, Range
from rugs_index.search.legs import Hit, text_leg, vector_leg
from rugs_index.table import lance
from rugs_index.table.indexes import keep_optimised
from rugs_index.table.rebuild import Rebuild
from rugs_index.table.row import Row, Vector, arrow_table
from rugs_index.table.store import IndexStore
from tests.support import tablekit

DIMENSION: Final = 384
QUERIES: Final = 200
CHANGES: Final = 50
SCOPE_ROWS: Final = 10
TOP: Final = 10
LARGE: Final = 100_000
NOISE: Final = 0.04
"""How far a query lies from the vector that it was made of, per number of the vector."""
KINDS: Final = ("ws_event", "game", "player_action", "session", "document")
EVENTS: Final = ("gameStateUpdate", "standard/newTrade", "newChatMessage", "currentSidebet", "sidebetResult")
WORDS: Final = ["".join(word) for word in product("bdfgklmnprst", "aeiou", "bdfgklmnprst", "aeiou", "nrst")]
DAY: Final = 86_400_000_000
PRIVATE_SHARE: Final = 0.1

_CHILD: Final = """
import json, sys, time
from pathlib import Path
import numpy as np
from rugs_index.search.filters import PUBLIC
from rugs_index.search.legs import text_leg, vector_leg
from rugs_index.table.store import IndexStore
vector = np.full(384, 384 ** -0.5, np.float32)
store = IndexStore.open(Path(sys.argv[1]))
hits = vector_leg(store, vector, 10, PUBLIC) + text_leg(store, "game state update", 10, PUBLIC, vector=vector)
assert len(hits) == 20, hits
pss = next(int(line.split()[1]) for line in open("/proc/self/smaps_rollup") if line.startswith("Pss:"))
print(json.dumps({"pss": pss * 1024, "cpu": time.process_time()}))
"""


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.index", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="*", default=[10_000, 100_000], help="sizes of the table")
    parser.add_argument("--folder", type=Path, help="where to work: on the disk that is to be measured")
    options = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 120)
    for rows in options.rows:
        with tempfile.TemporaryDirectory(prefix="rugs-bench-", dir=options.folder) as folder:
            table = Table("what", "figure", "aim", title=f"Table of the index, {rows:,} rows")
            for what, figure, aim in measure(Path(folder), rows):
                table.add_row(what, figure, aim)
                print(f"... {what}: {figure}", file=sys.stderr, flush=True)
            console.print(table)
    return 0


def measure(root: Path, count: int) -> Iterator[tuple[str, str, str]]:
    """Give what was measured: its name, the figure, and what is aimed at."""
    is_large = count >= LARGE
    embedded = tablekit.vectors(count, DIMENSION, seed=1)
    queries = near(embedded, QUERIES)
    made = rows(embedded)
    seconds = timed(lambda: build(root, made, vectors=False))
    yield "build, without the vector index", f"{seconds:,.1f} s", "60 s with cached embeddings" if is_large else ""
    with IndexStore.open(root) as store:
        indexed = timed(lambda: keep_optimised(store, force=True))
        yield "the vector index, and an upkeep", f"{indexed:,.1f} s", "120 s in all" if is_large else ""
        yield "an upkeep that finds nothing to do", ms([timed(lambda: keep_optimised(store))]), ""
        yield from searches(store, embedded, queries)
        yield from changes(store, made, is_large=is_large)
        yield "an upkeep after that", f"{timed(lambda: keep_optimised(store, force=True)):,.1f} s", ""
    yield from first_answer(root, is_large=is_large)
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    yield "on disk", f"{size / 1e6:,.0f} MB", ""


def searches(store: IndexStore, embedded: Vector, queries: Vector) -> Iterator[tuple[str, str, str]]:
    """Measure searches of all kinds."""
    large = store.count() >= LARGE
    found: list[list[Hit]] = []
    times = durations(lambda query: found.append(vector_leg(store, query, TOP, EVERY)), queries)
    shares = [
        len({number(hit) for hit in hits} & best) / TOP
        for hits, best in zip(found, exact(embedded, queries), strict=True)
    ]
    yield "vector search", ms(times), "p95 25 ms with the query's embedding" if large else "p95 15 ms with the same"
    yield "recall@10 against exact search", f"{np.mean(shares):.3f}", "0.95"
    texts = [f"{EVENTS[n % 5]} of {WORDS[n]} and {WORDS[n * 7]} {WORDS[n * 50]}" for n in range(QUERIES)]
    yield "text search", ms(durations(lambda text: text_leg(store, text, TOP), texts)), ""
    for name, where in FILTERS.items():
        times = durations(partial(hybrid, store, where), queries, texts)
        yield f"vector and text search, {name}", ms(times), "p95 30 ms with the query's embedding" if large else ""


def changes(store: IndexStore, made: Sequence[Row], *, is_large: bool) -> Iterator[tuple[str, str, str]]:
    """Measure changes of all kinds, with an upkeep after each as the indexer does it, not counted."""
    singles = [[changed(row)] for row in made[: CHANGES * SCOPE_ROWS : SCOPE_ROWS]]
    hundreds = [[changed(row) for row in made[n * 100 : n * 100 + 100]] for n in range(10, 30)]
    scopes = [made[n * SCOPE_ROWS : (n + 1) * SCOPE_ROWS] for n in range(300, 300 + CHANGES)]
    others = [{some[0].scope_key: [*map(renamed, some), renamed(renamed(some[0]))]} for some in scopes]
    upkeeps: list[float] = []

    def upkeep() -> None:
        upkeeps.append(timed(lambda: keep_optimised(store)))

    yield "one row upserted", ms(durations(store.upsert, singles, after=upkeep)), "p95 10 ms" if is_large else ""
    yield "100 rows upserted", ms(durations(store.upsert, hundreds, after=upkeep)), "30 ms" if is_large else ""
    times = durations(store.replace_scopes, others, after=upkeep)
    yield "a scope of 10 rows replaced by 11 others", ms(times), ""
    yield "an upkeep after each of these", ms(upkeeps), ""
    yield "LanceDB alone: one row of 3 columns upserted", ms(list(yardstick(store, made))), "(to compare with)"
    store.make_durable()
    store.upsert(singles[0])
    yield "a commit made durable", ms([timed(store.make_durable)]), ""


def yardstick(store: IndexStore, made: Sequence[Row]) -> Iterator[float]:
    """Give how long each upsert takes of a plain table with the same number of rows."""
    columns = pa.schema([store.columns.field(name) for name in ("key", "text", "vector")])
    keys = [f"{place:032x}" for place in range(len(made))]
    rows = arrow_table(made, keys, store.columns).select(columns.names)

    async def begin() -> Any:
        table = await (await lance.lancedb().connect_async(f"{store.path}-yardstick")).create_table("plain", rows)
        await table.create_index("key", config=lance.part("index").BTree())
        return table

    table = store.run(begin())
    for place in range(CHANGES):
        merge = table.merge_insert("key").when_matched_update_all().when_not_matched_insert_all()
        yield timed(lambda merge=merge, place=place: store.run(merge.execute(rows.slice(place, 1))))  # type: ignore[misc]


def first_answer(root: Path, *, is_large: bool) -> Iterator[tuple[str, str, str]]:
    """Measure processes that start, search once, and end."""
    told = []
    for _ in range(3):
        began = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", _CHILD, str(root)], check=True, capture_output=True, text=True)
        told.append({**json.loads(done.stdout), "seconds": time.perf_counter() - began})
    best = min(told, key=lambda each: float(each["seconds"]))
    aim = "" if is_large else "2 s with the model"
    yield "first answer from the start of a process", f"{best['seconds']:.2f} s ({best['cpu']:.2f} s of a core)", aim
    yield "memory of that process (PSS)", f"{best['pss'] / 1e6:,.0f} MB", "" if is_large else "300 MB with the model"


def rows(embedded: Vector) -> list[Row]:
    """Return made-up chunks for vectors, `SCOPE_ROWS` in a scope."""
    chance = np.random.default_rng(3)
    count = len(embedded)
    words = chance.zipf(1.3, (count, 40)) % len(WORDS)
    private = chance.random(count) < PRIVATE_SHARE
    return [
        tablekit.row(
            f"{EVENTS[place % 5]} {' '.join(WORDS[word] for word in words[place])} of data.leaderboard[].pnl",
            f"game:{place // SCOPE_ROWS}",
            embedded[place],
            f"did:{place % 3}" if private[place] else None,
            **about(place),
        )
        for place in range(count)
    ]


def about(place: int) -> dict[str, Any]:
    """Return the metadata of a made-up chunk."""
    kind = KINDS[place % 5]
    found: dict[str, Any] = {
        "source": f"2025-12-{1 + place % 28:02}_capture.jsonl", "kind": kind, "doc_type": kind, "number": place,
        "event_type": EVENTS[place % 5], "game_id": f"20251221-{place // SCOPE_ROWS:016x}", "ts": place * DAY // 1000,
        "session_id": f"session-{place // 1000}", "event_ids": [f"{place:032x}"],
    }  # fmt: skip
    return {**found, "ticks": place % 900, "peak": (place % 700) / 7} if kind == "game" else found


def build(root: Path, made: Sequence[Row], *, vectors: bool) -> None:
    """Build a table, and make it the live one."""
    with Rebuild(root, tablekit.identity(DIMENSION)) as new:
        for begin in range(0, len(made), SCOPE_ROWS):
            some = made[begin : begin + SCOPE_ROWS]
            new.add({some[0].scope_key: some})
        new.finish(vectors=vectors)
        new.switch()


def near(embedded: Vector, count: int) -> Vector:
    """Return unit vectors near some of the embedded ones."""
    chance = np.random.default_rng(2)
    chosen = embedded[chance.integers(0, len(embedded), count)]
    moved = chosen + NOISE * chance.standard_normal(chosen.shape)
    found: Vector = (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32)
    return found


def exact(embedded: Vector, queries: Vector) -> list[set[int]]:
    """Return the numbers of the nearest vectors of each query."""
    return [set(np.argpartition(-(embedded @ query), TOP)[:TOP].tolist()) for query in queries]


def hybrid(store: IndexStore, where: Filters, query: Vector, text: str) -> None:
    """Search both ways."""
    vector_leg(store, query, TOP, where)
    text_leg(store, text, TOP, where, vector=query)


def number(hit: Hit) -> int:
    """Return which of the made-up chunks was found."""
    return int(hit.metadata["number"])


def changed(row: Row) -> Row:
    """Return a row with the same id, and other metadata."""
    metadata = {**row.chunk.metadata, "changed": row.chunk.metadata.get("changed", 0) + 1}
    return tablekit.row(row.chunk.text, row.chunk.scope_key, row.vector, row.chunk.owner, **metadata)


def renamed(row: Row) -> Row:
    """Return a row with another text, and so another id."""
    return tablekit.row(
        f"{row.chunk.text} again", row.chunk.scope_key, row.vector, row.chunk.owner, **row.chunk.metadata
    )


def timed(work: Callable[[], object]) -> float:
    """Return how many seconds work takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def durations(
    work: Callable[..., object], *arguments: Iterable[Any], after: Callable[[], None] = lambda: None
) -> list[float]:
    """Return how many seconds work takes with each of its arguments; `after` each time is not counted."""
    found = []
    for each in zip(*arguments, strict=True):
        found.append(timed(partial(work, *each)))
        after()
    return found


def ms(times: Sequence[float]) -> str:
    """Return the median and the 95th percentile of times, in milliseconds."""
    if len(times) == 1:
        return f"{times[0] * 1000:.1f} ms"
    median, high = np.percentile(times, [50, 95]) * 1000
    return f"p50 {median:.1f} ms, p95 {high:.1f} ms"


EVERY: Final = Filters(owner=EVERYONE)
FILTERS: Final = {
    "public chunks": PUBLIC,
    "one event and a day": Filters(events=["gameStateUpdate"], since=0, until=DAY),
    "one game": Filters(game_id="20251221-0000000000000042"),
    "games that peaked above 90": Filters(peak=Range(least=90)),
}

if __name__ == "__main__":
    sys.exit(main())
