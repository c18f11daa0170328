"""`rugs import`: the legacy-importer as a process of its own, and a stack around it where none runs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rugs_cli.output import AsJson

if TYPE_CHECKING:
    from rugs_runtime.settings import Settings

Paths = Annotated[list[Path], typer.Argument(exists=True, help="Files or folders.", show_default=False)]
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
    """Import old recordings: game_*.jsonl, session_*.jsonl, *_raw.jsonl, *_cdp.jsonl.

    What is in the lake already is recognised: the same import can be run again at any time. Where no stack
    runs, a broker and a writer are started for as long as it takes.
    """
    from rugs_runtime.settings import Settings

    arguments = [*map(str, paths), "--timezone", timezone]
    if timeout is not None:
        arguments += ["--timeout", str(timeout)]
    if as_json:
        arguments.append("--json")
    code = asyncio.run(_import(Settings.load(), arguments, wait))
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
