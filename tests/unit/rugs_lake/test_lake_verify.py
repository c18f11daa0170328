"""`verify` finds what is wrong, says what, and calls nothing wrong that is not."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from rugs_core.time import DAY_US
from rugs_lake.errors import LakeError
from rugs_lake.maintain.compaction import compact
from rugs_lake.maintain.retention import expire
from rugs_lake.maintain.verify import SETTLE_SECONDS, verify
from rugs_lake.store import parquet
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.commit import Batch, commit_batch
from rugs_lake.store.cursor import SupersededError, body_hash, read_cursor
from rugs_lake.store.orphans import sweep
from rugs_lake.store.paths import LakePaths
from rugs_lake.store.rows import rows_of
from rugs_lake.store.table import to_table
from rugs_lake.write import scopes
from tests.support import lakekit
from tests.support.lakekit import LAST, STREAM, commit, envelope, message, open_writer


def change(root: Path, statement: str) -> None:
    """Change the catalog behind everybody's back."""
    connection = sqlite3.connect(LakePaths(root).catalog)
    connection.execute("DROP TRIGGER rugs_snapshot_insert")
    connection.executescript(statement)
    connection.close()


def age(path: Path, seconds: float = 3600) -> None:
    """Make a file look older."""
    os.utime(path, (time.time() - seconds,) * 2)


def test_a_whole_lake_is_ok(lake: Path) -> None:
    report = verify(lake)
    assert report.as_dict() == {
        "ok": True,
        "snapshot": 4,
        "files": 3,
        "rows": 7,
        **dict.fromkeys(("duplicate_ids", "orphans", "missing", "torn"), 0),
        "totals": {"taken": 7, "stored": 7, "duplicates": 0, "rejected": 0},
        "faults": [],
        "lost": [],
        "moved": [],
    }
    assert verify(lake, fast=True).ok


def test_an_empty_lake_is_ok_and_no_lake_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="no lake at"):
        verify(tmp_path)
    open_writer(tmp_path).close()
    assert lakekit.checked(tmp_path).rows == 0


@pytest.mark.parametrize("fast", [True, False])
def test_a_deleted_file_is_missing(lake: Path, fast: bool) -> None:
    lakekit.live_paths(lake)[1].unlink()
    report = verify(lake, fast=fast)
    assert (report.ok, len(report.missing), report.torn) == (False, 1, [])


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("keep", [0, 100, -1])
def test_a_truncated_file_is_torn(lake: Path, fast: bool, keep: int) -> None:
    path = lakekit.live_paths(lake)[1]
    path.write_bytes(path.read_bytes()[:keep])
    report = verify(lake, fast=fast)
    assert (report.ok, report.torn) == (False, [str(path.relative_to(LakePaths(lake).data))])


@pytest.mark.slow
def test_a_flipped_byte_anywhere_is_found_and_fast_never_stumbles_over_one(lake: Path) -> None:
    path = lakekit.live_paths(lake)[0]
    content = path.read_bytes()
    for place in range(0, len(content), 97 if lakekit.FULL else 401):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        assert len(verify(lake).torn) == 1, place
        verify(lake, fast=True)  # may or may not see it; it must give a report
    path.write_bytes(content)
    lakekit.checked(lake)


@pytest.mark.slow
def test_page_checksums_alone_find_a_flipped_byte_inside_any_page(lake: Path) -> None:
    """Compaction, which does not look at digests, must not carry damage over."""
    path = lakekit.live_paths(lake)[0]
    content = path.read_bytes()
    whole = parquet.read(path)
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    found = Counter[bool]()
    for place in range(4, footer, 5):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :])
        try:
            assert parquet.read(path).equals(whole), place  # in a header, and without effect
            found[False] += 1
        except parquet.TornFileError:
            found[True] += 1
    assert found[True] > found[False]


def test_compaction_refuses_a_damaged_file_and_leaves_everything_as_it_was(lake: Path) -> None:
    path = lakekit.live_paths(lake)[0]
    content = path.read_bytes()
    raw = content.index(b"gameStateUpdate")
    path.write_bytes(content[:raw] + b"X" + content[raw + 1 :])
    with Catalog(LakePaths(lake)) as catalog, pytest.raises(parquet.TornFileError, match=path.name):
        compact(catalog)
    path.write_bytes(content)
    assert lakekit.checked(lake).files == 3


