"""Only a lake that is absent is empty: one that cannot be read now, or by this program, is told from it everywhere."""

from __future__ import annotations

import asyncio
import fcntl
import os
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

import rugs_lake
from rugs_core.patience import GivenUpError, Patience
from rugs_derive.stored import StoredEvents
from rugs_follow.lake_reader import LakeReader
from rugs_lake import LakeAbsentError, LakeError, LakeIncompatibleError, LakeUnavailableError
from rugs_lake.read import stats
from rugs_lake.store import catalog as catalogs
from rugs_lake.store import ledger
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.parquet import TornFileError, read
from rugs_lake.store.paths import LakePaths
from rugs_legacy.dual_write import events
from rugs_legacy.exported.known import Known
from tests.support import lakekit
from tests.support.lakekit import INCARNATION, STREAM
from tests.support.stackkit import until

SHA256: Final = "0" * 64


@contextmanager
def busy(root: Path) -> Iterator[None]:
    """Another program has the database to itself."""
    connection = sqlite3.connect(LakePaths(root).catalog, isolation_level=None)
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.close()


@contextmanager
def no_file_handle_left(_root: Path) -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, limits[1]))
    taken = []
    try:
        while True:
            try:
                taken.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                break
        yield
    finally:
        for handle in taken:
            os.close(handle)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@contextmanager
def migrating(root: Path) -> Iterator[None]:
    """A migration of an older lake is running."""
    with another_version("0.9.0")(root):
        LakePaths(root).state.mkdir(exist_ok=True)
        with LakePaths(root).migration_lock.open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


@contextmanager
def its_disk_is_not_mounted(root: Path) -> Iterator[None]:
    manifests = LakePaths(root).manifests
    elsewhere = root.parent / "elsewhere"
    manifests.rename(elsewhere)
    manifests.symlink_to(root.parent / "mounted" / "manifests")
    yield
    manifests.unlink()
    elsewhere.rename(manifests)


def another_version(version: str) -> Callable[[Path], Any]:
    @contextmanager
    def change(root: Path) -> Iterator[None]:
        (before,) = lakekit.catalog_rows(root, "SELECT DISTINCT schema_version FROM rugs_file")[0]
        _set_version(root, version)
        yield
        _set_version(root, before)

    return change


def _set_version(root: Path, version: str) -> None:
    with sqlite3.connect(LakePaths(root).catalog) as connection:
        connection.execute("UPDATE rugs_file SET schema_version = ?", (version,))
    connection.close()


def content(told: bytes | None) -> Callable[[Path], Any]:
    @contextmanager
    def change(root: Path) -> Iterator[None]:
        catalog, aside = LakePaths(root).catalog, root.parent / "aside"
        catalog.rename(aside)
        if told is not None:
            catalog.write_bytes(told)
        yield
        aside.rename(catalog)

    return change


PASSING: Final = {
    "busy": busy,
    "no file handle left": no_file_handle_left,
    "a migration is running": migrating,
    "its disk is not mounted": its_disk_is_not_mounted,
}
NOT_PASSING: Final = {
    "an older major version": another_version("0.9.0"),
    "a newer major version": another_version("99.0.0"),
    "an empty file": content(b""),
    "no database": content(b"not a database at all" * 100),
    "its catalog is gone": content(None),
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogs, "BUSY_SECONDS", 0.05)


@pytest.mark.parametrize("name", [*PASSING, *NOT_PASSING])
def test_a_lake_that_cannot_be_read_is_never_taken_for_none(lake: Path, name: str) -> None:
    """Nor does anybody make a new one in its place."""
    expected = LakeUnavailableError if name in PASSING else LakeIncompatibleError
    before = lakekit.digest_of_rows(lake)
    with {**PASSING, **NOT_PASSING}[name](lake):
        for read_it in (
            rugs_lake.open,
            events.open_lake,
            StoredEvents,
            lambda root: Known(root).open_lake(),
        ):
            with pytest.raises(expected) as caught:
                read_it(lake)
            assert caught.value.retryable == (name in PASSING)
            assert "\n" not in str(caught.value)
        if "version" not in name and "migration" not in name:
            for ask_catalog in (stats.cursors, lambda root: ledger.imports_of(root, SHA256)):
                with pytest.raises(expected):
                    ask_catalog(lake)
        with pytest.raises(LakeError):
            lakekit.open_writer(lake)
    assert lakekit.digest_of_rows(lake) == before


