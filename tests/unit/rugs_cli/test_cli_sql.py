"""`rugs sql`: every kind of value has a form in every kind of output, and a file is written whole or not at all."""

from __future__ import annotations

import base64
import csv
import io
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

import rugs_lake
from rugs_cli import app, values
from tests.support.lakekit import envelope, live_paths, message, store, tick
from tests.support.stackkit import RUGS, clean_environment, wait


class Done(NamedTuple):
    """What a command has printed."""

    out: bytes
    error: str

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def rows(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[list[str]]:
        return list(csv.reader(io.StringIO(self.text, newline="")))


Sql = Callable[..., Done]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "lake"
    frames = (envelope(1, raw=b"\x89PNG\xff\xfa\xa2"), envelope(2))
    store(root, message(1, tick(1, "g"), tick(4, "g"), tick(0, "h")), message(2, *frames))
    return root


@pytest.fixture
def sql(root: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> Sql:
    """`rugs sql` in this process."""
    monkeypatch.setenv("RUGS_DATA_DIR", str(root))

    def run(*arguments: str | Path, code: int = 0, given: bytes = b"") -> Done:
        monkeypatch.setattr(sys, "argv", ["rugs", "sql", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        found = app.run()
        out, error = capsysbinary.readouterr()
        assert found == code, (out, error)
        assert code != 1 or len(error.splitlines()) == 1
        return Done(out, error.decode())

    return run


# --- values ---------------------------------------------------------------------------------


def test_csv_has_lists_and_objects_as_json_and_nothing_for_null(sql: Sql) -> None:
    query = (
        "SELECT game_id, missing_ticks, {'a': [1.5, NULL]} AS said, nullif(sources, ['public_ws']) AS nobody"
        " FROM game_completeness ORDER BY 1"
    )
    header, first, second = sql(query, "--format", "csv").lines
    assert header == ["game_id", "missing_ticks", "said", "nobody"]
    assert json.loads(first[1]) == [{"first": 0, "last": 0}, {"first": 2, "last": 3}]
    assert second == ["h", "[]", '{"a":[1.5,null]}', ""]


def test_every_type_of_duckdb_comes_out_in_every_format(sql: Sql) -> None:
    """Those of the least and greatest value of each type, and the types that DuckDB's own list has not."""
    query = (
        "SELECT * REPLACE (enum_first(medium_enum)::VARCHAR AS medium_enum), {'x': {'y': 1::BIT}}::VARIANT AS variant,"
        " '{\"a\":[1]}'::JSON AS json, {'b': '\\xFF'::BLOB, 'c': [blob], 'd': MAP {'k': timestamp_tz_ns}} AS deep"
        " FROM test_all_types()"
    )
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        names = connection.sql(query).columns
        texts = connection.sql(query).project(", ".join(f'CAST("{name}" AS VARCHAR)' for name in names)).fetchall()
    rows = json.loads(sql(query, "--json").text, parse_int=str, parse_float=Decimal, parse_constant=pytest.fail)
    assert [list(row) for row in rows] == [names] * 3
    lines = sql(query, "--format", "csv").lines
    assert lines[0] == names
    for row, line, text in zip(rows, lines[1:], texts, strict=True):
        for name, value, field, duckdbs in zip(names, row.values(), line[:], text, strict=True):
            if duckdbs is None:
                assert (value, field) == (None, "") or (name == "deep"), name
            elif name in ("hugeint", "uhugeint", "bignum", "ubigint") or name.startswith("dec"):
                assert (Decimal(value), Decimal(field)) == (Decimal(duckdbs), Decimal(duckdbs)), name
            elif name in ("interval", "uuid", "time_ns", "time_tz", "date", "bit", "small_enum", "varchar", "geometry"):
                assert (value, field) == (duckdbs, duckdbs), name
            elif name.startswith("timestamp") and not name.endswith("array"):
                assert value == field, name
                assert value.replace("T", " ").replace("+00:00", "+00") == duckdbs, name
            elif name == "blob":
                assert value == field == base64.b64encode(base64.b64decode(value)).decode()
    small = query.replace("FROM", ", 5::HUGEINT AS hugeint FROM").replace("REPLACE (", "EXCLUDE (hugeint) REPLACE (")
    assert pa.ipc.open_stream(sql(small, "--format", "arrow").out).read_all().num_rows == 3
    assert pq.read_table(io.BytesIO(sql(small, "--format", "parquet").out)).num_rows == 3
    assert "hugeint" in sql(query, "--wide").text
    assert (
        "DECIMAL(38,0)"
        in sql("SELECT '170141183460469231731687303715884105727'::HUGEINT AS n", "--format", "parquet", code=1).error
    )


def test_what_json_has_no_number_for_is_text_and_still_a_number_to_csv(sql: Sql) -> None:
    query = "SELECT unnest(['nan', 'inf', '-inf', '0.1']::DOUBLE[]) AS n, ['nan']::FLOAT[] AS l, 'infinity'::DATE AS d"
    assert sql(query, "--json").rows == [
        {"n": n, "l": ["NaN"], "d": "infinity"} for n in ("NaN", "Infinity", "-Infinity", 0.1)
    ]
    assert [line.split(",")[0] for line in sql(query, "--format", "csv").text.splitlines()[1:]] == [
        *("nan", "inf", "-inf", "0.1")
    ]


def test_bytes_are_base64_in_csv_as_in_json(sql: Sql) -> None:
    query = "SELECT raw_bin FROM ws_event WHERE raw_bin IS NOT NULL"
    (row,) = sql(query, "--json").rows
    assert base64.b64decode(row["raw_bin"]) == b"\x89PNG\xff\xfa\xa2"
    assert sql(query, "--format", "csv").lines == [["raw_bin"], [row["raw_bin"]]]


def test_columns_of_one_name_are_all_kept(sql: Sql) -> None:
    query = 'SELECT 1 AS n, 2 AS n, 3 AS n_2, 4 AS N, 5 AS "a\'b""c", 6 AS "a\'b""c"'
    names = ["n", "n_3", "n_2", "N", "a'b\"c", "a'b\"c_2"]
    assert sql(query, "--json").rows == [dict(zip(names, range(1, 7), strict=True))]
    assert sql(query, "--format", "csv").lines[0] == names
    assert pq.read_table(io.BytesIO(sql(query, "--format", "parquet").out)).column_names == names
    assert all(name in sql(query).text for name in names)
    assert values.unique_names(["n", "n", "n"]) == ["n", "n_2", "n_3"]


def test_the_order_of_the_query_is_kept_in_every_format(sql: Sql) -> None:
    query = "SELECT i FROM range(100000) t(i) ORDER BY hash(i)"
    wanted = [i for (i,) in duckdb.execute(query).fetchall()]
    assert [row["i"] for row in sql(query, "--json").rows] == wanted
    assert [int(line) for line in sql(query, "--format", "csv").text.splitlines()[1:]] == wanted
    assert [json.loads(line)["i"] for line in sql(query, "--format", "jsonl").text.splitlines()] == wanted
    assert [row["i"] for row in sql(query, "--json", "--limit", "3").rows] == wanted[:3]


# --- tables -----------------------------------------------------------------------------------


def test_a_table_that_goes_to_a_pipe_hides_no_column_and_says_which_rows_it_hides(sql: Sql, root: Path) -> None:
    with rugs_lake.open(root) as lake:
        columns = lake.connection.sql("SELECT * FROM events").columns
    for shown in (sql("SELECT * FROM events").text, sql("DESCRIBE events").text, sql("SUMMARIZE events").text):
        assert all(name in shown for name in columns)
        assert "shown)" not in shown
    for arguments in ((), ("--limit", "15000")):
        assert "hidden: --wide" in sql("FROM range(20000)", *arguments).error
    limited = sql("FROM range(20000)", "--limit", "100").text
    assert all(f" {number} │" in limited for number in range(100))
    assert "Read Parquet" in sql("EXPLAIN SELECT raw FROM ws_event").text


# --- statements -------------------------------------------------------------------------------


def test_the_sql_comes_as_an_argument_from_standard_input_or_from_a_file(sql: Sql, tmp_path: Path) -> None:
    text = "-- a question\nSELECT 'ä;' AS a; -- and no more"
    file = tmp_path / "question.sql"
    file.write_text(text, "utf-8-sig")
    for done in (sql(text, "--json"), sql("-", "--json", given=text.encode()), sql("--file", file, "--json")):
        assert json.loads(done.text) == [{"a": "ä;"}]
    for arguments in (
        (),
        ("--nosuch",),
        ("SELECT 1", "--nosuch"),
        ("SELECT 1", "--file", file),
        ("--file", tmp_path / "no.sql"),
    ):
        sql(*arguments, code=2)
    assert sql("-", given=b"", code=1).error == "rugs: no SQL is given\n"
    assert sql("-", given=b"SELECT '\xff'", code=1).error == "rugs: the SQL is not text in UTF-8\n"
    assert "one SELECT" in sql("SELECT 1; SELECT 2", code=1).error


def test_what_is_mistyped_is_answered_with_what_there_is(sql: Sql) -> None:
    assert sql("FROM game_ticks", code=1).error.startswith(
        "rugs: no view game_ticks; did you mean game_tick? there are"
    )
    assert '"price"' in sql("SELECT pricee FROM tick", code=1).error
    assert "syntax error" in sql("SELEC 1", code=1).error


def test_what_changes_something_is_refused_and_the_catalog_is_as_it_was(sql: Sql, root: Path, tmp_path: Path) -> None:
    catalog = root / "manifests" / "lake.sqlite"
    before = catalog.read_bytes()
    for query in (
        f"COPY (SELECT 1) TO '{catalog}'",
        f"WITH a AS (COPY (SELECT 1) TO '{catalog}') FROM a",
        f"EXPLAIN ANALYZE COPY (SELECT 1) TO '{catalog}'",
        f"ATTACH '{tmp_path}/x.db'",
        "PRAGMA enable_profiling",
        "SET threads = 1",
    ):
        assert "one SELECT, DESCRIBE, SUMMARIZE or EXPLAIN" in sql(query, "--allow-files", code=1).error
    for name in (catalog, root / "new.csv", root / "events_parquet" / "x.parquet", root / "state" / ".." / "x.csv"):
        assert sql("SELECT 1", "--format", "csv", "--out", name, code=1).error
    assert catalog.read_bytes() == before
    assert not list(tmp_path.iterdir())


def test_own_files_are_read_only_where_that_is_allowed(sql: Sql, root: Path, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a\n1\n")
    query = f"SELECT a FROM '{tmp_path}/*.csv'"
    assert sql(query, code=1).error.endswith("files of your own may not be read here: --allow-files lets it\n")
    assert sql(query, "--allow-files", "--json").rows == [{"a": 1}]
    assert "below the data folder" in sql(f"FROM '{root}/manifests/lake.sqlite'", "--allow-files", code=1).error
    assert "getenv" in sql("SELECT getenv('HOME')", "--allow-files", code=1).error


# --- files ------------------------------------------------------------------------------------

READERS: dict[str, Callable[[bytes], Any]] = {
    ".json": json.loads,
    ".jsonl": lambda content: [json.loads(line) for line in content.splitlines()],
    ".csv": lambda content: [{"n": int(line)} for line in content.split()[1:]],
    ".PARQUET": lambda content: pq.read_table(io.BytesIO(content)).to_pylist(),
    ".arrow": lambda content: pa.ipc.open_stream(content).read_all().to_pylist(),
}


@pytest.mark.parametrize("ending", READERS)
def test_a_file_is_of_the_format_that_its_name_ends_with(sql: Sql, tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"rows{ending}"
    sql("SELECT 1 AS n", "--out", out)
    assert READERS[ending](out.read_bytes()) == [{"n": 1}]
    assert list(tmp_path.iterdir()) == [out]


def test_a_name_that_says_no_format_and_one_that_cannot_be_written(sql: Sql, tmp_path: Path) -> None:
    sql("SELECT 1", "--out", tmp_path / "rows.xyz", code=2)
    sql("SELECT 1 AS n", "--out", tmp_path / "rows.xyz", "--format", "csv")
    assert (tmp_path / "rows.xyz").read_text() == '"n"\n1\n'
    assert "no folder" in sql("SELECT 1", "--out", tmp_path / "no" / "rows.csv", code=1).error
    (tmp_path / "x.csv").mkdir()
    assert "is a folder" in sql("SELECT 1", "--out", tmp_path / "x.csv", code=1).error


@pytest.mark.parametrize("ending", READERS)
def test_a_query_that_fails_at_any_time_leaves_the_old_file_as_it_was(sql: Sql, tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"rows{ending}"
    (tmp_path / "old").write_bytes(b"old")
    out.symlink_to(tmp_path / "old")
    late = "SELECT CASE WHEN i < 300000 THEN i ELSE CAST('x' || i AS BIGINT) END AS n FROM range(300001) t(i)"
    for query in (late, "SELECT nothing", "SELECT i::TINYINT FROM range(1000) t(i)"):
        sql(query, "--out", out, code=1)
        assert out.read_bytes() == b"old"
        assert len(list(tmp_path.iterdir())) == 2
    sql("SELECT 1 AS n", "--out", out)
    assert out.is_symlink()
    assert READERS[ending]((tmp_path / "old").read_bytes()) == [{"n": 1}]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_a_query_at_once_and_leaves_the_old_file(root: Path, tmp_path: Path, number: int) -> None:
    out = tmp_path / "rows.csv"
    out.write_text("old")
    endless = "SELECT count(*) AS n FROM range(100000000000) a, range(1000) b"
    process = subprocess.Popen(
        [RUGS, "sql", endless, "--out", out],
        env=clean_environment(RUGS_DATA_DIR=str(root)),
        stderr=subprocess.PIPE,
        text=True,
    )
    wait(lambda: len([*tmp_path.iterdir()]) == 2)
    process.send_signal(number)
    _, error = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in error
    assert [*tmp_path.iterdir()] == [out]
    assert out.read_text() == "old"


def test_files_that_are_gone_are_told_as_that(sql: Sql, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUGS_DATA_DIR", str(tmp_path))
    store(tmp_path, message(1, tick(1, "g")))
    store(tmp_path, message(2, tick(2, "g")))
    live_paths(tmp_path)[1].unlink()
    error = sql("SELECT * FROM events", code=1).error
    assert error.startswith("rugs: cannot open the lake's files: IO Error: No files found")
    assert error.endswith("; see `rugs verify`\n")
    assert "LINE" not in error
