"""Admission of SQL: which statements may run against the lake.

`admit` takes one question (SELECT, DESCRIBE, SUMMARIZE, EXPLAIN) over the lake's views and refuses everything else:
what changes something, what reads files, what runs text as SQL, and what reads settings. DuckDB's own parser takes
the statement apart, and every part must be on a list below, so syntax that a later version adds is refused until
somebody adds it here. The statement is only parsed, never bound or run.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, Final, NamedTuple

import duckdb

from rugs_lake.errors import LakeError


class Kind(StrEnum):
    """What a statement asks."""

    SELECT = "select"
    DESCRIBE = "describe"
    SUMMARIZE = "summarize"
    EXPLAIN = "explain"


class Admitted(NamedTuple):
    """A statement that may run.

    Attributes:
        text: what to run. Run this and not the text that was given.
        files: the user's own files that it reads, as they are written in it; patterns among them.
    """

    kind: Kind
    text: str
    files: tuple[str, ...] = ()


class RefusedError(LakeError):
    """A statement is not admitted. `for_files` says that it would be if it might read files."""

    def __init__(self, reason: str, *, for_files: bool = False) -> None:
        super().__init__(reason)
        self.for_files = for_files


FILE_FUNCTIONS: Final = frozenset(
    {
        *("read_parquet", "parquet_scan", "read_csv", "read_csv_auto", "sniff_csv", "read_text", "read_blob", "glob"),
        *("read_json", "read_json_auto", "read_json_objects", "read_json_objects_auto"),
        *("read_ndjson", "read_ndjson_auto", "read_ndjson_objects"),
        *("parquet_metadata", "parquet_schema", "parquet_file_metadata", "parquet_kv_metadata"),
    }
)
"""Table functions that read the files that their first argument names."""
TABLE_FUNCTIONS: Final = frozenset(
    {
        *("range", "generate_series", "unnest", "repeat", "repeat_row", "json_each", "json_tree"),
        *("icu_calendar_names", "pg_timezone_names", "test_all_types", "test_vector_types"),
    }
)
"""Table functions that compute their rows."""
REFUSED_FUNCTIONS: Final = frozenset(
    {
        *("getenv", "current_setting", "getvariable", "get_block_size"),  # read settings and the environment
        *("pg_get_viewdef", "pg_get_constraintdef"),  # show the files of a view
        *("nextval", "currval", "setval", "setseed", "write_log"),  # change something
        *("sleep_ms", "pg_sleep"),  # hold a thread
        *("json_serialize_plan", "json_execute_serialized_sql"),  # take text for SQL
        *("stats", "vector_type"),  # show internals
        *("current_connection_id", "current_query_id", "current_transaction_id", "txid_current"),
    }
)
"""Scalar functions that do not merely compute a value from their arguments."""

_QUERIES: Final = ("SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE")
_TABLES: Final = (
    *("BASE_TABLE", "TABLE_FUNCTION", "SUBQUERY", "JOIN", "PIVOT", "EXPRESSION_LIST", "EMPTY", "SHOW_REF"),
)
_MODIFIERS: Final = (
    *("ORDER_MODIFIER", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER", "DISTINCT_MODIFIER"),
    *("ORDER_DEFAULT", "ASCENDING", "DESCENDING"),
)
_EXPRESSIONS: Final = (
    *("BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT", "DEFAULT"),
    *("FUNCTION", "LAMBDA", "OPERATOR", "PARAMETER", "POSITIONAL_REFERENCE", "STAR", "SUBQUERY"),
    *("TYPE", "WINDOW"),
)
_PARTS: Final = frozenset((*_QUERIES, *_TABLES, *_MODIFIERS, *_EXPRESSIONS))
_LISTINGS: Final = ("tables", "databases", "__show_tables_expanded")
_CATALOGS: Final = ((), ("main",), ("memory",), ("memory", "main"))
"""What may stand before a view's name."""

_SPACE: Final = r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)"
_EXPLAIN: Final = re.compile(
    rf"{_SPACE}*explain\b{_SPACE}*(?P<how>(?:analy[zs]e\b|\(\s*(?:analyze|format)\b[\w\s,]*\)|))(?P<question>.*)",
    re.IGNORECASE | re.DOTALL,
)
_ONE_QUESTION: Final = "only one SELECT, DESCRIBE, SUMMARIZE or EXPLAIN is admitted here"


def admit(text: str, views: Collection[str], *, files: bool = False) -> Admitted:
    """Return a statement as it may run over views of these names; with `files` it may read the user's own files.

    Raises:
        RefusedError: saying what of it is not admitted.
        duckdb.Error: if it is no SQL.
    """
    statements = _parser().cursor().extract_statements(text)
    if len(statements) != 1:
        raise RefusedError(f"{_ONE_QUESTION}, not {len(statements)} statements" if statements else "no SQL is given")
    (statement,) = statements
    if statement.type == duckdb.StatementType.EXPLAIN:
        return _admit_explained(text, views, files)
    if statement.type == duckdb.StatementType.MULTI:  # PIVOT makes a type of the values first
        raise RefusedError("PIVOT is admitted only with its values: PIVOT … ON column IN ('a', 'b')")
    if statement.type != duckdb.StatementType.SELECT:
        raise RefusedError(f"{_ONE_QUESTION}, not {statement.type.name.replace('_', ' ')}")
    query = _parsed(text)
    checked = _Check(frozenset(name.lower() for name in views), files)
    checked.part(query, frozenset())
    return Admitted(_kind(query), _without_end(text), tuple(checked.files))


def _without_end(text: str) -> str:
    """Return a statement without its semicolon and what is behind it, so that it can stand in parentheses."""
    content = text.encode()
    places = [place for place, kind in duckdb.tokenize(text) if kind != duckdb.token_type.comment]
    while content[places[-1] : places[-1] + 1] == b";":
        content = content[: places.pop()]
    return content.decode()


