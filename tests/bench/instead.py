"""What a user would do instead of an import: old files straight into one Parquet file.

`python -m tests.bench.instead METHOD KIND FOLDER OUT` converts the files of a folder and prints what that took as
JSON. Neither keeps where a line stood, nor a line that is damaged, nor knows a file that comes again.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from tests.bench.processes import run
from tests.bench.recordings import FRAMES, TICKS, Recordings

_TYPES: Final = {
    FRAMES: {"seq": "BIGINT", "ts": "VARCHAR", "event": "VARCHAR", "data": "JSON"},
    TICKS: {
        **{"type": "VARCHAR", "timestamp": "VARCHAR", "game_id": "VARCHAR", "tick": "BIGINT", "price": "DOUBLE"},
        **{"phase": "VARCHAR", "active": "BOOLEAN", "rugged": "BOOLEAN", "cooldown_timer": "BIGINT"},
    },
}
_AT_ONCE: Final = {FRAMES: 500, TICKS: 50_000}
_LARGEST: Final = 4 * 1024 * 1024
"""Bytes of a line: DuckDB's buffers are multiples of it."""
_MEMORY: Final = "2GB"


@dataclass(frozen=True)
class Instead:
    """What one method took for all files of a kind; `peak` is its memory and `size` its file, in bytes."""

    method: str
    seconds: float
    cpu: float
    peak: int
    size: int


def measure(method: str, recordings: Recordings, out: Path) -> Instead:
    """Run one of `METHODS` in a process of its own."""
    ended = run("-m", "tests.bench.instead", method, recordings.kind, str(recordings.folder), str(out))
    took = json.loads(ended.output)
    size = out.stat().st_size
    out.unlink()
    return Instead(method=method, peak=ended.peak, size=size, **took)


def _duckdb(kind: str, folder: Path, out: Path) -> None:
    """One statement; a frame's payload stays JSON, since its shapes are many."""
    columns = ", ".join(f"{name}: '{type_}'" for name, type_ in _TYPES[kind].items())
    duckdb.sql(f"SET memory_limit = '{_MEMORY}'")
    duckdb.sql(
        f"COPY (FROM read_json('{folder}/*.jsonl', format = 'newline_delimited', columns = {{{columns}}},"
        f" filename = true, maximum_object_size = {_LARGEST})) TO '{out}' (FORMAT parquet, COMPRESSION zstd)"
    )


def _python(kind: str, folder: Path, out: Path) -> None:
    """A loop over lines with the standard library's JSON, some thousand rows to a group."""
    writer: pq.ParquetWriter | None = None
    lines = _lines(folder)
    while some := list(islice(lines, _AT_ONCE[kind])):
        table = pa.table({name: [row.get(name) for row in some] for name in (*_TYPES[kind], "file")})
        writer = writer or pq.ParquetWriter(out, table.schema, compression="zstd")
        writer.write_table(table.cast(writer.schema))
    if writer is not None:
        writer.close()


def _lines(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("*.jsonl")):
        with path.open("rb") as file:
            for line in file:
                record = json.loads(line)
                if "data" in record:
                    record["data"] = json.dumps(record["data"])
                yield {**record, "file": path.name}


METHODS: Final[dict[str, Callable[[str, Path, Path], None]]] = {"read_json": _duckdb, "json.loads": _python}


def _main(method: str, kind: str, folder: Path, out: Path) -> None:
    began, cpu = time.monotonic(), time.process_time()
    METHODS[method](kind, folder, out)
    print(json.dumps({"seconds": time.monotonic() - began, "cpu": time.process_time() - cpu}))


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
