"""Where the writer's time goes, and how fast the codecs are: `python -m tests.bench.stages FOLDER KIND COUNT ROOT`.

The writer's own functions on messages that are in memory already, one after the other in one
process; a commit's remainder is what is left when the parts measured by themselves are taken off.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

import msgpack

from rugs_lake.maintain.memory import keep_small
from rugs_lake.store import parquet
from rugs_lake.store.paths import LakePaths
from rugs_lake.store.rows import Row
from rugs_lake.store.table import to_table
from rugs_lake.write import scopes
from rugs_lake.write.writer import LakeWriter
from rugs_proto import codec, wire
from rugs_proto.message import Message
from rugs_proto.subjects import TARGET_BODY, event_subject
from tests.bench.processes import run
from tests.bench.producer import messages
from tests.bench.recordings import DOC_TYPES, Recordings, live_events

_T = TypeVar("_T")
_CODEC_EVENTS: Final = 20_000


@dataclass(frozen=True)
class Stages:
    """Microseconds of CPU per event; `commit_wall` is the commit's in wall time, with its fsyncs.

    Attributes:
        writer: the stages of the parquet-writer.
        codecs: one way each to encode or decode, with the rules of the contract checked or not.
    """

    events: int
    writer: dict[str, float]
    commit_wall: float
    codecs: dict[str, float]


def measure(recordings: Recordings, count: int, root: Path) -> Stages:
    """Measure in a process of its own."""
    told = (recordings.folder, recordings.kind, count, root)
    ended = run("-m", "tests.bench.stages", *map(str, told))
    return Stages(events=count, **json.loads(ended.output))


class _Clock:
    """CPU and wall seconds by name."""

    def __init__(self) -> None:
        self.cpu: dict[str, float] = {}
        self.wall: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        cpu, wall = time.process_time(), time.monotonic()
        yield
        self.cpu[name] = self.cpu.get(name, 0.0) + time.process_time() - cpu
        self.wall[name] = self.wall.get(name, 0.0) + time.monotonic() - wall


def _writer_stages(bodies: list[bytes], subject: str, root: Path, batch_bytes: int) -> tuple[dict[str, float], float]:
    clock = _Clock()
    writer = LakeWriter(LakePaths(root), "RUGS_EVENTS")
    writer.meet(None, None)

    def commit() -> None:
        pending = writer.take()
        if pending is None:
            return
        rows = [row for taken in pending.taken for row in taken.rows]
        _look_at_parts(rows, writer, clock)
        with clock("commit"):
            writer.commit(pending)

    for seq, body in enumerate(bodies, 1):
        message = Message(seq, time.time_ns() // 1000, subject, {}, body)
        with clock("judge"):
            rows = writer.judge(message)
        with clock("gather"):
            writer.add(message, rows)
        if writer.pending.bytes >= batch_bytes:
            commit()
    commit()
    writer.close()
    parts = {name: clock.cpu[name] for name in ("known ids", "columns", "encode")}
    rest = max(0.0, clock.cpu["commit"] - sum(parts.values()))
    stages = {
        "decode and judge": clock.cpu["judge"],
        "gather": clock.cpu["gather"],
        "look for known ids": parts["known ids"],
        "rows to Arrow columns": parts["columns"],
        "encode Parquet (zstd)": parts["encode"],
        "sort out, hash, write, fsync, catalog": rest,
    }
    return stages, clock.wall["commit"]


def _look_at_parts(rows: list[Row], writer: LakeWriter, clock: _Clock) -> None:
    """Do a commit's parts once more, each by itself, without keeping what they make."""
    with clock("known ids"):
        scopes.known_ids(writer.catalog, rows)
    partitions: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        partitions.setdefault(row.partition, []).append(row)
    for part in partitions.values():
        with clock("columns"):
            table = to_table(part, writer.cursor.incarnation)
        with clock("encode"):
            parquet.encode(table, parquet.level_of(table, parquet.Effort.FLUSHED))


def _codecs(groups: list[list[dict[str, Any]]], bodies: list[bytes]) -> dict[str, float]:
    clock = _Clock()

    def each(name: str, things: list[_T], do: Callable[[_T], object]) -> None:
        with clock(name):
            for thing in things:
                do(thing)

    each("encode: wire (msgspec)", groups, wire.encode)
    each("encode: msgpack", groups, msgpack.packb)
    each("decode: msgpack alone, nothing checked", bodies, codec.unpack)
    each("decode and check: wire (msgspec), ids too", bodies, wire.judge)
    each("decode and check: pydantic Envelope", bodies, codec.decode)
    envelopes = [codec.decode(body) for body in bodies]
    each("encode: pydantic Envelope", envelopes, codec.encode)
    return clock.cpu


def _main(folder: Path, kind: str, count: int, root: Path) -> None:
    keep_small()
    events = live_events(folder, kind, count)
    groups = [group for _, group in messages(events, count, TARGET_BODY)]
    bodies = [wire.encode(group) for group in groups]
    subject = event_subject(DOC_TYPES[kind], "public_ws", "")
    stages, commit_wall = _writer_stages(bodies, subject, root, 32 * 1024**2)
    few = max(1, min(len(groups), _CODEC_EVENTS * len(groups) // count))
    measured = sum(map(len, islice(groups, few)))
    codecs = _codecs(groups[:few], bodies[:few])
    told = {
        "writer": {name: seconds / count * 1e6 for name, seconds in stages.items()},
        "commit_wall": commit_wall / count * 1e6,
        "codecs": {name: seconds / measured * 1e6 for name, seconds in codecs.items()},
    }
    print(json.dumps(told))


if __name__ == "__main__":
    folder, kind, count, root = sys.argv[1:]
    _main(Path(folder), kind, int(count), Path(root))
