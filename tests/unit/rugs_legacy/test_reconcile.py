"""Reconcile: what agrees, what does not, and where; with what was imported and with what was captured live."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_core.time import now_us
from rugs_lake.read.rejects import list_rejects
from rugs_legacy.clock import zone
from rugs_legacy.line_formats.request import Format
from rugs_legacy.reconcile.compare import Group, Pair, Row, Tally, pairs, pairs_by_content
from rugs_sim.old_files.generate import START
from tests.support.exportkit import NEW_YORK, Shelf, lines_of, live, sent
from tests.support.lakekit import NOON_US
from tests.support.legacy_lines import GAME, end, frame, start, tick
from tests.support.madeup import played

RAW = "2098-12-31_22-00-00_raw.jsonl"
OLD = "game_20981231_220000_89abcdef.jsonl"
LINES = [start(), *map(tick, range(40)), tick(41)[:-1] + b'{"' + tick(42), b"}", end()]
UTC = zone("UTC")


def row(place: int, identity: str = "a", raw: str | None = "r", **fields: Any) -> Row:
    group = Group("s", None, None, fields.pop("event", "e"))
    return Row((place,), identity, group, fields or None, raw, str(place))


def test_rows_are_paired_by_place_and_what_differs_is_named() -> None:
    ours = [row(1), row(2, "a"), row(3, x=1), row(5, raw="r1")]
    theirs = [row(1), row(2, "b"), row(3, x=2), row(4), row(5, raw="r2")]
    found = [(pair.file is not None, pair.dataset is not None, pair.differing) for pair in pairs(ours, theirs)]
    both, there = (True, True), (False, True)
    assert found == [(*both, ()), (*both, ("bytes",)), (*both, ("x",)), (*there, ()), (*both, ("raw",))]


def test_several_rows_at_one_place_are_paired_by_what_they_are() -> None:
    found = [*pairs([row(1, "a"), row(1, "b"), row(1, "b")], [row(1, "b"), row(1, "c")])]
    assert [(pair.file and pair.file.identity, pair.dataset and pair.dataset.identity) for pair in found] == [
        ("b", "b"),
        ("a", "c"),
        ("b", None),
    ]


rows = st.lists(st.tuples(st.integers(0, 6), st.sampled_from("abc")), max_size=12).map(
    lambda given: [row(place, identity, raw=identity) for place, identity in sorted(given)]
)


@given(rows, rows)
def test_every_row_is_in_one_pair_and_equal_sides_are_equal(ours: list[Row], theirs: list[Row]) -> None:
    for pairing in (pairs, pairs_by_content):
        found = [*pairing(ours, theirs)]
        assert Counter(pair.file for pair in found if pair.file) == Counter(ours)
        assert Counter(pair.dataset for pair in found if pair.dataset) == Counter(theirs)
        assert all(pair.is_equal for pair in pairing(ours, ours))
        is_equal = Counter(map(_what, ours)) == Counter(map(_what, theirs))
        assert all(pair.is_equal for pair in found) == is_equal
        tally = Tally()
        tally.take(iter(found))
        assert tally.is_equal == is_equal
        assert (tally.files, tally.dataset) == (len(ours), len(theirs))
        assert len(ours) - tally.missing == len(theirs) - tally.extra


def _what(of: Row) -> tuple[Any, ...]:
    return of.key, of.identity


def test_a_session_that_differs_is_left_to_a_closer_look() -> None:
    again: list[str] = []
    tally = Tally()
    tally.take([Pair(row(1), None, ())], again)
    assert (again, tally.files, tally.is_equal) == (["s"], 0, True)


def test_what_was_imported_is_equal_also_its_damage_and_copies(shelf: Shelf) -> None:
    paths = [shelf.file(OLD, LINES), shelf.file(RAW, [frame(seq, data=[1]) for seq in range(1, 20)])]
    for path in paths:
        shelf.take_in(path)
    copy, cut = shelf.file(f"copy/{OLD}", LINES), shelf.file(f"cut/{OLD}", LINES[:10])
    for full in (True, False):
        report = shelf.reconcile(*paths, copy, cut, full=full)
        assert report.is_equal, report.as_dict()
        assert (report.files, report.copies, report.tally.sessions) == (4, 1, 2)
        assert report.tally.games == {GAME}
        assert (report.tally.compared == report.tally.files) == full
    assert 0 < report.tally.compared < report.tally.files


def test_exported_files_agree_with_the_lake_that_took_them_in(tmp_path: Path) -> None:
    """Their lines stand where the old files had them: not where these have them, and in other sessions."""
    here, there = Shelf(tmp_path / "here"), Shelf(tmp_path / "there")
    here.take_in(here.file(OLD, LINES))
    here.take_in(here.file(RAW, [frame(seq, data=[seq]) for seq in range(1, 30)]))
    day = here.rows("SELECT min(epoch_us(ts)) FROM events")[0][0]
    for format_ in (Format.GAME, Format.RAW):
        folder = here.export(format_, "part", since=day + 4_000_000, until=day + 21_000_000).folder
    assert there.take_in_all(folder).stored > 20
    report = there.reconcile(folder)
    assert report.is_equal, report.as_dict()
    assert report.tally.files == report.tally.dataset > 20
    whole = here.reconcile(folder).tally  # the lake that they are of has more of these sessions
    assert (whole.missing, whole.different, whole.moved) == (0, 0, 0)
    assert whole.extra > 20
    here.close()
    there.close()


def test_a_grown_file_is_missing_what_it_has_grown_by_until_it_is_imported(shelf: Shelf) -> None:
    shelf.take_in(shelf.file(OLD, LINES[:20]))
    grown = shelf.file(OLD, LINES)
    report = shelf.reconcile(grown)
    assert not report.is_equal
    missing = len(LINES) - 20 + 1  # one was salvaged
    assert (report.tally.missing, report.tally.extra, report.tally.different) == (missing, 0, 0)
    shelf.take_in(grown)
    assert shelf.reconcile(grown).is_equal


@pytest.mark.parametrize("full", [True, False])
def test_a_line_that_was_cut_off_and_has_come_whole_is_no_difference(shelf: Shelf, full: bool) -> None:
    """A file was imported three times while it was being written, and each time in the midst of a line."""
    path = shelf.file(OLD, LINES[:10])
    whole = path.read_bytes()
    end = len(whole) - 1
    for size in (end - 30, end - 3):  # of one line
        path.write_bytes(whole[:size])
        shelf.take_in(path)
    report = shelf.reconcile(path, full=full)
    assert (report.is_equal, report.tally.completed) == (True, 1), report.as_dict()
    path.write_bytes(whole)
    shelf.take_in(path)
    report = shelf.reconcile(path, full=full)
    assert (report.is_equal, report.tally.completed) == (True, 2), report.as_dict()
    assert report.tally.files == report.tally.dataset == 10
    assert report.as_dict()["missing_events"] == []
    assert list_rejects(shelf.root) == []
    assert [each.completed for each in list_rejects(shelf.root, include_done=True)] == [True, True]
    shelf.export(Format.GAME, "as_they_were", damaged=True)
    assert (shelf.folder / "as_they_were" / OLD).read_bytes() == whole


def test_a_damaged_line_that_no_other_begins_with_is_still_a_difference(shelf: Shelf) -> None:
    path = shelf.file(OLD, [*LINES[:5], b"{broken"])
    shelf.take_in(path)
    report = shelf.reconcile(shelf.file(OLD, [*LINES[:5], tick(99)]))
    assert (report.tally.missing, report.tally.extra) == (1, 1)
    shelf.take_in(path)
    report = shelf.reconcile(path)
    assert (report.tally.extra, report.tally.completed) == (1, 0), "its bytes are nowhere in the file"


@pytest.mark.parametrize("full", [True, False])
def test_a_changed_line_is_named_and_those_behind_it_have_only_moved(shelf: Shelf, full: bool) -> None:
    shelf.take_in(shelf.file(OLD, LINES))
    broken = [*LINES]
    broken[7] = tick(6, price=1.5000001)
    report = shelf.reconcile(shelf.file(OLD, broken), full=full)
    tally = report.tally
    assert (tally.different, tally.missing, tally.extra) == (1, 0, 0)
    assert tally.moved == len(LINES) - 8 + 1
    examples = [example for count in tally.differences.values() for example in count.examples]
    assert f"{OLD}:8: differs in bytes, price" in examples


def test_a_file_without_a_single_record_is_never_equal(shelf: Shelf) -> None:
    """Its lines are in the lake, as rejects: that says nothing of what they were."""
    junk = shelf.file(OLD, [b"# \xfe\xff", b"no record either"])
    shelf.take_in(junk)
    encoded = shelf.folder / RAW
    encoded.write_bytes(frame(1).decode().encode("utf-32"))
    report = shelf.reconcile(junk, encoded)
    assert not report.is_equal
    assert [error.partition(": ")[2] for error in sorted(report.errors, key=len)] == [
        "text in UTF-32: convert it to UTF-8, and import that",
        "none of its 2 lines is a record: they are kept as rejects (see `rugs rejects list`)",
    ]


def test_what_was_written_within_the_last_seconds_may_be_on_its_way(shelf: Shelf) -> None:
    """The old recorder wrote it, its publisher has not: that is left out, and what is older is missing."""

    def at(seconds: float) -> str:
        return (datetime.now(zone(NEW_YORK)) - timedelta(seconds=seconds)).replace(tzinfo=None).isoformat()

    old = [frame(seq, data=seq, ts=at(seconds)) for seq, seconds in ((1, 60), (2, 40))]
    shelf.put([live(seq, f'42["gameStateUpdate",{seq}]', ts=now_us() - 60_000_000) for seq in (1,)])
    for before in ([], old):  # a file that nothing fits yet, and one that goes on
        path = shelf.file(RAW, [*before, *(frame(seq, data=seq, ts=at(0)) for seq in range(3, 8))])
        tally = shelf.reconcile(path).tally
        assert (tally.recent, tally.missing) == (5, len(before) - bool(before)), tally
        assert tally.is_equal == (not before)


def test_a_line_that_is_gone_is_only_in_the_data_set(shelf: Shelf) -> None:
    shelf.take_in(shelf.file(OLD, LINES))
    report = shelf.reconcile(shelf.file(OLD, [*LINES[:-1]]))
    assert (report.tally.extra, report.tally.missing, report.tally.moved) == (1, 0, 0)
    (group,) = report.tally.differences
    assert (group.event, group.game, group.day) == ("game_end", GAME, "2099-01-01")


def test_a_file_that_was_never_imported_is_missing_as_a_whole_with_its_events(shelf: Shelf) -> None:
    shelf.put([live(1, "2")])
    document = shelf.folder / "20260101T000000_abcd.game.json"
    meta = {"game_id": GAME, "start_time": "2026-11-20T20:50:21.593236", "end_time": "2026-11-20T20:51:21.593236"}
    document.write_text(
        json.dumps({"meta": {**meta, "duration_ticks": 1, "peak_multiplier": "1.2"}, "prices": ["1.0"]})
    )
    report = shelf.reconcile(shelf.file(OLD, LINES), document)
    assert report.tally.missing == report.tally.files == len(LINES) + 1 + 1
    assert {event for _, event in report.tally.missing_events} >= {"game_start", "tick", "game_end", "reject"}
    assert report.as_dict()["missing_events"]


def test_a_file_that_cannot_be_read_is_no_agreement(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    path = shelf.file(OLD, LINES)
    shelf.take_in(path)

    def fail(*_: object) -> None:
        raise OSError("Input/output error")

    monkeypatch.setattr("rugs_legacy.reconcile.files.read", fail)
    report = shelf.reconcile(path)
    assert not report.is_equal
    assert report.errors == [f"{path}: Input/output error"]


def test_what_is_no_recording_is_named(shelf: Shelf) -> None:
    shelf.take_in(shelf.file(OLD, LINES))
    notes = shelf.folder / "notes.txt"
    notes.write_text("hello")
    report = shelf.reconcile(shelf.folder / OLD, notes)
    assert report.is_equal
    assert [Path(skipped["file"]).name for skipped in report.skipped] == ["notes.txt"]


@pytest.fixture
def written(shelf: Shelf) -> list[Path]:
    """Files as a legacy writer makes them of what was captured live, beside which something else was captured."""
    feed = sent(played(12, START, 700), session_id="one")
    shelf.put(feed)
    shelf.put([{**each, "session_id": "two", "seq": each["seq"]} for each in feed[::3]])
    folder = shelf.folder / "written"
    out = []
    for format_ in (Format.GAME, Format.RAW):
        exported = shelf.export(format_, "written")
        sessions = [session for _, session in exported.content.sessions]
        exported.manifest.unlink()
        for entry in exported.content.files:
            assert entry.runs is not None
            if sessions[entry.runs[0]] == "one":
                out.append(folder / entry.name)
    return out


@pytest.mark.slow
def test_files_written_from_live_events_agree_with_them(shelf: Shelf, written: list[Path]) -> None:
    report = shelf.reconcile(*written)
    assert report.is_equal, report.as_dict()["differences"]
    assert report.live_files == len(written) > 2
    assert report.tally.files > 1000


@pytest.mark.slow
def test_files_written_from_live_events_disagree_where_they_were_changed(shelf: Shelf, written: list[Path]) -> None:
    game = next(path for path in written if path.name.startswith("game_") and len(lines_of(path)) > 150)
    capture = next(path for path in written if path.name.endswith("_raw.jsonl"))
    lines = lines_of(game)
    changed = json.loads(lines[30])
    changed["price"] = 99.5
    shelf.file("changed/game.jsonl", [*lines[:30], json.dumps(changed).encode(), *lines[31:60], *lines[61:]])
    lines = lines_of(capture)
    shelf.file("changed/capture.jsonl", [*lines[:30], *lines[31:]])
    report = shelf.reconcile(shelf.folder / "changed" / "game.jsonl")
    assert (report.tally.different, report.tally.missing, report.tally.extra) == (1, 0, 1)
    (count,) = [count for count in report.tally.differences.values() if count.different]
    assert "game.jsonl:31: differs in bytes, price" in count.examples
    report = shelf.reconcile(shelf.folder / "changed" / "capture.jsonl")
    assert (report.tally.different, report.tally.missing, report.tally.extra) == (0, 0, 1)


def test_an_export_of_all_that_was_captured_agrees_with_what_it_was_made_of(shelf: Shelf) -> None:
    """Claude-flow has what no recorder heard of, too, and all sessions in one file."""
    told = ['0{"sid":"a"}', "40", '42["gameStateUpdate",{"gameId":"g-1","price":1.5}]', '42["chat",{"text":"hello"}]']
    for session in ("one", "two"):
        shelf.put([live(seq, raw, session_id=session, ts=NOON_US + seq) for seq, raw in enumerate(told, 1)])
    shelf.put([live(5, "40", session_id="one", ts=NOON_US + 5, direction="sent")])
    exported = shelf.export(Format.CLAUDE_FLOW, "flow")
    report = shelf.reconcile(exported.folder)
    assert report.is_equal, report.as_dict()["differences"]
    assert report.tally.files == report.tally.compared == 9
    (path,) = exported.folder.glob("*.jsonl")
    assert shelf.take_in(path).stored == 0
    other = Shelf(shelf.folder / "other")
    other.put([live(1, told[0], session_id="one", ts=NOON_US + 1)])
    assert other.reconcile(path).tally.missing == 8
    other.close()
    path.write_bytes(path.read_bytes().replace(b"hello", b"hellO"))
    assert not shelf.reconcile(path).is_equal, "it is not what the manifest tells of"


@pytest.mark.slow
def test_files_that_are_parts_of_one_game_are_compared_with_it_together(shelf: Shelf, written: list[Path]) -> None:
    """A game is split where a frame of it comes late: the old recorder has begun another file then."""
    game = next(path for path in written if path.name.startswith("game_") and len(lines_of(path)) > 150)
    lines = lines_of(game)
    begin, end = lines[0], lines[-1]
    shelf.file("parts/game_20991231_000000_aaaaaaaa.jsonl", [*lines[:100], end])
    shelf.file("parts/game_20991231_000000_aaaaaaaa-2.jsonl", [begin, *lines[100:]])
    report = shelf.reconcile(shelf.folder / "parts")
    assert report.is_equal, report.as_dict()["differences"]
    assert (report.live_files, report.tally.files) == (2, len(lines) - 2)
    report = shelf.reconcile(shelf.folder / "parts", game)
    assert report.is_equal, "one that is the whole game is no part of it"
    shelf.file("parts/game_20991231_000000_aaaaaaaa-2.jsonl", [begin, *lines[103:]])
    report = shelf.reconcile(shelf.folder / "parts")
    assert (report.tally.missing, report.tally.extra, report.tally.sessions) == (0, 3, 1)


def test_days_and_events_are_counted_on_both_sides(shelf: Shelf) -> None:
    later = [frame(seq, "e", ts=f"2099-01-0{seq}T12:00:00.000001") for seq in (1, 2)]
    path = shelf.file(RAW, later)
    shelf.take_in(path)
    shelf.put([live(1, "2", ts=NOON_US)])
    told = shelf.reconcile(path).as_dict()
    assert told["days"] == {
        "2099-01-01": {"files": 1, "dataset": 1},
        "2099-01-02": {"files": 1, "dataset": 1},
    }
    assert told["rows"] == {"files": 2, "dataset": 2}
    assert told["equal"] is True


def test_nothing_at_all_is_not_equal_to_anything(shelf: Shelf) -> None:
    """A mistyped folder passes no gate."""
    shelf.file("empty/README.md", [b"# none"])
    report = shelf.reconcile(shelf.folder / "empty")
    assert not report.is_equal
    assert report.errors == ["nothing was compared: none of 1 files is a recording"]
