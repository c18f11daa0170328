"""SQL expressions that turn a result's column into what an output format can hold.

DuckDB itself converts the values, so that none is lost on the way through Python: years beyond 9999, nanoseconds,
integers of 128 bits, infinities.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from duckdb.sqltypes import DuckDBPyType as Type

_NESTED: Final = ("list", "array", "struct", "map", "union", "tuple", "variant")
_TIMES: Final = (
    *("timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns", "timestamp with time zone", "timestamptz_ns"),
)
_REALS: Final = ("float", "double")
_CSV_NUMBERS: Final = (
    *("boolean", "tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger", "ubigint"),
    *(*_REALS, "decimal"),
)
"""Types that Arrow's CSV writer writes without quotes."""
_NOT_AS_DUCKDB: Final = (*_REALS, *_TIMES, "blob", "varchar", "union")
"""Types that have another form in JSON here than DuckDB gives them; of texts, those of type JSON."""
_COMMA: Final = " || ',' || "
_EMPTY: Final = "''"
_NOT_IN_ARROW: Final = ("bit", "uhugeint", "bignum", "time with time zone", "variant")
_NOT_IN_PARQUET: Final = (*_NOT_IN_ARROW, "interval", "union")


def unique_names(names: Sequence[str]) -> list[str]:
    """Return the names of a result's columns, each once: ``n, n`` become ``n, n_2``."""
    found: list[str] = []
    for name in names:
        unique, number = name, 1
        while unique in found or (number > 1 and unique in names):
            number += 1
            unique = f"{name}_{number}"
        found.append(unique)
    return found


def identifier(name: str) -> str:
    """Return a name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def as_json(value: str, kind: Type, depth: int = 0) -> str:
    """Return an expression for the JSON text of a value, null for NULL.

    Numbers keep all their digits; those that JSON has no form for are "NaN", "Infinity", "-Infinity". Bytes are
    base64, times ISO 8601. A map is an object, a union its value. All else has DuckDB's own form.
    """
    return f"coalesce({_json(value, kind, depth)}, 'null')"


def json_row(columns: Sequence[tuple[str, str, Type]]) -> str:
    """Return an expression for the JSON object of a row; columns are names, values and types."""
    return _json_object((name, as_json(value, kind)) for name, value, kind in columns)


def as_csv(value: str, kind: Type) -> str:
    """Return an expression for a value in CSV: a number, or the text that JSON has without its quotes."""
    if kind.id in _CSV_NUMBERS:
        return value
    if kind.id in _NESTED:
        return _json(value, kind)
    return _text(value, kind)


def as_arrow(value: str, kind: Type) -> str:
    """Return an expression for a value in Arrow; where Arrow has no such type, for its text."""
    return _in_columns(value, kind, _NOT_IN_ARROW)


def as_parquet(value: str, kind: Type) -> str:
    """Return an expression for a value in Parquet; where Parquet has no such type, for its text."""
    return _in_columns(value, kind, _NOT_IN_PARQUET)


def _in_columns(value: str, kind: Type, missing: Sequence[str]) -> str:
    if kind.id == "hugeint":  # Arrow's decimals have 38 digits: a number of 39 is an error, and not another number
        return f"CAST({value} AS DECIMAL(38, 0))"
    if not _contains(kind, (*missing, "hugeint")):
        return value
    return _json(value, kind) if kind.id in _NESTED else f"CAST({value} AS VARCHAR)"


def _json(value: str, kind: Type, depth: int = 0) -> str:
    """Return an expression for the JSON text of a value, NULL for NULL."""
    if not _contains(kind, _NOT_AS_DUCKDB):
        return f"CAST(to_json({value}) AS VARCHAR)"
    if kind.id in _REALS:
        odd = f"CASE WHEN isnan({value}) THEN 'NaN' WHEN {value} > 0 THEN 'Infinity' ELSE '-Infinity' END"
        return f"CAST(CASE WHEN isfinite({value}) IS FALSE THEN to_json({odd}) ELSE to_json({value}) END AS VARCHAR)"
    if kind.id in ("list", "array", "map"):
        return _json_of_items(value, kind, depth)
    if kind.id == "struct":
        fields = [(name, f"struct_extract({value}, {literal(name)})", inner) for name, inner in _inner(kind)]
        content = _json_object((name, as_json(field, inner, depth)) for name, field, inner in fields)
        return f"CASE WHEN {value} IS NOT NULL THEN {content} END"
    if kind.id == "tuple":
        items = (as_json(f"{value}[{place}]", inner, depth) for place, (_, inner) in enumerate(_inner(kind), start=1))
        return f"CASE WHEN {value} IS NOT NULL THEN '[' || {_COMMA.join(items)} || ']' END"
    if kind.id == "union":
        cases = (
            f"WHEN {literal(name)} THEN {_json(f'union_extract({value}, {literal(name)})', inner, depth)}"
            for name, inner in _inner(kind)
        )
        return f"CASE CAST(union_tag({value}) AS VARCHAR) {' '.join(cases)} END"
    return f"CAST(to_json({_text(value, kind)}) AS VARCHAR)"


def _json_of_items(value: str, kind: Type, depth: int) -> str:
    item, inner = f"v{depth}", dict(_inner(kind))
    if kind.id != "map":
        texts = f"list_transform({value}, lambda {item}: {as_json(item, inner['child'], depth + 1)})"
        return f"'[' || array_to_string({texts}, ',') || ']'"
    key = f"CAST(to_json({_text(f'{item}.key', inner['key'])}) AS VARCHAR)"
    pair = f"{key} || ':' || {as_json(f'{item}.value', inner['value'], depth + 1)}"
    return f"'{{' || array_to_string(list_transform(map_entries({value}), lambda {item}: {pair}), ',') || '}}'"


def _json_object(members: Iterable[tuple[str, str]]) -> str:
    """Return an expression for the JSON object of these names and JSON texts."""
    texts = (f"{literal(json.dumps(name, ensure_ascii=False) + ':')} || {text}" for name, text in members)
    return f"'{{' || {_COMMA.join(texts) or _EMPTY} || '}}'"


def _text(value: str, kind: Type) -> str:
    if kind.id == "blob":
        return f"base64({value})"
    text = f"CAST({value} AS VARCHAR)"
    if kind.id not in _TIMES:
        return text
    # DuckDB writes `2026-06-01 12:00:00+00`; years before the first, which ISO 8601 has no form for, stay as they are.
    iso = f"replace(replace({text}, ' ', 'T'), '+00', '+00:00')"
    return f"CASE WHEN contains({text}, '(BC)') THEN {text} ELSE {iso} END"


def _contains(kind: Type, wanted: Collection[str]) -> bool:
    """Return whether a type is or holds one of these, or a struct without fields, which Parquet has not."""
    if kind.id == "varchar":
        return "varchar" in wanted and str(kind) == "JSON"
    inner = _inner(kind)
    return kind.id in wanted or any(_contains(each, wanted) for _, each in inner) or (kind.id == "struct" and not inner)


def _inner(kind: Type) -> list[tuple[str, Type]]:
    """Return the types inside a type, with their names."""
    if kind.id not in _NESTED or kind.id == "variant":
        return []
    inner = [(name, each) for name, each in kind.children if not isinstance(each, int | list)]  # an array's size
    return inner[1:] if kind.id == "union" else inner  # the first of a union is its tag
