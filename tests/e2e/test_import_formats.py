"""Every old format through the whole stack: what is in the files is in the lake, once, packed or not."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from rugs_legacy.formats import FORMATS
from rugs_proto import import_session_id, reject_id
from rugs_sim.old_files.generate import files_of_every_format, write_files
from tests.support.lakekit import NOON_US, body, envelope
from tests.support.legacy_lines import GAME, line, start, tick
from tests.support.stackkit import Rugs, caught_up, publish

pytestmark = pytest.mark.slow


def imported(rugs: Rugs, *paths: Path | str) -> dict[str, Any]:
    told: dict[str, Any] = rugs.json("import", *paths, "--wait")
    assert told["lines"] == told["records"] + told["rejected"] + told["blank"]
    assert told["records"] + told["salvaged"] == told["stored"] + told["duplicates"]
    return told


def last_report(rugs: Rugs) -> dict[str, Any]:
    newest = max((rugs.root / "manifests" / "imports").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    report: dict[str, Any] = json.loads(newest.read_bytes())
    return report


def test_every_format_is_stored_once_packed_or_not(stack: Rugs, tmp_path: Path) -> None:
    files = files_of_every_format(7)
    write_files(tmp_path / "plain", files)
    told = imported(stack, tmp_path / "plain")
    assert told["stored"] == told["records"] > 0
    report = last_report(stack)
    assert {one["format"] for one in report["file_reports"]} == {format_.id for format_ in FORMATS}
    assert Counter(one["reason"][:3] for one in report["skipped"]) == {"F11": 2, "F13": 1}
    derived = sum(one["derived"] for one in report["file_reports"])
    read_out = stack.select(
        "SELECT count(*) AS n, count(*) FILTER (cause NOT IN (SELECT id FROM events)) AS lost"
        " FROM events WHERE json_extract(origin_extra, '$.row') IS NOT NULL"
    )
    # A tick that a capture tells, too, may have been derived from that one first.
    assert 0.9 * derived < read_out[0]["n"] <= derived
    assert read_out[0]["lost"] == 0
    documents = stack.select("SELECT event, count(*) AS n FROM system_event WHERE event LIKE '%document' GROUP BY 1")
    assert {row["event"]: row["n"] for row in documents} == {
        "game_document": 2,
        "session_document": 2,
        "index_document": 1,
    }
    stored = {row["raw"].encode() for row in stack.select("SELECT raw FROM events WHERE cause IS NULL")}
    for name, content in files.items():
        pieces = {content} if name.endswith(".json") else set(content.split(b"\n")) - {b""}
        lost = {piece for piece in pieces - stored if not piece.startswith(b"# ")}
        assert not lost or name.endswith(("_events.json", "_summary.md", "recording_config.json"))

    packers: list[Callable[[bytes], bytes]] = [gzip.compress, zstandard.compress]
    packed = {
        f"{name}{('.gz', '.zst')[place % 2]}": packers[place % 2](content)
        for place, (name, content) in enumerate(files.items())
    }
    write_files(tmp_path / "packed", packed)
    again = imported(stack, tmp_path / "packed")
    assert (again["stored"], again["duplicates"]) == (0, told["stored"])
    assert all(one["state"] == "known" and one["packed_sha256"] for one in last_report(stack)["file_reports"])
    assert stack.json("verify")["ok"] is True


def test_patterns_name_files(stack: Rugs, tmp_path: Path) -> None:
    write_files(tmp_path, {"a/b/x_raw.jsonl": b"", "a/y_raw.jsonl": b"", "a/z_cdp.jsonl": b""})
    assert imported(stack, f"{tmp_path}/**/*_raw.jsonl")["files"] == 2
    assert imported(stack, f"{tmp_path}/a/[yz]_*.jsonl", tmp_path / "a" / "b")["files"] == 3
    none = stack("import", f"{tmp_path}/**/*.gz")
    assert (none.returncode, b"no such file or folder" in none.stderr) == (2, True)


def test_a_game_that_was_recorded_twice_is_told_and_nothing_is_left_out(stack: Rugs, tmp_path: Path) -> None:
    """Two recorders, each with a clock and a start of its own: not one line is the same."""
    game = {"game_id": "recorded-twice"}
    other = {**game, "timestamp": "2098-12-31T22:00:30.000009"}
    one_lines = [start(**game), *(tick(number, **game) for number in range(40))]
    other_lines = [start(**other), *(tick(number, **other) for number in range(25, 60))]
    filler = tick(0, **game, price=1.0, cooldown_timer=14_000, active=False, phase="UNKNOWN")
    write_files(
        tmp_path,
        {
            "game_20981231_220000.jsonl": b"\n".join([*one_lines, filler]),
            "game_20981231_220025.jsonl": b"\n".join([*other_lines, filler.replace(b"22:00:00", b"22:00:31")]),
        },
    )
    assert imported(stack, tmp_path)["stored"] == 41 + 36 + 2
    (found,) = last_report(stack)["repeated_games"]
    assert (found["game_id"], found["repeated"]) == ("recorded-twice", 15)
    assert [(one["file"], one["ticks"], one["repeated"]) for one in found["files"]] == [
        ("game_20981231_220000.jsonl", 40, 15),
        ("game_20981231_220025.jsonl", 35, 15),
    ]
    by_hand = stack("import", tmp_path, "--wait").stdout
    assert b"games in more than one recording: 1, with 15 ticks that several tell" in by_hand
    assert len(stack.select("SELECT id FROM game_tick WHERE game_id = 'recorded-twice'")) == 77
    assert len(stack.select("SELECT tick FROM tick WHERE game_id = 'recorded-twice'")) == 60


async def test_lines_and_documents_that_an_older_reader_refused_are_fed_again(stack: Rugs) -> None:
    """The rejects are what an importer without these readers would have sent."""
    press = line(
        {
            "type": "action",
            "action_id": "a",
            "category": "TRADE_BUY",
            "button": "BUY",
            "timestamp_pressed": 4_070_919_600_566,
            "state_before": None,
        }
    )
    action = {"timestamp": "2099-01-01T03:00:05", "action": "RETRIED", "tick": 2, "amount": "0.1"}
    meta = {"player_id": "p", "username": "u", "session_start": "2099-01-01T03:00:00", "session_end": None}
    document = json.dumps({"meta": meta, "actions": [action] * 300}, indent=1).encode()
    told = []
    async with stack.bus() as nc:
        for format_id, name, content, place in (
            ("F4", f"game_001_{GAME}.jsonl", press, 300),
            ("F7", "x_demo.json", document, 0),
        ):
            session = import_session_id(format_id, content)
            old = envelope(
                source="import",
                session_id=session,
                seq=place + 1,
                doc_type="reject",
                event="line",
                ts=NOON_US,
                raw=content.decode(),
                fields={"reason": "not read yet", "format": format_id},
                origin={"sha256": "0" * 64, "file": name, "line": 1, "offset": place, "tz": "America/New_York"},
            )
            await publish(nc, "rugs.events.reject.import.line", body(old))
            told.append(reject_id("import", session, place + 1, content))
        await caught_up(nc, stack.root)
        done = stack.json("rejects", "retry", *told)
        assert (done["tried"], done["published"], done["committed"]) == (2, 2, True)
        await caught_up(nc, stack.root)
    (pressed,) = stack.select("SELECT * FROM player_action WHERE raw IS NOT NULL AND origin_offset = 300")
    assert (pressed["raw"].encode(), pressed["game_id"], pressed["action"]) == (press, GAME, "BUY")
    assert len(stack.select("SELECT id FROM player_action WHERE event = 'RETRIED'")) == 300
    (kept,) = stack.select("SELECT raw FROM system_event WHERE event = 'session_document' AND player_id = 'p'")
    assert kept["raw"].encode() == document
    assert not set(told) & {one["id"] for one in stack.json("rejects", "list")}
    assert stack.json("verify")["ok"] is True
