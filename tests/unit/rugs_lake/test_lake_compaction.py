"""Compaction: fewer files with the same rows, whoever reads, writes or compacts beside it."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rugs_lake.maintain import compaction
from rugs_lake.maintain.compaction import TARGET_MEMORY, LiveFile, compact, live_files, merge, plan
from rugs_lake.maintain.ordering import sort_rows
from rugs_lake.maintain.retention import expire
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.commit import NotLiveError
from rugs_lake.store.parquet import Effort
from rugs_lake.store.paths import LakePaths
from rugs_proto.message import Message
from tests.support import lakekit
from tests.support.lakekit import DAY_US, NOON_US, commit, envelope, message, open_writer, tick

MIB = 1024 * 1024
DAY = 86_400


def file(number: int, memory: int, *, date: str = "2026-06-01", kind: str = "ws_event", done: bool = False) -> LiveFile:
    return LiveFile(number, f"{number}.parquet", kind, date, 10, memory, done)


def made(
    number: int, ago: float, memory: int, *, effort: Effort = Effort.FLUSHED, date: str = "2026-06-01"
) -> LiveFile:
    """Return a file that was written so many seconds ago."""
    micros = int((time.time() - ago) * 1e6)
    return file(number, memory, date=date, done=False)._replace(
        path=f"part-{micros:x}-{number:012x}.parquet", effort=effort
    )


def numbers(groups: list[list[LiveFile]]) -> list[list[int]]:
    return [[each.file_id for each in group] for group in groups]


def test_in_the_background_files_wait_until_there_are_enough_of_like_size() -> None:
    small = [file(n, 10_000) for n in range(7)]
    assert plan(small, all_files=False) == []
    assert numbers(plan([*small, file(7, 10_000)], all_files=False)) == [list(range(8))]
    assert plan([*small, file(7, 10_000_000)], all_files=False) == []


def test_on_demand_all_that_is_not_full_is_merged() -> None:
    files = [file(1, 10_000), file(2, 10 * MIB), file(3, 100), file(4, TARGET_MEMORY, done=True)]
    assert numbers(plan(files, all_files=True)) == [[1, 2, 3]]


def test_a_group_has_no_more_files_than_a_statement_has_variables() -> None:
    for all_files in (True, False):
        groups = plan([file(n, 100) for n in range(2_000)], all_files=all_files)
        assert [len(group) for group in groups] == [900, 900, 200]


def test_what_is_settled_and_alone_is_left_as_it_is() -> None:
    alone = [file(n, memory, date=f"2026-06-{n:02}", done=True) for n, memory in ((1, 100), (2, 47 * MIB))]
    for all_files in (True, False):
        assert plan(alone, all_files=all_files) == []


def test_partitions_are_never_mixed() -> None:
    files = [
        file(n, 10_000, date=f"2026-06-0{n % 2 + 1}", kind=kind)
        for n, kind in enumerate(["ws_event", "game_tick"] * 20)
    ]
    for all_files in (True, False):
        for group in plan(files, all_files=all_files):
            assert len({(each.doc_type, each.date) for each in group}) == 1


def test_what_is_merged_fits_the_target() -> None:
    files = [file(n, 5 * MIB) for n in range(100)]
    for all_files in (True, False):
        groups = plan(files, all_files=all_files)
        assert all(sum(each.memory for each in group) <= TARGET_MEMORY for group in groups)
        assert sum(map(len, groups)) >= 90


@pytest.mark.parametrize("memory", [3_000, 40_000, 700_000, 9 * MIB])
def test_in_the_background_each_row_is_rewritten_a_few_times_only_and_few_files_stay(memory: int) -> None:
    """A day of flushes, compacted after each: whatever their size."""
    files: list[LiveFile] = []
    rewritten = 0
    flushes = 2_000 if memory < MIB else 300
    for number in range(flushes):
        files.append(file(number, memory))
        for group in plan(files, all_files=False):
            size = sum(each.memory for each in group)
            rewritten += size
            files = [each for each in files if each not in group]
            files.append(file(100_000 + number, size, done=True))
    assert rewritten / (memory * flushes) < 6
    assert len(files) <= 8 * 6 + 2 * flushes * memory / (TARGET_MEMORY / 2)


EFFORTS = st.sampled_from(list(Effort))
FILES = st.lists(
    st.tuples(st.integers(1, 60 * MIB), EFFORTS, st.sampled_from(["2026-06-01", "2026-06-02"])), max_size=40
)


@given(FILES)
@settings(deadline=None)
def test_no_file_is_compacted_for_ever(told: list[tuple[int, Effort, str]]) -> None:
    """What one plan has made, neither it nor a lesser one names again; the best is the end of it."""
    files = [made(n, 1e6, memory, effort=effort, date=date) for n, (memory, effort, date) in enumerate(told)]
    for all_files, effort in ((False, Effort.QUICK), (True, Effort.QUICK), (True, Effort.BEST)):
        for _ in range(50):
            groups = plan(files, all_files=all_files, effort=effort)
            if not groups:
                break
            gone = {each.file_id for group in groups for each in group}
            assert len(gone) == sum(map(len, groups))
            made_of = [(sum(each.memory for each in group), group[0].date) for group in groups]
            files = [each for each in files if each.file_id not in gone]
            files += [made(1000 + len(files) + n, 1e6, m, effort=effort, date=d) for n, (m, d) in enumerate(made_of)]
            files = [each._replace(file_id=n) for n, each in enumerate(files)]
        else:
            pytest.fail("it goes on for ever")
    assert plan(files, all_files=True) == plan(files, all_files=False) == []
    assert all(each.effort == Effort.BEST for each in files)


def test_only_a_date_that_has_got_nothing_for_days_is_made_the_best_of() -> None:
    files = [
        made(1, 4 * DAY, 10_000, effort=Effort.QUICK),
        made(2, 4 * DAY, TARGET_MEMORY, effort=Effort.QUICK),
        made(3, 60, 10_000, date="2026-06-02"),
        made(4, 9 * DAY, TARGET_MEMORY, effort=Effort.QUICK, date="2026-06-02"),
        made(5, 60, TARGET_MEMORY, effort=Effort.BEST, date="2026-06-03"),
        made(6, 5 * DAY, TARGET_MEMORY, effort=Effort.QUICK, date="2026-06-03"),
        file(7, 10_000, date="2026-06-04"),  # whose name says nothing
    ]
    assert numbers(compaction.plan_for_quiet_dates(files)) == [[2], [6], [1]]


def test_in_the_background_a_quiet_date_is_made_the_best_of_while_nothing_else_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.nice", lambda _: 0)  # it is for a process of its own
    monkeypatch.setattr(compaction, "QUIET_SECONDS", 0)
    idle = [False]
    monkeypatch.setattr(compaction, "is_idle", lambda: idle[0])
    lakekit.store(tmp_path, *stream(3))
    before = lakekit.digest_of_rows(tmp_path)
    with Catalog(LakePaths(tmp_path)) as catalog:
        assert not compaction.is_due(catalog)
        assert compaction.compact_in_background(catalog).files_before == 0
        idle[0] = True
        rounds = 0
        while compaction.is_due(catalog):
            assert compaction.compact_in_background(catalog).files_after == 1
            rounds += 1
        assert rounds == len(live_files(catalog))
        assert {each.effort for each in live_files(catalog)} == {Effort.BEST}
        assert compact(catalog, effort=Effort.BEST).files_before == 0
    assert lakekit.digest_of_rows(tmp_path) == before
    lakekit.checked(tmp_path)


def test_the_best_is_made_of_what_was_merged_quickly(tmp_path: Path) -> None:
    lakekit.store(tmp_path, *(message(n, *(tick(n * 400 + k) for k in range(400))) for n in range(1, 12)))
    before = lakekit.digest_of_rows(tmp_path)
    with Catalog(LakePaths(tmp_path)) as catalog:
        quick = compact(catalog)
        best = compact(catalog, effort=Effort.BEST)
        assert (quick.files_after, best.files_before, best.files_after) == (1, 1, 1)
        assert best.bytes_after < best.bytes_before
        assert compact(catalog) == compact(catalog, effort=Effort.BEST) == (0, 0, 0, 0, 0)
    assert lakekit.digest_of_rows(tmp_path) == before
    lakekit.checked(tmp_path)


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(0, 9)), max_size=60),
    st.integers(1, 9),
)
def test_rows_are_sorted_whether_they_are_copied_or_not(rows: list[tuple[str, str, int]], times: int) -> None:
    """Runs of rows stay as they are, so that both ways are taken: of many short ones, and of few long ones."""
    keys = [row for row in rows for _ in range(times * 20)] if times > 5 else rows
    columns = {
        "source": [row[0] for row in keys],
        "session_id": [row[1] for row in keys],
        "seq": [row[2] for row in keys],
    }
    schema = pa.schema([("source", pa.string()), ("session_id", pa.string()), ("seq", pa.int64()), ("ts", pa.int64())])
    table = pa.table({**columns, "ts": range(len(keys))}, schema=schema)
    pieces = pa.concat_tables([table.slice(0, len(keys) // 3), table.slice(len(keys) // 3)])
    found = [tuple(row.values()) for row in sort_rows(pieces).to_pylist()]
    assert found == sorted((*key, place) for place, key in enumerate(keys))


def stream(count: int) -> list[Message]:
    """Messages over three days and two doc types, some with rejects, binary and empty values."""
    messages = []
    for n in range(1, count + 1):
        told = [
            envelope(n * 10 + k, ts=NOON_US - (n % 3) * DAY_US, session_id=f"s{n % 4}", raw=RAWS[k], source=SOURCES[k])
            for k in range(4)
        ]
        messages.append(message(2 * n - 1, *told, *([envelope(1, v=7)] if n % 5 == 0 else [])))
        messages.append(message(2 * n, *(tick(n * 3 + k, game=f"g{n % 2}", ts=NOON_US + n) for k in range(3))))
    return messages


RAWS = ("text", b"\xff\x00", None, "Zoë")
SOURCES = ("public_ws", "cdp", "import", "public_ws")


def test_rows_are_the_same_before_and_after_one_file_a_partition_sorted(tmp_path: Path) -> None:
    lakekit.store(tmp_path, *stream(12))
    before = lakekit.digest_of_rows(tmp_path)
    with Catalog(LakePaths(tmp_path)) as catalog:
        seen: list[tuple[int, int]] = []
        done = compact(catalog, progress=lambda *told: seen.append(told))
        assert compact(catalog) == (0, 0, 0, 0, 0)
    assert lakekit.digest_of_rows(tmp_path) == before
    partitions = {path.parent for path in lakekit.live_paths(tmp_path)}
    assert (done.files_after, len(lakekit.live_paths(tmp_path))) == (len(partitions), len(partitions))
    assert done.rows == sum(count[0] for count in before)
    assert (seen[0], seen[-1]) == ((0, len(partitions)), (len(partitions), len(partitions)))
    for path in lakekit.live_paths(tmp_path):
        keys = ["source", "session_id", "seq", "ts"]
        rows = [tuple(row.values()) for row in pq.ParquetFile(path).read(columns=keys).select(keys).to_pylist()]
        assert rows == sorted(rows)
    lakekit.checked(tmp_path)


def test_compacted_files_are_smaller(tmp_path: Path) -> None:
    frame = 'x"game":{"price":1.0%04d,"leaderboard":[' + ",".join(f'{{"player":{n}}}' for n in range(200)) + "]}"
    lakekit.store(tmp_path, *(message(n, envelope(n, raw=frame % n)) for n in range(1, 30)))
    with Catalog(LakePaths(tmp_path)) as catalog:
        done = compact(catalog)
    assert done.bytes_after * 5 < done.bytes_before


def test_the_one_of_two_compactions_that_comes_second_gives_up_and_leaves_nothing(tmp_path: Path) -> None:
    lakekit.store(tmp_path, *stream(6))
    before = lakekit.digest_of_rows(tmp_path)
    with Catalog(LakePaths(tmp_path)) as first, Catalog(LakePaths(tmp_path)) as second:
        group = plan(live_files(first), all_files=True)[0]
        merge(second, group)
        with pytest.raises(NotLiveError):
            merge(first, group)
        lakekit.checked(tmp_path)
        assert compact(first).files_before > 0
    assert lakekit.digest_of_rows(tmp_path) == before
    lakekit.checked(tmp_path)


@pytest.mark.slow
def test_two_compactors_beside_a_writer(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    messages = stream(60)
    commit(writer, *messages[:2])
    stop = threading.Event()
    errors: list[BaseException] = []

    def work() -> None:
        try:
            with Catalog(LakePaths(tmp_path)) as catalog:
                while not stop.is_set():
                    compact(catalog)
                    expire(catalog, keep_seconds=60)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for each in messages[2:]:
        commit(writer, each)
    stop.set()
    for thread in threads:
        thread.join()
    assert errors == []
    compact(writer.catalog)
    other = tmp_path / "other"
    lakekit.store(other, *messages)
    assert lakekit.digest_of_rows(tmp_path) == lakekit.digest_of_rows(other)
    lakekit.checked(tmp_path)


def test_ids_are_still_known_after_many_compactions(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    messages = stream(8)
    for each in messages:
        commit(writer, each)
        compact(writer.catalog)
        expire(writer.catalog, keep_seconds=0)
    rows = lakekit.checked(tmp_path).rows
    for place, each in enumerate(messages):
        if place % 10 != 8:  # a reject is known by its place in the stream, so it is kept again
            commit(writer, each._replace(seq=100 + place))
    assert lakekit.checked(tmp_path).rows == rows


def test_the_command_compacts_in_the_background(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lakekit.store(tmp_path, *(message(n, envelope(n)) for n in range(1, 20)))
    monkeypatch.setattr("sys.argv", ["compaction", str(tmp_path)])
    monkeypatch.setattr(compaction, "keep_small", lambda **_: None)  # it is for a process of its own
    assert compaction.main() == 0
    assert len(lakekit.live_paths(tmp_path)) == 1


def test_expiry_keeps_what_is_young_and_the_newest_always(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    assert expire(writer.catalog, keep_seconds=0) == (1, 0)  # the empty lake before its table
    for n in range(1, 6):
        commit(writer, message(n, envelope(n)))
    compact(writer.catalog)
    assert expire(writer.catalog, keep_seconds=3600) == (0, 0)
    assert len(LakePaths(tmp_path).data_files()) == 6
    assert expire(writer.catalog, keep_seconds=0) == (6, 5)
    assert len(LakePaths(tmp_path).data_files()) == 1
    assert expire(writer.catalog, keep_seconds=0) == (0, 0)
    lakekit.checked(tmp_path)
    commit(writer, message(6, envelope(6)), message(7, envelope(3)))
    assert lakekit.checked(tmp_path).rows == 6


def test_expiry_goes_in_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rugs_lake.maintain.retention.SLICE", 4)
    writer = open_writer(tmp_path)
    for n in range(1, 31):
        commit(writer, message(n, envelope(n)))
    compact(writer.catalog)
    assert expire(writer.catalog, keep_seconds=0) == (32, 30)
    lakekit.checked(tmp_path)
