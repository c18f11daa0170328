"""Proof that the lake is whole: files, sequences, ids and totals against the catalog."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from rugs_core.files import sha256_of
from rugs_lake.errors import LakeError
from rugs_lake.maintain.lost import LOST, give_up, lost_files, move_given_up
from rugs_lake.store import changes, parquet
from rugs_lake.store.catalog import Catalog, data_path, foreign_changes
from rugs_lake.store.change_scope import MASK_COLUMNS
from rugs_lake.store.changes import Rule
from rugs_lake.store.cursor import read_cursor
from rugs_lake.store.orphans import orphans, sweep
from rugs_lake.store.parquet import TornFileError
from rugs_lake.store.paths import LakePaths
from rugs_lake.store.refusals import REFUSED
from rugs_lake.store.table import conform

DUCKDB_MEMORY: Final = "256MB"
FRESH_SECONDS: Final = 30.0
"""A file no older than this may be about to be committed."""
SETTLE_SECONDS: Final = 0.2
"""Between the two looks at files that no snapshot names: one is named or gone by then, if all is well."""


@dataclass
class Report:
    """What `verify` found.

    Attributes:
        files, rows: live files, and their rows.
        duplicate_ids: ids that stand in the lake more than once.
        orphans: files that no snapshot names, relative to the data folder.
        missing, torn: files that are gone, or not what the catalog says; of any snapshot still kept.
        sequences: faults in the accounting of the stream's sequences.
        catalog: faults of the catalog itself.
        totals: taken, stored, duplicates, rejected, over all commits; lost, removed, refused_by_rule, if rows were.
        lost: files that were damaged or gone, and given up by `repair`, now or before: a fact, not a fault.
        moved: where `repair` moved the orphans.
    """

    snapshot: int = 0
    files: int = 0
    rows: int = 0
    duplicate_ids: int = 0
    orphans: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    sequences: list[str] = field(default_factory=list)
    catalog: list[str] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        faults = (self.duplicate_ids, self.orphans, self.missing, self.torn, self.sequences, self.catalog)
        return not any(faults)

    def faults(self) -> list[str]:
        """Return one line for everything that is wrong."""
        named = ("orphans", "missing", "torn", "sequences", "catalog")
        found = [f"{name}: {each}" for name in named for each in getattr(self, name)]
        return [*found, f"ids that stand more than once: {self.duplicate_ids}"] if self.duplicate_ids else found

    def as_dict(self) -> dict[str, Any]:
        """Return the figures, `ok` first, and every fault by name: what `rugs verify --json` prints."""
        counted = ("orphans", "missing", "torn")
        figures = {name: getattr(self, name) for name in ("snapshot", "files", "rows", "duplicate_ids")}
        counts = {name: len(getattr(self, name)) for name in counted}
        return {
            "ok": self.ok,
            **figures,
            **counts,
            "totals": self.totals,
            "faults": self.faults(),
            "lost": self.lost,
            "moved": self.moved,
        }


def verify(
    root: Path,
    *,
    fast: bool = False,
    repair: bool = False,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Report:
    """Prove the lake under a data root.

    Args:
        fast: leave out digests and page checksums; every file is still looked up and its size compared.
        repair: move orphans aside, and give up live files that are missing or torn (see `rugs_lake.maintain.lost`).
        progress: called with files done and files in all.

    Raises:
        LakeError: if there is no lake.
    """
    paths = LakePaths(root)
    moved: list[str] = []
    if repair:
        with Catalog(paths) as catalog:
            moved = [str(path.relative_to(root)) for path in (*_sweep(catalog), *move_given_up(catalog))]
    report = _look(paths, fast, progress)
    if repair and (damaged := [*report.missing, *report.torn]):
        with Catalog(paths) as catalog:
            give_up(catalog, damaged)
        report = _look(paths, fast, progress)
    report.moved = moved
    return report


def _look(paths: LakePaths, fast: bool, progress: Callable[[int, int], None]) -> Report:
    report = Report()
    with Catalog(paths, read_only=True) as catalog:
        report.orphans = _settled_orphans(catalog)
        with catalog.reading():
            files = catalog.all(
                "SELECT path, record_count, file_size_bytes, digest, end_snapshot IS NULL"
                " FROM ducklake_data_file JOIN rugs_file USING (data_file_id)"
            )
            report.lost = lost_files(catalog)
            report.snapshot = catalog.one("SELECT max(snapshot_id) FROM ducklake_snapshot")[0]
            report.totals = dict(catalog.all("SELECT name, value FROM rugs_total WHERE name <> 'next_row_id'"))
            report.catalog = _catalog_faults(catalog)
            report.sequences = _sequence_faults(catalog)
            ranges = catalog.all("SELECT incarnation, first_seq, last_seq FROM rugs_range")
            refused = changes.rules(catalog), changes.tombstones(catalog)
    files = [file for file in files if file[0] not in set(report.lost)]
    live = {path: (rows, digest) for path, rows, _, digest, is_live in files if is_live}
    report.files = len(live)
    report.rows = sum(rows for rows, _ in live.values())
    for done, (path, rows, size, digest, _) in enumerate(files):
        progress(done, len(files))
        _check_file(paths.data / path, path, rows, size, None if fast else digest, report)
    progress(len(files), len(files))
    for name in {*report.missing, *report.torn}:
        live.pop(name, None)
    report.missing = _still_named(paths, report.missing)
    report.torn = _still_named(paths, report.torn)
    _check_rows(paths, live, ranges, report)
    _check_refused(paths, live, *refused, report)
    _check_totals(report)
    return report


def _still_named(paths: LakePaths, missing: list[str]) -> list[str]:
    """Leave out files that were replaced, and so deleted, while we looked."""
    with Catalog(paths, read_only=True) as catalog:
        return [name for name in missing if catalog.one("SELECT 1 FROM ducklake_data_file WHERE path = ?", name)]


def _sweep(catalog: Catalog) -> list[Path]:
    streams = catalog.all("SELECT stream FROM rugs_cursor")
    cursors = [read_cursor(catalog.connection, stream) for (stream,) in streams]
    return sweep(catalog, cursors[0]) if cursors else []


def _settled_orphans(catalog: Catalog) -> list[str]:
    """Return orphans, but no file that is about to be committed, and none that is just being deleted."""
    found = set(orphans(catalog))
    if found:
        time.sleep(SETTLE_SECONDS)
        found &= set(orphans(catalog))
    return sorted(name for name in found if _age(catalog.paths.data / name) >= FRESH_SECONDS)


def _age(path: Path) -> float:
    """Seconds since a file was written; none if it has gone."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _catalog_faults(catalog: Catalog) -> list[str]:
    faults = [f"SQLite: {row[0]}" for row in catalog.all("PRAGMA quick_check") if row[0] != "ok"]
    faults += foreign_changes(catalog)
    if catalog.one("SELECT value FROM ducklake_metadata WHERE key = 'data_path'") != (data_path(catalog.paths),):
        faults.append("data_path is not where the files lie; the writer corrects it when it starts")
    return faults


