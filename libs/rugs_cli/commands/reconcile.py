"""`rugs reconcile`: whether the data set holds what old files say."""

from __future__ import annotations

import asyncio
import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from rugs_cli.output import AsJson, counted, print_json, print_table
from rugs_cli.progress import progress_of

if TYPE_CHECKING:
    from rugs_legacy.reconcile.compare import Tally
    from rugs_legacy.reconcile.run import Report

Paths = Annotated[list[Path], typer.Argument(exists=True, help="Files or folders.", show_default=False)]
Full = Annotated[bool, typer.Option("--full", help="Compare key fields and bytes of every row, not of a sample.")]
Timezone = Annotated[str, typer.Option("--timezone", help="Zone of times that were written without one.")]

_SHOWN: Final = 40
_EXAMPLES_SHOWN: Final = 20
_HEADER: Final = (
    *("session", "game", "day", "event"),
    *("in files", "in data set", "missing", "extra", "different", "moved"),
)


def reconcile(
    paths: Paths, full: Full = False, timezone: Timezone = "America/New_York", as_json: AsJson = False
) -> None:
    """Compare old files with the data set, per session, game and day; exit code 1 when they disagree.

    What the files hold now is compared, once the lake has taken what the stream holds now; what was written
    within the last seconds, and may not have reached the stream, is left out.

    Of what was imported every row is counted and known by its id, and of one row in sixteen the key fields and the
    bytes are compared: --full does that for all. Files of which nothing was imported are compared with what was
    captured live of the same games, or in the same time.
    """
    from tempfile import TemporaryDirectory

    import rugs_lake
    from rugs_cli.commits import catch_up
    from rugs_lake.maintain.memory import keep_small
    from rugs_legacy.clock import zone
    from rugs_legacy.line_formats import stored
    from rugs_legacy.reconcile import run
    from rugs_runtime.settings import Settings

    try:
        zone(timezone)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    settings = Settings.load()
    root = settings.data_dir
    keep_small()
    rugs_lake.open(root).close()  # where there is no lake, nothing need be looked at
    files = run.look_at_files(paths, root, timezone)
    if not asyncio.run(catch_up(settings)):
        print("rugs: the lake is behind the stream: what is missing may be on its way (rugs status)", file=sys.stderr)
    bar = progress_of("comparing", in_bytes=True)
    with rugs_lake.open(root) as lake, TemporaryDirectory(prefix="rugs-") as spill, bar as progress:
        stored.keep_small(lake, Path(spill))
        report = run.reconcile(lake, root, files, full=full, progress=progress)
    if as_json:
        print_json(report.as_dict())
    else:
        _show(report)
    if not report.is_equal:
        raise typer.Exit(1)


def _show(report: Report) -> None:
    tally = report.tally
    if tally.differences:
        _show_differences(tally)
    if missing := len(tally.missing_events):
        print(f"missing altogether: {counted(missing, 'type')} of events in a session (--json names them)")
    for skipped in report.skipped:
        print("skipped {file}: {reason}".format(**skipped))
    for error in report.errors:
        print(f"ERROR {error}")
    looked_at = "all" if report.full else "a sample"
    files, copies = counted(report.files, "file"), counted(report.copies, "copy", "copies")
    games, days, rows = counted(len(tally.games), "game"), counted(len(tally.days), "day"), counted(tally.files, "row")
    print(
        f"{files} ({copies}, {report.live_files:,} compared with live capture), {counted(tally.sessions, 'session')},"
        f" {games}, {days}: {rows} in files,"
        f" {tally.dataset:,} in the data set; {tally.compared:,} compared in key fields and bytes ({looked_at})"
    )
    if tally.recent:
        print(f"left out, written within the last seconds: {tally.recent:,}")
    if report.removed:
        print(f"left out, removed from the data set for good: {counted(report.removed, 'row')}")
    if tally.completed:
        print(f"cut lines since completed: {tally.completed:,} (the data set keeps them, too)")
    wrong = (
        f"{tally.missing:,} missing, {tally.extra:,} only there, {tally.different:,} different, {tally.moved:,} moved"
    )
    if report.is_equal or not tally.is_equal:
        print("they are equal" if report.is_equal else f"they are NOT equal: {wrong}")


def _show_differences(tally: Tally) -> None:
    shown = [*islice(tally.differences.items(), _SHOWN)]
    rows = [(group.session[:12], group.game, group.day, group.event, *count.figures) for group, count in shown]
    print_table(rows, header=_HEADER)
    examples = [example for _, count in shown for example in count.examples]
    for example in examples[:_EXAMPLES_SHOWN]:
        print(f"  {example}")
    if (more := len(examples) - _EXAMPLES_SHOWN) > 0:
        print(f"  and {counted(more, 'more example')} (--json has all)")
    if (more := len(tally.differences) - _SHOWN + tally.unnamed) > 0:
        print(f"and {counted(more, 'more difference')} (--json has all)")
