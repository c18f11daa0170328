"""`rugs migrate`, run by a program of the next major schema version: every row comes through, whatever happens.

Real processes and real files; the next program is this one with another schema (`tests.support.lakenext`).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

import rugs_lake
from rugs_lake.errors import LakeError
from rugs_lake.maintain.compaction import compact
from rugs_lake.maintain.migration import KEPT, MIGRATIONS, Plan, abandon, plan
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.cursor import SupersededError
from rugs_lake.store.paths import LakePaths
from rugs_lake.store.schema import BY_NAME, SCHEMA_VERSION, parse_version
from rugs_lake.write.writer import LakeWriter
from tests.support import ducklake_env, lakekit
from tests.support.crashkit import REPOSITORY
from tests.support.lakenext import NEXT, WAYS, told
from tests.support.stackkit import stands_still, wait

pytestmark = pytest.mark.slow

MESSAGES: Final = 4
ROWS: Final = """
SELECT to_json(r)::VARCHAR AS told FROM (
    SELECT id, doc_type, ts, v, price, tick, phase, raw, hex(raw_bin) AS bytes, subject, stream_seq,
        extra->>'phase_read' AS phase_read, extra->>'odd' AS odd
    FROM (FROM events UNION ALL FROM reject)
) AS r ORDER BY told
"""
NEXT_ROWS: Final = ROWS.replace("extra->>'phase_read' AS ", "")
EACH_FILE: Final = ("file_written:3", "file_renamed:3", "migration_written:3", "migration_staged:3")
AT_THE_END: Final = ("migration_epoch_taken", "migration_before_commit", "migration_after_commit")
STEPS: Final = (*EACH_FILE, *AT_THE_END) if lakekit.FULL else ("file_renamed:3", *AT_THE_END[1:])


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A lake of this program, with several files; its writer is gone."""
    root = tmp_path / "lake"
    lakekit.store(root, *(told(seq) for seq in range(1, MESSAGES + 1)))
    return root


