"""The command line as a process: exit codes, one-line errors, settings."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from rugs_cli.output import counted
from tests.support.lakekit import envelope, message, store, tick
from tests.support.stackkit import RUGS, clean_environment

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


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


def test_help(tmp_path: Path) -> None:
    for command in ([], ["up"], ["config", "show"]):
        done = rugs(tmp_path, *command, "--help")
        assert done.returncode == 0
        assert "Usage: rugs" in done.stdout


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
    keys = {"name", "value", "default", "variable", "is_set", "description", "unit", "text"}
    assert all(line.keys() == keys for line in lines)
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
    assert "RUGS_FLUSH_SECONDS=5s  *" in text.splitlines()


def test_config_show_says_the_unit_of_every_duration_and_size(tmp_path: Path) -> None:
    """And what it shows can be set: it is read back as the same value."""
    lines = json.loads(rugs(tmp_path, "config", "show", "--json", RUGS_CONNECT_TIMEOUT="1.5").stdout)
    told = {line["variable"]: (line["text"], line["unit"]) for line in lines if line["unit"]}
    assert told["RUGS_CONNECT_TIMEOUT"] == ("1.5s", "s")
    assert told["RUGS_STREAM_MAX_BYTES"] == ("8GiB", "bytes")
    assert told["RUGS_STREAM_KEEP_AGE"] == ("7d", "s")
    again = rugs(tmp_path, "config", "show", "--json", **{name: text for name, (text, _) in told.items()})
    values = {line["variable"]: line["value"] for line in lines}
    assert {line["variable"]: line["value"] for line in json.loads(again.stdout)} == values


def test_version_and_completion(tmp_path: Path) -> None:
    assert rugs(tmp_path, "--version").stdout == f"rugs {version('rugbus')}\n"
    completed = rugs(tmp_path, _RUGS_COMPLETE="complete_bash", COMP_WORDS="rugs sou", COMP_CWORD="1")
    assert completed.stdout.split() == ["sources"]


def test_without_the_extra_it_says_which_is_needed(tmp_path: Path) -> None:
    """`-S` leaves out all that is installed."""
    for arguments in (["--version"], ["sql", "SELECT 1"], ["decode"]):
        program = f"import sys; sys.path.insert(0, {str(ROOT / 'libs')!r}); sys.argv[1:] = {arguments}"
        program += "; from rugs_cli.main import main; sys.exit(main())"
        assert_names_the_extra("rugs", program, tmp_path)
    for command in ("capture-gateway", "parquet-writer", "legacy-importer", "legacy-writer", "indexer"):
        program = f"import sys; sys.path[:0] = [{str(ROOT / 'libs')!r}, {str(ROOT / 'services')!r}]"
        program += f"; from {command.replace('-', '_')}.main import main; sys.exit(main())"
        assert_names_the_extra(command, program, tmp_path)


def assert_names_the_extra(command: str, program: str, root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        env=clean_environment(RUGS_DATA_DIR=str(root)), capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 2
    assert re.fullmatch(command + r": \w+ is not installed: pip install 'rugbus\[stack\]' brings it\n", done.stderr)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("games --game NOPE", "no game NOPE"),
        ("coverage --source nope", "the source nope recorded nothing"),
        ("rejects show abc", "no reject has the id abc"),
        ("rejects retry abc", "no reject has the id abc"),
        ("status --service nope", "no service nope; there are parquet-writer"),
        ("export -f game-jsonl --game NOPE", "nothing of the game NOPE"),
        ("export -f parquet --source nope", "nothing of the source nope"),
    ],
)
def test_what_is_named_and_not_there_is_a_failure(tmp_path: Path, command: str, says: str) -> None:
    store(tmp_path / "data", message(1, tick(1)))
    done = rugs(tmp_path, *command.split())
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_game_known_from_its_history_only_says_that_its_prices_are_there(tmp_path: Path) -> None:
    fields = {"last_tick": 2, "prices": [1, 1.5, 0.1], "rugged": True}
    told = envelope(1, doc_type="game", event="game", game_id="g", cause="c" * 32, raw=..., fields=fields)
    store(tmp_path / "data", message(1, told))
    (game,) = json.loads(rugs(tmp_path, "games", "--json").stdout)
    assert (game["ticks"], game["direct"], game["missing"], game["history_prices"]) == (3, 0, 3, 3)
    header, row, _, hint = rugs(tmp_path, "games").stdout.splitlines()
    assert dict(zip(header.split()[-3:], row.split()[-3:], strict=True)) == {
        "ticks": "3",
        "missing": "3",
        "history": "3",
    }
    (query,) = re.findall('rugs sql "(.*)"', hint)
    (prices,) = json.loads(rugs(tmp_path, "sql", query, "--json").stdout)
    assert [*prices.values()] == ["[1,1.5,0.1]"]


def test_numbers_agree_with_their_nouns() -> None:
    assert [counted(number, "file") for number in (0, 1, 2, 1013)] == ["0 files", "1 file", "2 files", "1,013 files"]
    assert counted(2, "copy", "copies") == "2 copies"
    plural = re.compile(r"\{(?!counted)[^{}]+\} (files|rows|events|games|messages|frames|sessions|gaps|connections)\b")
    told = re.compile(r"print\(.*|parts|rows\.append.*|_print\(.*|lines\.append.*")
    for path in (ROOT / "libs" / "rugs_cli").rglob("*.py"):
        for line in path.read_text().splitlines():
            assert not (told.search(line) and plural.search(line)), f"{path}: {line}"


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
    nothing: dict[str, object] = {"stopped": False, "pid": None, "data_dir": str(tmp_path / "data"), "spools": []}
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
