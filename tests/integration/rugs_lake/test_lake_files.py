"""Files for other tools: the list of the live ones, a recipe for each tool, and leases for those that take long."""

from __future__ import annotations

import datetime as dt
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import rugs_lake
from rugs_cli.app import app
from rugs_core.time import now_us
from rugs_lake.maintain.compaction import compact
from rugs_lake.maintain.retention import expire
from rugs_lake.read import leases
from rugs_lake.read.files import FilesGoneError
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.paths import LakePaths
from tests.support import ducklake_env, lakekit, tools_env
from tests.support.crashkit import REPOSITORY
from tests.support.lakekit import DAY_US, NOON_US, commit, envelope, message, open_writer, tick

DOCUMENT = (REPOSITORY / "docs" / "files.md").read_text()
TICKS = 24


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lake whose files were compacted, so that the replaced ones wait beside the live ones."""
    root = tmp_path / "it's a lake"
    writer = open_writer(root)
    for n in range(1, 7):
        commit(writer, message(2 * n - 1, *(tick(n * 4 + k, ts=NOON_US - n % 2 * DAY_US) for k in range(4))))
        commit(writer, message(2 * n, envelope(n, raw=b"\xff" if n % 2 else None)))
    compact(writer.catalog)
    commit(writer, message(13, envelope(99)))
    writer.close()
    monkeypatch.setenv("RUGS_DATA_DIR", str(root))
    return root


def rugs(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == code, (done.output, done.exception)
    return done.stdout


def recipes(language: str) -> dict[str, str]:
    """Return the document's programs by the title they stand under."""
    sections = re.split(r"^## ", DOCUMENT, flags=re.MULTILINE)[1:]
    found = {
        section.splitlines()[0]: re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL) for section in sections
    }
    return {title: programs[0] for title, programs in found.items() if programs}


@pytest.mark.parametrize("tool", ["DuckDB", "pandas", "polars", "pyarrow", "For longer than 6 hours"])
@pytest.mark.slow
def test_the_recipe_for_a_tool_reads_each_row_once(lake: Path, tool: str) -> None:
    """In a process of its own, as its user runs it."""
    tools_env.make()
    program = recipes("python")[tool] + "\nprint(count)\n"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        cwd=lake,
        env=tools_env.environment(),
    )
    assert done.stdout == f"{TICKS}\n", done.stderr


@pytest.mark.slow
def test_the_recipe_for_ducklake_reads_each_row_once(lake: Path) -> None:
    ducklake_env.make()
    attach, query, *_ = recipes("sql")["DuckLake"].split(";\n")
    options = re.fullmatch(r"ATTACH 'ducklake:sqlite:RUGS_DATA_DIR/manifests/lake.sqlite' AS lake \((.*)\)", attach)
    assert options is not None
    place = str(lake).replace("'", "''")
    (rows,) = ducklake_env.ask(lake, query, options=options[1].replace("RUGS_DATA_DIR", place))
    assert rows == [[str(TICKS)]]


def test_the_whole_folder_has_rows_twice_as_the_document_says(lake: Path) -> None:
    import pyarrow.parquet as pq

    rows = sum(pq.read_metadata(lake / "events_parquet" / path).num_rows for path in LakePaths(lake).data_files())
    assert rows == 2 * (TICKS + 6) + 1
    with pytest.raises(Exception, match="incompatible types"):
        pq.read_table(lake / "events_parquet")


def test_the_list_is_what_the_lake_reads(lake: Path) -> None:
    with rugs_lake.open(lake) as opened:
        assert rugs("files").splitlines() == opened.files == sorted(map(str, lakekit.live_paths(lake)))
        told = json.loads(rugs("files", "--json"))
        assert told["files"] == [file.as_dict() for file in opened.files]
        assert (told["snapshot"], told["lease"]) == (opened.snapshot, None)
        assert sum(file["rows"] for file in told["files"]) == TICKS + 7
        assert all(file["bytes"] == Path(file["path"]).stat().st_size for file in told["files"])
        assert {type(file.date) for file in opened.files} == {dt.date}


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (["--doc-type", "game_tick"], 2),
        (["--doc-type", "game_tick", "-t", "ws_event"], 4),
        (["--date", "2026-06-01"], 3),
        (["--to", "2026-05-31"], 1),
        (["--from", "2026-05-31", "--to", "2026-06-01", "--doc-type", "ws_event"], 2),
        (["--at-snapshot", "4"], 3),
        (["--at-time", "2100-01-01"], 4),
    ],
)
def test_filters_and_older_snapshots(lake: Path, options: list[str], count: int) -> None:
    found = rugs("files", *options).splitlines()
    assert len(found) == count
    assert all(Path(path).is_file() for path in found)


