"""Import, export, import again: nothing is new, and nothing is lost, whatever the manifest says."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rugs_legacy.line_formats.request import Format
from rugs_legacy.recognise import UnknownFormatError
from rugs_sim.old_files.generate import START
from tests.support.examples import examples
from tests.support.exportkit import Envelope, Shelf, lines_of, live, sent
from tests.support.lakekit import NOON_US
from tests.support.legacy_lines import GAME, cdp_frame, end, frame, start, tick
from tests.support.madeup import played

LINES = [Format.GAME, Format.RAW, Format.CLAUDE_FLOW]
RAW = "2098-12-31_22-00-00_raw.jsonl"
OLD = "game_20981231_220000_89abcdef.jsonl"
STATE = {"gameId": GAME, "active": True, "price": 1, "tickCount": 7, "rugged": False}
CAPTURE = [frame(1, "connect"), *(frame(seq, data={**STATE, "tickCount": seq}) for seq in range(2, 30))]
EVERYTHING = "SELECT id FROM events UNION ALL SELECT id FROM reject ORDER BY id"


@pytest.fixture
def full(shelf: Shelf) -> Shelf:
    """A lake with everything: old files of three formats, damage, and two live sessions."""
    shelf.take_in(
        shelf.file(f"in/{OLD}", [start(), *map(tick, range(9)), tick(9)[:-1] + b'{"' + tick(10), b"}", end()])
    )
    shelf.take_in(shelf.file(f"in/{RAW}", CAPTURE))
    shelf.take_in(shelf.file("in/x_cdp.jsonl", [cdp_frame(1, data=STATE), cdp_frame(2, "e", direction="sent")]))
    shelf.put(sent(played(5, START, 120)))
    odd = [
        "2",
        '42["e"]',
        '42["e",[1],2.0]',
        '42["torn',
        '40{"sid":"x"}',
        '43424[{"success":true}]',
        "x",
        '451-["b",{}]',
    ]
    shelf.put([live(seq, raw, session_id="odd", ts=NOON_US) for seq, raw in enumerate(odd, 1)])
    shelf.put([live(9, b"\xff\x00", session_id="odd", ts=NOON_US)])
    return shelf


@pytest.mark.parametrize("format_", LINES)
def test_what_was_exported_and_is_imported_again_is_all_known(full: Shelf, format_: Format) -> None:
    before = full.rows(EVERYTHING)
    exported = full.export(format_, "out")
    assert exported.lines > 20
    again = full.take_in_all(exported.folder)
    assert (again.stored, again.duplicates) == (0, exported.lines)
    assert full.rows(EVERYTHING) == before


@pytest.mark.parametrize("format_", LINES)
def test_a_part_of_a_capture_and_all_in_one_file_are_known_too(full: Shelf, format_: Format) -> None:
    before = full.rows(EVERYTHING)
    part = full.export(format_, "part", since=START + 5_000_000, until=START + 15_000_000)
    assert 10 < part.lines < 100
    one = full.export(format_, "one/all.jsonl")
    for exported in (part, one):
        again = full.take_in_all(exported.folder)
        assert (again.stored, again.duplicates) == (0, exported.lines)
    assert full.rows(EVERYTHING) == before


def test_a_part_that_another_lake_has_taken_in_does_not_keep_out_or_double_the_whole(tmp_path: Path) -> None:
    here, there = Shelf(tmp_path / "here"), Shelf(tmp_path / "there")
    damaged = [start(), *map(tick, range(5)), tick(6)[:-1] + b'{"' + tick(7), *map(tick, range(8, 12)), end()]
    files = [here.file(OLD, damaged), here.file(RAW, CAPTURE)]
    for path in files:
        here.take_in(path)
    day = here.rows("SELECT min(epoch_us(ts)) FROM events")[0][0]
    for format_ in (Format.GAME, Format.RAW):
        folder = here.export(format_, "part", since=day + 4_000_000, until=day + 11_000_000).folder
    taken = there.take_in_all(folder)
    assert taken.stored > 10
    assert set(there.rows(EVERYTHING)) < set(here.rows(EVERYTHING))
    for path in files:
        there.take_in(path)
    mine = here.rows("SELECT id, session_id, seq, raw FROM events ORDER BY id")
    assert there.rows("SELECT id, session_id, seq, raw FROM events WHERE source = 'import' ORDER BY id") == mine
    here.close()
    there.close()


def test_without_its_manifest_a_file_is_imported_as_any_file_is(full: Shelf) -> None:
    exported = full.export(Format.RAW, "out", source="public_ws")
    exported.manifest.unlink()
    again = full.take_in_all(exported.folder)
    assert (again.stored, again.known) == (exported.lines, 0)


@pytest.mark.parametrize("format_", LINES)
def test_an_edited_file_is_imported_as_any_file_is(full: Shelf, format_: Format) -> None:
    exported = full.export(format_, "out", source="public_ws")
    path = next(exported.folder.glob("*.jsonl"))
    lines = lines_of(path)
    lines[1] = lines[1].replace(b'"game_id": "2', b'"game_id": "3').replace(b'"seq": ', b'"seq": 9')
    path.write_bytes(b"\n".join(lines) + b"\n")
    again = full.take_in(path)
    assert (again.stored, again.known) == (len(lines), 0)
    kept = {raw for (raw,) in full.rows("SELECT raw FROM events WHERE source = 'import'")}
    assert {line.decode() for line in lines} <= kept


def lie_about_sessions(told: dict[str, Any]) -> None:
    told["sessions"] = [[source, f"{session}x"] for source, session in told["sessions"]]


def lie_about_places(told: dict[str, Any]) -> None:
    for file in told["files"]:
        file["runs"][1::4] = [seq + 1 for seq in file["runs"][1::4]]


def lie_about_kinds(told: dict[str, Any]) -> None:
    for file in told["files"]:
        file["runs"][3::4] = [1 - kind for kind in file["runs"][3::4]]


def lie_about_how_many(told: dict[str, Any]) -> None:
    for file in told["files"]:
        file["runs"][2::4] = [1 for _ in file["runs"][2::4]]


def lie_about_all_being_one(told: dict[str, Any]) -> None:
    for file in told["files"]:
        session, seq, _, kind = file["runs"][:4]
        file["runs"] = [session, seq, 1, kind] * 100


def lie_about_the_end_of_numbers(told: dict[str, Any]) -> None:
    for file in told["files"]:
        file["runs"][1::4] = [2**63 - 1 for _ in file["runs"][1::4]]


def lie_about_the_format(told: dict[str, Any]) -> None:
    told["format"], told["timezone"] = "game-jsonl" if told["format"] != "game-jsonl" else "raw-jsonl", "no/where"


def be_no_manifest(told: dict[str, Any]) -> None:
    told["files"] = {"a": "b"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "lie",
    [
        lie_about_sessions,
        lie_about_places,
        lie_about_kinds,
        lie_about_how_many,
        lie_about_all_being_one,
        lie_about_the_end_of_numbers,
        lie_about_the_format,
        be_no_manifest,
    ],
)
@pytest.mark.parametrize("format_", LINES)
def test_a_manifest_that_lies_loses_nothing(
    full: Shelf, format_: Format, lie: Callable[[dict[str, Any]], None]
) -> None:
    """Each line is stored, or is what a stored event gives: for which its own identity is enough."""
    exported = full.export(format_, "out")
    told = json.loads(exported.manifest.read_bytes())
    lie(told)
    exported.manifest.write_text(json.dumps(told))
    before = set(full.rows(EVERYTHING))
    for path in sorted(exported.folder.glob("*.jsonl")):
        full.take_in(path)
    assert before <= set(full.rows(EVERYTHING)), "what was there stays"
    kept = {raw for (raw,) in full.rows("SELECT raw FROM events UNION ALL SELECT raw FROM reject")}
    honest = {line for path in exported.folder.glob("*.jsonl") for line in told_lines(full, format_)}
    for path in exported.folder.glob("*.jsonl"):
        for line in lines_of(path):
            assert line.decode() in kept or line in honest


def told_lines(shelf: Shelf, format_: Format) -> set[bytes]:
    """Return the lines that the stored live events give."""
    exported = shelf.export(format_, "honest", source="public_ws")
    lines = {line for path in exported.folder.glob("*.jsonl") for line in lines_of(path)}
    if format_ is Format.GAME or format_ is Format.CLAUDE_FLOW:  # these are also made of imported captures
        more = shelf.export(format_, "honest-too")
        lines |= {line for path in more.folder.glob("*.jsonl") for line in lines_of(path)}
    return lines


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
states = st.fixed_dictionaries(
    {"gameId": st.sampled_from(["20990101-0123456789abcdef", "g", "G"])},
    optional={
        "price": json_values,
        "tickCount": st.integers(0, 3) | json_values,
        "active": st.booleans() | json_values,
        "rugged": st.booleans(),
        "cooldownTimer": st.integers(-5, 15_000) | json_values,
        "tradeCount": st.integers(),
    },
)
messages = st.one_of(
    states.map(lambda state: "42" + json.dumps(["gameStateUpdate", state])),
    st.lists(json_values, max_size=3).map(lambda arguments: "42" + json.dumps(["e", *arguments])),
    st.sampled_from(["2", "3", "40", '41["x"]', '42["torn', "", '43["a"]', '{"event":"e","data":[1]}', "junk"]),
    st.text(max_size=8),
    st.binary(max_size=8),
)
old_lines = st.lists(
    st.one_of(
        states.map(lambda state: frame(1, data=state)),
        json_values.map(lambda data: frame(2, "e", data=data)),
        st.integers(0, 5).map(tick),
        st.just(start()),
        st.just(tick(1)[:-1] + b'{"' + tick(2)),
        st.binary(max_size=12).map(lambda junk: junk.replace(b"\n", b"")),
    ),
    max_size=8,
)


@st.composite
def sessions(draw: st.DrawFn) -> list[Envelope]:
    session, source = draw(st.sampled_from(["s-1", "s-2"])), draw(st.sampled_from(["public_ws", "cdp"]))
    raws = draw(st.lists(messages, max_size=8))
    first, ts = draw(st.integers(1, 5)), draw(st.integers(0, 3)) * 1_000_000
    sides = st.sampled_from(["received", "sent"])
    return [
        live(first + place, raw, session_id=session, source=source, ts=NOON_US + ts + place, direction=draw(sides))
        for place, raw in enumerate(raws)
    ]


@pytest.mark.slow
@settings(max_examples=examples(12))
@given(
    files=st.lists(old_lines, max_size=2),
    captured=st.lists(sessions(), max_size=3),
    format_=st.sampled_from(LINES),
    window=st.none() | st.integers(0, 3),
)
def test_any_stored_set_is_exported_alike_twice_and_known_when_it_comes_back(
    files: list[list[bytes]], captured: list[list[Envelope]], format_: Format, window: int | None
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shelf = Shelf(Path(folder))
        for number, lines in enumerate(files):
            with suppress(UnknownFormatError, OSError):  # junk may look packed
                shelf.take_in(shelf.file(f"in/{number}/{OLD if number else RAW}", lines))
        for envelopes in captured:
            shelf.put(envelopes)
        shelf.put([live(1, "2", session_id="s-3")])
        before = shelf.rows(EVERYTHING)
        filters: dict[str, Any] = {} if window is None else {"since": NOON_US + window * 1_000_000}
        first = shelf.export(format_, "one", **filters)
        second = shelf.export(format_, "two", **filters)
        assert [file.sha256 for file in first.content.files] == [file.sha256 for file in second.content.files]
        again = shelf.take_in_all(first.folder)
        assert (again.stored, again.duplicates) == (0, first.lines)
        assert shelf.rows(EVERYTHING) == before
        shelf.close()


def test_counts_of_known_lines_that_the_reader_takes_for_damage_are_set_right(shelf: Shelf) -> None:
    """In one file lie lines of two formats: the one's reader rejects the other's."""
    shelf.take_in(shelf.file(f"in/{RAW}", CAPTURE))
    shelf.take_in(shelf.file("in/x_cdp.jsonl", [cdp_frame(1, data=STATE), cdp_frame(2, "e")]))
    exported = shelf.export(Format.RAW, "one/all.jsonl")
    again = shelf.take_in(exported.folder / "all.jsonl")
    assert (again.counts.records, again.counts.rejected, again.stored) == (exported.lines, 0, 0)
    assert Counter(raw for (raw,) in shelf.rows("SELECT raw FROM reject")) == {}