def test_an_orphan_is_found_and_moved_aside_by_repair(lake: Path) -> None:
    data = LakePaths(lake).data
    orphans = [data / "doc_type=ws_event/date=2026-06-01/part-1.parquet", data / "stray.parquet"]
    for orphan in orphans:
        orphan.write_bytes(b"junk")
        age(orphan)
    report = verify(lake)
    assert (report.ok, report.orphans) == (False, sorted(str(orphan.relative_to(data)) for orphan in orphans))
    report = verify(lake, repair=True)
    assert (report.ok, report.orphans, len(report.moved)) == (True, [], 2)
    assert [(lake / moved).read_bytes() for moved in report.moved] == [b"junk", b"junk"]
    assert not any(orphan.exists() for orphan in orphans)
    assert verify(lake, repair=True).moved == []


def test_a_starting_writer_moves_orphans_aside_and_deletes_unfinished_files(lake: Path) -> None:
    folder = lakekit.live_paths(lake)[0].parent
    (folder / "part-1.parquet").write_bytes(b"junk")
    (folder / ".tmp-part-2").write_bytes(b"half")
    open_writer(lake, at_cursor=LAST).close()
    assert not (folder / ".tmp-part-2").exists()
    assert lakekit.names(LakePaths(lake).orphans.rglob("*.parquet")) == {"part-1.parquet"}
    lakekit.checked(lake)


@pytest.mark.parametrize(
    "written", ["ducklake_table_stats VALUES (1, 50, 50, 1)", "ducklake_inlined_data_tables VALUES (1, 'x', 1)"]
)
def test_a_catalog_that_another_program_has_written_to_gets_no_writer(lake: Path, written: str) -> None:
    change(lake, f"INSERT INTO {written}")
    with pytest.raises(LakeError, match="another program has written to this catalog; see `rugs verify`"):
        open_writer(lake, at_cursor=LAST)


def test_only_the_holder_of_the_epoch_may_move_orphans_aside(lake: Path) -> None:
    first = open_writer(lake, at_cursor=LAST)
    orphan = lakekit.live_paths(lake)[0].with_name("part-1.parquet")
    open_writer(lake, at_cursor=LAST).close()
    orphan.write_bytes(b"of the second writer")
    with pytest.raises(SupersededError):
        sweep(first.catalog, first.cursor)
    assert orphan.exists()


def test_a_commit_under_way_is_no_orphan(lake: Path) -> None:
    """Its file is there before its row: `verify` waits for it."""
    writer = open_writer(lake, at_cursor=LAST)
    begun, go_on = threading.Event(), threading.Event()

    class Slow:
        def __getattr__(self, name: str) -> object:
            return getattr(connection, name)

        def execute(self, sql: str, *values: object) -> object:
            if sql == "BEGIN IMMEDIATE" and not begun.is_set():
                begun.set()
                assert go_on.wait(30)
            return connection.execute(sql, *values)  # type: ignore[arg-type]

    connection = writer.catalog.connection
    writer.catalog.connection = Slow()  # type: ignore[assignment]
    lakekit.add(writer, message(4, envelope(10)))
    pending = writer.take()
    assert pending is not None
    thread = threading.Thread(target=lambda: writer.commit(pending))
    thread.start()
    assert begun.wait(30)
    assert len(LakePaths(lake).data_files()) == 4
    threading.Timer(0.5, go_on.set).start()
    report = verify(lake)
    thread.join()
    assert (report.ok, report.orphans) == (True, [])


def test_a_file_that_is_unnamed_for_a_moment_only_is_no_orphan(lake: Path) -> None:
    """One that was just written may be committed any time; one that is old may be about to be deleted."""
    fresh, going = (lakekit.live_paths(lake)[0].with_name(f"part-{n}.parquet") for n in range(2))
    for path in (fresh, going):
        path.write_bytes(b"junk")
    age(going)
    threading.Timer(SETTLE_SECONDS / 2, going.unlink).start()
    assert lakekit.checked(lake).orphans == []
    age(fresh)
    assert [Path(name).name for name in verify(lake).orphans] == [fresh.name]


