"""`rugs import` with and without a stack: what is new is stored, what is known is counted, and the sums hold."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from rugs_bus import put_blob
from rugs_legacy.formats import FORMATS
from rugs_proto import import_session_id, reject_id
from rugs_runtime.broker import Broker
from rugs_runtime.stack import running_stack
from rugs_sim.old_files.generate import write_demo
from tests.support.lakekit import NOON_US, body, envelope, id_of
from tests.support.legacy_lines import GAME, end, frame, start, tick
from tests.support.stackkit import Rugs, caught_up, publish

pytestmark = pytest.mark.slow

SHAPE = [
    "files",
    "lines",
    "blank",
    "records",
    "rejected",
    "salvaged",
    "stored",
    "duplicates",
    "refused",
    "skipped_files",
    "notes",
    "failures",
    "seconds",
]


def imported(rugs: Rugs, *paths: Path) -> dict[str, Any]:
    """Import, and check the shape of the answer and its sums."""
    told: dict[str, Any] = rugs.json("import", *paths, "--wait")
    assert list(told) == SHAPE
    assert told["lines"] == told["records"] + told["rejected"] + told["blank"]
    assert told["records"] + told["salvaged"] == told["stored"] + told["duplicates"] + told["refused"]
    return told


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    folder = tmp_path / "recordings"
    write_demo(folder)
    (folder / "notes.txt").write_text("not a recording")
    return folder


def lines_in(folder: Path) -> list[bytes]:
    """Return every line of every recording in a folder."""
    files = sorted(folder.rglob("*.jsonl"))
    return [line for file in files for line in file.read_bytes().split(b"\n") if line]


def check_whole(rugs: Rugs, recordings: Path, told: dict[str, Any]) -> None:
    """The lake holds every line: as an event, or as a reject; and what was salvaged beside."""
    assert rugs.json("verify")["ok"] is True
    kept = [
        row["raw"].encode()
        for row in rugs.select(
            "SELECT raw FROM events WHERE cause IS NULL AND (extra NOT LIKE '%salvaged%' OR extra IS NULL)"
        )
    ]
    rejected = [row["raw"].encode() for row in rugs.select("SELECT raw FROM reject")]
    assert sorted(kept + rejected) == sorted(lines_in(recordings))
    assert len(rejected) == told["rejected"]


def test_an_import_without_a_stack_starts_what_it_needs_and_stops_it(recordings: Path, tmp_path: Path) -> None:
    rugs = Rugs(tmp_path / "data")
    told = imported(rugs, recordings)
    assert told["stored"] == told["records"] + told["salvaged"] > 1000
    assert told["rejected"] > 0
    assert [Path(skipped).name for skipped in told["skipped_files"]] == ["notes.txt"]
    assert running_stack(rugs.root) is None
    assert Broker(rugs.root / "state" / "broker").leftover() is None
    check_whole(rugs, recordings, told)
    again = imported(rugs, recordings)
    assert (again["stored"], again["duplicates"]) == (0, told["stored"])
    assert {key: again[key] for key in SHAPE[:6]} == {key: told[key] for key in SHAPE[:6]}
    assert len(list((rugs.root / "manifests" / "imports").glob("*.json"))) == 2


def test_an_import_with_a_stack_stores_copies_and_grown_files_once(
    stack: Rugs, recordings: Path, tmp_path: Path
) -> None:
    grown = next((recordings / "rugs_recordings").glob("game_*_4b445a6b.jsonl"))
    whole = grown.read_bytes().splitlines(keepends=True)
    grown.write_bytes(b"".join(whole[: len(whole) // 3]))
    first = imported(stack, recordings)
    assert first["stored"] == first["records"] + first["salvaged"]
    again = imported(stack, recordings)
    assert (again["stored"], again["duplicates"]) == (0, first["stored"])

    copies = tmp_path / "elsewhere"
    shutil.copytree(recordings, copies)
    for number, file in enumerate(sorted(copies.rglob("game_*.jsonl"))):
        file.rename(file.with_name(f"game_20990101_0000{number:02}.jsonl"))
    copied = imported(stack, copies)
    assert (copied["stored"], copied["duplicates"]) == (0, first["stored"])

    grown.write_bytes(b"".join(whole))
    told = imported(stack, recordings)
    assert told["stored"] == len(whole) - len(whole) // 3
    assert told["duplicates"] == first["stored"]
    check_whole(stack, recordings, told)
    by_type = stack.select("SELECT doc_type, count(*) AS n FROM events WHERE cause IS NULL GROUP BY 1")
    assert {row["doc_type"] for row in by_type} == {"game_tick", "system_event", "ws_event"}


def test_rejects_are_listed_shown_and_fed_again(stack: Rugs, tmp_path: Path) -> None:
    """A line that an older reader did not understand, and today's does; and one that nobody understands."""
    path = tmp_path / "game_20981231_230000_11111111.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in (start(game_id="retry"), b"{broken", end(game_id="retry"))))
    assert imported(stack, path)["rejected"] == 1
    listed = [one for one in stack.json("rejects", "list") if one["file"] == path.name]
    (broken,) = listed
    assert (broken["line"], broken["offset"], broken["retried"]) == (2, len(start(game_id="retry")) + 1, False)
    shown = stack.json("rejects", "show", broken["id"][:16])
    assert (shown["raw"], shown["reason"]) == ("{broken", broken["reason"])
    told = stack.json("rejects", "retry", broken["id"])
    assert (told["tried"], told["published"], told["failed"], told["still_rejected"]) == (1, 0, 0, 1)
    assert stack("rejects", "retry", "ffffffffffff").returncode == 1


async def test_what_a_better_reader_understands_is_stored_by_a_retry(stack: Rugs) -> None:
    """The reject is what an importer of an older version would have sent for a line that today's reader reads."""
    line = tick(9, game_id="retried")
    session = import_session_id("F1", start())
    place: dict[str, Any] = {"source": "import", "session_id": session, "seq": 301}
    old = envelope(
        **place,
        doc_type="reject",
        event="line",
        ts=NOON_US,
        raw=line.decode(),
        fields={"reason": "unknown type 'tick'", "format": next(each.id for each in FORMATS if each.id == "F1")},
        origin={"sha256": "0" * 64, "file": f"game_{GAME}.jsonl", "line": 4, "offset": 300, "tz": "America/New_York"},
    )
    mismatched = envelope(1, session_id="mismatched", doc_type="server_state")
    async with stack.bus() as nc:
        await publish(nc, "rugs.events.reject.import.line", body(old))
        wrong = await publish(nc, "rugs.events.ws_event.public_ws.x", body(mismatched))
        await caught_up(nc, stack.root)
        reject = reject_id("import", session, 301, line)
        (never,) = [one["id"] for one in stack.json("rejects", "list") if one["stream_seq"] == wrong and one["subject"]]
        told = stack.json("rejects", "retry", reject, never)
    assert (told["tried"], told["published"], told["failed"], told["still_rejected"]) == (2, 1, 0, 1)
    assert told["committed"] is True  # and so it can be asked for at once
    (row,) = stack.select("SELECT * FROM game_tick WHERE game_id = 'retried'")
    assert (row["raw"], row["session_id"], row["seq"], row["tick"]) == (line.decode(), session, 301, 9)
    assert (row["origin_line"], row["origin_offset"], row["origin_file"]) == (4, 300, f"game_{GAME}.jsonl")
    assert row["id"] == id_of({**place, "doc_type": "game_tick", "raw": line.decode()})
    open_ones = {one["id"] for one in stack.json("rejects", "list")}
    assert reject not in open_ones
    assert never in open_ones
    done = {one["id"]: one["retried"] for one in stack.json("rejects", "list", "--all")}
    assert done[reject] is True
    assert json.loads(stack("rejects", "retry", reject, "--json").stdout)["published"] == 1  # harmless
    async with stack.bus() as nc:
        await caught_up(nc, stack.root)
    assert len(stack.select("SELECT id FROM game_tick WHERE game_id = 'retried'")) == 1
    assert stack.json("verify")["ok"] is True


async def test_a_retry_never_multiplies_rejects_and_one_that_is_refused_does_not_stop_the_others(stack: Rugs) -> None:
    """An envelope whose bytes never came stays what it is; a long line goes by the object store."""
    line = frame(1, data={"gameId": "long", "filling": "x" * 9_000_000})
    place: dict[str, Any] = {"source": "import", "session_id": import_session_id("F9", frame(1)), "seq": 1}
    long = envelope(
        **place,
        doc_type="reject",
        event="line",
        raw=...,
        blob=hashlib.sha256(line).hexdigest(),
        id=reject_id("import", place["session_id"], 1, line),
        fields={"reason": "too long once", "format": "F9"},
        origin={"sha256": "0" * 64, "file": "2098-12-31_22-00-00_raw.jsonl", "line": 1, "offset": 0, "tz": "UTC"},
    )
    odd = long | {"raw": "{", "blob": None, "id": None, "seq": 2, "origin": {**long["origin"], "tz": ""}}
    lost = envelope(2, session_id="lost", raw=..., blob="0" * 64, id="3" * 32)
    async with stack.bus() as nc:
        await put_blob(nc, long["id"], line)
        await publish(nc, "rugs.events.reject.import.line", body(long))
        await publish(nc, "rugs.events.reject.import.line", body(odd))
        seq = await publish(nc, "rugs.events.ws_event.public_ws.x", body(lost))
        await caught_up(nc, stack.root)
    (missing,) = [one["id"] for one in stack.json("rejects", "list") if one["stream_seq"] == seq]
    before = len(stack.json("rejects", "list", "--all"))
    told = stack.json("rejects", "retry", missing, long["id"])
    assert (told["tried"], told["published"], told["without_bytes"], told["still_rejected"]) == (2, 1, 1, 1)
    stack.json("rejects", "retry")
    assert len(stack.json("rejects", "list", "--all")) == before
    assert stack.select("SELECT length(raw) AS n FROM events WHERE game_id = 'long'") == [{"n": len(line)}]
    assert stack.json("verify")["ok"] is True
