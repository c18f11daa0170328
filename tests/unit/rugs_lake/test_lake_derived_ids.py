"""Ids of derived events without a natural key: known for ever, in any session, for a few bytes each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rugs_lake.maintain.compaction import compact
from rugs_lake.maintain.retention import expire
from rugs_lake.store import derived_ids
from rugs_lake.store.catalog import Catalog, give_back_space, rebuild
from rugs_lake.store.derived_ids import add, begin, days_of, entry_of, pack
from rugs_lake.store.paths import LakePaths
from rugs_lake.store.rows import cause_scope
from tests.support import lakekit
from tests.support.examples import examples
from tests.support.lakekit import DAY_US, NOON_US, commit, envelope, message, open_writer, state, tick

DAY = NOON_US // DAY_US


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog(LakePaths(tmp_path), create=True) as catalog:
        yield catalog


def note(catalog: Catalog, entries: set[int]) -> None:
    with catalog.transaction() as connection:
        add(connection, entries)


IDS = st.tuples(st.integers(0, 40), st.integers(10_957, 10_959))


@given(
    rounds=st.lists(st.tuples(st.lists(IDS, max_size=30), st.booleans()), min_size=1, max_size=6),
    bits=st.sampled_from([1, 4, 46]),
)
@settings(deadline=None, max_examples=examples(25))
def test_every_entry_is_found_however_they_are_packed(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[tuple[list[tuple[int, int]], bool]], bits: int
) -> None:
    """With as few bits as make every id collide, and blocks so small that they are cut and merged all the time."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"HASH_BITS": bits, "BLOCK": 3, "SLICE": 4, "BLOCKS_AT_ONCE": 2}.items():
            patch.setattr(derived_ids, name, value)
        with Catalog(LakePaths(tmp_path_factory.mktemp("ids")), create=True) as catalog:
            noted: set[tuple[bytes, int]] = set()
            for told, is_packed in rounds:
                new = {(digest(number), day) for number, day in told}
                note(catalog, {entry_of(*each) for each in new})
                noted |= new
                if is_packed:
                    pack(catalog)
                    assert catalog.one("SELECT count(*) FROM rugs_id") == (0,)
                found = days_of(catalog.connection, [digest(number) for number in range(50)])
                for digest_, day in noted:
                    assert day in found[digest_]
                if bits == 46:
                    assert {(each, day) for each, days in found.items() for day in days} == noted
            firsts = [first for (first,) in catalog.all("SELECT first FROM rugs_id_block ORDER BY 1")]
            assert len(firsts) == len(set(firsts))


def digest(number: int) -> bytes:
    return bytes.fromhex(lakekit.id_of(state(number)))


