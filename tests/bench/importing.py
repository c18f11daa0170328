"""The importer: from files to committed, and how small the lake becomes that it fills."""

from __future__ import annotations

import gzip
import json
import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq
import zstandard

import rugs_lake
from rugs_lake.read.stats import by_doc_type
from tests.bench.processes import busy, run, stack
from tests.bench.recordings import TIMEZONE, Recordings
from tests.bench.upkeep import Best, Upkeep, keep_up, make_the_best

ZSTD_LEVELS: Final = (3, 9)


@dataclass(frozen=True)
class Import:
    """What the importer did and took, from its start to all being committed.

    Attributes:
        cpu: seconds of each process, from when all were ready; `others` of other programs meanwhile.
        peak: the most memory of each process, in bytes.
    """

    lines: int
    bytes: int
    stored: int
    duplicates: int
    rejected: int
    seconds: float
    cpu: dict[str, float]
    others: float
    peak: dict[str, int]


@dataclass(frozen=True)
class Sizes:
    """Bytes on disk of the same events.

    Attributes:
        gzip: of each file by itself.
        zstd: of all files as one, by level.
        lake: of the live files as they were flushed; `compacted` after compaction, `best` after a thorough one.
        columns: bytes a row, by column, after compaction.
        catalog: of `lake.sqlite`.
    """

    jsonl: int
    gzip: int
    zstd: dict[int, int]
    lake: int
    lake_files: int
    compacted: int
    best: Best
    rows: int
    columns: dict[str, float]
    catalog: int
    upkeep: Upkeep


def import_all(recordings: Recordings, folder: Path) -> tuple[Import, Sizes]:
    """Import recordings into a lake of their own, weigh it, compact it, weigh it again, verify it."""
    with stack(folder) as running:
        # Compaction in the background would begin to shrink what is to be weighed as it was flushed.
        running.start_writer(RUGS_COMPACT_SECONDS="1d")
        running.wait_for_writer()
        command = ("-m", "legacy_importer.main", str(recordings.folder), "--timezone", TIMEZONE, "--wait", "--json")
        ready, busy_before = running.used(), busy()
        importer = run(*command, environment=running.environment)
        all_busy = busy() - busy_before
        used = running.used()
    told = json.loads(importer.output)
    cpu = {"importer": importer.cpu, **{name: each.cpu - ready[name].cpu for name, each in used.items()}}
    before = _live(folder)
    upkeep = keep_up(folder)
    after, columns = _live(folder), _columns(folder)
    done = Import(
        **{name: told[name] for name in ("lines", "stored", "duplicates", "rejected", "seconds")},
        bytes=recordings.bytes,
        cpu=cpu,
        others=max(0.0, all_busy - sum(cpu.values())),
        peak={"importer": importer.peak, **{name: each.peak for name, each in used.items()}},
    )
    sizes = Sizes(
        jsonl=recordings.bytes,
        gzip=sum(len(gzip.compress(path.read_bytes(), 6)) for path in recordings.files),
        zstd={level: _zstd(recordings.files, level) for level in ZSTD_LEVELS},
        lake=before["bytes"],
        lake_files=before["files"],
        compacted=after["bytes"],
        best=make_the_best(folder),
        rows=after["rows"],
        columns={name: size / after["rows"] for name, size in columns.most_common()},
        catalog=(folder / "manifests" / "lake.sqlite").stat().st_size,
        upkeep=upkeep,
    )
    shutil.rmtree(folder, ignore_errors=True)
    return done, sizes


def _live(folder: Path) -> dict[str, int]:
    """Return rows, files and bytes of the live files."""
    found = by_doc_type(folder)
    return {name: sum(getattr(each, name) for each in found) for name in ("rows", "files", "bytes")}


def _zstd(files: Iterable[Path], level: int) -> int:
    compressor = zstandard.ZstdCompressor(level=level).compressobj()
    return sum(len(compressor.compress(path.read_bytes())) for path in files) + len(compressor.flush())


def _columns(folder: Path) -> Counter[str]:
    """Return compressed bytes by column, over the live files."""
    with rugs_lake.open(folder) as lake:
        paths = lake.files
    sizes: Counter[str] = Counter()
    for path in paths:
        metadata: Any = pq.read_metadata(path)
        for group in range(metadata.num_row_groups):
            for place in range(metadata.num_columns):
                column = metadata.row_group(group).column(place)
                sizes[column.path_in_schema] += column.total_compressed_size
    return sizes
