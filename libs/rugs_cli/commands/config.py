"""`rugs config`: the settings."""

from __future__ import annotations

import typer

from rugs_cli.output import AsJson, print_json, print_table

app = typer.Typer(help="The settings.", no_args_is_help=True)


@app.callback()
def config() -> None:
    """The settings: every one is an environment variable."""


@app.command()
def show(as_json: AsJson = False) -> None:
    """Show every setting: its variable, value and meaning. Secrets are masked; `*` marks what is not the default."""
    from rugs_runtime.settings import Settings, describe

    lines = describe(Settings.load())
    if as_json:
        print_json([line._asdict() for line in lines])
    else:
        rows = [(line.variable, _shown(line.value), "*" if line.is_set else "", line.description) for line in lines]
        print_table(rows, header=("variable", "value", "", "meaning"))


def _shown(value: object) -> str:
    return "" if value is None else str(value)
