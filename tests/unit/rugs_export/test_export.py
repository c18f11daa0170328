"""Export of a stored set: the same bytes each time, whole or not at all, and never over what is not its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import pytest

import rugs_lake
from rugs_export import rows, run
from rugs_export.files import ExportError
from rugs_lake.maintain.compaction import compact
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.paths import LakePaths
from rugs_legacy.exported import manifest
from rugs_legacy.line_formats import stored
from rugs_legacy.line_formats.request import Format, Request
from rugs_sim.old_files.generate import START
from tests.support.exportkit import Shelf, contents, lines_of, live, records_of, sent
from tests.support.lakekit import NOON_US
from tests.support.legacy_lines import GAME, cdp_frame, end, frame, start, tick
from tests.support.madeup import played

RAW = "2098-12-31_22-00-00_raw.jsonl"
OLD = "game_20981231_220000_89abcdef.jsonl"
STATE = {"gameId": "g-1", "active": True, "price": 1, "tickCount": 7, "rugged": False}
FRAME = '42["gameStateUpdate",{"gameId":"g-1","active":true,"price":1,"tickCount":7,"rugged":false}]'


def test_imported_files_are_written_as_they_stood(shelf: Shelf) -> None:
    old = [tick(1, price=1.0), start(), tick(2, price=1), b" " + tick(3) + b"\r", end()]
    captured = [frame(1, "connect"), frame(2, data=[{"__trace": True}, STATE]), frame(3, "e", data=1.0)]
    both_ways = [cdp_frame(1, data=STATE, direction="sent"), cdp_frame(2, "e")]
    files = [
        shelf.file(f"in/{name}", lines) for name, lines in ((OLD, old), (RAW, captured), ("x_cdp.jsonl", both_ways))
    ]
    for path in files:
        shelf.take_in(path)
    shelf.export(Format.GAME, "out", source="import", game=GAME)
    shelf.export(Format.RAW, "out")
    for path in files:
        assert (shelf.folder / "out" / path.name).read_bytes() == path.read_bytes()


def test_what_is_damaged_stays_in_the_lake_and_what_was_salvaged_is_a_line(shelf: Shelf) -> None:
    shelf.take_in(shelf.file(OLD, [start(), tick(2)[:-1] + b'{"' + tick(3), tick(4)]))
    shelf.export(Format.GAME, "out")
    assert lines_of(shelf.folder / "out" / OLD) == [start(), tick(3), tick(4)]


def test_with_its_damaged_lines_a_file_is_as_it_was_and_known(shelf: Shelf) -> None:
    torn, joint = tick(2)[:-1] + b'{"' + tick(3), tick(5) + tick(6)
    old = [b"}", start(), torn, tick(4), joint, b"\xff\xfe", b"## a note", tick(8), tick(9)[:30]]
    captured = [frame(1, "e"), b"<<<<<<< HEAD", frame(2, "e")[:-5] + frame(3, "e"), frame(4, "e")]
    files = [shelf.file(OLD, old), shelf.file(RAW, captured)]
    for path in files:
        shelf.take_in(path)
    shelf.put([live(1, FRAME), live(2, "x", doc_type="reject")])
    before = shelf.rows("SELECT count(*) FROM reject")
    for format_ in (Format.GAME, Format.RAW):
        shelf.export(format_, "out", damaged=True)
    for path in files:
        assert (shelf.folder / "out" / path.name).read_bytes() == path.read_bytes()
        assert shelf.take_in(shelf.folder / "out" / path.name).stored == 0
    shelf.export(Format.GAME, "one/all.jsonl", damaged=True, source="import")
    assert shelf.take_in(shelf.folder / "one" / "all.jsonl").stored == 0
    assert shelf.rows("SELECT count(*) FROM reject") == before
    with pytest.raises(ValueError, match="whole files"):
        shelf.export(Format.GAME, "out", damaged=True, game=GAME)


def test_a_line_too_long_to_be_held_is_in_pieces_which_are_no_lines(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rugs_legacy.lines.MAX_LINE", 1 << 20)
    monkeypatch.setattr("rugs_legacy.lines.PIECE", 1 << 19)
    monkeypatch.setattr("rugs_legacy.line_formats.lines.PIECE", 1 << 19)
    shelf.take_in(shelf.file(RAW, [frame(1, "e"), b"x" * 3_500_000, frame(2, "e")]))
    exported = shelf.export(Format.RAW, "out", damaged=True)
    assert lines_of(exported.folder / RAW) == [frame(1, "e"), frame(2, "e")]
    assert exported.content.left_out == {"piece of a line": shelf.rows("SELECT count(*) FROM reject")[0][0]}


def test_a_file_of_each_session_and_captured_game_has_a_name_of_its_own(shelf: Shelf) -> None:
    for number in (1, 2):
        shelf.take_in(shelf.file(f"{number}/{OLD}", [start(session_game_number=number), tick(number)]))
        shelf.take_in(shelf.file(f"{number}/odd name.jsonl", [frame(number, "e"), frame(9)]))
        shelf.put([live(1, FRAME, session_id=f"s-{number}", ts=NOON_US)])
    shelf.export(Format.GAME, "games")
    names = set(contents(shelf.folder / "games")) - {"game-jsonl.manifest.json"}
    stem = OLD.removesuffix(".jsonl")
    assert names == {OLD, f"{stem}-2.jsonl", "game_20260601_080000.jsonl", "game_20260601_080000-2.jsonl"}
    shelf.export(Format.RAW, "captures")
    names = set(contents(shelf.folder / "captures")) - {"raw-jsonl.manifest.json"}
    made = {"2026-06-01_08-00-00_raw.jsonl", "2026-06-01_08-00-00-2_raw.jsonl"}
    assert made < names
    assert len(names) == 4


def test_filters_leave_out_what_they_name(shelf: Shelf) -> None:
    shelf.take_in(shelf.file(OLD, [start(), *map(tick, range(10)), tick(11, game_id="other"), end()]))
    shelf.put([live(seq, FRAME, ts=NOON_US + seq) for seq in range(1, 5)])
    exported = shelf.export(Format.GAME, "one.jsonl", game="other")
    assert lines_of(shelf.folder / "one.jsonl") == [tick(11, game_id="other")]
    assert exported.content.filters["game"] == "other"
    shelf.export(Format.RAW, "live.jsonl", since=NOON_US + 2, until=NOON_US + 4, source="public_ws")
    told = [(record["seq"], record["ts"][-6:]) for record in records_of(shelf.folder / "live.jsonl")]
    assert told == [(1, "000002"), (2, "000003")]
    assert shelf.export(Format.RAW, "none", source="cdp").content.files == []


def test_claude_flow_gets_every_event_in_one_form_and_one_file_in_the_order_of_time(shelf: Shelf) -> None:
    shelf.put([live(1, FRAME, ts=NOON_US + 5), live(2, "2", ts=NOON_US + 6), live(3, '42["torn', ts=NOON_US + 7)])
    shelf.put([live(1, '42["ask"]', session_id="s-2", direction="sent", ts=NOON_US)])
    exported = shelf.export(Format.CLAUDE_FLOW, "out")
    records = records_of(shelf.folder / "out" / "events.jsonl")
    assert [(record["seq"], record["event"], record["data"]) for record in records] == [
        (1, "ask", None),
        (2, "gameStateUpdate", STATE),
        (3, "ping", None),
    ]
    assert list(records[0]) == ["seq", "ts", "event", "data"]
    assert exported.content.left_out == {"tells of no event": 1}


@pytest.mark.parametrize("format_", [*Format])
def test_the_same_set_gives_the_same_bytes_whatever_the_order_of_its_commits(tmp_path: Path, format_: Format) -> None:
    told = sent(played(5, START, 120))
    folders = []
    for name, pieces in (("one", [told]), ("other", [told[90:], told[:30], told[30:90]])):
        shelf = Shelf(tmp_path / name)
        for piece in pieces:
            shelf.put(piece)
        shelf.take_in(shelf.file(OLD, [start(), tick(1), end()]))
        folders.append(shelf.export(format_, "out").folder)
        if name == "other":
            with Catalog(LakePaths(shelf.root)) as catalog:
                compact(catalog)
            folders.append(shelf.export(format_, "again").folder)
        shelf.close()
    first, second, third = (
        {name: content for name, content in contents(folder).items() if not name.endswith(manifest.SUFFIX)}
        for folder in folders
    )
    assert first
    assert first == second == third


def test_rows_have_columns_that_stay(shelf: Shelf) -> None:
    shelf.put([live(seq, FRAME, ts=NOON_US - seq) for seq in (1, 2, 3)])
    shelf.export(Format.PARQUET, "out")
    shelf.export(Format.ARROW, "out")
    table = pyarrow.parquet.read_table(shelf.folder / "out" / "events.parquet")
    assert table.column("seq").to_pylist() == [3, 2, 1]
    assert pa.types.is_string(table.schema.field("id").type)
    assert table.schema.names == rows.SCHEMA.names
    assert [str(field.type) for field in table.schema] == [str(field.type) for field in rows.SCHEMA]
    assert not {"subject", "incarnation", "stream_seq"} & set(table.schema.names)
    with pyarrow.ipc.open_file(shelf.folder / "out" / "events.arrow") as arrow:
        assert arrow.read_all().to_pylist() == table.to_pylist()


def test_groups_of_rows_end_where_they_do_however_the_rows_come(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "GROUP_ROWS", 7)
    monkeypatch.setattr(rows, "GROUP_BYTES", 20 * len(FRAME))
    shelf.put([live(seq, FRAME, ts=NOON_US + seq) for seq in range(1, 21)])
    digests = set()
    for piece in (1_000, 3, 1):
        monkeypatch.setattr(stored, "PIECE_ROWS", piece)
        monkeypatch.setattr(stored, "PIECE_BYTES", piece * 100)
        digests.add(shelf.export(Format.PARQUET, f"out-{piece}").content.files[0].sha256)
    assert len(digests) == 1
    file = pyarrow.parquet.ParquetFile(shelf.folder / "out-1" / "events.parquet")
    assert [file.metadata.row_group(place).num_rows for place in range(3)] == [7, 7, 6]


def test_what_is_in_memory_at_once_is_bounded_whatever_is_exported(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "PIECE_BYTES", 3 * len(FRAME))
    large = FRAME.replace("g-1", "g-1" + "x" * 1000)
    shelf.put([live(seq, large if seq == 5 else FRAME, ts=NOON_US - seq) for seq in range(1, 11)])
    with rugs_lake.open(shelf.root) as lake:
        pieces = [*stored.tables(lake, Request(Format.RAW), stored.FRAMES, "source, session_id, seq", "seq")]
    assert [piece["seq"].to_pylist() for piece in pieces] == [[1, 2, 3], [4], [5], [6, 7, 8], [9, 10]]


def test_what_an_export_has_not_written_is_not_overwritten(shelf: Shelf) -> None:
    shelf.take_in(shelf.file(OLD, [start(), tick(1)]))
    shelf.export(Format.GAME, "out")
    mine = shelf.folder / "out" / OLD
    shelf.export(Format.GAME, "out")  # its own
    mine.write_bytes(b"mine\n")
    with pytest.raises(ExportError, match="is not what an export wrote: --force"):
        shelf.export(Format.GAME, "out")
    assert mine.read_bytes() == b"mine\n"
    shelf.export(Format.GAME, "out", force=True)
    assert lines_of(mine) == [start(), tick(1)]
    (shelf.folder / "notes.jsonl").write_bytes(b"mine\n")
    with pytest.raises(ExportError, match=r"notes\.jsonl"):
        shelf.export(Format.GAME, "notes.jsonl")
    (shelf.folder / "other" / OLD).mkdir(parents=True)
    with pytest.raises(ExportError, match="is a folder"):
        shelf.export(Format.GAME, "other", force=True)
    (shelf.folder / "third").mkdir()
    (shelf.folder / "third" / "game-jsonl.manifest.json").write_text("mine")
    with pytest.raises(ExportError, match="is no manifest"):
        shelf.export(Format.GAME, "third")


def test_what_is_not_exported_any_more_goes_and_other_exports_and_files_stay(shelf: Shelf) -> None:
    shelf.put([live(2, FRAME, ts=NOON_US)])
    shelf.export(Format.GAME, "out")
    shelf.export(Format.RAW, "out")
    (shelf.folder / "out" / "notes.txt").write_text("mine")
    earlier = live(1, FRAME, ts=NOON_US - 1_000_000)
    shelf.put([earlier])  # the game began earlier than was known, so its file has another name
    shelf.export(Format.GAME, "out")
    names = set(contents(shelf.folder / "out"))
    assert "game_20260601_080000.jsonl" not in names
    assert {"game_20260601_075959.jsonl", "2026-06-01_08-00-00_raw.jsonl", "notes.txt"} < names


def test_nothing_is_written_in_the_data_folder_but_below_exports(shelf: Shelf) -> None:
    shelf.put([live(1, FRAME)])
    for out in ("data", "data/events_parquet", "data/manifests/x.jsonl", "data/exports/../state"):
        with pytest.raises(ExportError, match="nothing is written there but below"):
            shelf.export(Format.RAW, out)
    assert shelf.export(Format.RAW).folder == shelf.root / "exports" / "raw-jsonl"
    assert shelf.export(Format.RAW, game="g-1").folder.name.startswith("raw-jsonl-")
    shelf.export(Format.RAW, "data/exports/mine")


def test_an_export_that_fails_leaves_nothing(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    told = sent(played(5, START, 700))
    shelf.put(told)

    class StopError(Exception):
        pass

    def stop(_done: int, _total: int) -> None:
        raise StopError

    monkeypatch.setattr(run._Watch, "take", stop)
    with pytest.raises(StopError):
        shelf.export(Format.RAW, "out")
    assert contents(shelf.folder / "out") == {}


@pytest.mark.slow
@pytest.mark.crash
@pytest.mark.parametrize("step", range(9))
def test_whatever_an_export_has_left_when_it_is_killed_is_known_and_exported_over(shelf: Shelf, step: int) -> None:
    """Every file that is there is whole and named by the manifest, so it is recognised when it is imported."""
    shelf.put([live(seq, FRAME.replace("g-1", f"g-{seq}"), ts=NOON_US + seq) for seq in (1, 2)])
    before = shelf.export(Format.GAME, "out")
    shelf.put([live(seq, FRAME.replace("g-1", f"g-{seq}"), ts=NOON_US + seq) for seq in (3,)])
    shelf.put([live(9, FRAME, ts=NOON_US + 9)])
    killer = (
        "import os, sys, pathlib, rugs_lake\n"
        "from rugs_export import run\n"
        "from rugs_legacy.line_formats.request import Format, Request\n"
        "from rugs_lake.store.paths import Path\n"
        "real, left = pathlib.Path.replace, [int(sys.argv[3])]\n"
        "def replace(self, target):\n"
        "    if left[0] == 0: os.kill(os.getpid(), 9)\n"
        "    left[0] -= 1\n"
        "    return real(self, target)\n"
        "pathlib.Path.replace = replace\n"
        "root, out = map(pathlib.Path, sys.argv[1:3])\n"
        "request = Request(Format.GAME)\n"
        "with rugs_lake.open(root) as lake:\n"
        "    run.export(lake, request, run.target(root, request, out, force=False), lambda a, b: None)\n"
    )
    out = shelf.folder / "out"
    done = subprocess.run([sys.executable, "-c", killer, shelf.root, out, str(step)], check=False, timeout=60)
    assert done.returncode in (-9, 0)
    known = {entry.sha256 for one in manifest.beside(out) for entry in one.files}
    assert {entry.sha256 for entry in before.content.files} <= known or done.returncode == 0
    for path in out.glob("*.jsonl"):
        assert shelf.take_in(path).stored == 0, path.name
    now = shelf.export(Format.GAME, "out")
    assert set(contents(out)) == {*(entry.name for entry in now.content.files), now.manifest.name}


def test_the_manifest_says_which_event_each_line_is_and_of_which_data_set(shelf: Shelf) -> None:
    shelf.put([live(seq, FRAME, ts=NOON_US + seq) for seq in (1, 2, 4)])
    exported = shelf.export(Format.RAW, "out")
    told = json.loads(exported.manifest.read_bytes())
    assert (told["rugs_export"], told["format"], told["timezone"]) == (1, "raw-jsonl", "America/New_York")
    assert told["dataset"] == {"snapshot": 2, "cursors": [["RUGS_EVENTS", "a" * 32, 1]]}
    assert told["sessions"] == [["public_ws", "session-1"]]
    (file,) = told["files"]
    assert file["runs"] == [0, 1, 2, 1, 0, 4, 1, 1]
    assert (file["lines"], file["bytes"]) == (3, (exported.folder / file["name"]).stat().st_size)


def test_names_of_exports_say_what_was_asked_for() -> None:
    asked = [Request(Format.RAW), Request(Format.RAW, game="g"), Request(Format.RAW, timezone="UTC")]
    assert len({request.name for request in asked}) == 3
    assert Request(Format.RAW, game="g").name == Request(Format.RAW, game="g").name