@pytest.mark.slow
def test_expiry_beside_verify_is_no_orphan(lake: Path) -> None:
    """Files that the catalog has just forgotten and that are about to be deleted are nobody's fault."""
    stop = threading.Event()
    failed: list[object] = []

    def look() -> None:
        while not stop.is_set():
            report = verify(lake, fast=True)
            if not report.ok:
                failed.append(report.as_dict())
                return

    thread = threading.Thread(target=look)
    thread.start()
    writer = open_writer(lake, at_cursor=LAST)
    for n in range(4, 30):
        commit(writer, message(n, envelope(n * 10), envelope(n * 10 + 1, ts=lakekit.NOON_US + (n % 3) * DAY_US)))
        for path in LakePaths(lake).data.rglob("*.parquet"):
            age(path)
        if n % 3 == 0:
            compact(writer.catalog)
            for path in LakePaths(lake).data.rglob("*.parquet"):
                age(path)
            expire(writer.catalog, keep_seconds=0)
    stop.set()
    thread.join()
    assert failed == []
    lakekit.checked(lake)


def forge(root: Path, *seqs: int, stream_seq: int = 4) -> None:
    """Commit a file with these events, past every look-up."""
    paths = LakePaths(root)
    with Catalog(paths) as catalog:
        start = read_cursor(catalog.connection, STREAM)
        sent = message(stream_seq, *map(envelope, seqs))
        rows = rows_of(sent, STREAM)
        table = to_table(rows, start.incarnation)
        file = parquet.write(paths, table, "ws_event", rows[0].partition[1], scopes.spans(rows))
        end = replace(start, last_seq=4, last_time_us=sent.time_us, last_hash=body_hash(sent.body))
        counts = Counter(taken=len(seqs), stored=len(seqs))
        commit_batch(catalog, start, Batch(end, [(4, 4)], [file], totals=counts))


def test_ids_that_stand_there_twice_are_counted(lake: Path) -> None:
    forge(lake, 1, 2, 3, 100)
    report = verify(lake)
    assert (report.ok, report.duplicate_ids, report.catalog, report.sequences) == (False, 3, [], [])


def test_rows_of_a_sequence_that_was_never_taken_are_found(lake: Path) -> None:
    forge(lake, 100, stream_seq=77)
    report = verify(lake)
    assert report.sequences == ["1 rows lie outside every range that was taken"]


