"""`rugs sql`: questions to one snapshot of the lake."""

from __future__ import annotations

import datetime as dt
import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from rugs_cli.output import AsJson, CommandError
from rugs_cli.results import Format

if TYPE_CHECKING:
    import duckdb

    from rugs_lake.read.admission import Admitted
    from rugs_lake.read.reader import Lake

_OF_A_VIEW: Final = ["column_name", "column_type", "null", "key", "default", "extra"]
"""Columns of DESCRIBE: all but the first two are the same for every column of a view."""
_ROWS_IN_A_PIPE: Final = 1_000
"""Rows of a table that goes to a pipe; DuckDB draws 9,999 at the most."""

Query = Annotated[
    str | None, typer.Argument(help="SQL of DuckDB; `-` reads it from standard input.", show_default=False)
]
QueryFile = Annotated[
    Path | None, typer.Option("--file", help="Read the SQL from this file.", exists=True, dir_okay=False)
]
OutputFormat = Annotated[
    Format | None,
    typer.Option("--format", "-f", help="Default: as --out ends, else a table. arrow is an IPC stream."),
]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Write to this file, whole or not at all.")]
Limit = Annotated[int | None, typer.Option("--limit", "-n", min=1, help="At most so many rows.")]
Wide = Annotated[bool, typer.Option("--wide", "-w", help="Show every column, however wide the table gets.")]
AllowFiles = Annotated[
    bool,
    typer.Option("--allow-files", help="Also read files of your own: read_csv('…'), FROM '….parquet'."),
]
AtSnapshot = Annotated[int | None, typer.Option("--at-snapshot", help="An older snapshot, by number.")]
AtTime = Annotated[str | None, typer.Option("--at-time", help="The newest snapshot of that time, ISO 8601; UTC.")]


def sql(
    query: Query = None,
    file: QueryFile = None,
    output: OutputFormat = None,
    out: Out = None,
    limit: Limit = None,
    wide: Wide = False,
    allow_files: AllowFiles = False,
    at_snapshot: AtSnapshot = None,
    at_time: AtTime = None,
    as_json: AsJson = False,
) -> None:
    """Ask the lake: rugs sql "select doc_type, count(*) from events group by 1".

    One SELECT, DESCRIBE, SUMMARIZE or EXPLAIN; nothing that changes anything. All of it sees one snapshot, whatever is
    written meanwhile.

    Views: events (all but rejects), ws_event, game_tick, player_action, server_state, system_event, game, reject, and
    gap (messages that the lake never received); tick (each tick of a game once), game_completeness (one row a game: its
    ticks received, filled in and missing), and outage (periods in which a source recorded nothing). `describe VIEW`
    shows the columns of one.
    """
    import rugs_lake
    from rugs_cli import results
    from rugs_cli.interrupting import interruptible
    from rugs_runtime.settings import Settings

    root = Settings.load().data_dir
    chosen = Format.JSON if as_json else output or _format(out)
    if chosen is Format.PARQUET and out is None and sys.stdout.isatty():
        raise typer.BadParameter("Parquet is not for a terminal: name a file with --out")
    text = _text(query, file)
    if out is not None:
        results.check_target(out, root)
    with rugs_lake.open(root, at_snapshot=at_snapshot, at_time=_time(at_time)) as lake:
        admitted = _admitted(lake, text, allow_files)
        interruptible(lake.connection, lambda: _answer(lake, admitted, chosen, out, limit, wide))


def _format(out: Path | None) -> Format:
    from rugs_cli.results import format_of

    if out is None:
        return Format.TABLE
    found = format_of(out)
    if found is None:
        raise typer.BadParameter(f"{out}: name the format with --format, or end it with .csv, .json …")
    return found


def _text(query: str | None, file: Path | None) -> str:
    if (query is None) == (file is None):
        raise typer.BadParameter("give either the SQL, `-` for standard input, or --file")
    if query is not None and re.fullmatch(r"-\S+", query):  # no comment, but a mistyped option
        raise typer.BadParameter(f"no such option: {query}")
    try:
        if file is not None:
            return file.read_text("utf-8-sig")
        given = sys.stdin.buffer.read() if query == "-" else os.fsencode(str(query))
        return given.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise CommandError(f"the SQL{f' in {file}' if file else ''} is not text in UTF-8") from None


def _admitted(lake: Lake, text: str, allow_files: bool) -> Admitted:
    import duckdb

    from rugs_lake.read.admission import RefusedError

    try:
        admitted = lake.admit(text, files=allow_files)
    except RefusedError as error:
        raise CommandError(f"{error}: --allow-files lets it" if error.for_files else str(error)) from error
    except duckdb.Error as error:
        raise CommandError(_reason(error)) from error
    lake.close_in(admitted.files)
    return admitted


def _answer(lake: Lake, admitted: Admitted, chosen: Format, out: Path | None, limit: int | None, wide: bool) -> None:
    import duckdb

    from rugs_cli import results
    from rugs_lake.read.admission import Kind

    try:
        relation = lake.connection.sql(admitted.text)
        if limit is not None:
            relation = relation.limit(limit)
        if out is not None:
            with results.replacing(out) as target:
                results.write(target, relation, chosen)
        elif chosen is not Format.TABLE:
            results.write(sys.stdout.buffer, relation, chosen)
            sys.stdout.buffer.flush()
        elif admitted.kind is Kind.EXPLAIN:
            print("\n".join(plan for _, plan in relation.fetchall()))
        else:
            _show(relation, admitted.kind, limit, wide)
    except (duckdb.Error, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise CommandError(_reason(lake.explain(error))) from error


def _show(relation: duckdb.DuckDBPyRelation, kind: str, limit: int | None, wide: bool) -> None:
    """Print a table; on a terminal as wide as that is, and say how to see what it hides."""
    from rugs_cli.results import table

    if relation.columns == _OF_A_VIEW:
        relation = relation.project("column_name, column_type")
    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if terminal and not wide and kind != "describe" else None
    text = table(relation, width, limit or (_ROWS_IN_A_PIPE if kind != "select" or not terminal else None))
    print(text, end="", flush=True)
    footer = text.rsplit("┘", 1)[-1]
    if "shown)" in footer or "? rows" in footer:
        print("hidden: --wide shows every column, --limit N more rows, --out FILE everything", file=sys.stderr)


def _reason(error: Exception) -> str:
    """Return what DuckDB says without the statement, and without the words around what Arrow passes on."""
    return str(error).split("\n\nLINE")[0]


def _time(text: str | None) -> dt.datetime | None:
    if text is None:
        return None
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"not a time in ISO 8601: {text}") from None
