"""The documents name only what exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import typer

import rugs_lake
from rugs_cli.app import app
from rugs_cli.commands.sql import sql
from tests.support.lakekit import envelope, message, store

ROOT = Path(__file__).parents[3]


def test_every_test_that_a_promise_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "guarantees.md").read_text()))
    existing = {
        name for path in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    assert named
    assert named <= existing, sorted(named - existing)


def test_every_link_between_documents_leads_somewhere() -> None:
    for document in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "proto").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_every_command_and_option_that_a_document_shows_exists() -> None:
    commands = getattr(typer.main.get_command(app), "commands")  # noqa: B009 - not every command is a group
    for document in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for block in re.findall(r"^ *```sh\n(.*?)^ *```", document.read_text(), re.DOTALL | re.MULTILINE):
            for name, rest in re.findall(r"^ *rugs ([a-z]+)([^#\n&]*)", block, re.MULTILINE):
                assert name in commands, f"{document.name}: rugs {name}"
                group = getattr(commands[name], "commands", None)
                command = group[rest.split()[0]] if group else commands[name]
                options = {option for parameter in command.params for option in parameter.opts}
                assert set(re.findall(r"(?<= )--[a-z-]+", rest)) <= options, f"{document.name}: rugs {name}{rest}"


def test_the_readme_and_the_help_name_every_view_and_no_other(tmp_path: Path) -> None:
    store(tmp_path, message(1, envelope(1)))
    with rugs_lake.open(tmp_path) as lake:
        views = set(lake.views)
    table = (ROOT / "README.md").read_text().split("| view | rows |")[1].split("\n\n")[0]
    named = {
        name
        for row in table.splitlines()
        if row.startswith("| `")
        for name in re.findall(r"`(\w+)`", row.split("|")[1])
    }
    assert named == views
    assert set(re.findall(r"\w+", (sql.__doc__ or "").split("Views:")[1])) >= views


def test_the_sql_of_every_example_runs(tmp_path: Path) -> None:
    store(tmp_path, message(1, envelope(1)))
    with rugs_lake.open(tmp_path, sandbox=True) as lake:
        for document in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
            for query in re.findall(r'rugs sql "([^"]+)"', document.read_text()):
                lake.sql(query)


def test_every_file_and_function_on_an_event_s_path_exists() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text().split("## The path of one event")[1]
    steps = re.findall(r"`([\w/]+\.py)`((?:,?\s+`[\w.]+`)+)", text)
    assert len(steps) == text.count(".py`"), "each file with a function of it"
    for path, names in steps:
        assert set(re.findall(r"`([\w.]+)`", names)) <= _functions(ROOT / path), f"{path} has no {names}"
    assert all((ROOT / folder).is_dir() for folder in re.findall(r"`([\w/]+)/`", text))


def _functions(path: Path) -> set[str]:
    """The functions of a module, and the methods of its classes as `Class.method`."""
    is_function = (ast.FunctionDef, ast.AsyncFunctionDef)
    body = ast.parse(path.read_text()).body
    methods = {
        f"{node.name}.{each.name}"
        for node in body
        if isinstance(node, ast.ClassDef)
        for each in node.body
        if isinstance(each, is_function)
    }
    return methods | {node.name for node in body if isinstance(node, is_function)}
