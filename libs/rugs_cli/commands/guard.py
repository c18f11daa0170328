"""`rugs guard`: whether a producer still does what must be gone at cutover."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rugs_cli.output import AsJson, counted, print_json

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", exists=True, file_okay=False, help="Its source.", show_default=False)
]


def guard(folder: Folder, as_json: AsJson = False) -> None:
    """Check a producer's source tree for recorders of its own; exit code 1 when there is something left of them.

    So it is where there is no Python or JavaScript at all: it is the wrong folder.

    Looked for: recordings written to files, old recorder modules and who imports them, their folders and settings,
    and paths of somebody's home. A comment `# rugs: allow` excepts its line. Nothing is imported or run.
    """
    from rugs_guard.check import check

    report = check(folder)
    if as_json:
        print_json(report.as_dict())
    else:
        for each in report.findings:
            print(f"{folder / each.file}:{each.line}: {each.rule}: {each.what}\n    instead: {each.instead}")
        clean = "nothing of the old recorders is left" if report.sources else "no Python or JavaScript is among them"
        found = counted(len(report.findings), "finding") if report.findings else clean
        files, allowed = counted(report.files, "file"), f" ({report.allowed:,} allowed)" if report.allowed else ""
        print(f"{files}: {found}{allowed}")
    if report.findings or not report.sources:
        raise typer.Exit(1)
