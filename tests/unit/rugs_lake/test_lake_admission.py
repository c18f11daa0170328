"""Admission of SQL: a question about the lake is admitted in every form, and nothing else in any."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from rugs_lake.read.admission import FILE_FUNCTIONS, REFUSED_FUNCTIONS, TABLE_FUNCTIONS, Kind, RefusedError, admit

VIEWS = ("events", "ws_event", "game_tick", "tick", "gap", "odd.name")

QUESTIONS = {
    Kind.SELECT: [
        "SELECT 1",
        "select * from events",
        'FROM "Events" e SELECT e.id',
        "FROM memory.main.events, main.tick, memory.gap",
        'FROM "odd.name"',
        "VALUES (1), (2)",
        "TABLE events",
        "(SELECT 1)",
        "SELECT 1;",
        "SELECT 1 ; ; -- and no more;",
        "-- first\n/* then */ SELECT ';' AS \"é;\" -- last",
        "WITH a AS (FROM events), b AS (FROM a) FROM b",
        "WITH RECURSIVE a AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM a WHERE x < 3) FROM a",
        'WITH "x.csv" AS (SELECT 1) FROM "x.csv"',
        "WITH events AS MATERIALIZED (FROM tick) FROM events",
        "SELECT (WITH a AS (SELECT 1) FROM a), (SELECT max(seq) FROM events), EXISTS (FROM tick)",
        "SELECT * FROM events UNION ALL BY NAME SELECT * FROM tick ORDER BY ALL LIMIT 10% OFFSET 2",
        "SELECT DISTINCT ON (a) * EXCLUDE (b) REPLACE (c + 1 AS c) FROM events",
        "SELECT COLUMNS(c -> c LIKE 'x%'), e.* FROM events e",
        "SELECT a, sum(b) OVER w FROM tick GROUP BY ALL HAVING a > 1 WINDOW w AS (ORDER BY c) QUALIFY rank() OVER w=1",
        "SELECT a FROM events GROUP BY GROUPING SETS ((a), CUBE (a, b), ())",
        "SELECT * FROM events ASOF JOIN tick ON events.ts >= tick.ts LEFT JOIN gap USING (stream), LATERAL (SELECT 1)",
        "SELECT list_transform([1], lambda x: x + 1), [x FOR x IN [1, 2] IF x > 1], {'a': 1}, MAP {'a': 1}, x[1:2]",
        "SELECT CASE WHEN a THEN b END, a::STRUCT(x INT, y VARCHAR[]), TRY_CAST(b AS DECIMAL(9, 2)), a COLLATE nocase",
        "SELECT a BETWEEN 1 AND 2, a IN (1, 2), NOT a, a IS DISTINCT FROM b, a = ANY (SELECT 1), x'AA', INTERVAL 1 DAY",
        "SELECT random(), uuid(), now(), current_date, hash(raw), md5(raw), regexp_extract(raw, 'x'), extra->>'$.a'",
        "SELECT * FROM events WHERE seq = $seq AND event = $event",
        "FROM range(3), generate_series(1, 2), json_each('{}'), unnest([1]) WITH ORDINALITY, test_all_types()",
        "PIVOT events ON doc_type IN ('a', 'b') USING count(*) GROUP BY date",
        "FROM events UNPIVOT (value FOR name IN (price, cash))",
        "FROM events TABLESAMPLE 10%",
        "SELECT * FROM (DESCRIBE events)",
    ],
    Kind.DESCRIBE: [
        *("DESCRIBE events", "DESC events", "describe select * from tick", "DESCRIBE"),
        *("SHOW events", "SHOW TABLES", "SHOW ALL TABLES", "SHOW DATABASES"),
    ],
    Kind.SUMMARIZE: ["SUMMARIZE events", "summarize select price from tick"],
    Kind.EXPLAIN: [
        *("EXPLAIN SELECT 1", "explain analyze from tick;", "EXPLAIN (SELECT 1)", "EXPLAIN DESCRIBE tick"),
        *("EXPLAIN (FORMAT json) FROM tick", "EXPLAIN (ANALYZE, FORMAT json) VALUES (1)"),
        "/* a */ EXPLAIN -- b\n ANALYSE /* c */ SELECT 1 -- d",
    ],
}

CHANGES = [
    "COPY events TO 'x'",
    "COPY (SELECT 1) TO 'x' (FORMAT parquet)",
    "WITH a AS (COPY events TO 'x') FROM a",
    "WITH a AS (INSERT INTO events VALUES (1) RETURNING *) FROM a",
    "WITH a AS (DELETE FROM events RETURNING *) FROM a",
    "WITH a AS (UPDATE events SET seq = 1 RETURNING *) FROM a",
    "SELECT (WITH a AS (COPY events TO 'x') FROM a)",
    "EXPLAIN ANALYZE COPY events TO 'x'",
    "EXPLAIN WITH a AS (COPY events TO 'x') FROM a",
    "EXPLAIN ANALYZE INSERT INTO events VALUES (1)",
    "EXPORT DATABASE 'x'",
    "IMPORT DATABASE 'x'",
    "ATTACH 'x' AS x",
    "ATTACH 'ducklake:sqlite:x'",
    "DETACH memory",
    "USE memory",
    "INSTALL httpfs",
    "FORCE INSTALL httpfs",
    "LOAD sqlite",
    "SET threads = 1",
    "SET VARIABLE x = 1",
    "RESET threads",
    "PRAGMA database_list",
    "PRAGMA enable_profiling",
    "CALL pragma_version()",
    "CREATE TABLE t AS SELECT 1",
    "CREATE TEMP VIEW v AS SELECT 1",
    "CREATE MACRO f(x) AS x",
    "CREATE SECRET s (TYPE s3)",
    "CREATE SEQUENCE s",
    "CREATE TYPE t AS ENUM ('a')",
    "DROP VIEW events",
    "ALTER VIEW events RENAME TO x",
    "COMMENT ON VIEW events IS 'x'",
    "INSERT INTO events VALUES (1)",
    "UPDATE events SET seq = 1",
    "DELETE FROM events",
    "TRUNCATE events",
    "MERGE INTO events USING tick ON true WHEN MATCHED THEN DELETE",
    "BEGIN",
    "COMMIT",
    "CHECKPOINT",
    "VACUUM",
    "ANALYZE",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "DEALLOCATE p",
    "PIVOT events ON doc_type USING count(*)",
    "SELECT 1; SELECT 2",
    "SELECT 1; COPY events TO 'x'",
    "",
    " ; ",
    "-- only this",
    "SELECT nextval('s')",
    "SELECT setseed(0.5)",
    "SELECT write_log('x')",
    "SELECT pg_sleep(100)",
]

SECRETS = [
    "SELECT getenv('HOME')",
    "SELECT system.main.GETENV('HOME')",
    "SELECT 1 FROM events ORDER BY getenv('HOME')",
    "SELECT count(*) FILTER (WHERE getenv('HOME') IS NULL) FROM events",
    "SELECT list_transform(['HOME'], lambda x: getenv(x))",
    "SELECT * REPLACE (getenv('HOME') AS id) FROM events",
    "SELECT COLUMNS(c -> getenv(c) IS NULL) FROM events",
    "SELECT 1 QUALIFY row_number() OVER (ORDER BY getenv('HOME')) = 1",
    "FROM events JOIN tick ON getenv('HOME') = 'x'",
    "FROM range(length(getenv('HOME')))",
    "SELECT current_setting('allowed_directories')",
    "SELECT getvariable('x')",
    "SELECT pg_get_viewdef(1)",
    "SELECT json_serialize_plan('SELECT 1')",
    "FROM duckdb_views()",
    "FROM duckdb_settings()",
    "FROM duckdb_secrets()",
    "FROM duckdb_logs",
    "FROM sqlite_master",
    "FROM information_schema.tables",
    "FROM pg_catalog.pg_settings",
    "FROM query('COPY events TO ''x''')",
    "FROM query_table('x.csv')",
    "FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    "FROM pragma_database_size()",
    "FROM read_duckdb('x')",
    "FROM which_secret('x', 'y')",
    "SHOW VARIABLES",
    "SHOW threads",
]

OWN_FILES = {
    "FROM 'x.csv'": ["x.csv"],
    'SELECT * FROM "/etc/passwd"': ["/etc/passwd"],
    "DESCRIBE 'x.parquet'": ["x.parquet"],
    "SUMMARIZE 'x.parquet'": ["x.parquet"],
    "EXPLAIN FROM 'x.parquet'": ["x.parquet"],
    "FROM read_csv('x.csv', header = true)": ["x.csv"],
    "FROM read_parquet(['a', 'b/*'], union_by_name = true)": ["a", "b/*"],
    "FROM events WHERE id IN (SELECT id FROM read_json('x'))": ["x"],
    "SELECT (SELECT content FROM read_text('x')) FROM events JOIN 'y.csv' USING (id)": ["x", "y.csv"],
    "SELECT 1 LIMIT (SELECT count(*) FROM glob('*'))": ["*"],
    'WITH "x.csv" AS (FROM "x.csv") FROM "x.csv"': ["x.csv"],
    'WITH a AS (FROM "x.csv"), "x.csv" AS (SELECT 1) FROM a': ["x.csv"],
    'SELECT (WITH "x.csv" AS (SELECT 1) FROM "x.csv"), (SELECT max(a) FROM "x.csv")': ["x.csv"],
}


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in QUESTIONS.items() for text in texts])
def test_every_form_of_a_question_is_admitted(kind: Kind, text: str) -> None:
    admitted = admit(text, VIEWS)
    assert admitted.kind is kind
    assert admitted.files == ()
    assert admit(admitted.text, VIEWS).kind is kind
    if kind is not Kind.EXPLAIN:  # what runs can stand in parentheses
        assert len(duckdb.extract_statements(f"FROM ({admitted.text}\n)")) == 1


@pytest.mark.parametrize("files", [False, True])
@pytest.mark.parametrize("text", [*CHANGES, *SECRETS])
def test_nothing_else_is_admitted(text: str, files: bool) -> None:
    with pytest.raises(RefusedError):
        admit(text, VIEWS, files=files)


@pytest.mark.parametrize(("text", "names"), OWN_FILES.items())
def test_files_are_admitted_only_where_they_are_allowed_and_named(text: str, names: list[str]) -> None:
    with pytest.raises(RefusedError) as refused:
        admit(text, VIEWS)
    assert refused.value.for_files
    assert list(admit(text, VIEWS, files=True).files) == names


@pytest.mark.parametrize("argument", ["'a' || 'b'", "getvariable('x')", "(SELECT 'x')", "$1", "['a', b]", ""])
def test_a_file_whose_name_is_computed_is_refused(argument: str) -> None:
    with pytest.raises(RefusedError):
        admit(f"FROM read_text({argument})", VIEWS, files=True)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("game_ticks", "no view game_ticks; did you mean game_tick?"),
        ("evnts", "did you mean events?"),
        ("main.tik", "no view main.tik; did you mean"),
        ("zzz", "no view zzz; there are events, game_tick, gap, odd.name, tick, ws_event"),
        ("other.events", "no view other.events"),
    ],
)
def test_a_mistyped_view_is_answered_with_the_views(name: str, says: str) -> None:
    with pytest.raises(RefusedError, match=says):
        admit(f"SELECT * FROM {name}", VIEWS)


def test_what_is_no_sql_is_an_error_of_the_parser_or_refused() -> None:
    for text in (
        "SELEC 1",
        "SELECT",
        ".tables",
        "SELECT 'x",
        "EXPLAIN EXPLAIN SELECT 1",
        "SELECT " + "1+" * 2000 + "1",
    ):
        with pytest.raises(duckdb.ParserException):
            admit(text, VIEWS)
    with pytest.raises(RefusedError, match="nested too deeply"):
        admit("SELECT " + "1+" * 900 + "1", VIEWS)


def test_every_function_of_this_duckdb_that_does_more_than_compute_is_refused() -> None:
    """Who updates DuckDB decides here about functions that are new."""
    connection = duckdb.connect()
    doing_more = connection.sql(
        "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_name IN ('getvariable', 'getenv')"
        " OR function_type = 'scalar' AND stability = 'VOLATILE'"
        " OR function_type = 'macro' AND macro_definition ILIKE '%SELECT%'"
    )
    harmless = {"random", "uuid", "uuidv4", "uuidv7", "gen_random_uuid", "error", "current_query", "format_type"}
    assert {name for (name,) in doing_more.fetchall()} - harmless <= REFUSED_FUNCTIONS
    tables = connection.sql("SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type ILIKE 'table%'")
    names = {name for (name,) in tables.fetchall()}
    assert names >= FILE_FUNCTIONS
    assert names >= TABLE_FUNCTIONS
    reading = {name for name in names if name.startswith(("read_", "parquet_", "sniff", "glob"))}
    assert not reading & TABLE_FUNCTIONS


def test_nothing_is_run_or_read_to_admit_a_statement(tmp_path: Path) -> None:
    missing = tmp_path / "no.csv"
    assert admit(f"FROM '{missing}'", VIEWS, files=True).files == (str(missing),)
