"""The command line: help, exit codes, one-line errors, settings."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.stackkit import RUGS, clean_environment

COMMANDS = [
    "up",
    "down",
    "status",
    "derive",
    "games",
    "coverage",
    "decode",
    "sim",
    "export",
    "reconcile",
    "guard",
    "config",
    "config show",
]


def rugs(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [RUGS, *arguments],
        env=clean_environment(RUGS_DATA_DIR=str(tmp_path / "data")) | environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_help(tmp_path: Path, command: str) -> None:
    done = rugs(tmp_path, *command.split(), "--help")
    assert done.returncode == 0
    assert "Usage: rugs" in done.stdout
    if command != "config":
        assert "--json" in done.stdout


def test_help_lists_every_command(tmp_path: Path) -> None:
    text = rugs(tmp_path, "--help").stdout
    assert all(f"  {command.split()[0]} " in text for command in COMMANDS)


@pytest.mark.parametrize("arguments", [["nosuch"], ["up", "--nosuch"], ["config", "nosuch"], ["down", "extra"]])
def test_wrong_usage_is_exit_code_2(tmp_path: Path, arguments: list[str]) -> None:
    done = rugs(tmp_path, *arguments)
    assert done.returncode == 2
    assert "Error" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["config show", "status", "up", "up --detach", "down", "stats", "rejects list"])
def test_a_bad_setting_is_one_line_that_names_it(tmp_path: Path, command: str) -> None:
    done = rugs(tmp_path, *command.split(), RUGS_FLUSH_ROWS="many")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("rugs: RUGS_FLUSH_ROWS: ")


def test_debug_shows_where(tmp_path: Path) -> None:
    done = rugs(tmp_path, "config", "show", RUGS_FLUSH_ROWS="many", RUGS_DEBUG="1")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_config_show_masks_secrets_and_marks_what_is_set(tmp_path: Path) -> None:
    environment = {"NATS_URL": "nats://user:hunter2@host:4222", "RUGS_FLUSH_SECONDS": "5s"}
    lines = json.loads(rugs(tmp_path, "config", "show", "--json", **environment).stdout)
    assert all(line.keys() == {"name", "value", "default", "variable", "is_set", "description"} for line in lines)
    assert all(line["description"] for line in lines)
    told = {line["variable"]: line for line in lines}
    assert told["NATS_URL"]["value"] == "nats://***@host:4222"
    assert {name for name, line in told.items() if line["is_set"]} == {
        "NATS_URL",
        "RUGS_DATA_DIR",
        "RUGS_FLUSH_SECONDS",
    }
    text = rugs(tmp_path, "config", "show", **environment).stdout
    assert "hunter2" not in text
    assert all(name in text for name in told)


def test_status_of_nothing(tmp_path: Path) -> None:
    done = rugs(tmp_path, "status", "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["ok"] is False
    assert found["stack"] is None
    assert found["broker"]["state"] == "stopped"
    assert "rugs up" in found["error"]
    assert not (tmp_path / "data").exists()


def test_down_of_nothing(tmp_path: Path) -> None:
    done = rugs(tmp_path, "down", "--json")
    assert done.returncode == 0
    nothing = {"stopped": False, "pid": None, "data_dir": str(tmp_path / "data"), "spools": []}
    assert json.loads(done.stdout) == nothing


@pytest.mark.parametrize("options", [[], ["--detach"]])
def test_up_where_nothing_can_be_written(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "data").write_text("a file")
    done = rugs(tmp_path, "up", *options)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    folder = tmp_path / "data"
    assert line.startswith(f"rugs: {folder}")
    assert line.endswith(": Not a directory; RUGS_DATA_DIR names the data folder")


def test_an_import_with_no_such_time_zone_is_wrong_usage(tmp_path: Path) -> None:
    done = rugs(tmp_path, "import", str(tmp_path), "--timezone", "Foo")
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: rugs import")
    assert done.stderr.splitlines()[-1].startswith("Error: Invalid value for --timezone: no such time zone: 'Foo'")
    assert not (tmp_path / "data").exists()
