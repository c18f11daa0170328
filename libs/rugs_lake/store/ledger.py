"""The import ledger: which files were imported, and what became of their lines.

An import run is one file, read once. Its messages carry the run's id and their place in
the run; the writer counts in the same transaction as it stores, so the counts are exact
whatever is killed. The run's last message carries the importer's own counts and closes
the run: nothing is counted after it. Where every message came and both agree, the commit
of it makes the run a ledger entry.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from rugs_core.files import make_folder, write_durably
from rugs_core.time import now_us
from rugs_lake.errors import LakeAbsentError
from rugs_lake.store import changes
from rugs_lake.store.catalog import Catalog, reading_catalog
from rugs_lake.store.paths import LakePaths
from rugs_proto.subjects import HEADER_IMPORT, HEADER_IMPORT_DERIVED, HEADER_IMPORT_DONE, HEADER_IMPORT_SEQ


@dataclass
class ImportProgress:
    """What one commit adds to a run.

    Attributes:
        last_message: place of the run's message taken last, from 1.
        messages: how many were taken; equal to `last_message` in all if none is missing.
        stored, duplicates: of its records, salvaged ones included; what is derived from a record is not counted.
        rejected, rejected_before: of its rejects: new ones, and those that were kept already.
        refused: of its records, those that must not be stored again, see `rugs_lake.store.changes`.
        report: the importer's counts, on the run's last message only.
    """

    run_id: str
    last_message: int
    messages: int = 0
    stored: int = 0
    duplicates: int = 0
    rejected: int = 0
    rejected_before: int = 0
    refused: int = 0
    report: dict[str, Any] | None = None


@dataclass(frozen=True)
class Run:
    """An import run as far as it is committed.

    Attributes:
        done: whether it is closed and whole, and so a ledger entry.
    """

    run_id: str
    last_message: int
    messages: int
    stored: int
    duplicates: int
    rejected: int
    rejected_before: int
    report: dict[str, Any] | None
    done: bool
    refused: int = 0

    @property
    def closed(self) -> bool:
        """Whether its last message was taken: nothing more is counted."""
        return self.report is not None

    def is_by(self, reader: str, tz: str) -> bool:
        """Return whether it was by this reader version with this time zone."""
        return self.report is not None and (self.report["reader"], self.report["tz"]) == (reader, tz)


Entry = Run
"""A run that is done."""

_COLUMNS = "run_id, last_message, messages, stored, duplicates, rejected, rejected_before, report, done_us"


class ImportHeaders(NamedTuple):
    """What a message's headers say of the import run that it belongs to.

    `counts_derived`: the run is of derived events; in any other, they are read out of a record that counts itself.
    """

    run_id: str
    place: int
    report: dict[str, Any] | None
    counts_derived: bool = False


def read_headers(headers: Mapping[str, str]) -> ImportHeaders | None:
    """Return the import run that a message belongs to; None if it is of none, or they make no sense."""
    run_id, place = headers.get(HEADER_IMPORT, ""), headers.get(HEADER_IMPORT_SEQ, "")
    if not _RUN_ID.fullmatch(run_id) or not _PLACE.fullmatch(place):
        return None
    report = _read_report(headers.get(HEADER_IMPORT_DONE, ""))
    return ImportHeaders(run_id, int(place), report, HEADER_IMPORT_DERIVED in headers)


_RUN_ID: Final = re.compile("[0-9a-f]{32}")
_PLACE: Final = re.compile("[1-9][0-9]{0,15}")
CLOSED: Final = 10**16
"""Beyond every place."""
_TEXTS: Final = ("file", "sha256", "format", "reader", "tz")
_COUNTS: Final = ("size", "lines", "blank", "records", "rejected", "salvaged")
_KNOWN: Final = "known"
"""Of the records and salvaged ones, those that the importer found in the lake, and did not send: may be left out."""
_MAX_TEXT: Final = 4096


def _read_report(told: str) -> dict[str, Any] | None:
    """Return the keys of a ledger entry, each of its type; None if it is none: whoever can publish wrote it."""
    try:
        content = orjson.loads(told)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(content, dict):
        return None
    names = (*_TEXTS, *_COUNTS, *((_KNOWN,) if _KNOWN in content else ()))
    report = {name: content.get(name) for name in names}
    texts, counts = [report[name] for name in _TEXTS], [report[name] for name in names if name not in _TEXTS]
    is_sound = all(type(text) is str and len(text) <= _MAX_TEXT for text in texts) and all(
        type(count) is int and 0 <= count < 2**53 for count in counts
    )
    return report if is_sound else None


def imports_of(root: Path, sha256: str) -> list[Entry]:
    """Return the completed imports of these bytes, the first one first: what it stored keeps its times.

    Raises:
        LakeUnavailableError: if the lake cannot be read now.
    """
    return _query(root, "sha256 = ? AND done_us IS NOT NULL ORDER BY done_us", sha256)


def run(root: Path, run_id: str) -> Run | None:
    """Return what is committed of a run, or None before its first commit.

    Raises:
        LakeUnavailableError: if the lake cannot be read now.
    """
    return next(iter(_query(root, "run_id = ?", run_id)), None)


def _query(root: Path, condition: str, value: str) -> list[Run]:
    try:
        with reading_catalog(root) as catalog:
            refused = "refused" if changes.has_tables(catalog.connection) else "0"
            rows = catalog.all(f"SELECT {_COLUMNS}, {refused} FROM rugs_import WHERE {condition}", value)  # noqa: S608
    except LakeAbsentError:
        return []
    return [_run_of(row) for row in rows]


def _run_of(row: Sequence[Any]) -> Run:
    run_id, last_message, messages, stored, duplicates, rejected, rejected_before, told, done_us, refused = row
    counts = (last_message, messages, stored, duplicates, rejected, rejected_before)
    return Run(run_id, *counts, None if told is None else orjson.loads(told), done_us is not None, refused)


def last_messages(catalog: Catalog, run_ids: Sequence[str]) -> dict[str, int]:
    """Return the place of the message taken last, for those of the runs that have any; a closed one takes no more."""
    found = {}
    for run_id in run_ids:
        row = catalog.one("SELECT last_message, report IS NOT NULL FROM rugs_import WHERE run_id = ?", run_id)
        if row is not None:
            found[run_id] = CLOSED if row[1] else row[0]
    return found


def write_progress(connection: sqlite3.Connection, progress: Sequence[ImportProgress]) -> None:
    """Add to runs, inside the writer's transaction."""
    for run in progress:
        connection.execute(
            "INSERT INTO rugs_import"
            " (run_id, last_message, messages, stored, duplicates, rejected, rejected_before, refused)"
            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
            " ON CONFLICT (run_id) DO UPDATE SET last_message = ?2, messages = messages + ?3, stored = stored + ?4,"
            " duplicates = duplicates + ?5, rejected = rejected + ?6, rejected_before = rejected_before + ?7,"
            " refused = refused + ?8",
            (
                *(run.run_id, run.last_message, run.messages, run.stored, run.duplicates),
                *(run.rejected, run.rejected_before, run.refused),
            ),
        )
        if run.report is not None:
            _close(connection, run.run_id, run.report)


def _close(connection: sqlite3.Connection, run_id: str, report: dict[str, Any]) -> None:
    """Keep a run's report, and make the run a ledger entry if it is whole: else the file must be imported again."""
    connection.execute("UPDATE rugs_import SET report = ? WHERE run_id = ?", (orjson.dumps(report).decode(), run_id))
    connection.execute(
        "UPDATE rugs_import SET sha256 = ?, reader = ?, tz = ?, done_us = ? WHERE run_id = ?"
        " AND messages = last_message AND stored + duplicates + refused = ? AND rejected + rejected_before >= ?",
        (
            *(report[name] for name in ("sha256", "reader", "tz")),
            now_us(),
            run_id,
            report["records"] + report["salvaged"] - report.get(_KNOWN, 0),
            report["rejected"],
        ),
    )


def write_report(root: Path, name: str, report: dict[str, Any]) -> Path:
    """Write an import's report as JSON under `manifests/imports/`; return where."""
    folder = LakePaths(root).manifests / "imports"
    make_folder(folder)
    target = folder / f"{name}.json"
    write_durably(target, orjson.dumps(report, option=orjson.OPT_INDENT_2))
    return target
