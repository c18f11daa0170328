"""Salvage never invents a record, never loses a whole one, and is never made to work for ever."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_legacy.formats import f1_game, f9_raw_capture
from rugs_legacy.record import LineFormat
from rugs_legacy.salvage import salvage
from tests.support.legacy_lines import end, frame, start, tick

NEW_YORK = "America/New_York"
F1, F9 = f1_game.FORMAT, f9_raw_capture.FORMAT


def found(line: bytes, format_: LineFormat = F1) -> list[bytes]:
    pieces = salvage(line, format_.record_start, format_.reader(NEW_YORK))
    assert all(line[piece.start : piece.start + len(piece.raw)] == piece.raw for piece in pieces)
    return [piece.raw for piece in pieces]


def test_the_last_of_records_that_cut_each_other_is_whole() -> None:
    assert found(tick(1)[:-1] + b'{"' + tick(2)[:-1] + b'{"' + tick(3)) == [tick(3)]


def test_records_on_one_line_are_all_whole() -> None:
    assert found(tick(1) + tick(2) + b"," + end()) == [tick(1), tick(2), end()]


def test_a_missing_brace_is_not_guessed() -> None:
    """`"trade_count": 1` may have been 12."""
    assert found(tick(1)[:-2]) == []
    assert found(tick(1)[:-1]) == []


def test_a_record_that_lacks_a_key_is_not_whole() -> None:
    assert found(b"x" + tick(1, price=...) + tick(2)) == [tick(2)]


def test_a_record_inside_one_that_is_none_is_found() -> None:
    """The beginning of one line, a whole second, the end of a third: JSON, but no record."""
    line = b'{"type": "tick", "timestamp": ' + tick(2) + b', "game_id": "g"}'
    assert found(line) == [tick(2)]


def test_a_record_whose_text_is_not_utf8_is_not_whole() -> None:
    broken = tick(1, phase="PRESALE").replace(b"PRESALE", b"PR\xffESALE")
    assert found(b"\xff" + broken + tick(2, phase="é")) == [tick(2, phase="é")]
    whole = tick(3, phase="é").replace(b"\\u00e9", "é".encode())
    assert found(b"\xff" + whole) == [whole]


def test_frames_are_salvaged_too() -> None:
    whole = frame(2, data={"a": ['{"seq"', {"seq": 1}]})
    assert found(frame(1, data={"b": 1})[:40] + whole + b"}", F9) == [whole]


def torn(records: st.SearchStrategy[bytes]) -> st.SearchStrategy[tuple[list[bytes], list[bytes]]]:
    """Damaged lines in pieces, and the whole records among them.

    The end of a record may only begin a line, as a record that was written over it would have
    been: after the beginning of another it could make a record that was never written, and
    nobody could tell.
    """
    cut = st.tuples(records, st.floats(0, 0.999)).map(lambda cut: cut[0][: int(len(cut[0]) * cut[1])])
    rest = st.tuples(records, st.floats(0.001, 1)).map(lambda cut: cut[0][int(len(cut[0]) * cut[1]) + 1 :])
    noise = st.sampled_from([b"", b'{"', b"{", b" ", b"## note", b"\x00", b"\xff", b"}", b'"', b"\\"])
    whole = st.tuples(st.just(True), records)
    damage = st.tuples(st.just(False), cut | noise)
    return st.tuples(rest | noise, st.lists(whole | damage, max_size=6)).map(
        lambda line: (
            [line[0], *(piece for _, piece in line[1])],
            [piece for is_whole, piece in line[1] if is_whole],
        )
    )


typed = st.one_of(
    st.builds(tick, st.integers(0, 4000), price=st.floats(0.001, 900) | st.integers(1, 9)),
    st.builds(start, session_game_number=st.integers(0, 99)),
    st.builds(end, status=st.text(max_size=4)),
)
frames = st.builds(
    frame,
    st.integers(1, 10**6),
    st.sampled_from(["gameStateUpdate", "connect"]),
    st.none() | st.text(max_size=5) | st.fixed_dictionaries({"gameId": st.text(max_size=3), "a": st.just([1, {}])}),
)


@given(torn(typed))
def test_of_torn_lines_just_the_whole_records_are_found(pieces: tuple[list[bytes], list[bytes]]) -> None:
    assert found(b"".join(pieces[0])) == pieces[1]


@given(torn(frames))
def test_of_torn_frames_just_the_whole_ones_are_found(pieces: tuple[list[bytes], list[bytes]]) -> None:
    assert found(b"".join(pieces[0]), F9) == pieces[1]


@given(st.lists(typed, min_size=1, max_size=4), st.data())
def test_what_is_found_stands_in_the_line_and_is_a_record_itself(records: list[bytes], data: st.DataObject) -> None:
    """However the bytes were cut and mixed: nothing is found that is not read as a record by itself."""
    line = b"".join(records)
    for _ in range(data.draw(st.integers(0, 4))):
        first, second = sorted((data.draw(st.integers(0, len(line))), data.draw(st.integers(0, len(line)))))
        line = line[:first] + line[second:]
    parse = F1.reader(NEW_YORK)
    for raw in found(line):
        parse(raw)
        assert found(raw) == [raw]


@pytest.mark.parametrize(
    "line",
    [
        b'{"type"' * 200_000,
        b'{"type":[' * 200_000,
        (b'{"type":[' * 500) + b'{"type":0},' * 100_000,
        b'{"type": "' + b"x" * 2_000_000,
        b'{"type":' + b"1" * 2_000_000,
    ],
    ids=["starts", "nested", "siblings in a nest", "text without an end", "number without an end"],
)
def test_a_line_built_to_be_expensive_is_given_up(line: bytes) -> None:
    began = time.process_time()
    assert found(line) == []
    assert time.process_time() - began < 5
