"""A full disk and a folder that cannot be written: said clearly, nothing lost, and on it goes by itself."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rugs_lake.errors import LakeError
from rugs_lake.maintain.compaction import compact
from rugs_lake.maintain.verify import verify
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.paths import LakePaths
from rugs_lake.write.writer import LakeWriter
from tests.support import lakekit
from tests.support.lakekit import STREAM, commit, envelope, id_of, message, open_writer

FAILURES = (OSError, sqlite3.OperationalError)


def mount(*arguments: str | Path) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"a disk of its own needs root: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=16m", "tmpfs", folder)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(disk: Path, leave: int) -> Path:
    """Fill a disk up to some bytes."""
    free = os.statvfs(disk)
    ballast = disk / "ballast"
    ballast.write_bytes(b"x" * max(0, free.f_bavail * free.f_frsize - leave))
    return ballast


@pytest.mark.slow
def test_a_full_disk_stops_a_commit_wherever_it_hits_and_the_same_commit_goes_through_later(disk: Path) -> None:
    root = disk / "lake"
    writer = open_writer(root)
    stopped = 0
    expected: set[str] = set()
    for n in range(1, 40):
        told = [envelope(n * 10 + k, ts=lakekit.NOON_US - (k % 3) * lakekit.DAY_US) for k in range(6)]
        lakekit.add(writer, message(n, *told))
        pending = writer.take()
        assert pending is not None
        ballast = fill(disk, leave=4096 * n)
        try:
            writer.commit(pending)
        except FAILURES:
            stopped += 1
            assert {row[0] for row in lakekit.select(root, "SELECT id FROM events")} == expected
            ballast.unlink()
            writer.commit(pending)
        ballast.unlink(missing_ok=True)
        expected |= set(map(id_of, told))
        if n % 10 == 0:
            compact(writer.catalog)
    assert 3 < stopped < 39  # some failed at a file, some at the catalog, some not at all
    assert {row[0] for row in lakekit.select(root, "SELECT id FROM events")} == expected
    lakekit.checked(root)
    assert not LakePaths(root).temporary_files()


@pytest.mark.slow
def test_a_full_disk_stops_a_compaction_and_leaves_everything_as_it_was(disk: Path) -> None:
    root = disk / "lake"
    writer = open_writer(root)
    for n in range(1, 12):
        commit(writer, message(n, *(envelope(n * 10 + k, raw="x" * 2000 + str(n * k)) for k in range(6))))
    before = lakekit.digest_of_rows(root)
    for leave in (0, 4096, 16384):
        ballast = fill(disk, leave)
        with pytest.raises(FAILURES):
            compact(writer.catalog)
        ballast.unlink()
        assert lakekit.digest_of_rows(root) == before
        lakekit.checked(root)
    assert compact(writer.catalog).files_after == 1
    assert lakekit.digest_of_rows(root) == before


@pytest.mark.slow
def test_a_writer_cannot_start_on_a_full_disk_says_so_and_starts_later(disk: Path) -> None:
    root = disk / "lake"
    ballast = fill(disk, 0)
    with pytest.raises(LakeError, match=r"No space left|full|I/O error"):
        open_writer(root)
    ballast.unlink()
    writer = open_writer(root)
    commit(writer, message(1, envelope(1)))
    writer.close()
    ballast = fill(disk, 0)
    with pytest.raises(LakeError, match=r"No space left|full|I/O error"):
        open_writer(root, at_cursor=message(1, envelope(1)))
    assert lakekit.all_ids(root) == [id_of(envelope(1))]
    ballast.unlink()
    open_writer(root, at_cursor=message(1, envelope(1))).close()
    lakekit.checked(root)


def test_a_limit_on_file_sizes_is_like_a_full_disk(tmp_path: Path) -> None:
    """Needs no root: what cannot be written is said, and nothing is torn."""
    writer = open_writer(tmp_path)
    commit(writer, message(1, envelope(1)))
    lakekit.add(writer, message(2, *(envelope(n, raw=os.urandom(300)) for n in range(2, 200))))
    pending = writer.take()
    assert pending is not None
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            writer.commit(pending)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    lakekit.checked(tmp_path)
    writer.commit(pending)
    assert lakekit.checked(tmp_path).rows == 199


@pytest.fixture
def read_only(disk: Path) -> Path:
    """A lake with one row on a disk that cannot be written."""
    lakekit.store(disk / "lake", message(1, envelope(1)))
    mount("-o", "remount,ro", disk)
    return disk / "lake"


@pytest.mark.slow
def test_a_lake_in_a_folder_that_cannot_be_written_can_be_read(read_only: Path) -> None:
    assert lakekit.all_ids(read_only) == [id_of(envelope(1))]
    assert {fault.split(";")[0] for fault in verify(read_only).faults()} == set()


@pytest.mark.slow
def test_a_writer_in_a_folder_that_cannot_be_written_says_so_in_one_line(read_only: Path) -> None:
    with pytest.raises(LakeError, match=r"cannot write|cannot open") as caught:
        LakeWriter(LakePaths(read_only), STREAM)
    assert "\n" not in str(caught.value)
    assert str(read_only) in str(caught.value)


@pytest.mark.slow
def test_a_new_lake_in_a_folder_that_cannot_be_written_says_so_in_one_line(disk: Path) -> None:
    mount("-o", "remount,ro", disk)
    with pytest.raises(LakeError, match="set RUGS_DATA_DIR to a folder you own") as caught:
        LakeWriter(LakePaths(disk / "new"), STREAM)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_what_a_killed_writer_left_in_its_log_is_never_silently_missing(disk: Path, tmp_path: Path) -> None:
    """A log that cannot be read where nothing can be written: say so, rather than leave rows out."""
    writer = open_writer(tmp_path / "lake")
    for n in range(1, 4):
        commit(writer, message(n, envelope(n)))
    assert LakePaths(tmp_path / "lake").catalog.with_name("lake.sqlite-wal").stat().st_size > 0
    shutil.copytree(tmp_path / "lake", disk / "lake", ignore=shutil.ignore_patterns("*-shm"))
    mount("-o", "remount,ro", disk)
    try:
        assert len(lakekit.all_ids(disk / "lake")) == 3
    except LakeError as error:
        assert "its log needs a folder to write in" in str(error)  # noqa: PT017 - either outcome is right


def test_a_file_that_is_no_catalog_is_an_error_in_one_line(tmp_path: Path) -> None:
    paths = LakePaths(tmp_path)
    paths.create()
    for content in (b"", b"not a database at all" * 100):
        paths.catalog.write_bytes(content)
        with pytest.raises(LakeError, match="cannot open the catalog"):
            Catalog(paths)
        with pytest.raises(LakeError, match="cannot open the catalog"):
            lakekit.select(tmp_path, "SELECT 1")
