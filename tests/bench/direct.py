"""What a user would do instead: the same events straight to files, with no bus and no guarantee.

`python -m tests.bench.direct METHOD FOLDER KIND COUNT BATCH OUT` writes `COUNT` events, `BATCH`
at a time, each batch fsynced, and prints what that took as JSON. An event that comes twice stands
there twice, one that was in a batch when the process died is lost, and what is half written is seen.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from tests.bench.processes import run
from tests.bench.recordings import Recordings, live_events


@dataclass(frozen=True)
class Direct:
    """What one method took for so many events; `size` is bytes on disk."""

    method: str
    events: int
    batch: int
    raw_bytes: int
    seconds: float
    cpu: float
    peak: int
    size: int

    @property
    def rate(self) -> float:
        """Events per second."""
        return self.events / self.seconds


def measure(method: str, recordings: Recordings, count: int, batch: int, out: Path) -> Direct:
    """Run one of `METHODS` in a process of its own."""
    told = (method, recordings.folder, recordings.kind, count, batch, out)
    ended = run("-m", "tests.bench.direct", *map(str, told))
    took = json.loads(ended.output)
    return Direct(method=method, events=count, batch=batch, peak=ended.peak, **took)


def _parquet(batches: Iterator[list[dict[str, Any]]], out: Path) -> None:
    """A file for every batch, as pyarrow's front page has it."""
    for number, batch in enumerate(batches):
        with (out / f"{number:06d}.parquet").open("wb") as file:
            pq.write_table(pa.Table.from_pylist(batch), file, compression="zstd")
            _sync(file)


def _jsonl(batches: Iterator[list[dict[str, Any]]], out: Path) -> None:
    """One file that grows by a line for every event."""
    with (out / "events.jsonl").open("wb") as file:
        for batch in batches:
            for event in batch:
                file.write(json.dumps(event).encode() + b"\n")
            _sync(file)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


METHODS: Final[dict[str, Callable[[Iterator[list[dict[str, Any]]], Path], None]]] = {
    "parquet": _parquet,
    "jsonl": _jsonl,
}


def _flat(events: list[dict[str, Any]], count: int) -> Iterator[dict[str, Any]]:
    """Give events with their fields beside the other keys, as one would write them into a table."""
    for place, event in enumerate(islice(cycle(events), count)):
        flat = {**event, **event["fields"], "session_id": "bench", "seq": place}
        del flat["fields"]
        yield flat


def _in_batches(events: Iterator[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    while batch := list(islice(events, size)):
        yield batch


def _main(method: str, folder: Path, kind: str, count: int, batch: int, out: Path) -> None:
    out.mkdir(parents=True)
    events = live_events(folder, kind, count)
    raw_bytes = sum(len(event["raw"]) for event in islice(cycle(events), count))
    began, cpu = time.monotonic(), time.process_time()
    METHODS[method](_in_batches(_flat(events, count), batch), out)
    took = {"seconds": time.monotonic() - began, "cpu": time.process_time() - cpu}
    size = sum(file.stat().st_size for file in out.iterdir())
    print(json.dumps({**took, "raw_bytes": raw_bytes, "size": size}))


if __name__ == "__main__":
    method, folder, kind, count, batch, out = sys.argv[1:]
    _main(method, Path(folder), kind, int(count), int(batch), Path(out))
