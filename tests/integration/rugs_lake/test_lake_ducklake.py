"""The catalog is DuckLake's: DuckDB's own extension reads the same rows as we do, now and back in time.

In a process and an environment of its own: two SQLite libraries in one process would
cancel each other's file locks.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import rugs_lake
from rugs_lake.maintain.compaction import compact
from rugs_lake.maintain.retention import expire
from rugs_lake.maintain.verify import verify
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.paths import LakePaths
from tests.support import ducklake_env, lakekit
from tests.support.lakekit import DAY_US, NOON_US, commit, envelope, message, open_writer, tick

pytestmark = pytest.mark.slow

LAST = message(25, envelope(999))
FROM, TO = NOON_US + 5, NOON_US + 9
GAMES = ("game-1", "game-2", 'Zoë\'s 🚀 "game"', "", "z" * 500, "a\x00b", None)
OURS = "(SELECT * FROM events UNION ALL SELECT * FROM reject)"
THEIRS = (
    "(SELECT * REPLACE (lower(hex(id)) AS id, lower(hex(cause)) AS cause, coalesce(origin_offset, CASE WHEN"
    " source = 'import' AND origin_line IS NOT NULL THEN seq - 1 END) AS origin_offset) FROM lake.events {})"
)
QUERIES = (
    "SELECT doc_type, count(*), min(ts), max(ts) FROM {} GROUP BY 1 ORDER BY 1",
    "SELECT * FROM {} ORDER BY id",
    "SELECT id FROM {} WHERE doc_type = 'game_tick' ORDER BY 1",
    "SELECT id FROM {} WHERE date = DATE '2026-06-01' ORDER BY 1",
    "SELECT id FROM {} WHERE date < DATE '2026-06-01' AND doc_type <> 'reject' ORDER BY 1",
    f"SELECT id FROM {{}} WHERE ts BETWEEN make_timestamptz({FROM}) AND make_timestamptz({TO}) ORDER BY 1",
    "SELECT id FROM {} WHERE ts < TIMESTAMPTZ '2026-05-31 12:00:00.000004Z' ORDER BY 1",
    "SELECT id FROM {} WHERE game_id = 'game-2' ORDER BY 1",
    "SELECT id FROM {} WHERE game_id = 'Zoë''s 🚀 \"game\"' ORDER BY 1",
    "SELECT id FROM {} WHERE game_id = '' ORDER BY 1",
    "SELECT id FROM {} WHERE game_id > 'a' AND game_id < 'b' ORDER BY 1",
    "SELECT id FROM {} WHERE game_id > 'game-2' ORDER BY 1",
    "SELECT id FROM {} WHERE game_id IS NULL ORDER BY 1",
    "SELECT id FROM {} WHERE game_id IS NOT NULL ORDER BY 1",
    "SELECT id FROM {} WHERE stream_seq BETWEEN 3 AND 5 ORDER BY 1",
    "SELECT id FROM {} WHERE raw IS NULL ORDER BY 1",
    "SELECT id, raw_bin FROM {} WHERE raw_bin IS NOT NULL ORDER BY 1",
    "SELECT max(stream_seq), min(game_id), max(game_id), min(date), max(price), count(game_id) FROM {}",
)


@pytest.fixture(scope="module", autouse=True)
def _environment() -> None:
    ducklake_env.make()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with every kind of row, over several days and commits; its writer is gone."""
    root = tmp_path_factory.mktemp("built") / "lake's home"
    writer = open_writer(root)
    for n in range(1, 9):
        game = GAMES[n % len(GAMES)]
        day = -(n % 3)
        origin = {"sha256": "f" * 64, "file": "x", "line": n, "offset": n * 10 - 1, "tz": "UTC"}
        told = [
            envelope(n * 10 + k, ts=NOON_US + n + day * DAY_US, game_id=game, fields={"price": k / 3, "odd": k})
            for k in range(3)
        ]
        binary = envelope(n * 10, source="import", raw=b"\xff\x00" if n % 2 else None, origin=origin, recv_ts=NOON_US)
        commit(
            writer,
            message(n * 3 - 2, *told, envelope(n * 10 + 5, v=7)),
            message(n * 3 - 1, *(tick(k, game or "none", seq=n * 100 + k) for k in range(3))),
            message(n * 3, binary),
        )
    commit(writer, LAST)
    writer.close()
    lakekit.checked(root)
    return root


@pytest.fixture
def lake(built: Path, tmp_path: Path) -> Path:
    """A copy of the lake, corrected as its writer does at start."""
    root = tmp_path / "lake's copy"
    shutil.copytree(built, root)
    open_writer(root, at_cursor=LAST).close()
    return root


