"""`python -m tests.bench.beside`: how fast frames get into the lake, alone and beside an indexer that catches up.

The lake holds ticks already. The indexer starts on them, with discovery and the semantic index to build, when frames
begin to come. Alone and beside it are measured in turns; the medians are compared.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from rugs_proto.subjects import TARGET_BODY
from tests.bench.processes import Partner, Stack, stack, usage
from tests.bench.recordings import FRAMES, TICKS, Recordings, made_up


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.beside", description=__doc__)
    parser.add_argument("--frames", type=int, default=30_000, metavar="N", help="frames to publish (default 30,000)")
    parser.add_argument("--ticks", type=int, default=200_000, metavar="N", help="ticks before them (default 200,000)")
    parser.add_argument("--turns", type=int, default=3, metavar="N", help="measurements of each (default 3)")
    options = parser.parse_args()
    lines = {FRAMES: min(options.frames, 10_000), TICKS: min(options.ticks, 100_000)}
    rates: dict[bool, list[float]] = {False: [], True: []}
    busy: list[float] = []
    with tempfile.TemporaryDirectory(prefix="rugs-bench-") as folder:
        recordings = made_up(Path(folder) / "recordings", lines)
        for turn in range(options.turns):
            for beside in (False, True):
                root = Path(folder) / f"{turn}-{beside}"
                rate, used = _measure(recordings, options.ticks, options.frames, root, beside=beside)
                rates[beside].append(rate)
                busy += [used] if beside else []
    alone, together = median(rates[False]), median(rates[True])
    table = Table("frames", "frames/s", "of that alone", "CPU of the indexer", title="Frames from publish to commit")
    table.add_row("alone", f"{alone:,.0f}", "", "")
    share = f"{100 * together / alone:.0f}%"
    table.add_row(
        "beside an indexer that catches up", f"{together:,.0f}", share, f"{100 * median(busy):.0f}% of a core"
    )
    Console(width=120).print(table)
    return 0


def _measure(
    recordings: dict[str, Recordings], ticks: int, frames: int, root: Path, *, beside: bool
) -> tuple[float, float]:
    """Return frames per second from the first publish to the last commit, and the share of a core the indexer had."""
    with stack(root) as running:
        running.start_writer()
        running.wait_for_writer()
        with _producer(running, recordings[TICKS], ticks) as producer:
            producer.hear()
            producer.tell()
            producer.hear()
            producer.hear()
        with _producer(running, recordings[FRAMES], frames) as producer:
            producer.hear()
            with _indexer(running, starts=beside) as indexer:
                began = time.monotonic()
                producer.tell()
                producer.hear()
                commits = producer.hear()["commits"]
                used = None if indexer is None else usage(indexer.pid)
                seconds = time.monotonic() - began
    return frames / commits[-1][0], 0.0 if used is None else used.cpu / seconds


def _producer(running: Stack, recordings: Recordings, count: int) -> Partner:
    told = (recordings.folder, recordings.kind, count, TARGET_BODY)
    return Partner("-m", "tests.bench.producer", running.broker.url, *map(str, told))


@contextmanager
def _indexer(running: Stack, *, starts: bool) -> Iterator[subprocess.Popen[bytes] | None]:
    if not starts:
        yield None
        return
    with subprocess.Popen([sys.executable, "-m", "indexer.main"], env={**os.environ, **running.environment}) as process:
        try:
            yield process
        finally:
            process.kill()


if __name__ == "__main__":
    sys.exit(main())
