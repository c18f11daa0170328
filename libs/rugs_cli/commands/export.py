"""`rugs export`: what the lake holds, as files of the old formats or as rows."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rugs_cli.output import AsJson, CommandError, counted, human_bytes, print_json
from rugs_cli.period import From, To, begin_us, end_us
from rugs_cli.progress import progress_of

if TYPE_CHECKING:
    from rugs_export.run import Exported


class Form(StrEnum):
    """How events are written; the same names as `rugs_legacy.line_formats.request.Format`."""

    GAME = "game-jsonl"
    RAW = "raw-jsonl"
    CLAUDE_FLOW = "claude-flow-jsonl"
    PARQUET = "parquet"
    ARROW = "arrow"


OutputForm = Annotated[
    Form,
    typer.Option(
        "--format",
        "-f",
        show_default=False,
        help="game-jsonl: a file a game, ticks between start and end; also old files of games. raw-jsonl: a file a"
        " capture, {seq, ts, event, data} a line. claude-flow-jsonl: every event so, in one file."
        " parquet, arrow: rows, in one file.",
    ),
]
Game = Annotated[str | None, typer.Option("--game", help="Only this game.", show_default=False)]
Source = Annotated[
    str | None, typer.Option("--source", help="Only from this source: import, cdp, …", show_default=False)
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        help="Folder, or a file where the name ends as the format's do. Default: below exports/ in the data folder.",
        show_default=False,
    ),
]
Timezone = Annotated[str, typer.Option("--timezone", help="Zone of the local times that old formats have.")]
Damaged = Annotated[
    bool, typer.Option("--damaged", help="Also the lines of imported files that were rejected: the files as they were.")
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite also what an export has not written.")]


def export(
    output: OutputForm,
    game: Game = None,
    from_: From = None,
    to: To = None,
    source: Source = None,
    out: Out = None,
    timezone: Timezone = "America/New_York",
    damaged: Damaged = False,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Write stored events as files: the same bytes for the same data set, all of them or nothing.

    Imported lines are written as they stood. A manifest beside the files says which event each line is: so
    what is imported again is recognised, also a part of a capture, and what was captured live.
    """
    import rugs_lake
    from rugs_export import run
    from rugs_lake.maintain.memory import keep_small
    from rugs_legacy.clock import zone
    from rugs_legacy.line_formats.request import Format, Request
    from rugs_runtime.settings import Settings

    try:
        zone(timezone)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    period = (None if from_ is None else begin_us(from_), None if to is None else end_us(to))
    try:
        request = Request(Format(output.value), game, *period, source, timezone, damaged)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    root = Settings.load().data_dir
    keep_small()
    with rugs_lake.open(root) as lake, progress_of("exporting") as progress:
        done = run.export(lake, request, run.target(root, request, out, force=force), progress)
    if as_json:
        print_json(_as_dict(done))
    else:
        _show(done)
    if not done.lines and (game or source):
        named = f"the game {game}" if game else f"the source {source}"
        raise CommandError(f"the lake has nothing of {named} that was asked for")


def _as_dict(done: Exported) -> dict[str, Any]:
    content = done.content
    files = [{"name": one.name, "lines": one.lines, "bytes": one.bytes, "sha256": one.sha256} for one in content.files]
    return {
        "format": content.format,
        "out": str(done.folder),
        "manifest": str(done.manifest),
        "dataset": content.dataset,
        "lines": done.lines,
        "left_out": content.left_out,
        "files": files,
    }


def _show(done: Exported) -> None:
    content = done.content
    size = human_bytes(sum(one.bytes for one in content.files))
    what = "rows" if content.format in (Form.PARQUET, Form.ARROW) else "lines"
    files, snapshot = counted(len(content.files), "file"), content.dataset["snapshot"]
    print(f"{done.lines:,} {what} in {files}, {size}, of snapshot {snapshot}")
    for reason, count in content.left_out.items():
        print(f"left out: {count:,} {reason}")
    print(done.folder if len(content.files) != 1 else done.folder / content.files[0].name)
