"""The commands of `rugs`, and what happens when one fails."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from rugs_cli.commands import (
    capture,
    config,
    coverage,
    derive,
    discovery,
    export,
    files,
    guard,
    importing,
    index,
    lake,
    migrate,
    reconcile,
    rejects,
    remove,
    retention,
    search,
    sim,
    sources,
    sql,
    stack,
    status,
)
from rugs_cli.output import AsJson


def _print_version(wanted: bool) -> None:
    from importlib.metadata import version

    if wanted:
        print(f"rugs {version('rugbus')}")
        raise typer.Exit


app = typer.Typer(
    name="rugs",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("up")(stack.up)
app.command("down")(stack.down)
app.command("status")(status.status)
app.command("capture")(capture.capture)
app.command("sources")(sources.sources)
app.command("sim")(sim.sim)
app.command("import")(importing.import_files)
app.command("export")(export.export)
app.command("reconcile")(reconcile.reconcile)
app.command("guard")(guard.guard)
app.command("derive")(derive.derive)
app.command("sql", context_settings={"ignore_unknown_options": True})(sql.sql)  # SQL may begin with `--`
app.command("field")(discovery.field)
app.command("search")(search.search)
app.command("games")(coverage.games)
app.command("coverage")(coverage.coverage)
app.command("files")(files.files)
app.command("stats")(lake.stats)
app.command("compact")(lake.compact)
app.command("verify")(lake.verify)
app.command("migrate")(migrate.migrate)
app.command("remove")(remove.remove)
app.add_typer(discovery.app, name="discovery", no_args_is_help=True)
app.add_typer(index.app, name="index", no_args_is_help=True)
app.add_typer(rejects.app, name="rejects", no_args_is_help=True)
app.add_typer(retention.app, name="retention", no_args_is_help=True)
app.add_typer(config.app, name="config")


Version = Annotated[
    bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_print_version)
]


@app.callback()
def rugs(version: Version = False) -> None:
    """Record every event of a live game feed once, keep it for ever, and give it back."""
    from rugs_cli.streams import forgive_standard_error
    from rugs_runtime import logs
    from rugs_runtime.cancelling import keep_cancellations

    forgive_standard_error()
    logs.configure("rugs", "warning")
    keep_cancellations()


@app.command()
def decode(as_json: AsJson = False) -> None:
    """Turn one message body on standard input into JSON lines: nats sub 'rugs.events.>' --translate 'rugs decode'.

    What is not an envelope is shown as {"error": …, "base64": …}, and the exit code is 1. Output is always JSON.
    """
    from rugs_cli.commands.decode import decode_stdin

    raise typer.Exit(decode_stdin())


def run() -> int:
    """Run the command line; return its exit code. What fails is one line on standard error.

    With ``RUGS_DEBUG=1`` it is a traceback.
    """
    try:
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except KeyboardInterrupt:
        return 130
    except ModuleNotFoundError:
        raise
    except Exception as error:
        from rugs_core.secrets import mask_secrets

        debugging = os.environ.get("RUGS_DEBUG", "") not in ("", "0")
        text = "".join(traceback.format_exception(error)) if debugging else f"rugs: {_one_line(error)}\n"
        print(mask_secrets(text), end="", file=sys.stderr)
        return 1
    return 0


def _one_line(error: Exception) -> str:
    """Say what went wrong; an error that is neither ours nor the system's is named, since its text alone may not do."""
    from rugs_core.errors import RugsError
    from rugs_core.reasons import one_line

    text = one_line(error)
    if isinstance(error, OSError):
        return text + _hint(error)
    if isinstance(error, RugsError):
        return text
    return f"{type(error).__name__}: {text} (RUGS_DEBUG=1 shows where)"


def _hint(error: OSError) -> str:
    """Say what to do where the data folder cannot be used."""
    from rugs_runtime.settings import Settings, SettingsError

    try:
        root = Settings.load().data_dir
    except SettingsError:
        return ""
    path = Path(str(error.filename))
    return "; RUGS_DATA_DIR names the data folder" if root in (path, *path.parents) or path in root.parents else ""