def _sequence_faults(catalog: Catalog) -> list[str]:
    """Check that ranges and gaps tile every incarnation from its first sequence, each once."""
    pieces = catalog.all(
        "SELECT stream, incarnation, first_seq, last_seq FROM rugs_range"
        " UNION ALL SELECT stream, incarnation, first_seq, last_seq FROM rugs_gap"
        " WHERE last_seq IS NOT NULL AND NOT was_taken"
        " ORDER BY 1, 2, 3"
    )
    faults = []
    ends: dict[tuple[str, str], int] = {}
    for stream, incarnation, first, last in pieces:
        expected = ends.get((stream, incarnation), 0) + 1
        if first != expected:
            what = "twice" if first < expected else "never"
            low, high = min(first, expected), max(first, expected) - 1
            faults.append(f"{stream} {incarnation[:8]}: sequences {low} to {high} were taken {what}")
        ends[stream, incarnation] = max(last, expected - 1)
    for stream, incarnation, last in catalog.all("SELECT stream, incarnation, last_seq FROM rugs_cursor"):
        if ends.get((stream, incarnation), 0) != last:
            faults.append(f"{stream} {incarnation[:8]}: the cursor is at {last}, its ranges end elsewhere")
    return faults


def _check_file(path: Path, name: str, rows: int, size: int, digest: str | None, report: Report) -> None:
    if not path.is_file():
        report.missing.append(name)
    elif path.stat().st_size != size or (digest is not None and not _is_whole(path, rows, digest)):
        report.torn.append(name)


def _is_whole(path: Path, rows: int, digest: str) -> bool:
    try:
        if sha256_of(path) != digest:
            return False
        return bool(rows == sum(batch.num_rows for batch in parquet.batches(path)))
    except (TornFileError, FileNotFoundError):
        return False