def agree(root: Path, *, versions: list[int | None]) -> None:
    """Check that the extension and we give the same answers, at each snapshot."""
    theirs = iter(
        ducklake_env.ask(
            root,
            *(
                query.format(THEIRS.format("" if version is None else f"AT (VERSION => {version})"))
                for version in versions
                for query in QUERIES
            ),
        )
    )
    for version in versions:
        with rugs_lake.open(root, at_snapshot=version) as opened:
            for query in QUERIES:
                ours = opened.sql(query.format(OURS)).fetchall()
                told = [[None if value is None else str(value) for value in row] for row in ours]
                assert next(theirs) == told, (version, query)


def test_the_extension_reads_what_we_read(built: Path) -> None:
    agree(built, versions=[None])


def test_time_travel_agrees_at_every_snapshot(built: Path) -> None:
    agree(built, versions=list(range(1, 10)) if lakekit.FULL else [1, 2, 6])


def test_it_agrees_after_compaction_and_back_before_it(lake: Path) -> None:
    before = lakekit.digest_of_rows(lake)
    with Catalog(LakePaths(lake)) as catalog:
        done = compact(catalog)
        assert done.files_after < done.files_before
    newest = lakekit.checked(lake).snapshot
    assert lakekit.digest_of_rows(lake) == before
    agree(lake, versions=[None, 5, newest - 1])


def test_it_agrees_after_old_snapshots_have_expired(lake: Path) -> None:
    with Catalog(LakePaths(lake)) as catalog:
        compact(catalog)
        assert expire(catalog, keep_seconds=0).files > 0
    agree(lake, versions=[None])
    lakekit.checked(lake)


def test_a_snapshot_is_found_by_time(built: Path) -> None:
    (times,) = ducklake_env.ask(built, "SELECT snapshot_id, snapshot_time FROM lake.snapshots() ORDER BY 1")
    assert len(times) == 11
    number, when = times[6]
    (rows,) = ducklake_env.ask(built, f"SELECT count(*) FROM lake.events AT (TIMESTAMP => TIMESTAMPTZ '{when}')")
    count = "SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM reject)"
    assert int(rows[0][0]) == lakekit.select(built, count, at_snapshot=int(number))[0][0]


def test_snapshots_say_what_changed(built: Path) -> None:
    (rows,) = ducklake_env.ask(
        built, "SELECT author, changes, commit_extra_info FROM lake.snapshots() ORDER BY snapshot_id DESC LIMIT 1"
    )
    assert rows[0][0] == "rugbus"
    assert "tables_inserted_into" in rows[0][1]
    assert '"last_seq":25' in rows[0][2]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO lake.events (seq) VALUES (1)",
        "INSERT INTO lake.events SELECT * FROM lake.events",
        "DELETE FROM lake.events",
        "DELETE FROM lake.events WHERE seq = 10",
        "UPDATE lake.events SET seq = 5",
        "ALTER TABLE lake.events ADD COLUMN more INTEGER",
        "ALTER TABLE lake.events DROP COLUMN raw",
        "DROP TABLE lake.events",
        "CREATE TABLE lake.mine (a INTEGER)",
        "CALL ducklake_expire_snapshots('lake', older_than => now())",
    ],
)
def test_a_writing_attachment_is_refused(lake: Path, statement: str) -> None:
    (answer,) = ducklake_env.ask(lake, statement, options=ducklake_env.here(lake))
    assert "only Rugbus writes this catalog: attach it with READ_ONLY" in str(answer)
    lakekit.checked(lake)


def test_a_foreign_compaction_is_refused_and_what_it_left_is_moved_aside(lake: Path) -> None:
    (answer,) = ducklake_env.ask(lake, "CALL ducklake_merge_adjacent_files('lake')", options=ducklake_env.here(lake))
    assert "only Rugbus writes this catalog" in str(answer)
    assert len(verify(lake, repair=True).moved) > 0
    lakekit.checked(lake)


def test_a_copied_lake_reads_its_own_files(built: Path, lake: Path) -> None:
    """Corrected by its writer: also without DATA_PATH, and when the original is gone."""
    (own,) = ducklake_env.ask(lake, "SELECT DISTINCT filename FROM lake.events", options="READ_ONLY")
    assert isinstance(own, list)
    assert {Path(row[0]).is_relative_to(lake) for row in own} == {True}


def test_readers_beside_a_writer_do_not_disturb_each_other(lake: Path) -> None:
    writer = open_writer(lake, at_cursor=LAST)
    for n in range(26, 30):
        commit(writer, message(n, envelope(n * 100)))
        (rows,) = ducklake_env.ask(lake, f"SELECT count(*) FROM lake.events WHERE seq = {n * 100}")
        assert rows == [["1"]]
    writer.close()
    lakekit.checked(lake)
