"""The commands on a real stack: recordings in, reconciled, exported, and in again; live events out and in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from rugs_proto import ids
from rugs_proto.subjects import event_subject
from rugs_sim.old_files.generate import START, write_demo
from tests.support.derivekit import expected
from tests.support.exportkit import lines_of, sent
from tests.support.madeup import played
from tests.support.stackkit import Rugs, caught_up, publish, rows, until

pytestmark = pytest.mark.slow

LINE_FORMATS = ["game-jsonl", "raw-jsonl", "claude-flow-jsonl"]
DERIVED = "select count(*) from events where cause is not null"
COUNT = "select (select count(*) from events) + (select count(*) from reject) as rows"


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    write_demo(tmp_path / "recordings")
    return tmp_path / "recordings"


@pytest.fixture
def rugs(tmp_path: Path) -> Iterator[Rugs]:
    rugs = Rugs(tmp_path / "data")
    up = rugs("up", "--detach")
    assert up.returncode == 0, up.stderr
    yield rugs
    assert rugs("down").returncode == 0


def imported(rugs: Rugs, path: Path) -> dict[str, Any]:
    told: dict[str, Any] = rugs.json("import", path, "--wait")
    assert told["lines"] == told["records"] + told["rejected"] + told["blank"]
    assert told["records"] + told["salvaged"] == told["stored"] + told["duplicates"]
    return told


@pytest.mark.timeout(300)
async def test_recordings_go_in_come_out_and_are_known_when_they_come_back(
    rugs: Rugs, recordings: Path, tmp_path: Path
) -> None:
    assert imported(rugs, recordings)["stored"] > 1000
    told = rugs.json("reconcile", recordings, "--full")
    assert told["equal"] is True
    assert told["rows"]["files"] == told["rows"]["dataset"] > 1000

    for format_ in LINE_FORMATS:
        done = rugs.json("export", "--format", format_, "--out", tmp_path / format_)
        assert done["lines"] == sum(file["lines"] for file in done["files"]) > 100
        assert imported(rugs, tmp_path / format_)["stored"] == 0
        part = rugs.json(
            "export", "-f", format_, "--from", "2025-12-02T06:00:05", "--out", tmp_path / f"part-{format_}"
        )
        assert 0 < part["lines"] < done["lines"], format_
        assert imported(rugs, tmp_path / f"part-{format_}")["stored"] == 0
    assert_lines_are_the_originals(tmp_path / "raw-jsonl", recordings / "raw_captures")
    for format_ in ("parquet", "arrow"):
        out = tmp_path / f"events.{format_}"
        assert rugs.json("export", "--format", format_, "--out", out)["files"][0]["name"] == out.name
    async with rugs.bus() as nc:
        await caught_up(nc, rugs.root)
    assert rugs.json("verify")["ok"] is True


def assert_lines_are_the_originals(exported: Path, originals: Path) -> None:
    for path in exported.glob("*.jsonl"):
        assert lines_of(path) == lines_of(originals / path.name)


@pytest.mark.timeout(300)
async def test_what_was_captured_live_is_known_when_its_export_is_imported(rugs: Rugs, tmp_path: Path) -> None:
    told = sent(played(12, START, 250))
    async with rugs.bus() as nc:
        for envelope in told:
            packed = {key: value for key, value in envelope.items() if value is not None}
            event_id = ids.event_id(*(envelope[key] for key in ("source", "session_id", "seq", "raw")))
            await publish(
                nc, event_subject("ws_event", "public_ws", envelope["event"]), msgpack.packb({**packed, "id": event_id})
            )
        await caught_up(nc, rugs.root)
        await until(lambda: rows(rugs.root, DERIVED) == [(len(expected(told)),)])
    before = rows(rugs.root, COUNT)
    for format_ in LINE_FORMATS:
        for name, more in (("whole", []), ("part", ["--from", "2025-12-02T02:00:20"])):
            out = tmp_path / f"{format_}-{name}"
            done = rugs.json("export", "--format", format_, "--out", out, *more)
            assert done["lines"] > 50
            told_again = imported(rugs, out)
            assert (told_again["stored"], told_again["duplicates"]) == (0, done["lines"])
    exported = [tmp_path / f"{format_}-whole" for format_ in LINE_FORMATS]
    assert rugs.json("reconcile", "--full", *exported)["equal"] is True
    async with rugs.bus() as nc:
        await caught_up(nc, rugs.root)
    assert rows(rugs.root, COUNT) == before, "nor has anything been derived anew"


def test_a_broken_line_is_found_and_the_exit_code_says_so(recordings: Path, tmp_path: Path) -> None:
    rugs = Rugs(tmp_path / "data")
    imported(rugs, recordings)
    game = sorted(recordings.rglob("game_*.jsonl"))[0]
    lines = lines_of(game)
    record = json.loads(lines[20])
    game.write_bytes(b"\n".join([*lines[:20], json.dumps({**record, "price": 77.5}).encode(), *lines[21:], b""]))
    done = rugs("reconcile", recordings)
    assert done.returncode == 1
    assert f"{game.name}:21: differs in bytes, price" in done.stdout.decode()
    assert "they are NOT equal" in done.stdout.decode()
    told = json.loads(rugs("reconcile", game, "--json").stdout)
    assert (told["equal"], told["different"], told["missing"]) == (False, 1, 0)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["export"], 2, "--format"),
        (["export", "--format", "nosuch"], 2, "nosuch"),
        (["export", "--format", "arrow", "--from", "2025-02-02", "--to", "2025-01-01"], 2, "the period is empty"),
        (["export", "--format", "raw-jsonl", "--timezone", "no/where"], 2, "no such time zone"),
        (["export", "--format", "raw-jsonl", "--from", "yesterday"], 2, "ISO 8601"),
        (["export", "--format", "raw-jsonl"], 1, "no lake"),
        (["reconcile"], 2, "Missing argument"),
        (["reconcile", "nosuch"], 2, "nosuch"),
        (["reconcile", "."], 1, "no lake"),
    ],
)
def test_wrong_usage_and_no_lake(tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    done = Rugs(tmp_path / "data")(*arguments)
    assert done.returncode == code
    assert said in done.stderr.decode()
    assert not (tmp_path / "data").exists()
