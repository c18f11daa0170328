"""`rugs remove`, `rugs retention` and `rugs import --replace`: what goes stays away, what is corrected keeps its id."""

from __future__ import annotations

from pathlib import Path

import pytest

from rugs_sim.old_files.generate import write_demo
from tests.support.lakekit import body, envelope, tick
from tests.support.stackkit import Rugs, caught_up, publish

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

COUNT = "SELECT count(*)::INT AS n FROM events"


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    folder = tmp_path / "recordings"
    write_demo(folder)
    return folder


def count(rugs: Rugs, condition: str = "true") -> int:
    return int(rugs.select(f"{COUNT} WHERE {condition}")[0]["n"])


def verified(rugs: Rugs) -> dict[str, int]:
    report = rugs.json("verify")
    assert report["ok"], report["faults"]
    totals: dict[str, int] = report["totals"]
    return totals


def test_a_game_that_was_removed_stays_away_when_its_files_come_again(recordings: Path, tmp_path: Path) -> None:
    rugs = Rugs(tmp_path / "data")
    first = rugs.json("import", recordings)
    (largest,) = rugs.select(
        "SELECT game_id, count(*)::INT AS n FROM events WHERE game_id IS NOT NULL GROUP BY 1 ORDER BY n DESC, 1 LIMIT 1"
    )
    before, game = count(rugs), largest["game_id"]
    planned = rugs.json("remove", "--game", game, "--dry-run")
    assert (planned["found"], planned["removed"], count(rugs)) == (largest["n"], 0, before)
    unasked = rugs("remove", "--game", game)
    assert (unasked.returncode, b"--yes" in unasked.stderr, count(rugs)) == (1, True, before)
    done = rugs.json("remove", "--game", game, "--yes", "--now")
    assert (done["removed"], done["purged_messages"]) == (largest["n"], None)
    assert "no broker" in done["not_purged"]
    again = rugs.json("import", recordings, "--replace")
    assert (again["stored"], again["corrected"], again["failures"]) == (0, 0, [])
    assert again["refused"] > 0
    assert again["duplicates"] + again["refused"] == first["stored"] + first["duplicates"]
    assert (count(rugs), count(rugs, f"game_id = '{game}'")) == (before - largest["n"], 0)
    assert verified(rugs)["removed"] == largest["n"]
    compared = rugs.json("reconcile", recordings, "--full")
    assert compared["equal"]
    assert compared["removed"] > 0
    gone = rugs("remove", "--game", game, "--yes")
    assert (gone.returncode, b"removed before" in gone.stderr) == (1, True)


async def test_beside_a_running_stack_what_is_sent_again_is_refused(stack: Rugs) -> None:
    told = [*(tick(number) for number in range(20)), *(envelope(number, game_id="game-2") for number in range(1, 6))]
    async with stack.bus() as nc:
        for each in told:
            await publish(nc, f"rugs.events.{each['doc_type']}.public_ws.x", body(each))
        await caught_up(nc, stack.root)
        (some,) = stack.select("SELECT id FROM ws_event WHERE seq = 3")
        done = stack.json("remove", "--game", "game-1", "--id", some["id"], "--yes", "--now")
        assert done["removed"] == 21
        assert done["purged_messages"] > 0
        for each in told:
            await publish(nc, f"rugs.events.{each['doc_type']}.public_ws.x", body(each))
        await caught_up(nc, stack.root)
    assert count(stack) == 4
    totals = verified(stack)
    assert (totals["stored"], totals["removed"], totals["refused_by_rule"]) == (25, 21, 21)


def test_sessions_and_what_cannot_be_removed(recordings: Path, tmp_path: Path) -> None:
    rugs = Rugs(tmp_path / "data")
    rugs.json("import", recordings)
    (session,) = rugs.select("SELECT session_id, count(*)::INT AS n FROM events GROUP BY 1 ORDER BY 1 LIMIT 1")
    done = rugs.json("remove", "--session", session["session_id"], "--yes")
    assert done["removed"] - done["changes"][0]["by_doc_type"].get("reject", 0) == session["n"]
    assert done["changes"][0]["scope"] == {"session": ["import", session["session_id"]]}
    for wrong, says in [
        ([], "say what to remove"),
        (["--id", "xyz"], "not an event id"),
        (["--session", "no such session"], "no rows of the session"),
        (["--owner", "nobody"], "no rows of owner nobody"),
    ]:
        failed = rugs("remove", *wrong, "--yes")
        assert failed.returncode != 0
        assert says in failed.stderr.decode()
    verified(rugs)


def test_retention_by_doc_type(recordings: Path, tmp_path: Path) -> None:
    rugs = Rugs(tmp_path / "data")
    rugs.json("import", recordings)
    assert rugs.json("retention", "show") == []
    assert rugs.json("retention", "apply", "--yes")["removed"] == 0
    rugs.json("retention", "set", "game_tick", "30")
    assert rugs.json("retention", "apply", "--dry-run")["found"] == 0  # imported rows are spared
    rugs.json("retention", "set", "game_tick", "30", "--imported")
    (shown,) = rugs.json("retention", "show")
    ticks = count(rugs, "doc_type = 'game_tick'")
    assert shown == {"doc_type": "game_tick", "days": 30, "imported": True, "older": ticks}
    assert rugs.json("retention", "apply", "--yes")["removed"] == ticks > 0
    assert rugs.json("import", recordings, "--replace")["refused"] > 0
    assert count(rugs, "doc_type = 'game_tick'") == 0
    rugs.json("retention", "set", "game_tick", "forever")
    assert rugs.json("import", recordings, "--replace")["stored"] > 0
    assert count(rugs, "doc_type = 'game_tick'") == ticks
    verified(rugs)
    wrong = rugs("retention", "set", "game_tick", "soon")
    assert wrong.returncode == 2


def test_an_import_with_another_time_zone_corrects_what_is_stored(recordings: Path, tmp_path: Path) -> None:
    rugs = Rugs(tmp_path / "data")
    rugs.json("import", recordings)
    everything = "SELECT id, ts::VARCHAR AS ts, date::VARCHAR AS date, origin_tz FROM events ORDER BY id"
    right = rugs.select(everything)
    plain = rugs.json("import", recordings, "--timezone", "Asia/Tokyo")
    assert rugs.select(everything) == right
    assert any("--replace" in note or "time zone" in note for note in plain["notes"])
    other = rugs.json("import", recordings, "--timezone", "Asia/Tokyo", "--replace")
    assert 0 < other["corrected"] <= len(right)
    moved = rugs.select(everything)
    assert [row["id"] for row in moved] == [row["id"] for row in right]
    assert moved != right
    rugs.json("import", recordings, "--replace")
    assert rugs.select(everything) == right
    assert rugs.json("import", recordings, "--replace")["corrected"] == 0
    verified(rugs)
