"""`rugs import`: the legacy-importer as a process of its own, and a stack around it where none runs."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rugs_cli.output import AsJson, CommandError

if TYPE_CHECKING:
    from rugs_runtime.settings import Settings

Paths = Annotated[
    list[Path], typer.Argument(help="Files, folders, or patterns such as 'dir/**/*.jsonl'.", show_default=False)
]
Timezone = Annotated[str, typer.Option("--timezone", help="Zone of times that were written without one.")]
Wait = Annotated[bool, typer.Option("--wait", help="Return when the lake holds everything.")]
Replace = Annotated[
    bool, typer.Option("--replace", help="Read every file again, and correct what is stored of it: implies --wait.")
]
Timeout = Annotated[float | None, typer.Option("--timeout", min=0.001, help="Give up after so many seconds.")]


def import_files(
    paths: Paths,
    timezone: Timezone = "America/New_York",
    wait: Wait = False,
    replace: Replace = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Import old recordings, packed with gzip or zstd or not. What format a file has its content tells.

    What is in the lake already is recognised: the same import can be run again at any time. Where no stack
    runs, a broker and a writer are started for as long as it takes.

    With --replace the rows of these files that are stored otherwise than their readers say today are rewritten, under
    the same ids: extracts, doc types, and times, as with another --timezone.

    Formats, one record a line: per-game ticks (F1), sessions (F2), ticks of the recorder sink (F3), demonstrations
    (F4), player actions (F6), raw captures (F9), CDP captures (F10), samples of the explorer (F12), golden hours
    (F14), notebooks (F15). One JSON document a file: games (F5, F8), player sessions (F7, F8), a day's index (F8),
    events in an array (F16). Reports on captures (F11) and an application's state (F13) are named and left alone.
    """
    from rugs_legacy.clock import zone
    from rugs_legacy.files import named_by
    from rugs_runtime.settings import Settings

    try:
        for path in paths:
            named_by(path)
    except FileNotFoundError as error:
        raise typer.BadParameter(str(error), param_hint="PATHS") from error
    try:
        zone(timezone)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--timezone") from None
    arguments = [*map(str, paths), "--timezone", timezone]
    if timeout is not None:
        arguments += ["--timeout", str(timeout)]
    if replace:
        arguments.append("--replace")
    if as_json:
        arguments.append("--json")
    code = asyncio.run(_import(Settings.load(), arguments, wait))
    if code < 0:
        raise CommandError(
            f"the importer was ended by {signal.Signals(-code).name}; what was sent is kept, and the same import again"
            " does the rest"
        )
    if code:
        raise typer.Exit(code)


async def _import(settings: Settings, arguments: list[str], wait: bool) -> int:
    """Run the importer; it alone decides when to end, and says why."""
    from rugs_cli.around import broker_and_writer, run_program
    from rugs_runtime.stopping import StoppedError, stop_on_signals

    stop = stop_on_signals(in_order=True)
    try:
        async with broker_and_writer(settings, stop) as around:
            return await run_program(
                "legacy_importer.main",
                # A stack that ends with the import would leave the rest lying in the stream: so wait in any case.
                [*arguments, *(["--wait"] if wait or around.own else [])],
                {"NATS_URL": around.url},
                stop=stop,
                hurry=stop.hurry,
                seconds=settings.stop_timeout,
            )
    except StoppedError as stopped:
        raise CommandError(f"{stopped}; nothing was imported") from None