def test_where_nothing_was_stored_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    LakePaths(tmp_path / "begun").create()
    for name in ("nothing", "empty", "begun"):
        root = tmp_path / name
        for read_it in (rugs_lake.open, stats.cursors, lambda root: Catalog(LakePaths(root))):
            with pytest.raises(LakeAbsentError, match="no lake at"):
                read_it(root)
        assert ledger.imports_of(root, SHA256) == []


class Reader:
    """A reader of the lake, as followers have one."""

    def __init__(self, root: Path) -> None:
        self.stop = asyncio.Event()
        self.retry = Patience(self.stop, (LakeUnavailableError,), 0.05)
        self.lake = LakeReader(root, StoredEvents, self.retry, self.stop)

    async def all(self) -> list[Any]:
        """Ask for everything that a follower asks for."""
        taken = [each async for each in self.lake.stream(lambda stored: iter(stored.lives()))]
        return [await self.lake.reached(INCARNATION), await self.lake.ask(lambda stored: stored.lives()), taken]


async def test_a_follower_waits_until_the_lake_can_be_read(lake: Path) -> None:
    """Going on without would leave out for good what it holds; told to stop, it has taken nothing for that."""
    reader = Reader(lake)
    with busy(lake):
        question = asyncio.create_task(reader.all())
        await until(lambda: reader.retry.trouble is not None)
        assert not question.done()
    reached, lives, taken = await question
    assert reached > 0
    assert [life.incarnation for life in lives] == [INCARNATION]
    assert taken == lives
    assert reader.retry.trouble is None
    with busy(lake):
        question = asyncio.create_task(reader.all())
        await until(lambda: reader.retry.trouble is not None)
        reader.stop.set()
        with pytest.raises(GivenUpError):
            await question


async def test_a_follower_takes_an_absent_lake_for_empty_and_ends_at_one_it_cannot_read(lake: Path) -> None:
    assert await Reader(lake.parent / "nothing").all() == [0, None, []]
    with NOT_PASSING["an empty file"](lake):
        for ask in (Reader(lake).all, lambda: Reader(lake).lake.reached(INCARNATION)):
            with pytest.raises(LakeIncompatibleError):
                await ask()


async def test_reading_goes_on_behind_what_was_taken_when_a_file_was_gone_for_a_moment(lake: Path) -> None:
    reader = Reader(lake)
    taken: list[int] = []
    opened = 0

    def read(stored: StoredEvents) -> Iterator[int]:
        nonlocal opened
        opened += 1
        for number in range(len(taken), 5):
            if number == 3 and opened == 1:
                raise OSError("not now")
            yield number

    async for number in reader.lake.stream(read):
        taken.append(number)
    assert (taken, opened) == ([0, 1, 2, 3, 4], 2)


def test_a_file_that_cannot_be_read_now_is_not_called_damaged(lake: Path) -> None:
    """`rugs verify --repair` gives up what is damaged: the rows of these would be lost for nothing."""
    path = lakekit.live_paths(lake)[0]
    with no_file_handle_left(lake), pytest.raises(OSError, match="Too many open files"):
        read(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(TornFileError):
        read(path)


def test_a_catalog_that_is_busy_is_never_opened_as_one_that_nobody_writes(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    connect = sqlite3.connect

    def noted(where: Any, **options: Any) -> sqlite3.Connection:
        asked.append(str(where))
        opened: sqlite3.Connection = connect(where, **options)
        return opened

    monkeypatch.setattr(sqlite3, "connect", noted)
    with busy(lake), pytest.raises(LakeUnavailableError, match="locked"):
        Catalog(LakePaths(lake), read_only=True)
    assert [uri for uri in asked if uri.startswith("file:")]
    assert not [uri for uri in asked if "immutable" in uri]


def test_a_writer_says_what_it_cannot_write_now(lake: Path) -> None:
    with busy(lake), pytest.raises(LakeUnavailableError, match="locked"):
        rugs_lake.write.writer.LakeWriter(LakePaths(lake), STREAM)
