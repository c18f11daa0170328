"""The import ledger: which files were imported, and what became of their lines.

An import run is one file, read once. Its messages carry the run's id and their place in
the run; the writer counts in the same transaction as it stores, so the counts are exact
whatever is killed. The run's last message carries the importer's own counts: the commit
of it makes the run a ledger entry.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from rugs_lake.catalog import Catalog
from rugs_lake.paths import LakePaths, write_durably
from rugs_proto.subjects import HEADER_IMPORT, HEADER_IMPORT_DONE, HEADER_IMPORT_SEQ


@dataclass
class ImportProgress:
    """What one commit adds to a run.

    Attributes:
        last_message: place of the run's message taken last, from 1.
        stored, duplicates: of its records, salvaged ones included.
        rejected, rejected_before: of its rejects: new ones, and those that were kept already.
        report: the importer's counts, on the run's last message only.
    """

    run_id: str
    last_message: int
    stored: int = 0
    duplicates: int = 0
    rejected: int = 0
    rejected_before: int = 0
    report: dict[str, Any] | None = None


@dataclass(frozen=True)
class Run:
    """An import run as far as it is committed."""

    run_id: str
    last_message: int
    stored: int
    duplicates: int
    rejected: int
    rejected_before: int
    report: dict[str, Any] | None
    done: bool


Entry = Run
"""A run that is done: its report is there."""

_COLUMNS = "run_id, last_message, stored, duplicates, rejected, rejected_before, report, done_us"


class ImportHeaders(NamedTuple):
    """What a message's headers say of the import run that it belongs to."""

    run_id: str
    place: int
    report: dict[str, Any] | None


def read_headers(headers: Mapping[str, str]) -> ImportHeaders | None:
    """Return the import run that a message belongs to; None if it is of none, or they make no sense."""
    run_id, place = headers.get(HEADER_IMPORT, ""), headers.get(HEADER_IMPORT_SEQ, "")
    if not _RUN_ID.fullmatch(run_id) or not _PLACE.fullmatch(place):
        return None
    try:
        report = orjson.loads(headers.get(HEADER_IMPORT_DONE, "null"))
    except orjson.JSONDecodeError:
        report = None
    return ImportHeaders(run_id, int(place), report if isinstance(report, dict) else None)


_RUN_ID = re.compile("[0-9a-f]{32}")
_PLACE = re.compile("[1-9][0-9]{0,15}")


def find(root: Path, sha256: str, reader: str, tz: str) -> Entry | None:
    """Return the completed import of these bytes by this reader version with this time zone, if any."""
    return _query(root, "sha256 = ? AND reader = ? AND tz = ? AND done_us IS NOT NULL", sha256, reader, tz)


def run(root: Path, run_id: str) -> Run | None:
    """Return what is committed of a run, or None before its first commit."""
    return _query(root, "run_id = ?", run_id)


def _query(root: Path, condition: str, *values: str) -> Run | None:
    paths = LakePaths(root)
    if not paths.catalog.exists():
        return None
    with Catalog(paths, read_only=True) as catalog:
        row = catalog.one(f"SELECT {_COLUMNS} FROM rugs_import WHERE {condition} LIMIT 1", *values)  # noqa: S608
    if row is None:
        return None
    run_id, last_message, stored, duplicates, rejected, rejected_before, told, done_us = row
    report = None if told is None else orjson.loads(told)
    return Run(run_id, last_message, stored, duplicates, rejected, rejected_before, report, done_us is not None)


def last_messages(catalog: Catalog, run_ids: Sequence[str]) -> dict[str, int]:
    """Return the place of the message taken last, for those of the runs that have any."""
    found = {}
    for run_id in run_ids:
        row = catalog.one("SELECT last_message FROM rugs_import WHERE run_id = ?", run_id)
        if row is not None:
            found[run_id] = row[0]
    return found


def write_progress(connection: sqlite3.Connection, progress: Sequence[ImportProgress]) -> None:
    """Add to runs, inside the writer's transaction."""
    for run in progress:
        report = run.report
        told = (None, None, None, None, None)
        if report is not None:
            keys = (str(report.get(key, "")) for key in ("sha256", "reader", "tz"))
            told = (*keys, orjson.dumps(report).decode(), time.time_ns() // 1000)  # type: ignore[assignment]
        connection.execute(
            "INSERT INTO rugs_import VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
            " ON CONFLICT (run_id) DO UPDATE SET last_message = ?2, stored = stored + ?3,"
            " duplicates = duplicates + ?4, rejected = rejected + ?5, rejected_before = rejected_before + ?6,"
            " sha256 = coalesce(?7, sha256), reader = coalesce(?8, reader), tz = coalesce(?9, tz),"
            " report = coalesce(?10, report), done_us = coalesce(?11, done_us)",
            (run.run_id, run.last_message, run.stored, run.duplicates, run.rejected, run.rejected_before, *told),
        )


def write_report(root: Path, name: str, report: dict[str, Any]) -> Path:
    """Write an import's report as JSON under `manifests/imports/`; return where."""
    folder = LakePaths(root).manifests / "imports"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}.json"
    write_durably(target, orjson.dumps(report, option=orjson.OPT_INDENT_2))
    return target