def _admit_explained(text: str, views: Collection[str], files: bool) -> Admitted:
    """Admit what is explained, and put the two together anew: so no more is run than what was looked at."""
    match = _EXPLAIN.fullmatch(text)
    if match is None:
        raise RefusedError(_ONE_QUESTION)
    inner = admit(match["question"], views, files=files)
    whole = f"EXPLAIN {match['how']} {inner.text}"
    if [each.type for each in _parser().cursor().extract_statements(whole)] != [duckdb.StatementType.EXPLAIN]:
        raise RefusedError(_ONE_QUESTION)
    return Admitted(Kind.EXPLAIN, whole, inner.files)


@functools.cache
def _parser() -> duckdb.DuckDBPyConnection:
    """Return a connection that parses, and can reach nothing."""
    return duckdb.connect(
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "enable_external_access": "false",
            "threads": "1",
        }
    )


def _parsed(text: str) -> dict[str, Any]:
    row = _parser().cursor().execute("SELECT json_serialize_sql(?::VARCHAR)", [text]).fetchone()
    try:
        told = json.loads(row[0] if row else "{}")
    except RecursionError:
        raise RefusedError("the statement is nested too deeply") from None
    if told.get("error") is not False or len(told["statements"]) != 1:
        raise RefusedError(_ONE_QUESTION)
    return dict(told["statements"][0]["node"])


def _kind(query: dict[str, Any]) -> Kind:
    table = query.get("from_table") or {}
    if table.get("type") != "SHOW_REF":
        return Kind.SELECT
    return Kind.SUMMARIZE if table["show_type"] == "SUMMARY" else Kind.DESCRIBE


class _Check:
    """Looks at every part of one parsed statement; raises `RefusedError` at the first that is on no list.

    `files` are those that the parts seen so far name.
    """

    def __init__(self, views: frozenset[str], files_allowed: bool) -> None:
        self.files: list[str] = []
        self._views = views
        self._files_allowed = files_allowed

    def part(self, part: object, named: frozenset[str]) -> None:
        """Check a part and all below it; `named` are the WITH queries in scope."""
        if isinstance(part, list):
            for each in part:
                self.part(each, named)
        elif isinstance(part, dict):
            kind = part.get("class", part.get("type"))
            if isinstance(kind, str):
                if kind not in _PARTS:
                    raise RefusedError(f"{_ONE_QUESTION}, not {kind.split('_')[0]}")
                self._one(kind, part, named)
            named = self._with_queries(part, named)
            for key, value in part.items():
                if key != "cte_map":
                    self.part(value, named)

    def _with_queries(self, query: dict[str, Any], named: frozenset[str]) -> frozenset[str]:
        """Check the WITH queries of a query in order: each sees those before it, a recursive one itself."""
        for entry in (query.get("cte_map") or {}).get("map", []):
            name, content = frozenset({entry["key"].lower()}), entry["value"]
            recursive = content["query_node"]["type"] == "RECURSIVE_CTE_NODE"
            self.part(content, named | name if recursive else named)
            named |= name
        return named

    def _one(self, kind: str, part: dict[str, Any], named: frozenset[str]) -> None:
        if kind == "BASE_TABLE":
            self._table(part, named)
        elif kind == "TABLE_FUNCTION":
            self._table_function(part["function"])
        elif kind in ("FUNCTION", "WINDOW") and part["function_name"].lower() in REFUSED_FUNCTIONS:
            raise RefusedError(f"the function {part['function_name']} is not admitted here")
        elif kind == "SHOW_REF" and not part.get("query"):
            shown = part["table_name"].strip('"').lower()
            if shown not in _LISTINGS and shown not in self._views:
                raise RefusedError(f"SHOW {shown} is not admitted here; {_no_such_view(shown, self._views)}")

    def _table(self, table: dict[str, Any], named: frozenset[str]) -> None:
        *before, name = table["qualified_name"]["path"]
        if not before and name.lower() in named:
            return
        if tuple(each.lower() for each in before) in _CATALOGS and name.lower() in self._views:
            return
        if before or not re.search(r"[./\\:*]", name):
            raise RefusedError(_no_such_view(".".join((*before, name)), self._views))
        self._file(name, f"{name!r} is no view")

    def _table_function(self, function: dict[str, Any]) -> None:
        name = function["function_name"].lower()
        if name in FILE_FUNCTIONS:
            first = next((each["expression"] for each in function["arguments"]), None)
            for file in _literals(name, first):
                self._file(file, f"{name} reads files")
        elif name not in TABLE_FUNCTIONS:
            raise RefusedError(f"the table function {name} is not admitted here")

    def _file(self, name: str, why: str) -> None:
        if not self._files_allowed:
            raise RefusedError(f"{why}, and files of your own may not be read here", for_files=True)
        self.files.append(name)


def _literals(function: str, argument: dict[str, Any] | None) -> Iterator[str]:
    """Give the names in a function's first argument: a text, or a list of texts."""
    if argument is not None and argument["class"] == "FUNCTION" and argument["function_name"] == "list_value":
        for each in argument["arguments"]:
            yield from _literals(function, each["expression"])
    elif argument is not None and argument["class"] == "CONSTANT" and argument["literal"]["kind"] == "STRING":
        yield argument["literal"]["text"]
    else:
        raise RefusedError(f"{function}: write the files' names as text, not as an expression")


def _no_such_view(name: str, views: Collection[str]) -> str:
    close = get_close_matches(name.rsplit(".")[-1].lower(), views, n=1)
    guess = f"; did you mean {close[0]}?" if close else ";"
    return f"no view {name}{guess} there are {', '.join(sorted(views))}"
