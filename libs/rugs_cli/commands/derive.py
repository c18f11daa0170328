"""`rugs derive`: ticks, games and states once more, from the events that the lake holds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from rugs_cli.output import AsJson, counted, human_seconds, print_json, print_table
from rugs_cli.period import From, To, day
from rugs_cli.progress import progress_of

if TYPE_CHECKING:
    import datetime as dt

    from rugs_derive import Rederived
    from rugs_runtime.settings import Settings


Replace = Annotated[
    bool,
    typer.Option("--replace", help="Also correct what is stored: fields of frames, and derived events."),
]


def derive(from_: From = None, to: To = None, replace: Replace = False, as_json: AsJson = False) -> None:
    """Derive ticks, completed games and states from the stored events: for lakes recorded before, or after new rules.

    What the lake has already is recognised, so it can be run again at any time. It returns when the lake holds
    everything. Where no stack runs, a broker and a writer are started for as long as it takes.

    With --replace the typed fields of stored frames are extracted again from their bytes, and rows that were derived
    otherwise before are rewritten. Ids and bytes stay.
    """
    from rugs_runtime.settings import Settings

    done = asyncio.run(_derive(Settings.load(), day(from_), day(to), replace=replace))
    if as_json:
        print_json(done.as_dict())
    else:
        _show(done)


async def _derive(settings: Settings, first: dt.date | None, last: dt.date | None, *, replace: bool) -> Rederived:
    import rugs_bus
    import rugs_lake
    from rugs_cli.around import Around, work_beside_a_stack
    from rugs_derive import rederive

    async def work(around: Around) -> Rederived:
        nc = await rugs_bus.connect(around.url, name="rugs-derive", timeout=settings.connect_timeout)
        try:
            with progress_of("deriving") as watch:
                return await rederive(nc, settings.data_dir, first=first, last=last, replace=replace, watch=watch)
        finally:
            await nc.close()

    rugs_lake.open(settings.data_dir).close()  # where there is no lake, nothing need be started
    return await work_beside_a_stack(
        settings, work, given_up="what was derived so far is safe: run the same command again for the rest"
    )


def _show(done: Rederived) -> None:
    events, took = counted(done.events, "event"), human_seconds(done.seconds)
    print(f"{events} read in {took}, by rules version {done.rules_version}")
    rows = [(name, kind.derived, kind.stored, kind.duplicates) for name, kind in done.kinds.items()]
    print_table(rows, header=("doc type", "derived", "stored", "duplicates"))
    for name, count in (done.corrected or {}).items():
        print(f"corrected: {counted(count, 'row')} of {name}")
    for name, count in done.undigested.items():
        print(f"not digested: {count:,} {name}")
    for name, count in done.left_out.items():
        print(f"left out: {count:,} {name} that no message can hold")
    for name, outcome in done.checks.items():
        if outcome["failed"]:
            print(f"check failed: {name}, {outcome['failed']:,} of {sum(outcome.values()):,}")
    for found in done.findings:
        print("  {check}: game {game_id}, event {cause} {detail}".format(**found).rstrip())
