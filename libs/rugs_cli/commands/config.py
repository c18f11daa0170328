"""`rugs config`: the settings."""

from __future__ import annotations

import shutil
import textwrap

import typer

from rugs_cli.output import AsJson, print_json

app = typer.Typer(help="The settings.", no_args_is_help=True)


@app.callback()
def config() -> None:
    """The settings: every one is an environment variable."""


@app.command()
def show(as_json: AsJson = False) -> None:
    """Show every setting: its variable, value with its unit, and meaning. `*` marks what is set; secrets are masked."""
    from rugs_runtime.settings import Settings, describe

    lines = describe(Settings.load())
    columns = shutil.get_terminal_size().columns
    if as_json:
        print_json([line._asdict() for line in lines])
    else:
        for line in lines:
            print(f"{line.variable}={line.text}{'  *' if line.is_set else ''}")
            print(textwrap.fill(line.description, columns, initial_indent="    ", subsequent_indent="    "))