def _check_rows(
    paths: LakePaths, files: dict[str, tuple[int, str]], ranges: list[tuple[str, int, int]], report: Report
) -> None:
    """Check rows with DuckDB. Files that it cannot read are torn, or have been replaced meanwhile."""
    while files:
        expected = sum(rows for rows, _ in files.values())
        try:
            return _check_readable_rows(paths, list(files), expected, ranges, report)
        except duckdb.Error as error:
            broken = [name for name, told in files.items() if not _is_whole(paths.data / name, *told)]
            if not broken:
                raise LakeError(f"cannot read the lake's files: {error}") from error
            report.torn += _still_named(paths, broken)
            files = {name: told for name, told in files.items() if name not in broken}


def _check_readable_rows(
    paths: LakePaths, files: list[str], expected: int, ranges: list[tuple[str, int, int]], report: Report
) -> None:
    """Check rows, ids that come twice, rows outside all ranges; spills to disk."""
    config = {"memory_limit": DUCKDB_MEMORY, "preserve_insertion_order": "false"}
    with (
        _spill_folder(paths) as spill,
        duckdb.connect(config={**config, "temp_directory": spill}) as connection,
    ):
        connection.execute("CREATE TABLE range (incarnation VARCHAR, first_seq BIGINT, last_seq BIGINT)")
        connection.executemany("INSERT INTO range VALUES (?, ?, ?)", ranges or [("", 0, 0)])
        connection.execute("SET VARIABLE files = ?", [[str(paths.data / name) for name in files]])
        source = "read_parquet(getvariable('files'), union_by_name = true)"
        twice = connection.execute(
            f"SELECT coalesce(sum(n), 0), count(*) FILTER (n > 1) FROM (SELECT count(*) n FROM {source} GROUP BY id)"  # noqa: S608
        ).fetchone()
        outside = connection.execute(
            f"SELECT count(*) FROM {source} r ANTI JOIN range g"  # noqa: S608
            " ON r.incarnation = g.incarnation AND r.stream_seq BETWEEN g.first_seq AND g.last_seq"
        ).fetchone()
    rows, report.duplicate_ids = twice or (0, 0)
    if rows != expected:
        report.catalog.append(f"the files have {rows} rows and the catalog says {expected}")
    if outside and outside[0]:
        report.sequences.append(f"{outside[0]} rows lie outside every range that was taken")


def _check_refused(
    paths: LakePaths, files: dict[str, tuple[int, str]], rules: list[Rule], tombstones: set[bytes], report: Report
) -> None:
    """Check that no row is there that was removed for good. Files that are gone by now were replaced."""
    if not rules and not tombstones:
        return
    ids = pa.array(sorted(tombstones), pa.binary(16))
    back = 0
    for name in files:
        try:
            table = conform(parquet.read(paths.data / name, columns=list(MASK_COLUMNS)))
        except (TornFileError, FileNotFoundError):
            continue  # said already, or replaced meanwhile
        masks = [pc.is_in(table["id"], value_set=ids), *(rule.scope.mask(table) for rule in _about(rules, table))]
        back += pc.sum(reduce(pc.or_, masks)).as_py() or 0
    if back:
        report.catalog.append(f"{back} rows were removed for good, and are there")


def _about(rules: list[Rule], table: pa.Table) -> Iterator[Rule]:
    """Give the rules that may concern a file: there may be many, each of one game or session."""
    games = set(pc.unique(table["game_id"]).to_pylist())
    sessions = set(pc.unique(table["session_id"]).to_pylist())
    for rule in rules:
        scope = rule.scope
        if (scope.game is None or scope.game in games) and (scope.session is None or scope.session[1] in sessions):
            yield rule


def _spill_folder(paths: LakePaths) -> tempfile.TemporaryDirectory[str]:
    """Make a folder on the lake's own disk, where there is room; elsewhere only if the lake may not be written."""
    try:
        paths.state.mkdir(exist_ok=True)
        return tempfile.TemporaryDirectory(prefix="verify-", dir=paths.state)
    except OSError:
        return tempfile.TemporaryDirectory()


def _check_totals(report: Report) -> None:
    totals = report.totals
    if totals["taken"] != sum(totals.get(name, 0) for name in ("stored", "duplicates", "rejected", REFUSED)):
        report.catalog.append(f"the totals do not add up: {totals}")
    gone = {name: totals.get(name, 0) for name in (LOST, changes.REMOVED)}
    if totals["stored"] + totals["rejected"] - sum(gone.values()) != report.rows:
        without = "".join(f" without {count} {name}" for name, count in gone.items() if count)
        told = f"{totals['stored']} stored and {totals['rejected']} rejected{without}"
        report.catalog.append(f"{told} are not {report.rows} rows")