@pytest.mark.parametrize(
    ("statement", "found", "where"),
    [
        ("UPDATE rugs_range SET first_seq = 2", "sequences 1 to 1 were taken never", "sequences"),
        ("DELETE FROM rugs_range", "the cursor is at 3", "sequences"),
        ("UPDATE rugs_cursor SET last_seq = 5", "the cursor is at 5", "sequences"),
        ("INSERT INTO rugs_gap VALUES (1, 'RUGS_EVENTS', '%s', 2, 3, 'x', 0, 0)", "taken twice", "sequences"),
        ("UPDATE rugs_cursor SET incarnation = 'other'", "the cursor is at 3", "sequences"),
        (
            "INSERT INTO ducklake_snapshot VALUES (9, '2026-01-01 00:00:00.000000+00', 1, 3, 9);"
            "INSERT INTO ducklake_snapshot_changes VALUES (9, 'x', NULL, NULL, NULL)",
            "not written by Rugbus",
            "catalog",
        ),
        ("INSERT INTO ducklake_snapshot VALUES (9, '2026-01-01 00:00:00+00', 1, 3, 9)", "not written by", "catalog"),
        ("INSERT INTO ducklake_table_stats VALUES (1, 50, 50, 1)", "ducklake_table_stats has rows", "catalog"),
        (
            "INSERT INTO ducklake_table_column_stats VALUES (1, 1, 0, 0, 'a', 'b', NULL)",
            "ducklake_table_column_stats has rows",
            "catalog",
        ),
        ("INSERT INTO ducklake_delete_file (delete_file_id) VALUES (1)", "ducklake_delete_file has rows", "catalog"),
        ("INSERT INTO ducklake_inlined_data_tables VALUES (1, 'inlined_1', 1)", "inlined rows", "catalog"),
        ("UPDATE ducklake_metadata SET value = '/else/' WHERE key = 'data_path'", "data_path", "catalog"),
        ("UPDATE ducklake_data_file SET record_count = 99 WHERE data_file_id = 0", "", "torn"),
        ("UPDATE rugs_total SET value = 99 WHERE name = 'stored'", "do not add up", "catalog"),
        (
            "UPDATE rugs_total SET value = 99 WHERE name IN ('stored', 'taken')",
            "99 stored and 0 rejected are not 7 rows",
            "catalog",
        ),
        ("DELETE FROM rugs_file WHERE data_file_id = 0", "", "catalog"),
    ],
)
def test_a_fault_of_the_catalog_is_named(lake: Path, statement: str, found: str, where: str) -> None:
    change(lake, statement.replace("%s", lakekit.INCARNATION))
    report = verify(lake)
    assert not report.ok
    assert any(found in fault for fault in getattr(report, where)), report.as_dict()


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO ducklake_snapshot VALUES (9, '2026-01-01 00:00:00+00', 1, 3, 9)",
        "UPDATE ducklake_snapshot SET next_file_id = 99",
        "DELETE FROM ducklake_snapshot",
        "INSERT OR REPLACE INTO ducklake_snapshot VALUES (4, '2026-01-01 00:00:00+00', 1, 3, 9)",
    ],
)
def test_triggers_refuse_a_foreign_snapshot(lake: Path, statement: str) -> None:
    connection = sqlite3.connect(LakePaths(lake).catalog)
    with pytest.raises(sqlite3.IntegrityError, match="only Rugbus writes this catalog: attach it with READ_ONLY"):
        connection.execute(statement)
    connection.close()
    lakekit.checked(lake)


def test_a_copied_lake_is_said_to_be_one_and_corrected_by_its_writer(lake: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(lake, copy)
    report = verify(copy)
    assert (report.ok, len(report.catalog)) == (False, 1)
    assert "data_path is not where the files lie; the writer corrects it when it starts" in report.catalog[0]
    writer = open_writer(copy, at_cursor=LAST)
    commit(writer, message(4, envelope(99)))
    writer.close()
    assert lakekit.checked(copy).rows == 8
    assert lakekit.checked(lake).rows == 7


def test_a_lake_is_the_same_one_by_whatever_path(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative, through a link, with dots: the data path that DuckLake needs is one and the same."""
    link = lake.parent / "link"
    link.symlink_to(lake)
    monkeypatch.chdir(lake.parent)
    for path in (link, Path("lake"), lake / "events_parquet" / ".."):
        lakekit.checked(path)


def test_damage_to_the_database_itself_is_found(lake: Path) -> None:
    catalog = LakePaths(lake).catalog
    content = bytearray(catalog.read_bytes())
    for place in range(4096 * 3, len(content), 4096):
        content[place : place + 200] = b"\xee" * 200
    catalog.write_bytes(content)
    with pytest.raises(LakeError, match="malformed"):
        verify(lake)


def test_progress_goes_from_nothing_to_all(lake: Path) -> None:
    seen: list[tuple[int, int]] = []
    verify(lake, progress=lambda done, of: seen.append((done, of)))
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_verify_leaves_nothing_in_the_current_folder(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = lake.parent / "here"
    where.mkdir()
    monkeypatch.chdir(where)
    verify(lake)
    assert list(where.iterdir()) == []
    assert list(LakePaths(lake).state.iterdir()) == []


def test_files_of_older_snapshots_are_looked_at_too(lake: Path) -> None:
    old = lakekit.live_paths(lake)[0]
    with Catalog(LakePaths(lake)) as catalog:
        compact(catalog)
    assert lakekit.checked(lake).files == 1
    old.unlink()
    assert [Path(name).name for name in verify(lake).missing] == [old.name]
