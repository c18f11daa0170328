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
Timeout = Annotated[float | None, typer.Option("--timeout", min=0.001, help="Give up after so many seconds.")]


def import_files(
    paths: Paths,
    timezone: Timezone = "America/New_York",
    wait: Wait = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Import old recordings, packed with gzip or zstd or not. What format a file has its content tells.

    What is in the lake already is recognised: the same import can be run again at any time. Where no stack
    runs, a broker and a writer are started for as long as it takes.

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
    from rugs_cli.around import broker_and_writer

    async with broker_and_writer(settings) as around:
        # A stack that ends with the import would leave the rest lying in the stream: so wait in any case.
        return await _run(around.url, [*arguments, *(["--wait"] if wait or around.own else [])])


async def _run(url: str, arguments: list[str]) -> int:
    """Run the importer; signals of the terminal reach it directly, and it alone decides when to end."""
    from rugs_cli.around import program

    async with program("legacy_importer.main", arguments, {"NATS_URL": url}) as process:
        while True:
            try:
                return await process.wait()
            except asyncio.CancelledError:
                process.terminate()