@pytest.mark.parametrize("bits", [2, 46])
def test_an_id_is_stored_once_whichever_session_and_day_it_is_told_in(
    tmp_path: Path, bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(derived_ids, "HASH_BITS", bits)
    writer = open_writer(tmp_path)
    told = [state(n, session_id=f"s{n % 3}", ts=NOON_US - n % 2 * DAY_US) for n in range(20)]
    assert commit(writer, message(1, *told)).totals["stored"] == 20
    others = [state(n, session_id="other", seq=n + 900, ts=NOON_US - 9 * DAY_US) for n in range(25)]
    steps: list[Callable[[], object]] = [
        lambda: None,
        lambda: compact(writer.catalog),
        lambda: expire(writer.catalog, keep_seconds=0),
    ]
    for seq, step in enumerate(steps, start=2):
        step()
        done = commit(writer, message(seq, *others[: 19 + seq])).totals
        assert (done["stored"], done["duplicates"]) == (1, 18 + seq)
    assert lakekit.checked(tmp_path).rows == 23


def test_one_that_was_given_up_with_its_file_can_come_again(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    commit(writer, message(1, state(1)))
    commit(writer, message(2, envelope(1)))
    (path,) = [path for path in lakekit.live_paths(tmp_path) if "server_state" in str(path)]
    path.unlink()
    lakekit.checked(tmp_path, repair=True)
    assert commit(writer, message(3, state(1))).totals["stored"] == 1
    lakekit.checked(tmp_path)


def before_entries(root: Path) -> None:
    """Make a lake what it was before there were entries: a row for each cause, in `rugs_scope`."""
    with Catalog(LakePaths(root)) as catalog:
        files = catalog.all("SELECT data_file_id, path FROM ducklake_data_file WHERE end_snapshot IS NULL")
        with catalog.transaction() as connection:
            for table in ("rugs_id", "rugs_id_block", "rugs_id_untaken"):
                connection.execute(f"DROP TABLE {table}")
            for file_id, path in files:
                for row in lakekit.rows_of_file(LakePaths(root).data / path):
                    if row["cause"] is not None and row["doc_type"] != "game_tick":
                        scope = cause_scope(row["cause"].hex())
                        connection.execute("INSERT OR IGNORE INTO rugs_scope VALUES (?, ?, 0, 0)", (scope, file_id))


def causes(root: Path) -> int:
    return int(lakekit.catalog_rows(root, "SELECT count(*) FROM rugs_scope WHERE last_pos = 0")[0][0])


def test_a_lake_from_before_goes_on_and_is_taken_over_by_a_compaction(tmp_path: Path) -> None:
    told = [message(n, *(state(n * 10 + k) for k in range(5))) for n in range(1, 6)]
    lakekit.store(
        tmp_path, *told, message(6, *(tick(n) for n in range(5, 9))), message(7, *(envelope(n) for n in range(1, 5)))
    )
    before_entries(tmp_path)
    assert causes(tmp_path) == 25
    writer = open_writer(tmp_path, at_cursor=message(7, *(envelope(n) for n in range(1, 5))))
    again = [each for n in range(1, 6) for each in (state(n * 10 + k, session_id="other") for k in range(6))]
    done = commit(writer, message(8, *again)).totals
    assert (done["stored"], done["duplicates"]) == (5, 25)
    assert causes(tmp_path) == 25
    compact(writer.catalog)
    assert causes(tmp_path) == 0
    assert writer.catalog.all("SELECT * FROM rugs_id_untaken") == []
    assert commit(writer, message(9, *again), message(10, *(tick(n) for n in range(5, 9)))).totals["duplicates"] == 34
    assert lakekit.checked(tmp_path).rows == 25 + 5 + 4 + 4


def test_a_file_that_cannot_be_read_waits_to_be_taken_over(tmp_path: Path) -> None:
    lakekit.store(tmp_path, message(1, state(1)), message(2, state(2)))
    before_entries(tmp_path)
    writer = open_writer(tmp_path, at_cursor=message(2, state(2)))
    (damaged, *_) = sorted(lakekit.live_paths(tmp_path))
    content = damaged.read_bytes()
    damaged.write_bytes(content[:100])
    with pytest.raises(Exception, match="damaged"):
        compact(writer.catalog)
    assert causes(tmp_path) == 1
    damaged.write_bytes(content)
    compact(writer.catalog)
    assert causes(tmp_path) == 0
    assert commit(writer, message(3, state(1), state(2), state(3))).totals["stored"] == 1
    lakekit.checked(tmp_path)


def many(first: int, count: int) -> list[dict[str, Any]]:
    return [state(n, ts=NOON_US + n, seq=n + 1) for n in range(first, first + count)]


@pytest.mark.slow
def test_an_id_takes_a_few_bytes_and_nobody_waits_for_its_entry(tmp_path: Path) -> None:
    """Of 40,000: the catalog's pages beside those of an empty lake, and the longest time that a lock was held."""
    writer = open_writer(tmp_path)
    pages = ("page_count", "freelist_count")
    size = writer.catalog.one("PRAGMA page_size")[0]
    empty = writer.catalog.one("PRAGMA page_count")[0]
    held: list[float] = []
    begun = [0.0]

    def trace(statement: str) -> None:
        if statement.startswith("BEGIN IMMEDIATE"):
            begun[0] = time.thread_time()
        elif statement.startswith("COMMIT"):
            held.append(time.thread_time() - begun[0])

    writer.catalog.connection.set_trace_callback(trace)
    for seq in range(1, 5):
        commit(writer, message(seq, *many(seq * 10_000, 10_000)))
    compact(writer.catalog)
    expire(writer.catalog, keep_seconds=0)
    used, free = (writer.catalog.one(f"PRAGMA {name}")[0] for name in pages)
    assert (used - free - empty) * size / 40_000 < 12
    assert free <= 64 + 128
    assert 0 < max(held) < 0.1
    assert commit(writer, message(5, *many(10_000, 1_000))).totals["duplicates"] == 1_000
    lakekit.checked(tmp_path, fast=True)


def test_in_the_background_entries_wait_until_there_are_many(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derived_ids, "PACK_AT", 10)
    note(catalog, {entry_of(digest(n), DAY) for n in range(9)})
    pack(catalog, all_entries=False)
    assert catalog.one("SELECT count(*) FROM rugs_id") == (9,)
    assert not derived_ids.is_due(catalog.connection)
    note(catalog, {entry_of(digest(9), DAY)})
    assert derived_ids.is_due(catalog.connection)
    pack(catalog, all_entries=False)
    assert catalog.one("SELECT count(*) FROM rugs_id") == (0,)
    assert len(days_of(catalog.connection, [digest(n) for n in range(12)])) == 10


def test_tables_are_made_once(catalog: Catalog) -> None:
    with catalog.transaction() as connection:
        for table in ("rugs_id", "rugs_id_block", "rugs_id_untaken"):
            connection.execute(f"DROP TABLE {table}")
    pack(catalog)
    assert not derived_ids.is_due(catalog.connection)
    begin(catalog)
    begin(catalog)
    assert catalog.one("SELECT count(*) FROM rugs_id") == (0,)


BALLAST = (
    "CREATE TABLE ballast AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)"
    " SELECT randomblob(1000) AS bytes FROM n",
    "DROP TABLE ballast",
)


def test_a_catalog_from_before_is_rebuilt_and_gives_its_space_back_from_then_on(tmp_path: Path) -> None:
    lakekit.store(tmp_path, message(1, *many(1, 100)))
    with Catalog(LakePaths(tmp_path)) as catalog:
        for statement in ("PRAGMA auto_vacuum = NONE", "VACUUM", *BALLAST):
            catalog.connection.execute(statement)
        give_back_space(catalog)
        assert catalog.one("PRAGMA freelist_count")[0] > 700
        rebuild(catalog)
        for statement in BALLAST:
            catalog.connection.execute(statement)
        give_back_space(catalog)
        assert catalog.one("PRAGMA freelist_count")[0] <= 64
    lakekit.checked(tmp_path)
