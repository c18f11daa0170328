"""Reading: one pinned snapshot, few files opened, nothing else within reach."""

from __future__ import annotations

import datetime as dt
import re
import subprocess
import sys
import threading
from pathlib import Path

import duckdb
import pytest

import rugs_lake
from rugs_lake.errors import LakeError
from rugs_lake.maintain.compaction import compact
from rugs_lake.maintain.retention import expire
from rugs_lake.read.reader import Lake
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.paths import LakePaths
from tests.support import lakekit
from tests.support.crashkit import REPOSITORY
from tests.support.lakekit import DAY_US, NOON_US, commit, envelope, message, open_writer, tick

COUNT = "SELECT count(*) FROM events"


def test_an_open_lake_stays_at_its_snapshot_while_the_writer_and_compaction_go_on(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    for n in range(1, 6):
        commit(writer, message(n, envelope(n)))
    with rugs_lake.open(tmp_path) as lake:
        before = lake.sql("SELECT id FROM events ORDER BY 1").fetchall()
        for n in range(6, 12):
            commit(writer, message(n, envelope(n)))
            compact(writer.catalog)
            assert lake.sql("SELECT id FROM events ORDER BY 1").fetchall() == before
        assert lake.sql(COUNT).fetchall() == [(5,)]
    assert lakekit.select(tmp_path, COUNT) == [(11,)]


@pytest.mark.slow
def test_readers_never_see_half_a_commit_or_a_row_twice(tmp_path: Path) -> None:
    """Each commit adds a row to three partitions, beside compactions: the counts are always equal."""
    writer = open_writer(tmp_path)
    commit(writer, message(1, envelope(1)))
    stop = threading.Event()
    wrong: list[object] = []
    looks = 0

    def look() -> None:
        nonlocal looks
        while not stop.is_set():
            rows = lakekit.select(tmp_path, "SELECT count(*), count(DISTINCT id), max(seq) FROM events WHERE seq > 1")
            by_day = lakekit.select(tmp_path, "SELECT date, count(*) FROM events WHERE seq > 1 GROUP BY 1")
            if rows[0][0] != rows[0][1] or len({count for _, count in by_day}) > 1:
                wrong.append((rows, by_day))
            looks += 1

    thread = threading.Thread(target=look)
    thread.start()
    for n in range(2, 200 if lakekit.FULL else 25):
        commit(writer, message(n, *(envelope(n * 10 + day, ts=NOON_US + day * DAY_US) for day in range(3))))
        if n % 10 == 0:
            compact(writer.catalog)
    stop.set()
    thread.join()
    assert looks > 5
    assert wrong == []


def test_older_snapshots_are_found_by_number_and_by_time(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    snapshots, times = [], []
    for n in range(1, 5):
        snapshots.append(commit(writer, message(n, envelope(n), envelope(n + 100))).snapshot)
        times.append(dt.datetime.now(dt.UTC))
    compact(writer.catalog)
    for n, (snapshot, when) in enumerate(zip(snapshots, times, strict=True), start=1):
        assert lakekit.select(tmp_path, COUNT, at_snapshot=snapshot) == [(2 * n,)]
        assert lakekit.select(tmp_path, COUNT, at_time=when) == [(2 * n,)]
        assert lakekit.select(tmp_path, COUNT, at_time=when.replace(tzinfo=None)) == [(2 * n,)]
        assert lakekit.select(tmp_path, COUNT, at_time=when.astimezone(dt.timezone(dt.timedelta(hours=9)))) == [
            (2 * n,)
        ]
    with rugs_lake.open(tmp_path, at_snapshot=snapshots[1]) as lake:
        assert lake.snapshot == snapshots[1]


@pytest.mark.parametrize(
    ("pin", "says"),
    [
        ({"at_snapshot": 99}, r"no snapshot 99: the lake has 1 to 3"),
        ({"at_snapshot": -1}, r"no snapshot -1"),
        ({"at_time": dt.datetime(2001, 1, 1, tzinfo=dt.UTC)}, r"no snapshot as old as 2001-01-01"),
    ],
)
def test_a_snapshot_that_is_not_there_is_an_error_that_says_which_are(
    tmp_path: Path, pin: dict[str, object], says: str
) -> None:
    lakekit.store(tmp_path, message(1, envelope(1)), message(2, envelope(2)))
    with pytest.raises(LakeError, match=says):
        lakekit.select(tmp_path, COUNT, **pin)


def test_an_expired_snapshot_is_gone_and_the_newest_stays(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    numbers = [commit(writer, message(n, envelope(n))).snapshot for n in range(1, 6)]
    compact(writer.catalog)
    expired = expire(writer.catalog, keep_seconds=0)
    assert (expired.snapshots, expired.files) == (7, 5)
    with pytest.raises(LakeError, match="no snapshot"):
        lakekit.select(tmp_path, COUNT, at_snapshot=numbers[2])
    assert lakekit.select(tmp_path, COUNT) == [(5,)]
    assert len(LakePaths(tmp_path).data_files()) == 1


def test_snapshots_within_the_retention_stay_readable(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    numbers = [commit(writer, message(n, envelope(n))).snapshot for n in range(1, 6)]
    compact(writer.catalog)
    assert expire(writer.catalog, keep_seconds=3600) == (0, 0)
    for n, number in enumerate(numbers, start=1):
        assert lakekit.select(tmp_path, COUNT, at_snapshot=number) == [(n,)]


def test_the_cursors_are_told(tmp_path: Path) -> None:
    lakekit.store(tmp_path, message(1, envelope(1)), message(7, envelope(2)))
    with rugs_lake.open(tmp_path) as lake:
        assert lake.cursors == [("RUGS_EVENTS", lakekit.INCARNATION, 7)]


def test_an_older_snapshot_has_the_cursors_of_its_time_also_after_a_compaction(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    with rugs_lake.open(tmp_path) as lake:
        assert lake.cursors == []
    when = {}
    for n in (1, 2, 3):
        snapshot = commit(writer, message(n, envelope(n))).snapshot
        when[snapshot] = [("RUGS_EVENTS", lakekit.INCARNATION, n)]
    compact(writer.catalog)
    when[snapshot + 1] = when[snapshot]
    commit(writer, message(4, envelope(4)))
    for number, cursors in when.items():
        with rugs_lake.open(tmp_path, at_snapshot=number) as lake:
            assert lake.cursors == cursors


# --- files that are opened -------------------------------------------------------


def opened(lake: Lake, query: str) -> list[str]:
    """Return how many files each scan of a query opens, and of how many: `1/8`."""
    plan = "\n".join(row[1] for row in lake.sql(f"EXPLAIN ANALYZE {query}").fetchall())
    return re.findall(r"Scanning Files:\s*(\d+/\d+)", plan) or re.findall(r"Total Files Read:\s*(\d+)", plan)


def test_a_filter_on_date_or_doc_type_opens_only_the_files_it_needs(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    for n in range(1, 9):
        commit(writer, message(2 * n - 1, envelope(n, ts=NOON_US + n * DAY_US)), message(2 * n, tick(n)))
    with rugs_lake.open(tmp_path) as lake:
        one_day = "SELECT count(raw) FROM events WHERE date = DATE '2026-06-03' AND doc_type = 'ws_event'"
        assert lake.sql(one_day).fetchall() == [(1,)]
        assert opened(lake, one_day) == ["1/16"]
        assert opened(lake, "SELECT count(raw) FROM events WHERE date BETWEEN '2026-06-03' AND '2026-06-05'") == [
            "3/16"
        ]
        assert opened(lake, "SELECT count(raw) FROM ws_event WHERE date = DATE '2026-06-03'") == ["1/8"]
        assert opened(lake, "SELECT count(raw) FROM events WHERE doc_type = 'game_tick'") == ["8/16"]


@pytest.mark.parametrize("content", [b"", b"junk", b"PAR1" + b"\0" * 100])
def test_a_stray_file_in_the_folder_disturbs_no_query(tmp_path: Path, content: bytes) -> None:
    lakekit.store(tmp_path, message(1, envelope(1)))
    (lakekit.live_paths(tmp_path)[0].parent / "part-stray.parquet").write_bytes(content)
    (LakePaths(tmp_path).data / "stray.parquet").write_bytes(content)
    assert lakekit.select(tmp_path, COUNT) == [(1,)]


@pytest.mark.parametrize("name", ["plain", "with space", "it's", "[x]", "a*b", "c?d", "run=3", "Zoë", '"q"'])
def test_any_name_of_the_data_folder_will_do(tmp_path: Path, name: str) -> None:
    root = tmp_path / name
    lakekit.store(root, message(1, envelope(1, fields={"price": 1.5})), message(2, envelope(2, v=3)))
    assert lakekit.select(root, "SELECT price FROM events") == [(1.5,)]
    lakekit.checked(root)
    with Catalog(LakePaths(root)) as catalog:
        compact(catalog)
    with rugs_lake.open(root, sandbox=True) as lake:
        assert lake.sql("SELECT price, seq FROM events").fetchall() == [(1.5, 1)]


def test_a_folder_that_would_be_read_as_a_column_is_refused(tmp_path: Path) -> None:
    """DuckDB takes `price=3` in a path for the value of every row."""
    with pytest.raises(LakeError, match="a folder named 'price=3' would be read as a column"):
        open_writer(tmp_path / "price=3" / "lake")


# --- schema versions side by side ---------------------------------------------------


@pytest.mark.slow
def test_files_of_an_older_schema_version_are_read_beside_new_ones(tmp_path: Path) -> None:
    """A column that came later is null where a file does not have it, before and after compaction."""
    for program in ("older", "newer"):
        done = subprocess.run(
            [sys.executable, "-m", "tests.support.lakeschema", program, tmp_path / "lake"],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert lakekit.select(tmp_path / "lake", "SELECT amount FROM events ORDER BY seq") == [(None,), (3.0,)]


# --- the sandbox ------------------------------------------------------------------------


@pytest.fixture
def sandbox(tmp_path: Path) -> Lake:
    lakekit.store(tmp_path / "lake", message(1, envelope(1)))
    (tmp_path / "secret.csv").write_text("a,b\n1,2\n")
    return rugs_lake.open(tmp_path / "lake", sandbox=True)


def test_queries_work_in_the_sandbox(sandbox: Lake) -> None:
    assert sandbox.sql("WITH x AS (SELECT * FROM events) SELECT count(*) FROM x").fetchall() == [(1,)]
    assert sandbox.sql("SELECT seq FROM ws_event WHERE seq = $n", {"n": 1}).fetchall() == [(1,)]
    assert sandbox.arrow("SELECT seq FROM events").num_rows == 1


@pytest.mark.parametrize("way", ["sql", "arrow"])
def test_the_sandbox_admits_nothing_but_one_question_about_the_lake(sandbox: Lake, tmp_path: Path, way: str) -> None:
    """The statements that are admitted and refused are in test_lake_admission."""
    places = {"outside": tmp_path, "lake": tmp_path / "lake"}
    before = {path for path in tmp_path.rglob("*") if not path.name.endswith("-shm")}
    for query in (
        "SELECT * FROM '{outside}/secret.csv'",
        "SELECT * FROM read_blob('{lake}/manifests/lake.sqlite')",
        "COPY events TO '{lake}/events_parquet/out.parquet'",
        "WITH a AS (COPY events TO '{lake}/events_parquet/out.parquet') FROM a",
        "EXPLAIN ANALYZE COPY (SELECT 1 AS a) TO '{lake}/events_parquet/out.parquet'",
        "ATTACH '{lake}/events_parquet/x.db' AS x",
        "SET enable_external_access = true",
        "SELECT 1; SELECT 2",
        "",
    ):
        with pytest.raises((LakeError, duckdb.Error)):
            getattr(sandbox, way)(query.format(**places))
    assert {path for path in tmp_path.rglob("*") if not path.name.endswith("-shm")} == before
    assert sandbox.sql(COUNT).fetchall() == [(1,)]


def test_below_admission_duckdb_itself_reads_and_loads_nothing_else(sandbox: Lake, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a\n1\n")
    for query in (
        f"SELECT * FROM '{tmp_path}/x.csv'",
        f"SELECT * FROM read_blob('{tmp_path}/lake/manifests/lake.sqlite')",
        f"SELECT * FROM read_text('{tmp_path}/lake/events_parquet/../manifests/schema_version.json')",
        f"COPY events TO '{tmp_path}/out.csv'",
        "LOAD sqlite",
        "SET enable_external_access = true",
        "SET python_enable_replacements = true",
    ):
        with pytest.raises(duckdb.Error):
            sandbox.connection.sql(query).fetchall()


def own_files(root: Path, *names: str) -> list[tuple[object, ...]]:
    with rugs_lake.open(root) as lake:
        lake.close_in(names)
        return lake.connection.sql(f"FROM read_text({list(names)})").project("content").fetchall()


def test_files_of_the_user_s_own_are_read_by_name_pattern_and_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lakekit.store(tmp_path / "lake", message(1, envelope(1)))
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "a 'quoted'.txt").write_text("a")
    (mine / "10:30.txt").write_text("b")
    (tmp_path / "link").symlink_to(mine)
    monkeypatch.chdir(mine)
    assert own_files(tmp_path / "lake", str(mine / "*.txt")) == [("b",), ("a",)]
    assert own_files(tmp_path / "lake", "./a 'quoted'.txt", "../link/10:30.txt") == [("a",), ("b",)]
    for missing in ("no.txt", "*.csv", "https://host/x.csv", "s3://bucket/x", "file:///etc/hostname"):
        with pytest.raises(LakeError):
            own_files(tmp_path / "lake", missing)


def test_no_spelling_of_a_file_below_the_data_root_is_read_but_the_lake_s(tmp_path: Path) -> None:
    root = tmp_path / "lake"
    lakekit.store(root, message(1, envelope(1)))
    (root / "state").mkdir()
    token = root / "state" / "token.txt"
    token.write_text("secret")
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (moved / "token.txt").write_text("secret")
    (root / "logs").symlink_to(moved)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "soft.txt").symlink_to(token)
    (mine / "folder").symlink_to(root)
    (mine / "hard.txt").hardlink_to(token)
    (mine / "twice.txt").symlink_to(mine / "soft.txt")
    for name in (
        token,
        root / "manifests" / "lake.sqlite",
        root / "logs" / "token.txt",
        moved / "token.txt",
        root / "events_parquet" / ".." / "state" / "token.txt",
        f"/proc/self/root{token}",
        root / "st*" / "*.txt",
        tmp_path / "**" / "token.txt",
        *(mine / each for each in ("soft.txt", "hard.txt", "twice.txt", "*.txt", "folder/state/token.txt")),
    ):
        with pytest.raises(LakeError, match="below the data folder"):
            own_files(root, str(name))
    with rugs_lake.open(root) as lake:
        file = str(lakekit.live_paths(root)[0])
        lake.close_in([file])
        assert lake.connection.sql(f"SELECT count(*) FROM '{file}'").fetchall() == [(1,)]


def test_threads_ask_through_cursors_of_their_own(tmp_path: Path) -> None:
    lakekit.store(tmp_path, message(1, *(envelope(n) for n in range(1, 2000))))
    results: list[object] = []
    with rugs_lake.open(tmp_path) as lake:

        def ask() -> None:
            results.append(lake.connection.cursor().execute("SELECT sum(seq) FROM events").fetchall())

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == [[(sum(range(1, 2000)),)]] * 8
