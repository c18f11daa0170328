"""Writing the result of a query: a table for people, or JSON, CSV, Arrow, Parquet; to a file whole or not at all."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from rugs_cli import values
from rugs_cli.output import CommandError, printable
from rugs_core import files

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    from duckdb.sqltypes import DuckDBPyType

_ROWS_A_PIECE: Final = 10_000
_FULL: Final = 1_000_000
"""Columns of a terminal, or rows, that are more than any table has."""


class Format(StrEnum):
    """How a result is written."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    ARROW = "arrow"
    PARQUET = "parquet"


_ENDINGS: Final = {
    **{f".{each.value}": each for each in Format if each is not Format.TABLE},
    **{".ndjson": Format.JSONL, ".arrows": Format.ARROW},
}


def format_of(path: Path) -> Format | None:
    """Return the format that a file's ending stands for; None for no ending known here."""
    return _ENDINGS.get(path.suffix.lower())


def table(relation: duckdb.DuckDBPyRelation, width: int | None, rows: int | None) -> str:
    """Return a result as a table; `width` None shows every column in full, `rows` None as many rows as fit well."""
    named = _projected(relation, lambda value, _: value)
    shown = io.StringIO()
    with redirect_stdout(shown):
        named.show(max_width=width or _FULL, max_rows=rows or 40, max_col_width=None if width else _FULL)
    return "\n".join(map(printable, shown.getvalue().rstrip("\n").split("\n"))) + "\n"


def write(file: BinaryIO, relation: duckdb.DuckDBPyRelation, chosen: Format) -> None:
    """Write every row of a result."""
    if chosen is Format.TABLE:
        file.write(table(relation, None, _FULL).encode())
    elif chosen is Format.JSON:
        _write_json(file, relation)
    elif chosen is Format.JSONL:
        file.writelines(row + b"\n" for row in _json_rows(relation))
    elif chosen is Format.CSV:
        import pyarrow.csv

        reader = _reader(_projected(relation, values.as_csv))
        with pyarrow.csv.CSVWriter(file, reader.schema) as csv:
            for batch in reader:
                csv.write_batch(batch)
    elif chosen is Format.ARROW:
        import pyarrow.ipc

        reader = _reader(_projected(relation, values.as_arrow))
        with pyarrow.ipc.new_stream(file, reader.schema) as stream:
            for batch in reader:
                stream.write_batch(batch)
    else:
        import pyarrow.parquet

        reader = _reader(_projected(relation, values.as_parquet))
        with pyarrow.parquet.ParquetWriter(file, reader.schema, compression="zstd") as parquet:
            for batch in reader:
                parquet.write_batch(batch)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file beside a path; it takes its place when the body is done, and is gone if the body fails.

    What is no ordinary file, such as a pipe, is written to directly.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        with target.open("wb") as file:
            yield file
        return
    with files.replacing(target) as file:
        yield file


def check_target(path: Path, root: Path) -> None:
    """Refuse a file to write that is none, has no folder, or would replace what a data folder is made of.

    Raises:
        CommandError: saying which it is.
    """
    target, data = path.resolve(), root.resolve()
    if target.is_dir():
        raise CommandError(f"{path} is a folder: name a file")
    if not target.parent.is_dir():
        raise CommandError(f"there is no folder {path.parent}")
    if target.is_relative_to(data) and not target.is_relative_to(data / "exports"):
        raise CommandError(f"{path} lies in the data folder: write to another, or below {data / 'exports'}")


def _projected(relation: duckdb.DuckDBPyRelation, form: Callable[[str, DuckDBPyType], str]) -> duckdb.DuckDBPyRelation:
    """Return a result with each column in a form, under a name of its own."""
    columns = ", ".join(f"{form(value, kind)} AS {values.identifier(name)}" for name, value, kind in _columns(relation))
    return _numbered(relation).project(columns)


def _json_rows(relation: duckdb.DuckDBPyRelation) -> Iterator[bytes]:
    """Give each row as a JSON object."""
    for batch in _reader(_numbered(relation).project(values.json_row(_columns(relation)))):
        for row in batch.column(0):
            yield row.as_py().encode()


def _write_json(file: BinaryIO, relation: duckdb.DuckDBPyRelation) -> None:
    """Write one array, an object a row, a row a line."""
    separator = b"["
    for row in _json_rows(relation):
        file.write(separator + row)
        separator = b",\n "
    file.write(b"]\n" if separator != b"[" else b"[]\n")


def _columns(relation: duckdb.DuckDBPyRelation) -> list[tuple[str, str, DuckDBPyType]]:
    """Return each column's name, made unique, what it is called in `_numbered`, and its type."""
    names = values.unique_names(relation.columns)
    return [(name, f"c{place}", kind) for place, (name, kind) in enumerate(zip(names, relation.types, strict=True))]


def _numbered(relation: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    return relation.project(", ".join(f"#{place + 1} AS c{place}" for place in range(len(relation.columns))))


def _reader(relation: duckdb.DuckDBPyRelation) -> pa.RecordBatchReader:
    return relation.to_arrow_reader(_ROWS_A_PIECE)
