"""Damage as it was found: writers in one file, cuts, marks of conflicts, times and ticks out of order. All is kept.

What stands whole in a damaged line is read, and nothing else: a record's missing end is never guessed.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_legacy.formats import LINE_FORMATS
from rugs_legacy.recording import Counts
from rugs_legacy.salvage import salvage
from rugs_sim.old_files import other_recorders as other
from tests.support.legacy_files import NEW_YORK, ids_of, made_up_files, read_file, write
from tests.support.legacy_lines import GAME, end, start, tick

IDS = list(dict.fromkeys(format_.id for format_ in LINE_FORMATS))
EACH_FORMAT = pytest.mark.parametrize("format_id", IDS)
MARKS = (b"<<<<<<< ours", b"||||||| before", b"=======", b">>>>>>> theirs")


@cache
def lines_by_format() -> dict[str, tuple[str, list[bytes]]]:
    """Of each format of lines the name of a file and its lines."""
    return {
        format_.id: (name, [line for line in content.split(b"\n") if line and len(line) < 20_000])
        for format_ in LINE_FORMATS
        for name, content in reversed(made_up_files().items())  # the first one of a format counts
        if format_.names.fullmatch(Path(name).name)
    }


def test_there_are_lines_of_every_format() -> None:
    assert lines_by_format().keys() == set(IDS)


def records(format_id: str) -> list[bytes]:
    return [line for line in lines_by_format()[format_id][1] if line.startswith(b"{")]


@EACH_FORMAT
def test_two_writers_in_one_file(tmp_path: Path, format_id: str) -> None:
    """Each wrote over what the other had begun."""
    name, _ = lines_by_format()[format_id]
    first, second, third, *rest = records(format_id)[:6]
    damaged = first[: len(first) // 2] + second + third[len(third) // 2 :]
    path = write(tmp_path, Path(name).name, b"\n".join([*rest, damaged]) + b"\n")
    recording, counts, envelopes = read_file(path)
    assert recording.format.id == format_id
    assert counts == Counts(lines=len(rest) + 1, records=len(rest), rejected=1, salvaged=1)
    reject, salvaged = envelopes[-2:]
    assert reject["raw"].encode() == damaged
    assert salvaged["raw"].encode() == second
    assert salvaged["fields"].pop("salvaged") is True
    (same,) = read_file(write(tmp_path, "x" + Path(name).name, second))[2]
    given = ("doc_type", "event", "fields", "ts")
    assert {key: salvaged[key] for key in given} == {key: same[key] for key in given}


@EACH_FORMAT
def test_a_file_that_ends_in_a_line(tmp_path: Path, format_id: str) -> None:
    """The recorder was killed: what it had begun to write is kept, and not guessed to be whole."""
    name, _ = lines_by_format()[format_id]
    *lines, last = records(format_id)[:4]
    for cut in (len(last) - 1, len(last) // 2, 1):
        _, counts, envelopes = read_file(write(tmp_path, Path(name).name, b"\n".join([*lines, last[:cut]])))
        assert counts == Counts(lines=4, records=3, rejected=1)
        assert envelopes[-1]["raw"].encode() == last[:cut]


@EACH_FORMAT
def test_both_versions_of_a_conflict_are_read(tmp_path: Path, format_id: str) -> None:
    name, _ = lines_by_format()[format_id]
    first, ours, theirs, last = records(format_id)[:4]
    content = b"\n".join([first, MARKS[0], ours, MARKS[2], theirs, MARKS[3] + b"\r", last])
    _, counts, envelopes = read_file(write(tmp_path, Path(name).name, content))
    assert counts == Counts(lines=7, records=4, rejected=3)
    reasons = {one["fields"]["reason"] for one in envelopes if one["doc_type"] == "reject"}
    assert reasons == {"a mark of version control, where two versions of the file were in conflict"}


def test_a_file_that_begins_with_a_conflict_is_known_by_its_records(tmp_path: Path) -> None:
    path = write(tmp_path, "x", b"\n".join([MARKS[0], tick(1), MARKS[2], tick(2), MARKS[3]]))
    assert read_file(path)[1] == Counts(lines=5, records=2, rejected=3)


@pytest.mark.parametrize("line", [b"========", b"=======x", b"<<<<<<<x", b" <<<<<<< ours"])
def test_what_only_looks_like_a_mark_is_none(tmp_path: Path, line: bytes) -> None:
    reject = read_file(write(tmp_path, "game_20981231_220000.jsonl", tick(1) + b"\n" + line))[2][1]
    assert reject["fields"]["reason"].startswith("not JSON")


def test_a_game_without_start_or_end_and_with_several(tmp_path: Path) -> None:
    for lines in ([tick(1)], [start(), tick(1)], [tick(1), end()], [tick(0), start(), start(), tick(1), end(), end()]):
        _, counts, envelopes = read_file(write(tmp_path, "game_20981231_220000.jsonl", b"\n".join(lines)))
        assert counts == Counts(lines=len(lines), records=len(lines))
        assert [one["raw"].encode() for one in envelopes] == lines


def test_ticks_out_of_order_stay_where_and_what_they_are(tmp_path: Path) -> None:
    """Writers appended unlocked: times and tick numbers go back a little, and some ticks are missing."""
    numbers = [60, 59, 61, 65, 64, 64]
    lines = [tick(number) for number in numbers]
    lines[2] = tick(61, timestamp="2098-12-31T22:00:00.000001")
    _, counts, envelopes = read_file(write(tmp_path, "game_20981231_220000.jsonl", b"\n".join(lines)))
    assert counts == Counts(lines=6, records=6)
    assert [one["fields"]["tick"] for one in envelopes] == numbers
    assert envelopes[2]["ts"] < envelopes[1]["ts"]
    assert [one["seq"] for one in envelopes] == sorted(one["seq"] for one in envelopes)


def test_the_same_game_under_two_names_is_the_same_recording(tmp_path: Path) -> None:
    """Also where one of the two was cut short: it is known by its first line, not by its name."""
    lines = [start(), tick(1), tick(2), end()]
    whole = read_file(write(tmp_path, "game_20981231_220000.jsonl", b"\n".join(lines)))[2]
    cut = read_file(write(tmp_path, "game_20981231_220000_89abcdef.jsonl", b"\n".join(lines[:2])))[2]
    assert ids_of(cut) == ids_of(whole)[:2]


def test_presses_of_a_demonstration_are_ordered_by_when_they_were_pressed(tmp_path: Path) -> None:
    name, lines = lines_by_format()["F4"]
    pressed = [json.loads(line)["timestamp_pressed"] for line in lines if b'"action_id"' in line]
    assert pressed != sorted(pressed), "a trade stands where it was confirmed"
    envelopes = read_file(write(tmp_path, Path(name).name, b"\n".join(lines)))[2]
    actions = [one for one in envelopes if one["doc_type"] == "player_action"]
    assert [one["ts"] // 1000 for one in sorted(actions, key=lambda one: (one["ts"], one["seq"]))] == sorted(pressed)
    assert {one["game_id"] for one in actions} == {Path(name).stem.removeprefix("game_001_")}


def test_a_missing_footer_is_normal(tmp_path: Path) -> None:
    ticks = [
        {**json.loads(tick(number, price=1.5)), "at": 4_070_919_600_000_000 + number * 250_000} for number in range(5)
    ]
    for footer in (True, False):
        content = b"\n".join(other.recorder_sink(ticks, footer=footer))
        recording, counts, envelopes = read_file(write(tmp_path, "game_20981231_220000.jsonl", content))
        assert (recording.format.id, counts) == ("F3", Counts(lines=6 + footer, records=6 + footer))
        games = {one.get("game_id") for one in envelopes if one["event"] != "recording_end"}
        assert games == {GAME}


@given(st.sampled_from(IDS), st.data())
def test_what_is_salvaged_stands_in_the_line_and_is_a_record_itself(format_id: str, data: st.DataObject) -> None:
    """However lines of whatever format were cut and mixed: nothing is found that is no record by itself."""
    format_ = next(each for each in LINE_FORMATS if each.id == format_id)
    several = st.lists(st.sampled_from(records(format_id)), min_size=1, max_size=3)
    line = b"".join(data.draw(several))[:60_000]
    for _ in range(data.draw(st.integers(0, 4))):
        first, second = sorted((data.draw(st.integers(0, len(line))), data.draw(st.integers(0, len(line)))))
        line = line[:first] + line[second:]
    parse = format_.reader(NEW_YORK)
    ends = 0
    for piece in salvage(line, format_.record_start, parse):
        assert line[piece.start : piece.start + len(piece.raw)] == piece.raw
        assert piece.start >= ends
        ends = piece.start + len(piece.raw)
        json.loads(piece.raw)
