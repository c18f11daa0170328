"""`rugs migrate`: a lake of an older major schema version becomes one of this program's."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from rugs_cli.output import AsJson, counted, human_bytes, human_seconds, print_json
from rugs_cli.progress import progress_of

if TYPE_CHECKING:
    from rugs_lake.maintain.migration import Plan
    from rugs_lake.store.catalog import Catalog

Check = Annotated[bool, typer.Option("--check", help="Only say what there is to do; the exit code is 1 if anything.")]
Abandon = Annotated[bool, typer.Option("--abandon", help="Delete what an unfinished migration has written.")]


def migrate(check: Check = False, abandon: Abandon = False, as_json: AsJson = False) -> None:
    """Rewrite the lake for a new major schema version, all at once, with proof that no row and no byte was lost.

    It can be interrupted at any time and run again: it goes on where it was, and until its end the lake is as
    before. A new minor version needs nothing: the writer adds its columns when it starts.
    """
    from rugs_lake.maintain import migration
    from rugs_lake.maintain.memory import keep_small
    from rugs_lake.store.catalog import Catalog
    from rugs_lake.store.paths import LakePaths
    from rugs_runtime.settings import Settings

    if check and abandon:
        raise typer.BadParameter("--check and --abandon do not go together")
    keep_small()
    with Catalog(LakePaths(Settings.load().data_dir)) as catalog:
        if abandon:
            _print(as_json, {"deleted": (count := migration.abandon(catalog))}, f"{counted(count, 'new file')} deleted")
            return
        plan = migration.plan(catalog)
        if check or not plan.is_needed:
            _print(as_json, {**plan._asdict(), "needed": plan.is_needed}, _told(plan))
            raise typer.Exit(int(plan.is_needed))
        _migrate(catalog, as_json)


def _migrate(catalog: Catalog, as_json: bool) -> None:
    from rugs_lake.maintain import migration

    began = time.monotonic()
    with progress_of("migrating") as progress:
        done = migration.migrate(catalog, progress=progress)
    seconds = time.monotonic() - began
    sizes = f"{human_bytes(done.bytes_before)} became {human_bytes(done.bytes_after)}"
    text = (
        f"schema version {done.source} became {done.target} in snapshot {done.snapshot}:"
        f" {counted(done.files, 'file')}, {counted(done.rows, 'row')}, {sizes} in {human_seconds(seconds)}\n"
        f"every id and every byte as before: digest {done.digest}"
    )
    _print(as_json, {**done._asdict(), "seconds": round(seconds, 3)}, text)


def _told(plan: Plan) -> str:
    if not plan.is_needed:
        return f"nothing to migrate: the schema version is {plan.source or plan.target}"
    lines = [
        f"schema version {plan.source} to {plan.target}: {counted(plan.files, 'file')}, {counted(plan.rows, 'row')}",
        f"to write: {human_bytes(plan.bytes - plan.staged_bytes)}, free: {human_bytes(plan.free)}",
    ]
    if plan.staged:
        lines.append(f"written already: {counted(plan.staged, 'file')}")
    if plan.missing_room > 0:
        lines.append(f"too little room: {human_bytes(plan.missing_room)} more are needed")
    return "\n".join(lines)


def _print(as_json: bool, content: dict[str, object], text: str) -> None:
    if as_json:
        print_json(content)
    else:
        print(text)
