"""`rugs search`: hits with their provenance, for people and for programs."""

from __future__ import annotations

import json
import subprocess
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from rugs_cli.app import app
from rugs_index.table.rebuild import Rebuild
from rugs_index.table.row import Row
from tests.support.embedkit import default_embedder
from tests.support.searchkit import IDENTITY, chat, make_index, protocol
from tests.support.stackkit import RUGS, clean_environment

NO_MODEL = "rugs: only words are searched: no model is installed; run `rugs index setup`\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with an index, and no model."""
    monkeypatch.setenv("RUGS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("RUGS_EMBEDDER", "none")
    monkeypatch.setenv("COLUMNS", "80")
    make_index(tmp_path, identity=replace(IDENTITY, embedder=None)).close()
    return tmp_path


def run(*arguments: str, code: int = 0) -> Result:
    done = CliRunner().invoke(app, ["search", *arguments])
    assert done.exit_code == code, done.output
    return done


def items(*arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run(*arguments, "--json").stdout)["items"]
    return found


def test_json(root: Path) -> None:
    done = run("what", "is", "data.price?", "--limit", "2", "--json")
    found = json.loads(done.stdout)
    assert (found.keys(), found["answerable"], found["mode"]) == ({"items", "answerable", "mode"}, True, "auto")
    first, second = found["items"]
    assert first.keys() == {"id", "text", "score", "rank_score", "metadata", "owner"}
    assert first["metadata"]["event_type"] == "gameStateUpdate"
    assert first["metadata"]["field_path"] == second["metadata"]["field_path"] == "data.price"
    assert (first["score"], first["owner"]) == (None, None)
    assert first["rank_score"] > second["rank_score"]
    assert done.stderr == NO_MODEL


def test_what_people_read(root: Path) -> None:
    lines = run("data.price", "-n", "1").stdout.splitlines()
    assert lines == [
        "1. field  gameStateUpdate  data.price  discovery/gameStateUpdate",
        "   The current price of the game. Documented, and never seen: no recording here",
        "   has it.",
        "   Field price in gameStateUpdate (game state update): data.price.",
    ]


def test_a_game_says_where_it_is_from(root: Path) -> None:
    line = run("longest", "game", "-n", "1").stdout.splitlines()[0]
    assert line == "1. game  20251221-00000000c0ffee04  game_4.jsonl"


def test_what_nothing_answers(root: Path) -> None:
    done = run("how to boil an egg", "-n", "2")
    assert done.stdout.startswith("nothing here seems to answer this; the nearest:\n\n1. ")
    assert json.loads(run("how to boil an egg", "--json").stdout)["answerable"] is False
    assert run("price", "--source", "nowhere").stdout == "nothing was found\n"


def test_private_data_are_found_too(root: Path) -> None:
    assert items("the secret plan of alice")[0]["owner"] == "did:privy:alice"


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["--kind", "game"], {"game"}),
        (["--kind", "game", "--kind", "session"], {"game", "session"}),
        (["--event", "newChatMessage"], {"ws_event"}),
        (["--game", "20251221-00000000c0ffee01"], {"game", "player_action"}),
        (["--player", "HeronBot"], {"player_action"}),
        (["--session", "session-1"], {"session", "ws_event"}),
        (["--source", "backup"], {"document"}),
        (["--since", "2025-12-21T12:05", "--kind", "game"], {"game"}),
        (["--until", "2025-12-21T12:00:30"], {"session"}),
    ],
)
def test_filters(root: Path, options: list[str], wanted: set[str]) -> None:
    words = "game servers HeronBot session backup newChatMessage data"
    assert {each["metadata"]["kind"] for each in items(words, *options)} == wanted


def test_the_other_modes_and_the_explanation(root: Path) -> None:
    assert json.loads(run("servers", "--mode", "hybrid", "--json").stdout)["mode"] == "text"
    first = items("data.price", "--explain")[0]
    assert sum(first["legs"].values()) == pytest.approx(first["rank_score"])
    assert "exact +2.00" in run("data.price", "-n", "1", "--explain").stdout


def test_a_text_of_the_feed_cannot_control_the_terminal(root: Path) -> None:
    make_index(root, [chat("eve\x1b[2J", "servers \x1b[31mred", 0)], replace(IDENTITY, embedder=None)).close()
    done = run("servers")
    assert "\x1b" not in done.stdout
    assert "\\x1b[31mred" in done.stdout


def test_wrong_usage(root: Path) -> None:
    assert "Missing argument" in run(code=2).stderr
    run("price", "--limit", "0", code=2)
    run("price", "--mode", "fuzzy", code=2)
    assert "neither a day nor a time" in run("price", "--since", "soon", code=2).stderr


@pytest.mark.slow
def test_without_an_index_a_line_says_what_to_do(tmp_path: Path) -> None:
    done = rugs(tmp_path, "price", RUGS_EMBEDDER="none")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"rugs: there is no index in {tmp_path}: run `rugs index update`\n"


@pytest.mark.slow
def test_with_the_model(tmp_path: Path) -> None:
    embedder = default_embedder()
    scopes: defaultdict[str, list[Row]] = defaultdict(list)
    for chunk in protocol():
        scopes[chunk.scope_key].append(Row(chunk, embedder.embed([chunk.text])[0]))
    with Rebuild(tmp_path, replace(IDENTITY, embedder=embedder.identity)) as new:
        new.add(scopes)
        new.finish()
        new.switch()
    done = rugs(tmp_path, "how many users are online", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    first = json.loads(done.stdout)["items"][0]
    assert first["metadata"]["field_path"] == "data.connectedPlayers"
    assert 0.2 < first["score"] < 1


def rugs(root: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [RUGS, "search", *arguments],
        env=clean_environment(RUGS_DATA_DIR=str(root)) | environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
