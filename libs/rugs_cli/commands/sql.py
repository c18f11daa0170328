"""`rugs sql`: questions to one snapshot of the lake."""

from __future__ import annotations

import base64
import datetime as dt
import sys
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from rugs_cli.output import AsJson, CommandError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

ROWS_A_PIECE = 10_000


class Format(StrEnum):
    """How a result is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    ARROW = "arrow"
    PARQUET = "parquet"


Query = Annotated[str, typer.Argument(help="SQL of DuckDB; `-` reads it from standard input.", show_default=False)]
OutputFormat = Annotated[Format, typer.Option("--format", "-f", help="arrow is an IPC stream.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Write to this file, not to standard output.")]
AtSnapshot = Annotated[int | None, typer.Option("--at-snapshot", help="An older snapshot, by number.")]
AtTime = Annotated[str | None, typer.Option("--at-time", help="The newest snapshot of that time, ISO 8601; UTC.")]


def sql(
    query: Query,
    output: OutputFormat = Format.TABLE,
    out: Out = None,
    at_snapshot: AtSnapshot = None,
    at_time: AtTime = None,
    as_json: AsJson = False,
) -> None:
    """Ask the lake: rugs sql "select doc_type, count(*) from events group by 1".

    Views: events (all but rejects), ws_event, game_tick, player_action, server_state, system_event, game,
    reject, and gap; tick (each tick of a game once), and game_completeness (one row a game: its ticks received,
    filled in and missing). All of a query sees one snapshot, whatever is written meanwhile.
    """
    import duckdb

    import rugs_lake
    from rugs_runtime.settings import Settings

    root = Settings.load().data_dir
    chosen = Format.JSON if as_json else output
    if chosen is Format.PARQUET and out is None and sys.stdout.isatty():
        raise typer.BadParameter("Parquet is not for a terminal: name a file with --out")
    text = sys.stdin.read() if query == "-" else query
    with rugs_lake.open(root, at_snapshot=at_snapshot, at_time=_time(at_time)) as lake:
        try:
            relation = lake.connection.sql(text)
            if relation is None:
                raise CommandError("that is no query: it gives no rows")
            if chosen is Format.TABLE and out is None:
                relation.show(max_width=_terminal_width())
                return
            _write(relation, chosen, out)
        except duckdb.Error as error:
            raise CommandError(str(error).split("\n\nLINE")[0]) from error


def _write(relation: duckdb.DuckDBPyRelation, chosen: Format, out: Path | None) -> None:
    if out is None:
        _write_to(sys.stdout.buffer, relation, chosen)
        sys.stdout.buffer.flush()
    else:
        with out.open("wb") as file:
            _write_to(file, relation, chosen)


def _write_to(file: BinaryIO, relation: duckdb.DuckDBPyRelation, chosen: Format) -> None:
    if chosen is Format.TABLE:
        file.write(f"{relation}\n".encode())
        return
    reader = relation.to_arrow_reader(ROWS_A_PIECE)
    if chosen is Format.JSON:
        _write_json(file, reader)
    elif chosen is Format.CSV:
        _write_csv(file, reader)
    elif chosen is Format.ARROW:
        import pyarrow.ipc

        with pyarrow.ipc.new_stream(file, reader.schema) as stream:
            for batch in reader:
                stream.write_batch(batch)
    else:
        import pyarrow.parquet

        with pyarrow.parquet.ParquetWriter(file, reader.schema, compression="zstd") as parquet:
            for batch in reader:
                parquet.write_batch(batch)


def _write_csv(file: BinaryIO, reader: pa.RecordBatchReader) -> None:
    """Write lines of values; those that CSV has no form for, lists and objects, as JSON."""
    import pyarrow as pa
    import pyarrow.csv

    schema = reader.schema
    as_json = [
        place
        for place, field in enumerate(schema)
        if pa.types.is_nested(field.type) or field.type == pa.month_day_nano_interval()
    ]
    for place in as_json:
        schema = schema.set(place, pa.field(schema.field(place).name, pa.string()))
    with pyarrow.csv.CSVWriter(file, schema) as csv:
        for batch in reader:
            columns = batch.columns
            for place in as_json:
                columns[place] = pa.array(map(_json_or_none, columns[place].to_pylist()), pa.string())
            csv.write_batch(pa.record_batch(columns, schema=schema))


def _json_or_none(value: Any) -> str | None:
    import orjson

    if value is None:
        return None
    return orjson.dumps(value, default=_plain, option=orjson.OPT_NON_STR_KEYS).decode()


def _write_json(file: BinaryIO, reader: pa.RecordBatchReader) -> None:
    """Write one array, an object a row, a row a line."""
    import orjson

    separator = b"["
    for batch in reader:
        for row in batch.to_pylist():
            file.write(separator + orjson.dumps(row, default=_plain, option=orjson.OPT_NON_STR_KEYS))
            separator = b",\n "
    file.write(b"]\n" if separator != b"[" else b"[]\n")


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    if isinstance(value, int):  # beyond 64 bits
        return str(value)
    return str(value)


def _time(text: str | None) -> dt.datetime | None:
    if text is None:
        return None
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"not a time in ISO 8601: {text}") from None


def _terminal_width() -> int | None:
    import shutil

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
