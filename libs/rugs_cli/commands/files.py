"""`rugs files`: the live files of a snapshot, for readers that ask no SQL of ours, and leases on them."""

from __future__ import annotations

import datetime as dt
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from rugs_cli.output import AsJson, CommandError, print_json, print_table
from rugs_cli.period import From, To, day

if TYPE_CHECKING:
    from pathlib import Path


DocType = Annotated[
    list[str] | None, typer.Option("--doc-type", "-t", help="Only files of this doc type; may be repeated.")
]
Date = Annotated[str | None, typer.Option("--date", metavar="DATE", help="Only files of this day (UTC).")]
AtSnapshot = Annotated[int | None, typer.Option("--at-snapshot", help="An older snapshot, by number.")]
AtTime = Annotated[str | None, typer.Option("--at-time", help="The newest snapshot of that time, ISO 8601; UTC.")]
Hold = Annotated[
    str | None,
    typer.Option("--hold", metavar="DURATION", help="Keep the files for so long, such as 90m or 2d; prints a lease."),
]
Release = Annotated[
    str | None, typer.Option("--release", metavar="LEASE", help="End a lease that --hold printed, and nothing else.")
]
Leases = Annotated[bool, typer.Option("--leases", help="List the leases that hold, and nothing else.")]


def files(
    doc_type: DocType = None,
    date: Date = None,
    from_: From = None,
    to: To = None,
    at_snapshot: AtSnapshot = None,
    at_time: AtTime = None,
    hold: Hold = None,
    release: Release = None,
    leases: Leases = False,
    as_json: AsJson = False,
) -> None:
    """List the live files of one snapshot, a path a line: the Parquet files that hold each row once.

    Files that were replaced stay in the folder for RUGS_SNAPSHOT_RETENTION (6 hours), so reading the whole folder
    counts rows twice. Whoever needs the listed files for longer holds them: --hold 2d. The exit code is 1 where
    nothing is found.
    """
    from rugs_runtime.settings import Settings

    root = Settings.load().data_dir
    if release is not None:
        _release(root, release)
    elif leases:
        _list_leases(root, as_json)
    else:
        period = (date or from_, date or to)
        if date is not None and (from_ is not None or to is not None):
            raise typer.BadParameter("give either --date, or --from and --to")
        _list_files(root, doc_type or [], period, (at_snapshot, _time(at_time)), _seconds(hold), as_json)


def _list_files(
    root: Path,
    doc_types: list[str],
    period: tuple[str | None, str | None],
    pin: tuple[int | None, dt.datetime | None],
    seconds: float | None,
    as_json: bool,
) -> None:
    from rugs_lake.read import leases
    from rugs_lake.read.files import list_files
    from rugs_lake.read.pruning import Conditions

    first, last = map(day, period)
    asked = Conditions(doc_types=doc_types or None, dates=(first, last))
    snapshot, kept = list_files(root, at_snapshot=pin[0], at_time=pin[1], asked=asked)
    lease = leases.hold(root, snapshot, seconds) if seconds is not None else None
    if as_json:
        told = lease.as_dict() if lease else None
        print_json({"snapshot": snapshot, "lease": told, "files": [file.as_dict() for file in kept]})
    else:
        for file in kept:
            print(file)
    if lease is not None and not as_json:
        until = f"{lease.until:%F %T} UTC"
        print(f"held until {until}; end it with: rugs files --release {lease.lease_id}", file=sys.stderr)
    if not kept:
        print(f"rugs: snapshot {snapshot} has no such files: `rugs stats` shows what there is", file=sys.stderr)
        raise typer.Exit(1)


def _release(root: Path, lease: str) -> None:
    from rugs_lake.read import leases

    if not leases.release(root, lease):
        raise CommandError(f"there is no lease {lease}: it has ended; see `rugs files --leases`")


def _list_leases(root: Path, as_json: bool) -> None:
    from rugs_lake.read import leases

    found = leases.leases(root)
    if as_json:
        print_json([lease.as_dict() for lease in found])
    elif found:
        rows = [(lease.lease_id, lease.snapshot, f"{lease.until:%F %T}") for lease in found]
        print_table(rows, header=("lease", "snapshot", "until (UTC)"))
    else:
        print("no leases")


def _seconds(text: str | None) -> float | None:
    from pydantic import TypeAdapter, ValidationError

    from rugs_runtime.settings import Seconds

    if text is None:
        return None
    try:
        return float(TypeAdapter(Seconds).validate_python(text))
    except ValidationError:
        raise typer.BadParameter(f"not a duration: {text}; write a number with s, m, h or d") from None


def _time(text: str | None) -> dt.datetime | None:
    try:
        return None if text is None else dt.datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"not a time in ISO 8601: {text}") from None
