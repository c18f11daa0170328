"""`python -m tests.bench.embedding`: the default embedder beside sentence-transformers, on the same texts and cores.

Both run in processes of their own, with the libraries' defaults, and take turns with slices of the texts: what else
the machine does slows both. sentence-transformers is measured where `.venv-torch` is there:
`python -m tests.support.torch_env` makes it.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console
from rich.table import Table

from rugs_index.embedders.cache import CachedEmbedder
from rugs_index.embedders.installed import default_model_folder
from tests.support import torch_env
from tests.support.embedkit import BigHashEmbedder
from tests.support.embedworker import Worker, worker

SLICE: Final = 100
QUERIES: Final = 100
CACHED: Final = 100_000
STARTS: Final = 3
OURS: Final = "default (OpenVINO)"
OTHER: Final = "sentence-transformers"
LOWEST_COSINE: Final = 0.9999
TIMES: Final = 2.0
QUERY_MS: Final = 10.0


@dataclass
class Measured:
    """What was measured of one embedder.

    Attributes:
        seconds: of each slice of texts.
        vectors: of each slice.
        starts: from a process's start to its first vector, in seconds.
        queries: of each question, in seconds.
        pss: bytes, after all texts.
    """

    versions: str = ""
    seconds: list[float] = field(default_factory=list)
    vectors: list[np.ndarray] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    queries: list[float] = field(default_factory=list)
    pss: int = 0


def main() -> int:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.embedding", description=__doc__)
    parser.add_argument("--texts", type=int, default=1000, metavar="N", help="texts to embed (default 1000)")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of each (default: what it takes by itself)")
    options = parser.parse_args()
    console = Console(width=120)
    texts = chunk_like(options.texts)
    embedders = {OURS: (sys.executable, "openvino")}
    if torch_env.is_made():
        embedders[OTHER] = (str(torch_env.PYTHON), f"sentence-transformers:{default_model_folder()}")
    else:
        console.print("sentence-transformers is not measured: `python -m tests.support.torch_env` installs it")
    console.print(_table(_measure(embedders, texts, options.threads), texts))
    console.print(_cache_table())
    return 0


def chunk_like(count: int) -> list[str]:
    """Return texts as chunks have them, of all kinds, each once; the same ones each time."""
    chance = random.Random(13)
    makers = (_field, _trade, _state, _chat, _game)
    return [makers[number % len(makers)](chance, number) for number in range(count)]


def _field(chance: random.Random, number: int) -> str:
    kind = chance.choice(("a number", "a text", "true or false", "a list of objects"))
    return (
        f"Field data.part{number}.{chance.choice(('price', 'pnl', 'level', 'tick'))} of the event gameStateUpdate:"
        f" {kind}, in {chance.randint(1, 99)}% of the messages. What the game shows to its players."
    )


def _trade(chance: random.Random, number: int) -> str:
    return (
        f"Event Type: standard/newTrade\nTimestamp: 2099-01-01T03:{number % 60:02}:01.6+00:00\nSequence: {number}\n"
        f"Trade Type: {chance.choice(('buy', 'sell'))}\nPlayer: player{chance.randint(1, 500)} (Level 7)\n"
        f"Price: {chance.uniform(1, 20):.12f}\nAmount: {chance.uniform(0, 1):.4f} SOL\nCoin: solana"
    )


def _state(chance: random.Random, number: int) -> str:
    return (
        f"Event Type: gameStateUpdate\nTimestamp: 2099-01-01T03:{number % 60:02}:01.6+00:00\nSequence: {number}\n"
        f"Active: True\nRugged: False\nPrice: {chance.uniform(1, 20):.16f}\nTick Count: {chance.randint(0, 900)}\n"
        f"Trade Count: {chance.randint(0, 90)}\nConnected Players: {chance.randint(100, 300)}\n"
        f"Average Multiplier: {chance.uniform(1, 9):.12f}\nTop Player: player{chance.randint(1, 500)} (PnL: 0.2)"
    )


def _chat(chance: random.Random, number: int) -> str:
    words = " ".join(chance.choices(("rug", "moon", "gg", "wait for it", "sold too soon", "nice"), k=6))
    return f"Event Type: newChatMessage\nSequence: {number}\nPlayer: player{chance.randint(1, 500)}\nMessage: {words}"


def _game(chance: random.Random, number: int) -> str:
    ticks = chance.randint(2, 900)
    return (
        f"Game 20990101-{number:08x} lasted {ticks} ticks, rose to {chance.uniform(1, 90):.1f}x at tick"
        f" {chance.randint(1, ticks)} and rugged. player{chance.randint(1, 500)} bought 0.05 SOL at 1.2x and sold all."
    )


def _measure(embedders: dict[str, tuple[str, str]], texts: Sequence[str], threads: int | None) -> dict[str, Measured]:
    found = {name: Measured() for name in embedders}
    for _ in range(STARTS - 1):
        for name, (python, setting) in embedders.items():
            with worker(python, setting, threads=threads) as process:
                found[name].starts.append(process.about["seconds"])
    with ExitStack() as stack:
        running: dict[str, Worker] = {}
        for name, (python, setting) in embedders.items():
            running[name] = stack.enter_context(worker(python, setting, threads=threads))
            about = running[name].about
            found[name].starts.append(about["seconds"])
            found[name].versions = ", ".join(f"{library} {version}" for library, version in about["versions"].items())
        for begin in range(0, len(texts), SLICE):
            for name, process in running.items():
                answer = process.embed(texts[begin : begin + SLICE])
                found[name].seconds += answer.seconds
                found[name].vectors.append(answer.vectors)
        questions = [f"what is the price of game number {number}?" for number in range(QUERIES)]
        for name, process in running.items():
            found[name].queries = process.embed(questions, as_queries=True).seconds
            found[name].pss = process.pss()
    return found


def _table(found: dict[str, Measured], texts: Sequence[str]) -> Table:
    cores = len(os.sched_getaffinity(0))
    average = sum(map(len, texts)) / len(texts)
    title = f"{len(texts)} texts of {average:.0f} characters, {cores} cores (load {os.getloadavg()[0]:.1f})"
    table = Table("", "texts/s", "start to first, s", "ms a query, p50", "p95", "PSS, MB", "versions", title=title)
    for name, each in found.items():
        p95 = sorted(each.queries)[int(len(each.queries) * 0.95)]
        table.add_row(
            name,
            f"{len(texts) / sum(each.seconds):,.0f}",
            f"{min(each.starts):.2f}",
            _judged(statistics.median(each.queries) * 1000, QUERY_MS, name == OURS),
            f"{p95 * 1000:.1f}",
            f"{each.pss / 1e6:,.0f}",
            each.versions,
        )
    if OTHER in found:
        ours, other = found[OURS], found[OTHER]
        times = sum(other.seconds) / sum(ours.seconds)
        median = statistics.median(b / a for a, b in zip(ours.seconds, other.seconds, strict=True))
        cosines = (np.concatenate(ours.vectors) * np.concatenate(other.vectors)).sum(axis=1)
        table.caption = (
            f"{times:.2f} times as fast ({TIMES:g} aimed at; median of slices {median:.2f}),"
            f" lowest cosine {cosines.min():.6f} (at least {LOWEST_COSINE})"
        )
    return table


def _judged(value: float, most: float, is_judged: bool) -> str:
    return f"{value:.1f} MISSED" if is_judged and value > most else f"{value:.1f}"


def _cache_table() -> Table:
    texts = [f"text number {number}" for number in range(CACHED)]
    embedder = BigHashEmbedder()
    table = Table("", "seconds", title=f"The cache, {CACHED:,} vectors of {embedder.identity.dimension} numbers")
    with tempfile.TemporaryDirectory(prefix="rugs-bench-") as folder:
        path = Path(folder) / "cache.sqlite"
        began = time.perf_counter()
        with CachedEmbedder(embedder, path) as cached:
            cached.embed(texts)
        table.add_row("filling it", f"{time.perf_counter() - began:.2f}")
        began = time.perf_counter()
        with CachedEmbedder(embedder, path) as cached:
            hits = cached.embed_each(texts).hits
        table.add_row(f"loading {hits:,} of them", f"{time.perf_counter() - began:.2f}")
        table.add_row("MB on disk", f"{path.stat().st_size / 1e6:,.0f}")
    return table


if __name__ == "__main__":
    sys.exit(main())
