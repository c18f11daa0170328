"""`rugs derive`, `rugs games` and `rugs coverage`, as they are typed, where no stack runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rugs_cli.demo import SHIPPED
from tests.support.derivekit import derived_in
from tests.support.stackkit import Rugs

pytestmark = pytest.mark.slow


@pytest.fixture
def rugs(tmp_path: Path) -> Rugs:
    """A lake that holds the shipped captures."""
    rugs = Rugs(tmp_path / "data")
    rugs.json("import", SHIPPED / "raw_captures", "--wait")
    return rugs


def total(done: dict[str, Any], what: str) -> int:
    return sum(kind[what] for kind in done["kinds"].values())


def test_derived_from_the_lake_and_again(rugs: Rugs) -> None:
    first = rugs.json("derive")
    derived = derived_in(rugs.root)
    assert first["events"] > 100
    assert total(first, "derived") == total(first, "stored") + total(first, "duplicates") == len(derived)
    again = rugs.json("derive")
    assert (total(again, "stored"), total(again, "duplicates")) == (0, len(derived))
    assert derived_in(rugs.root) == derived
    assert again["checks"]["seed_matches"]["held"] > 0
    assert not again["findings"]

    of_a_day = rugs.json("derive", "--from", "2025-12-02", "--to", "2025-12-02")
    before = rugs.json("derive", "--to", "2025-12-01")
    assert of_a_day["events"] + before["events"] == first["events"]
    assert (total(of_a_day, "derived") + total(before, "derived")) == len(derived)
    assert rugs.json("verify")["ok"]
    shown = rugs("derive").stdout.decode()
    assert f"{first['events']:,} events read" in shown
    assert "game_tick" in shown


def test_games_say_how_complete_they_are(rugs: Rugs) -> None:
    rugs.json("derive")
    games = rugs.json("games")
    assert games
    listed = {row["game_id"]: row["n"] for row in rugs.select("SELECT game_id, count(*) AS n FROM tick GROUP BY 1")}
    assert {game["game_id"]: game["direct"] + game["filled"] for game in games if game["direct"]} == listed
    for game in games:
        assert game["missing"] == sum(last - first + 1 for first, last in game["missing_ticks"])
        assert game["complete"] == (game["ended"] and game["missing"] == 0)
    incomplete = rugs.json("games", "--incomplete")
    assert {game["game_id"] for game in incomplete} == {
        game["game_id"] for game in games if game["ended"] and game["missing"]
    }
    assert rugs.json("games", "--to", "2020-01-01") == []
    last = max(game["first"] for game in games)
    assert [game["first"] for game in rugs.json("games", "--from", last)] == [last]
    assert f"{len(games)} games" in rugs("games").stdout.decode()


def test_coverage_counts_an_import_only_if_it_is_asked_for(rugs: Rugs) -> None:
    ((first, last),) = [
        (row["first"], row["last"])
        for row in rugs.select("SELECT min(ts)::TEXT AS first, max(ts)::TEXT AS last FROM ws_event")
    ]
    period = ("--from", first, "--to", last)
    assert rugs.json("coverage", *period)["sources"] == []
    (found,) = rugs.json("coverage", *period, "--source", "import")["sources"]
    assert 0 < found["share"] < 1
    assert found["sessions"] == 2
    gaps = sum(gap["seconds"] for gap in found["gaps"])
    seconds = rugs.select("SELECT epoch(max(ts)) - epoch(min(ts)) AS n FROM ws_event")[0]["n"]
    assert found["recorded_seconds"] + gaps == pytest.approx(seconds)
    shown = rugs("coverage", *period, "--source", "import").stdout.decode()
    assert "nothing was captured" in shown
    assert "│░·" in shown
    assert rugs("coverage").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("derive", "--from", "yesterday"), "neither a day nor a time"),
        (("coverage", "--from", "2026-02-01", "--to", "2026-01-01"), "the period is empty"),
        (("coverage", "--from", "2190-01-01", "--to", "2190-01-02"), "--from is in the future"),
        (("games", "--to", "0"), "neither a day nor a time"),
    ],
)
def test_wrong_usage_is_said_in_a_line(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    done = Rugs(tmp_path / "data")(*arguments)
    assert done.returncode == 2
    assert said in done.stderr.decode()


@pytest.mark.parametrize("command", ["derive", "games", "coverage"])
def test_without_a_lake_it_says_what_to_do(tmp_path: Path, command: str) -> None:
    done = Rugs(tmp_path / "data")(command)
    assert done.returncode == 1
    assert done.stderr.decode().startswith("rugs: no lake at")