@pytest.mark.parametrize("options", [["--doc-type", "game"], ["--date", "2020-01-01"], ["--at-snapshot", "999"]])
def test_nothing_found_ends_with_1(lake: Path, options: list[str]) -> None:
    assert rugs("files", *options, code=1) == ""


@pytest.mark.parametrize(
    "options",
    [
        ["--date", "yesterday"],
        ["--hold", "soon"],
        ["--at-time", "noon"],
        ["--date", "2026-06-01", "--to", "2026-06-02"],
    ],
)
def test_wrong_usage_ends_with_2(lake: Path, options: list[str]) -> None:
    rugs("files", *options, code=2)


def keep_nothing(root: Path) -> None:
    """Replace all files, and expire whatever may be: from another process's catalog."""
    with Catalog(LakePaths(root)) as catalog:
        compact(catalog)
        expire(catalog, keep_seconds=0)


def test_what_is_held_stays_until_it_is_released(lake: Path) -> None:
    told = json.loads(rugs("files", "--hold", "2h", "--json"))
    held = [Path(file["path"]) for file in told["files"]]
    assert json.loads(rugs("files", "--leases", "--json")) == [told["lease"]]
    keep_nothing(lake)
    assert all(path.is_file() for path in held)
    with rugs_lake.open(lake, at_snapshot=told["snapshot"]) as opened:
        assert list(map(Path, opened.files)) == held
    rugs("files", "--release", told["lease"]["lease"])
    assert json.loads(rugs("files", "--leases", "--json")) == []
    rugs("files", "--release", told["lease"]["lease"], code=1)
    keep_nothing(lake)
    assert LakePaths(lake).data_files() == {
        str(path.relative_to(LakePaths(lake).data)) for path in lakekit.live_paths(lake)
    }
    lakekit.checked(lake)


def test_a_lease_ends_by_itself(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its holder died. Time goes on, and nothing else has to happen."""
    with rugs_lake.open(lake) as opened:
        leases.hold(lake, opened.snapshot, 3600)
        keep_nothing(lake)
        assert all(Path(file).is_file() for file in opened.files)
        later = now_us() + 3_601_000_000
        monkeypatch.setattr(leases, "now_us", lambda: later)
        assert leases.leases(lake) == []
        keep_nothing(lake)
        assert not all(Path(file).is_file() for file in opened.files)


def test_the_lake_is_held_while_a_block_runs(lake: Path) -> None:
    with rugs_lake.open(lake) as opened:
        with opened.hold(dt.timedelta(hours=1)) as lease:
            assert leases.leases(lake) == [lease]
            keep_nothing(lake)
            assert opened.sql("SELECT count(*) FROM events").fetchall() == [(TICKS + 7,)]
        assert leases.leases(lake) == []
        keep_nothing(lake)
        with pytest.raises(rugs_lake.LakeError, match=r"snapshot \d+ has expired"), opened.hold(60):
            pass


@pytest.mark.parametrize("ask", ["sql", "arrow"])
def test_a_query_whose_files_are_gone_says_so(lake: Path, ask: str) -> None:
    with rugs_lake.open(lake) as opened:
        keep_nothing(lake)
        with pytest.raises(FilesGoneError, match=r"deleted while it was read.* RUGS_SNAPSHOT_RETENTION.*--hold"):
            getattr(opened, ask)("SELECT sum(length(raw)) FROM events")
        with pytest.raises(Exception, match="no_such_view") as other:
            getattr(opened, ask)("SELECT * FROM no_such_view")
        assert not isinstance(other.value, FilesGoneError)


def test_a_lease_taken_while_snapshots_expire_is_never_overlooked(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look for old snapshots and the transaction that forgets them."""
    real = Catalog.transaction
    taken: list[Any] = []

    def transaction(self: Catalog) -> Any:
        if not taken:
            taken.append(None)
            taken[0] = leases.hold(lake, 3, 3600)
        return real(self)

    with Catalog(LakePaths(lake)) as catalog:
        expire(catalog, keep_seconds=3600)
        monkeypatch.setattr(Catalog, "transaction", transaction)
        expire(catalog, keep_seconds=0)
    assert taken[0].snapshot == 3
    with rugs_lake.open(lake, at_snapshot=3) as opened:
        assert opened.sql("SELECT count(*) FROM events").fetchall() == [(5,)]
