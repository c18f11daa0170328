"""The help of every command that there is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from rugs_cli.app import app


def commands(group: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every command of a group and of its groups, by its whole name."""
    for last, command in group.commands.items():
        yield f"{name} {last}".strip(), command
        if hasattr(command, "commands"):
            yield from commands(command, f"{name} {last}".strip())


COMMANDS = dict(commands(typer.main.get_command(app)))


def help_of(*arguments: str) -> str:
    done = CliRunner(env={"COLUMNS": "100"}).invoke(app, [*arguments, "--help"], prog_name="rugs")
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_prints_json(name: str) -> None:
    text = help_of(*name.split())
    assert f"Usage: rugs {name} " in text
    for parameter in COMMANDS[name].params:
        assert parameter.param_type_name == "argument" or parameter.help, f"{name}: {parameter.name} has no help"
    if not hasattr(COMMANDS[name], "commands"):
        assert "--json" in text


def test_the_help_lists_every_command() -> None:
    for group in ("", *(name for name, command in COMMANDS.items() if hasattr(command, "commands"))):
        text = help_of(*group.split())
        within = [name.removeprefix(group).strip() for name in COMMANDS if name.startswith(group) and name != group]
        assert len(within) > 0
        assert all(f"  {name} " in text for name in within if " " not in name), group
