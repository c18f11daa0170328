"""`rugs remove`: rows that must go, and never come back."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rugs_cli.output import AsJson, CommandError, counted, print_json, print_table
from rugs_cli.progress import progress_of

if TYPE_CHECKING:
    from rugs_lake.maintain.removal import Removed
    from rugs_lake.store.catalog import Catalog
    from rugs_lake.store.change_scope import ChangeScope
    from rugs_runtime.settings import Settings

Games = Annotated[list[str] | None, typer.Option("--game", help="Every row of this game; may be given several times.")]
Sessions = Annotated[
    list[str] | None, typer.Option("--session", help="Every row of this session; may be given several times.")
]
Source = Annotated[str | None, typer.Option("--source", help="Of --session: only where it is this source's.")]
Owners = Annotated[
    list[str] | None, typer.Option("--owner", help="Every private row of this owner; may be given several times.")
]
Ids = Annotated[list[str] | None, typer.Option("--id", help="The event with this id; may be given several times.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Now = Annotated[
    bool,
    typer.Option(
        "--now",
        help="Delete old files and snapshots at once, whoever reads them, and purge the stream below what is stored.",
    ),
]


def remove(
    game: Games = None,
    session: Sessions = None,
    source: Source = None,
    owner: Owners = None,
    id_: Ids = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    now: Now = False,
    as_json: AsJson = False,
) -> None:
    """Remove rows from the lake for good: by game, session, owner or event id.

    They never come back, by whichever way they are sent again: a game, a session or an owner is refused as a whole
    from then on, an id by itself. `rugs verify` proves it. The stack may run meanwhile. Old files go after
    RUGS_SNAPSHOT_RETENTION, or with --now at once. The exit code is 1 when there is nothing to remove.
    """
    from rugs_lake.maintain.removal import look, remove_scope
    from rugs_lake.store.catalog import Catalog
    from rugs_lake.store.paths import LakePaths
    from rugs_runtime.settings import Settings

    settings = Settings.load()
    scopes = _scopes(settings.data_dir, game or [], session or [], source, owner or [], id_ or [])
    with Catalog(LakePaths(settings.data_dir)) as catalog:
        check_writer(settings, catalog)
        found = [look(catalog, scope) for scope in scopes]
        if not any(each.rows for each in found):
            _check_removed_before(catalog, scopes, now=now)
        if not dry_run:
            confirm(found, yes=yes or not any(each.rows for each in found))
            with progress_of("removing") as progress:
                found = [remove_scope(catalog, scope, progress) for scope in scopes]
    purged = finish_at_once(settings) if now and not dry_run else None
    show_removed(found, dry_run=dry_run, purged=purged, as_json=as_json)


def _scopes(
    root: Path, games: list[str], sessions: list[str], source: str | None, owners: list[str], ids: list[str]
) -> list[ChangeScope]:
    from rugs_lake.store.change_scope import ChangeScope

    if not (games or sessions or owners or ids):
        raise typer.BadParameter("say what to remove: --game, --session, --owner or --id")
    if source is not None and not sessions:
        raise typer.BadParameter("--source belongs to --session")
    if wrong := [each for each in ids if len(each) != 32 or set(each) - set("0123456789abcdef")]:
        raise typer.BadParameter(f"not an event id: {wrong[0]!r}; write its 32 hex digits")
    scopes = [ChangeScope(game=game) for game in games]
    for session in sessions:
        scopes += [ChangeScope(session=(each, session)) for each in _sources(root, session, source)]
    scopes += [ChangeScope(owner=owner) for owner in owners]
    return [*scopes, ChangeScope(ids=frozenset(ids))] if ids else scopes


def _sources(root: Path, session: str, source: str | None) -> list[str]:
    """Return the sources that have a session of this id."""
    import rugs_lake

    if source is not None:
        return [source]
    with rugs_lake.open(root) as lake:
        query = "SELECT DISTINCT source FROM events WHERE session_id = $1 UNION SELECT DISTINCT source FROM reject"
        rows = lake.sql(f"{query} WHERE session_id = $1 ORDER BY 1", [session]).fetchall()
    if not rows:
        raise CommandError(f"no rows of the session {session}: `rugs sources` and `rugs stats` show what there is")
    return [source for (source,) in rows]


def check_writer(settings: Settings, catalog: Catalog) -> None:
    """Check that the running stack knows of removals: an older one would store again what is removed here.

    Raises:
        CommandError: if it does not.
    """
    from rugs_lake.store.changes import has_tables
    from rugs_runtime.stack import running_stack

    if running_stack(settings.data_dir) is not None and not has_tables(catalog.connection):
        raise CommandError("the running stack is of an older version: restart it with `rugs down` and `rugs up`")


def _check_removed_before(catalog: Catalog, scopes: Sequence[ChangeScope], *, now: bool) -> None:
    """Where nothing is to be removed, only what is left of an earlier removal can be deleted.

    Raises:
        CommandError: if there was none, or nothing is asked for.
    """
    from rugs_lake.maintain.removal import has_rule

    were_removed = all(has_rule(catalog, scope) for scope in scopes)
    if not (were_removed and now):
        names = ", ".join(_words(scope) for scope in scopes)
        raise CommandError(f"no rows of {names}{': removed before, and refused since' if were_removed else ''}")


def _words(scope: ChangeScope) -> str:
    """Return a scope for people."""
    if scope.session is not None:
        return f"session {scope.session[1]} of {scope.session[0]}"
    if scope.ids is not None:
        return f"id {min(scope.ids)}" if len(scope.ids) == 1 else counted(len(scope.ids), "id")
    if scope.doc_type is not None:
        last = scope.dates[1] if scope.dates else None
        return f"{scope.doc_type} of {last} and before"
    return f"game {scope.game}" if scope.game is not None else f"owner {scope.owner}"


def confirm(found: Sequence[Removed], *, yes: bool) -> None:
    """Ask before rows are removed, unless `yes`.

    Raises:
        CommandError: if nobody can be asked.
        typer.Exit: if the answer is no.
    """
    if yes:
        return
    rows = sum(each.rows for each in found)
    names = ", ".join(_words(each.scope) for each in found)
    question = f"remove {counted(rows, 'row')} of {names} for good?"
    if not sys.stdin.isatty():
        raise CommandError(f"{question} Say --yes where nobody can be asked, or --dry-run")
    if not typer.confirm(question, err=True):
        raise typer.Exit(1)


def finish_at_once(settings: Settings) -> int | str:
    """Delete what only old snapshots name, and purge the stream; return how many messages, or why none."""
    from rugs_lake.maintain.removal import forget_at_once
    from rugs_lake.store.catalog import Catalog
    from rugs_lake.store.paths import LakePaths

    with Catalog(LakePaths(settings.data_dir)) as catalog:
        forget_at_once(catalog)
    return asyncio.run(_purge(settings))


async def _purge(settings: Settings) -> int | str:
    import rugs_bus
    from rugs_lake.store.catalog import Catalog
    from rugs_lake.store.cursor import read_cursor
    from rugs_lake.store.paths import LakePaths
    from rugs_proto.subjects import EVENTS_STREAM
    from rugs_runtime.stack import running_stack

    stack = running_stack(settings.data_dir)
    if stack is None and settings.nats_url is None:
        return "no broker runs: the stream is purged when `rugs up` runs and this is repeated with --now"
    try:
        nc = await rugs_bus.connect(stack.nats_url if stack else settings.broker_url, name="rugs-remove", timeout=5)
    except rugs_bus.BusError as error:
        return str(error)
    try:
        with Catalog(LakePaths(settings.data_dir), read_only=True) as catalog:
            cursor = read_cursor(catalog.connection, EVENTS_STREAM)
        if cursor.last_seq == 0 or not cursor.is_at(await rugs_bus.get_message(nc, cursor.last_seq)):
            return "the stream is not the one that the lake has taken"
        return await rugs_bus.purge_below(nc, cursor.last_seq)
    except rugs_bus.BusError as error:
        return str(error)
    finally:
        await nc.close()


def show_removed(found: Sequence[Removed], *, dry_run: bool, purged: int | str | None, as_json: bool) -> None:
    """Print what was removed, or would be; `purged` is what `finish_at_once` returned, None where it was not wanted."""
    if as_json:
        print_json(
            {
                "dry_run": dry_run,
                "removed": 0 if dry_run else sum(each.rows for each in found),
                "found": sum(each.rows for each in found),
                "changes": [_as_dict(each) for each in found],
                "purged_messages": purged if isinstance(purged, int) else None,
                "not_purged": purged if isinstance(purged, str) else None,
            }
        )
        return
    verb = "would be removed" if dry_run else "removed"
    rows = [(_words(each.scope), doc_type, count) for each in found for doc_type, count in each.by_doc_type.items()]
    print_table(rows, header=("of", "doc type", "rows"))
    print(f"{counted(sum(each.rows for each in found), 'row')} {verb}")
    if isinstance(purged, int):
        print(f"old files and snapshots deleted, {counted(purged, 'message')} purged from the stream")
    elif purged is not None:
        print(f"old files and snapshots deleted; the stream was not purged: {purged}")


def _as_dict(removed: Removed) -> dict[str, Any]:
    """Return what was removed of one scope, as `--json` prints it."""
    return {
        "scope": removed.scope.as_dict(),
        "rows": removed.rows,
        "by_doc_type": removed.by_doc_type,
        "files": removed.files,
        "change": removed.number or None,
    }
