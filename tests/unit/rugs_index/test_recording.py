"""Recordings give their records and name their faults, whatever a file holds."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from rugs_index import recording
from rugs_index.recording import NoRecordingError, Read, read, record_of
from rugs_sim.made_up.feed import Feed
from rugs_sim.old_files.generate import START
from rugs_sim.old_files.recorders import raw_capture

RECORDS = [{"seq": 1, "event": "connect", "data": None}, {"seq": 2, "event": "é☕", "data": {"price": 1.5}}]
LINES = b"".join(json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in RECORDS)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=10,
)


def write(tmp_path: Path, content: bytes, name: str = "a_raw.jsonl") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def records(path: Path) -> list[dict[str, Any] | None]:
    return [each.record for each in read(path)]


def test_lines_with_their_numbers(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf" + LINES.replace(b"\n", b"\r\n\n")
    assert list(read(write(tmp_path, content))) == [Read(1, RECORDS[0], 1), Read(3, RECORDS[1], 3)]


def test_a_last_line_without_its_end(tmp_path: Path) -> None:
    assert records(write(tmp_path, LINES.rstrip())) == RECORDS


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl.gz", gzip.compress(LINES)),
        ("a.jsonl.zst", zstandard.compress(LINES)),
        ("a.jsonl", gzip.compress(LINES[:50]) + gzip.compress(LINES[50:])),
        ("a.jsonl", LINES.decode().encode("utf-16")),
    ],
    ids=["gzip", "zstd", "gzip twice", "utf-16"],
)
def test_packed_and_encoded_files_have_the_same_records(tmp_path: Path, name: str, content: bytes) -> None:
    assert [each.record for each in read(write(tmp_path, content, name))] == RECORDS


@pytest.mark.parametrize("indent", [None, 2])
def test_an_array_has_records_without_lines(tmp_path: Path, indent: int | None) -> None:
    content = json.dumps([*RECORDS, 7], indent=indent).encode()
    assert list(read(write(tmp_path, content, "samples.json"))) == [
        Read(1, RECORDS[0]),
        Read(2, RECORDS[1]),
        Read(3, fault="not a JSON object but a number"),
    ]


def test_one_object_over_several_lines_is_one_record(tmp_path: Path) -> None:
    assert records(write(tmp_path, json.dumps(RECORDS[1], indent=2).encode(), "one.json")) == [RECORDS[1]]


def test_frames_become_records(tmp_path: Path) -> None:
    content = b'42["newTrade",{"__trace":true},{"price":1}]\n42["connect"]\n2\n42["torn",{"a"\n'
    found = list(read(write(tmp_path, content)))
    assert [each.record for each in found[:2]] == [
        {"event": "newTrade", "data": [{"__trace": True}, {"price": 1}]},
        {"event": "connect", "data": None},
    ]
    assert [each.fault for each in found[2:]] == [
        "not a JSON object but a number",
        "not JSON, and no WebSocket message that is whole",
    ]


def test_faults_have_their_place_and_the_rest_is_read(tmp_path: Path) -> None:
    content = LINES + b'{"torn": \n[1]\nnull\n"text"\n\xff\xfe{}\n42["\xff"]\n' + LINES
    found = list(read(write(tmp_path, content)))
    assert [each.record for each in found if each.record] == [*RECORDS, *RECORDS]
    assert {each.number: each.fault for each in found if each.fault} == {
        3: "not JSON: Expecting value at character 8",
        4: "not a JSON object but an array",
        5: "not a JSON object but null",
        6: "not a JSON object but a string",
        7: "not UTF-8 at byte 0",
        8: "not UTF-8 at byte 4",
    }


def test_a_file_without_records_is_none(tmp_path: Path) -> None:
    with pytest.raises(NoRecordingError, match="none of its 2 lines is a record"):
        records(write(tmp_path, b"# a heading\nand a text\n", "README.md"))
    with pytest.raises(NoRecordingError, match="not JSON"):
        records(write(tmp_path, b"hello", "hello.txt"))
    assert records(write(tmp_path, b"", "empty.jsonl")) == []
    assert records(write(tmp_path, b"\n \r\n", "blank.jsonl")) == []


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("2099_summary.md", b"# Summary", "F11"),
        ("2099_events.json", b"{}", "F11"),
        ("other.json", b'{\n"event_types": {}, "total_events": 1}', "F11"),
        ("rows.parquet", b"PAR1", "table"),
    ],
)
def test_what_lies_beside_recordings_is_named(tmp_path: Path, name: str, content: bytes, why: str) -> None:
    with pytest.raises(NoRecordingError, match=why):
        records(write(tmp_path, content, name))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    with pytest.raises(NoRecordingError, match="a pipe"):
        records(tmp_path / "pipe.jsonl")
    with pytest.raises(NoRecordingError, match="points nowhere"):
        records(tmp_path / "absent.jsonl")


@pytest.mark.parametrize(
    "content",
    [gzip.compress(LINES * 50)[:-20], zstandard.compress(LINES) + zstandard.compress(LINES * 50)[:-6]],
    ids=["gzip", "zstd"],
)
def test_a_packed_file_that_was_cut_says_so_at_its_end(tmp_path: Path, content: bytes) -> None:
    *found, last = read(write(tmp_path, content, "cut.jsonl.gz"))
    assert last.number == 0
    assert "cut" in str(last.fault)
    assert all(each.record in RECORDS for each in found if each.record)


def test_a_line_that_is_too_long_is_a_fault_and_the_next_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "LONGEST_LINE", 1 << 20)
    content = LINES + b'{"a": "' + b"x" * (3 << 20) + b'"}\n' + LINES
    found = list(read(write(tmp_path, content)))
    assert [each.number for each in found] == [1, 2, 3, 4, 5]
    assert found[2].fault == "a line of 1 MiB or more"
    assert [each.record for each in found if each.record] == [*RECORDS, *RECORDS]


def test_a_capture_is_read_whole(tmp_path: Path) -> None:
    lines = list(raw_capture(Feed(3, START), 60))
    found = records(write(tmp_path, b"\n".join(lines)))
    assert found == [json.loads(line) for line in lines]


@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=5), st.booleans())
def test_an_object_is_read_exactly(record: dict[str, Any], ascii_only: bool) -> None:
    assert record_of(json.dumps(record, ensure_ascii=ascii_only)) == record


@pytest.mark.parametrize(
    ("line", "record"),
    [
        ('{"a": NaN, "b": -Infinity}', "{'a': nan, 'b': -inf}"),
        ('{"a": 1, "a": 2}', "{'a': 2}"),
        (r'{"a": "\ud800"}', r"{'a': '\ud800'}"),
        ('{"a": 1e999}', "{'a': inf}"),
        ('{"a": 1.0, "b": 1, "c": -0.0}', "{'a': 1.0, 'b': 1, 'c': -0.0}"),
    ],
)
def test_values_that_fast_readers_refuse(line: str, record: str) -> None:
    assert repr(record_of(line)) == record


def test_a_record_that_is_too_deep_is_a_fault(tmp_path: Path) -> None:
    content = b'{"a": ' * 2000 + b"1" + b"}" * 2000 + b"\n" + LINES
    first, *others = read(write(tmp_path, content))
    assert first.fault == "nested too deeply"
    assert [each.record for each in others] == RECORDS


@given(st.lists(st.binary(max_size=30) | st.sampled_from(LINES.splitlines()), max_size=6))
def test_no_content_makes_it_fail(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    path = write(tmp_path_factory.getbasetemp(), b"\n".join(lines), "hostile.jsonl")
    try:
        found = list(read(path))
    except NoRecordingError:
        return
    assert all((each.record is None) == (each.fault is not None) for each in found)
