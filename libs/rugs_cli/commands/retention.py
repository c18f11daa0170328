"""`rugs retention`: how long each doc type is kept."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import typer

from rugs_cli.commands.remove import DryRun, Now, Yes, check_writer, confirm, finish_at_once, show_removed
from rugs_cli.output import AsJson, counted, print_json, print_table
from rugs_cli.progress import progress_of

app = typer.Typer(help="How long each doc type is kept. What is not named is kept for ever.")

DocType = Annotated[str, typer.Argument(help="Doc type, as in `rugs stats`.", show_default=False)]
Days = Annotated[str, typer.Argument(help="So many days, or `forever`.", show_default=False)]
Imported = Annotated[bool, typer.Option("--imported", help="Also rows that were imported: they are spared otherwise.")]


@app.command()
def show(as_json: AsJson = False) -> None:
    """Show the policy, and how many rows are older than it says."""
    from rugs_lake.maintain.removal import look
    from rugs_lake.store.catalog import Catalog
    from rugs_lake.store.changes import retention
    from rugs_lake.store.paths import LakePaths
    from rugs_runtime.settings import Settings

    with Catalog(LakePaths(Settings.load().data_dir), read_only=True) as catalog:
        policies = retention(catalog)
        older = [look(catalog, policy.scope(_today())).rows for policy in policies]
    if as_json:
        print_json([{**policy._asdict(), "older": rows} for policy, rows in zip(policies, older, strict=True)])
    elif policies:
        rows = [(p.doc_type, p.days, "yes" if p.imported else "no", n) for p, n in zip(policies, older, strict=True)]
        print_table(rows, header=("doc type", "days", "imported too", "older rows"))
    else:
        print("everything is kept for ever: `rugs retention set DOC_TYPE DAYS` changes that")


@app.command("set")
def set_(doc_type: DocType, days: Days, imported: Imported = False, as_json: AsJson = False) -> None:
    """Keep a doc type for so many days. Nothing is removed before `rugs retention apply`."""
    from rugs_lake.store.catalog import Catalog
    from rugs_lake.store.changes import Retention, drop_retention, set_retention
    from rugs_lake.store.paths import LakePaths
    from rugs_proto.rules import is_source
    from rugs_runtime.settings import Settings

    if not is_source(doc_type):  # doc types have the same pattern
        raise typer.BadParameter(f"not a doc type: {doc_type!r}")
    if days != "forever" and (not days.isdecimal() or not 1 <= int(days) <= 36_500):
        raise typer.BadParameter(f"not a number of days from 1 to 36500, nor `forever`: {days!r}")
    with Catalog(LakePaths(Settings.load().data_dir)) as catalog:
        if days == "forever":
            drop_retention(catalog, doc_type)
        else:
            set_retention(catalog, Retention(doc_type, int(days), imported))
    if as_json:
        print_json({"doc_type": doc_type, "days": None if days == "forever" else int(days), "imported": imported})
    elif days == "forever":
        print(f"{doc_type} is kept for ever")
    else:
        print(f"{doc_type} is kept for {counted(int(days), 'day')}; `rugs retention apply` removes what is older")


@app.command()
def apply(dry_run: DryRun = False, yes: Yes = False, now: Now = False, as_json: AsJson = False) -> None:
    """Remove what is older than the policy says; it is refused from then on, whoever sends it again.

    Age goes by the time of the event. Imported rows are spared where the policy does not name them.
    """
    from rugs_lake.maintain.removal import apply_retention, look
    from rugs_lake.store.catalog import Catalog
    from rugs_lake.store.changes import retention
    from rugs_lake.store.paths import LakePaths
    from rugs_runtime.settings import Settings

    settings = Settings.load()
    with Catalog(LakePaths(settings.data_dir), read_only=dry_run) as catalog:
        check_writer(settings, catalog)
        policies, today = retention(catalog), _today()
        found = [look(catalog, policy.scope(today)) for policy in policies]
        if not dry_run and policies:
            confirm(found, yes=yes or not any(each.rows for each in found))
            with progress_of("removing") as progress:
                found = apply_retention(catalog, today, policies, progress)
    purged = finish_at_once(settings) if now and not dry_run else None
    show_removed(found, dry_run=dry_run, purged=purged, as_json=as_json)


def _today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()