def start(root: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start a command of the next program."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.lakenext", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "RUGS_DATA_DIR": str(root), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(root: Path, *arguments: str, code: int = 0, **environment: str) -> str:
    """Run a command of the next program; return what it printed, or its error if it is to fail."""
    process = start(root, *arguments, **environment)
    output, errors = process.communicate(timeout=100)
    assert process.returncode == code, errors
    return errors if code == 1 and not output else output


def migrated(root: Path) -> dict[str, Any]:
    return dict(json.loads(run(root, "rugs", "migrate", "--json")))


def rows(root: Path) -> list[str]:
    """Return the rows as this program reads them."""
    return [text for (text,) in lakekit.select(root, ROWS)]


def next_rows(root: Path) -> list[str]:
    """Return the rows as the next program reads them."""
    return [row["told"] for row in json.loads(run(root, "rugs", "sql", "--json", NEXT_ROWS))]


def whole(root: Path) -> None:
    """Check that nothing is wrong, and nothing left behind."""
    lakekit.checked(root)
    named = lakekit.catalog_rows(root, "SELECT path FROM ducklake_data_file")
    assert LakePaths(root).data_files() == {path for (path,) in named}
    assert not lakekit.catalog_rows(root, "SELECT 1 FROM sqlite_schema WHERE name = 'rugs_staged'")


def test_every_row_comes_through(lake: Path) -> None:
    before, files = rows(lake), len(lakekit.live_paths(lake))
    assert "PHASE-1" in "".join(before)
    report = migrated(lake)
    assert (report["source"], report["target"]) == (SCHEMA_VERSION, NEXT)
    assert (report["files"], report["rows"]) == (files, len(before))
    assert next_rows(lake) == before
    whole(lake)
    typed = json.loads(
        run(lake, "rugs", "sql", "--json", "SELECT DISTINCT phase_read, typeof(v) AS v FROM game_tick ORDER BY 1 DESC")
    )
    assert typed == [{"phase_read": "PHASE-2", "v": "BIGINT"}, {"phase_read": "PHASE-1", "v": "BIGINT"}]
    told_by = json.loads(run(lake, "rugs", "migrate", "--check", "--json"))
    assert (told_by["source"], told_by["needed"]) == (NEXT, False)
    assert run(lake, "rugs", "migrate") == f"nothing to migrate: the schema version is {NEXT}\n"


def test_the_digest_is_one_that_anybody_can_ask_for(lake: Path) -> None:
    """The same before as after: in DuckDB, over the ids and bytes of all rows."""
    digest = (
        "SELECT format('{:032x}', bit_xor(md5_number(unhex(id) || coalesce(encode(raw), raw_bin, ''::BLOB))))"
        " FROM (FROM events UNION ALL FROM reject)"
    )
    before = lakekit.select(lake, digest)[0][0]
    assert migrated(lake)["digest"] == before


def test_a_lake_without_files(tmp_path: Path) -> None:
    root = tmp_path / "lake"
    lakekit.open_writer(root).close()
    assert migrated(root)["files"] == 0
    with pytest.raises(LakeError, match="newer program"):
        LakeWriter(LakePaths(root), lakekit.STREAM)
    run(root, "write", str(root), "1", "2")
    whole(root)


def test_before_it_the_next_program_leaves_the_lake_alone(lake: Path) -> None:
    before = rows(lake)
    for command in (["rugs", "sql", "SELECT 1"], ["rugs", "compact"], ["rugs", "games"]):
        error = run(lake, *command, code=1)
        assert (
            error == f"rugs: this lake has schema version {SCHEMA_VERSION}, this program {NEXT}: run `rugs migrate`\n"
        )
    assert "run `rugs migrate`" in run(lake, "write", str(lake), "7", "7", code=1)
    told_by = json.loads(run(lake, "rugs", "migrate", "--check", "--json", code=1))
    assert told_by["needed"]
    assert told_by["rows"] == len(before)
    assert rows(lake) == before


def test_after_it_this_program_leaves_the_lake_alone(lake: Path) -> None:
    migrated(lake)
    newer = rf"this lake was written by a newer program \(schema version {NEXT}\): update this one"
    with pytest.raises(LakeError, match=newer):
        rugs_lake.open(lake)
    with pytest.raises(LakeError, match=newer):
        LakeWriter(LakePaths(lake), lakekit.STREAM)
    with Catalog(LakePaths(lake)) as catalog:
        for ask in (compact, plan):
            with pytest.raises(LakeError, match=newer):
                ask(catalog)


def test_snapshots_from_before_it_are_read_by_the_program_of_that_time(lake: Path) -> None:
    with rugs_lake.open(lake) as opened:
        newest = opened.snapshot
    before = rows(lake)
    migrated(lake)
    error = run(lake, "rugs", "sql", "--at-snapshot", str(newest), "SELECT 1", code=1)
    assert f"snapshot {newest} is from before the lake was migrated" in error
    assert [text for (text,) in lakekit.select(lake, ROWS, at_snapshot=newest)] == before


def test_ducklake_reads_both_sides_of_it(lake: Path) -> None:
    ducklake_env.make()
    newest = lakekit.catalog_rows(lake, "SELECT max(snapshot_id) FROM ducklake_snapshot")[0][0]
    before = rows(lake)
    migrated(lake)
    asked = "SELECT count(*), count({}), any_value(typeof(v)) FROM lake.events {}"
    phase = "CASE WHEN extra LIKE '%phase_read%' THEN 1 END"
    then, now = ducklake_env.ask(lake, asked.format(phase, f"AT (VERSION => {newest})"), asked.format("phase_read", ""))
    counts = [str(len(before)), str(sum('"phase_read":null' not in row for row in before))]
    assert then == [[*counts, "INTEGER"]]
    assert now == [[*counts, "BIGINT"]]


def test_what_was_taken_before_is_known_after(lake: Path) -> None:
    """The next program's writer goes on at the cursor, and recognises what is told again."""
    migrated(lake)
    before = next_rows(lake)
    run(lake, "write", str(lake), str(MESSAGES + 1), str(MESSAGES + 2))
    assert len(next_rows(lake)) == len(before) + 7
    counts = json.loads(run(lake, "write", str(lake), *[str(MESSAGES + 3)] * 2, "2"))
    assert counts == {"taken": 3, "duplicates": 3}
    whole(lake)


@pytest.mark.crash
@pytest.mark.parametrize("step", STEPS)
def test_killed_at_a_step_and_run_again(lake: Path, step: str) -> None:
    before, files = rows(lake), len(lakekit.live_paths(lake))
    run(lake, "rugs", "migrate", code=-signal.SIGKILL, RUGS_CRASH_AT=step)
    if step != "migration_after_commit":
        assert rows(lake) == before
        done = json.loads(run(lake, "rugs", "migrate", "--check", "--json", code=1))["staged"]
        assert done == (files if step in AT_THE_END else 3 if step == "migration_staged:3" else 2)
        migrated(lake)
    assert next_rows(lake) == before
    whole(lake)


def test_a_writer_may_go_on_until_the_last_step(lake: Path) -> None:
    writer = lakekit.open_writer(lake, at_cursor=told(MESSAGES))
    stopped = start(lake, "rugs", "migrate", "--json", RUGS_STOP_AT="migration_staged:2")
    wait(lambda: stands_still(stopped.pid))
    lakekit.commit(writer, told(MESSAGES + 1))
    compact(writer.catalog)
    before = rows(lake)
    stopped.send_signal(signal.SIGCONT)
    output, errors = stopped.communicate(timeout=100)
    assert stopped.returncode == 0, errors
    assert json.loads(output)["rows"] == len(before)
    with pytest.raises(SupersededError):
        lakekit.commit(writer, told(MESSAGES + 2))
    writer.close()
    assert next_rows(lake) == before
    whole(lake)


def test_a_writer_started_at_the_last_step_is_not_run_over(lake: Path) -> None:
    stopped = start(lake, "rugs", "migrate", "--json", RUGS_STOP_AT="migration_epoch_taken")
    wait(lambda: stands_still(stopped.pid))
    writer = lakekit.open_writer(lake, at_cursor=told(MESSAGES))
    lakekit.commit(writer, told(MESSAGES + 1))
    stopped.send_signal(signal.SIGCONT)
    assert "run this again; what is written already is kept" in stopped.communicate(timeout=100)[1]
    assert stopped.returncode == 1
    lakekit.checked(lake)
    before = rows(lake)
    writer.close()
    migrated(lake)
    assert next_rows(lake) == before
    whole(lake)


def test_two_at_once(lake: Path) -> None:
    before = rows(lake)
    first = start(lake, "rugs", "migrate", "--json", RUGS_STOP_AT="migration_staged")
    wait(lambda: stands_still(first.pid))
    for command in (["migrate"], ["migrate", "--abandon"]):
        assert run(lake, "rugs", *command, code=1) == "rugs: a migration of this lake is running: wait for its end\n"
    first.send_signal(signal.SIGCONT)
    first.communicate(timeout=100)
    assert first.returncode == 0
    assert next_rows(lake) == before
    whole(lake)


def test_a_migration_with_a_mistake_changes_nothing(lake: Path) -> None:
    before, files = rows(lake), lakekit.live_paths(lake)
    reasons = {
        "lossy": "rows would become",
        "price": "the column price would change",
        "dropped": "the column phase would change",
        "shuffled": "the column id would change",
        "bytes": "the column raw would change",
        "misfit": "cannot be migrated",
    }
    refused = json.loads(run(lake, "refusals", str(lake)))
    assert refused.keys() == reasons.keys() == WAYS.keys() - {"good"}
    assert all(reason in refused[name] for name, reason in reasons.items())
    assert rows(lake) == before
    assert lakekit.live_paths(lake) == files
    with Catalog(LakePaths(lake)) as catalog:
        abandon(catalog)
    lakekit.checked(lake)


def test_a_damaged_file_stops_it(lake: Path) -> None:
    torn = lakekit.live_paths(lake)[0]
    torn.write_bytes(torn.read_bytes()[:-100])
    assert "see `rugs verify`" in run(lake, "rugs", "migrate", code=1)
    torn.unlink()
    assert "is gone; see `rugs verify`" in run(lake, "rugs", "migrate", code=1)


def test_an_unfinished_one_is_no_fault_and_can_be_given_up(lake: Path) -> None:
    before, on_disk = rows(lake), LakePaths(lake).data_files()
    run(lake, "rugs", "migrate", code=-signal.SIGKILL, RUGS_CRASH_AT="migration_epoch_taken")
    assert len(LakePaths(lake).data_files()) == 2 * len(on_disk)
    lakekit.checked(lake)
    lakekit.open_writer(lake, at_cursor=told(MESSAGES)).close()  # sweeps what nobody knows of
    assert run(lake, "rugs", "migrate", "--abandon") == f"{len(on_disk)} new files deleted\n"
    assert LakePaths(lake).data_files() == on_disk
    assert rows(lake) == before
    lakekit.checked(lake)


def test_there_must_be_room() -> None:
    room = Plan("1.0.0", "2.0.0", files=3, rows=9, bytes=1000, staged=1, staged_bytes=300, free=600)
    assert room.missing_room == 100
    assert room._replace(free=700).missing_room == 0


def test_every_older_major_version_has_its_way() -> None:
    assert MIGRATIONS.keys() == set(range(1, parse_version(SCHEMA_VERSION)[0]))
    assert all(not migration.changes & KEPT for migration in MIGRATIONS.values())
    assert BY_NAME.keys() >= KEPT
