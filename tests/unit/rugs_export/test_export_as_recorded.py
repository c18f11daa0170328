"""What export writes is what the recorders wrote: old files as they stood, and captures as dual-write has them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from rugs_legacy.line_formats.request import Format
from rugs_legacy.recording import Counts, look_at, read
from rugs_sim.old_files.generate import START, files_of_every_format
from tests.support.derivekit import frames
from tests.support.dualkit import expected
from tests.support.exportkit import NEW_YORK, Shelf, contents, live, records_of
from tests.support.lakekit import NOON_US
from tests.support.legacy_lines import line, tick

FRAME = '42["gameStateUpdate",{"gameId":"g-1","active":true,"price":1,"tickCount":7,"rugged":false}]'


@pytest.mark.slow
def test_lines_of_every_old_file_of_games_are_written_as_they_stood_and_known_in_another_lake(tmp_path: Path) -> None:
    here, there = Shelf(tmp_path / "here"), Shelf(tmp_path / "there")
    files = {Path(name).name: content for name, content in files_of_every_format(12).items() if is_of_games(name)}
    assert len(files) == 5
    for name, content in files.items():
        (here.folder / name).write_bytes(content)
        here.take_in(here.folder / name)
    exported = here.export(Format.GAME, "out")
    assert {file.name for file in exported.content.files} == set(files)
    for name, content in files.items():
        assert (exported.folder / name).read_bytes() == content, name
    assert exported.content.left_out == {}
    assert here.take_in_all(exported.folder).stored == 0
    assert there.take_in_all(exported.folder).stored == exported.lines
    for name in files:  # the old files themselves, when they come
        assert there.take_in(here.folder / name).stored == 0, name
    here.close()
    there.close()


def is_of_games(name: str) -> bool:
    """Whether lines of games, or of what was pressed in one, are in a file."""
    return Path(name).name.startswith(("game_", "session_20251201")) or name.endswith("_player.jsonl")


def test_a_packed_session_that_begins_with_a_tick_is_written_under_a_name_that_its_reader_knows(shelf: Shelf) -> None:
    for number in (1, 2):
        lines = [tick(number), line({"type": "session_end", "timestamp": "2098-12-31T22:09:00", "total_games": number})]
        path = shelf.folder / str(number) / "session_20981231_220000.jsonl.gz"
        path.parent.mkdir()
        path.write_bytes(gzip.compress(b"\n".join(lines) + b"\n"))
        shelf.take_in(path)
    exported = shelf.export(Format.GAME, "out")
    names = ["session_20981231_220000.jsonl", "session_20981231_220000-2.jsonl"]
    assert sorted(file.name for file in exported.content.files) == sorted(names)
    assert {look_at(exported.folder / name, NEW_YORK).format.id for name in names} == {"F2"}


@pytest.mark.slow
def test_a_capture_and_its_games_are_the_same_by_export_and_by_dual_write(shelf: Shelf) -> None:
    """Also where what the old recorder did not hear of stands first and between, and where games go on."""
    told = []
    for session, seed, count in (("a", 12, 1_500), ("b", 13, 300)):
        heard = frames(count, seed=seed, start=START + seed * 1_000_000, session_id=session)
        pings = [{**heard[place], "event": "ping", "raw": "2", "game_id": None} for place in (0, 0, 40, -1)]
        session_told = [*pings[:2], *heard[:40], pings[2], *heard[40:], pings[3]]
        told += [{**each, "seq": seq} for seq, each in enumerate(session_told, 3)]
    shelf.put(told)
    for format_ in (Format.RAW, Format.GAME):
        shelf.export(format_, "out")
    found = {name: content for name, content in contents(shelf.folder / "out").items() if name.endswith(".jsonl")}
    assert found == expected(told, shelf.folder / "legacy")
    assert sum(name.startswith("game_") for name in found) > 3
    again = shelf.take_in_all(shelf.folder / "out")
    assert (again.stored, again.known) == (0, sum(content.count(b"\n") for content in found.values()))


def test_a_game_that_is_asked_for_alone_ends_where_the_next_one_began(shelf: Shelf) -> None:
    games = ["g-1", "g-2", "g-1", "g-3"]
    shelf.put([live(seq, FRAME.replace("g-1", game), ts=NOON_US + seq) for seq, game in enumerate(games, 1)])
    shelf.export(Format.GAME, "first", game="g-1")
    for path in (shelf.folder / "first").glob("*.jsonl"):
        assert [record["type"] for record in records_of(path)] == ["game_start", "tick", "game_end"]
    assert len(contents(shelf.folder / "first")) == 3, "a game that comes again is another file, as in dual-write"
    shelf.export(Format.GAME, "last.jsonl", game="g-3")
    assert [record["type"] for record in records_of(shelf.folder / "last.jsonl")] == ["game_start", "tick"]


def test_events_salvaged_out_of_a_damaged_array_are_numbered_from_one(shelf: Shelf) -> None:
    events = [
        {"seq": 7, "ts": "2026-06-01T08:00:00.500000", "event": "e", "data": {"n": number}} for number in range(3)
    ]
    path = shelf.folder / "2026-06-01_08-00-00_e_samples.json"
    path.write_text(json.dumps(events, indent=2)[:-2])
    assert shelf.take_in(path).counts.salvaged == 3
    exported = shelf.export(Format.RAW, "out")
    (file,) = exported.content.files
    assert [(each["seq"], each["data"]["n"]) for each in records_of(exported.folder / file.name)] == [
        (1, 0),
        (2, 1),
        (3, 2),
    ]
    assert shelf.take_in_all(exported.folder).stored == 0


@pytest.mark.slow
def test_documents_are_no_lines_and_are_counted_as_left_out(shelf: Shelf) -> None:
    for name, content in files_of_every_format(12).items():
        if name.endswith((".game.json", "_samples.json")):
            path = shelf.folder / Path(name).name
            path.write_bytes(content)
            shelf.put(read(look_at(path, NEW_YORK), Counts()))
    assert shelf.export(Format.GAME, "out").content.left_out == {"game_document": 2}
    assert shelf.export(Format.RAW, "out").content.left_out == {"event_array": 1}
