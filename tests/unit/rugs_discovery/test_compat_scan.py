"""What scans of recordings promise: the outcome of `discover_fields`, in flat memory, whatever the files hold."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_discovery.compat import (
    DiscoveryResult,
    EventInfo,
    discover_fields,
    results,
    scan,
    scan_jsonl_file,
    scan_recordings,
)
from tests.support.memory import traced

KEYS = st.sampled_from(["a", "b", "data", "event", "a.b", "x[]", "", "é", "\ud800", "125", "\\"])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.integers(0, 1)
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(["\udfff", "x" * 120, "x" * 121, 10**19, float(2**64)]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=10,
)
EVENTS = st.none() | st.sampled_from(["one", "two", "\ud800", ""]) | VALUES
RECORDS = st.builds(
    lambda event, data, others: {"event": event, "data": data, **others},
    EVENTS,
    VALUES,
    st.dictionaries(KEYS, VALUES, max_size=2),
)


def write(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def tick(price: float, event: str = "gameStateUpdate") -> dict[str, Any]:
    return {"event": event, "data": {"price": price}}


def merged(records: Sequence[dict[str, Any]]) -> DiscoveryResult:
    """Return what is known of records, discovered one by one."""
    result = DiscoveryResult(files_scanned=1)
    for record in records:
        event = record.get("event")
        name = event if isinstance(event, str) and event else "unknown"
        name = name.encode(errors="backslashreplace").decode()
        result.merge(DiscoveryResult({name: EventInfo(name, 1, discover_fields(record))}, 1))
    return result


def counts(result: DiscoveryResult) -> dict[str, int]:
    return {name: event.count for name, event in result.events.items()}


# Scanning


def test_a_file_is_scanned(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", tick(1.5), tick(2.5), tick(1.5), {"event": "connect", "data": None})
    result = scan_jsonl_file(file_path=file)
    assert (result.total_lines, result.files_scanned, result.errors) == (4, 1, [])
    assert counts(result) == {"gameStateUpdate": 3, "connect": 1}
    price = result.events["gameStateUpdate"].fields["data.price"]
    assert (price.type, price.count, price.sample_values) == ("number", 3, [1.5, 2.5])
    assert result.events["connect"].fields["data"].type == "null"
    assert scan_jsonl_file(str(file)) == result


@given(st.lists(RECORDS, max_size=8), st.integers(1, 4))
def test_a_scan_finds_what_discover_fields_finds_in_each_record_whatever_the_batches(
    records: list[dict[str, Any]], lines: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "BATCH_LINES", lines)
        file = write(Path(folder) / "a.jsonl", *records)
        result = scan_jsonl_file(file)
    assert result == merged(records)
    json.dumps([vars(info) for event in result.events.values() for info in event.fields.values()]).encode()
    repr(result).encode()


@given(st.lists(st.lists(RECORDS, min_size=1, max_size=3), max_size=3, unique_by=json.dumps))
def test_a_folder_gives_what_its_files_give_one_after_the_other(files: list[list[dict[str, Any]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for number, records in enumerate(files):
            write(Path(folder) / f"{number}.jsonl", *records)
        result = scan_recordings(Path(folder))
    expected = merged([record for records in files for record in records])
    expected.files_scanned = len(files)
    assert result == expected


def test_events_come_by_frequency_and_fields_by_path(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", {"event": "b"}, {"z": 1, "event": "a", "b": {"c": 1}}, {"event": "a"})
    result = scan_recordings(tmp_path)
    assert list(result.events) == ["a", "b"]
    assert list(result.events["a"].fields) == ["b", "b.c", "event", "z"]


@pytest.mark.parametrize("name", [None, 1, True, "", [], {"a": 1}, 1.5])
def test_a_record_without_the_name_of_an_event_is_unknown(tmp_path: Path, name: object) -> None:
    result = scan_jsonl_file(write(tmp_path / "a.jsonl", {"event": name, "data": {}}, {"data": {}}))
    assert counts(result) == {"unknown": 2}
    assert result.errors == []


def test_a_folder_is_scanned_by_its_pattern(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "folder.jsonl").mkdir()
    write(tmp_path / "a.jsonl", tick(1))
    write(tmp_path / "b.json", tick(2))
    write(tmp_path / "inner" / "c.jsonl", tick(3))
    assert scan_recordings(tmp_path).files_scanned == 1
    assert scan_recordings(tmp_path, pattern="*.json*").files_scanned == 2
    assert scan_recordings(str(tmp_path), "**/*.jsonl").total_lines == 2


def test_a_file_with_the_content_of_another_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", tick(1), tick(2))
    with (tmp_path / "a.jsonl").open("ab") as file:
        file.write(b"broken\n")
    once = scan_recordings(tmp_path)
    (tmp_path / "b.jsonl").write_bytes((tmp_path / "a.jsonl").read_bytes())
    assert scan_recordings(tmp_path) == once
    write(tmp_path / "c.jsonl", tick(1), tick(2))
    assert scan_recordings(tmp_path).total_lines == 5


def test_empty_files_are_counted_each(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").touch()
    (tmp_path / "c.jsonl").write_bytes(b"\n \r\n")
    assert scan_recordings(tmp_path) == DiscoveryResult(files_scanned=3)


def test_the_same_folder_gives_the_same_result_again(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", tick(1), {"x": [None, 1]})
    assert scan_recordings(tmp_path) == scan_recordings(tmp_path)


def test_a_file_or_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"a\.jsonl"):
        scan_jsonl_file(tmp_path / "a.jsonl")
    with pytest.raises(NotADirectoryError, match=r"no such folder: .*nowhere"):
        scan_recordings(tmp_path / "nowhere")


def test_what_cannot_be_read_in_a_folder_is_an_error_of_line_0(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    (tmp_path / "b.jsonl").symlink_to("nowhere")
    write(tmp_path / "c.jsonl", tick(1))
    result = scan_recordings(tmp_path)
    assert result.files_scanned == 1
    assert result.errors == [
        f"{tmp_path}/a.jsonl:0: a pipe, not a plain file",
        f"{tmp_path}/b.jsonl:0: No such file or directory",
    ]


# Bad input


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"event": "x"', "not JSON: "),
        (b"plain text", "not JSON: "),
        (b'42["gameStateUpdate",{}]', "not JSON: "),
        (b"\0\xff\xfe", "not UTF-8 at byte 1"),
        (b'{"event": "\xff"}', "not UTF-8 at byte 11"),
        (b"[1]", "not a JSON object, but of type array"),
        (b"null", "not a JSON object, but of type null"),
        (b"NaN", "not a JSON object, but of type number"),
        (b'"x"', "not a JSON object, but of type string"),
        (b'{"a":' * 3000 + b"1" + b"}" * 3000, "nested too deeply"),
    ],
)
def test_a_line_that_is_no_record_is_an_error_and_no_end(tmp_path: Path, line: bytes, message: str) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(b'\n{"event": "x"}\r\n' + line + b'\n\n{"event": "x"}')
    result = scan_jsonl_file(file)
    assert len(result.errors) == 1
    assert result.errors[0].startswith(f"{file}:3: {message}")
    assert (counts(result), result.total_lines, result.rejects, result.records) == ({"x": 2}, 3, 1, 2)


@pytest.mark.parametrize(
    ("data", "expected", "samples"),
    [
        (b"NaN", "number", []),
        (b"-Infinity", "number", []),
        (b"1e999", "number", []),
        (b"9" * 5000, "number", []),
        (b"123456789012345678901234567890", "number", [123456789012345678901234567890]),
        (b"9" * 3999, "number", [10**3999 - 1]),
        (b'"\\ud800"', "string", [r"\ud800"]),
        (b'"\\ud83d\\ude00"', "string", ["\U0001f600"]),
        (b'1, "data": "again"', "string", ["again"]),
        (b'"\\u0000"', "string", ["\0"]),
    ],
)
def test_an_unusual_value_has_one_outcome(tmp_path: Path, data: bytes, expected: str, samples: list[Any]) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(b'{"event": "x", "data": ' + data + b"}\n")
    result = scan_jsonl_file(file)
    info = result.events["x"].fields["data"]
    assert (result.errors, info.types, info.sample_values) == ([], {expected: 1}, samples)


def test_a_byte_order_mark_is_not_part_of_the_record(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(b'\xef\xbb\xbf{"event": "x"}\n')
    assert counts(scan_jsonl_file(file)) == {"x": 1}


def test_values_nested_ever_more_deeply_are_truncated_then_errors(tmp_path: Path) -> None:
    depths = [5, 9, 10, 11, 100, 1000, 1023, 1024, 3000]
    file = tmp_path / "a.jsonl"
    file.write_text("".join('{"event": "x", "data": %s}\n' % ("[" * depth + "1" + "]" * depth) for depth in depths))
    result = scan_jsonl_file(file)
    assert result.events["x"].truncated == sum(10 <= depth <= 1023 for depth in depths)
    assert [error.split(":")[1:] for error in result.errors] == [[line, " nested too deeply"] for line in ("8", "9")]


def test_a_line_that_is_too_long_is_an_error_and_the_next_one_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "LONGEST_LINE", 1 << 20)
    file = tmp_path / "a.jsonl"
    fits = b'{"event": "%s"}\n'
    fits %= b"y" * ((1 << 20) - len(fits) + 2)
    padded = b'{"event": "padded"}' + b" " * (3 << 20)
    file.write_bytes(fits + padded + b'\n{"event": "x"}\n' + padded)
    result = scan_jsonl_file(file)
    assert sorted(map(len, result.events)) == [1, len(fits) - 14]
    assert result.errors == [f"{file}:{line}: a line of 1 MiB or more" for line in (2, 4)]


@pytest.mark.slow
def test_a_line_of_50_megabytes_is_read(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(b'{"event": "x", "data": "' + b"y" * 50_000_000 + b'"}\n{"event": "x"}')
    result = scan_jsonl_file(file)
    assert (counts(result), result.errors) == ({"x": 2}, [])
    assert result.events["x"].fields["data"].sample_values == ["y" * 100 + "..."]


def test_many_errors_are_counted_and_the_first_are_listed(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text(f"no {name}\n" * (results.MOST_ERRORS - 1))
    result = scan_recordings(tmp_path)
    assert len(result.errors) == results.MOST_ERRORS
    assert result.errors[-1].startswith(f"{tmp_path}/b.jsonl:1: ")
    assert (result.errors_left_out, result.rejects) == (results.MOST_ERRORS - 2, 2 * results.MOST_ERRORS - 2)


@given(st.lists(st.binary(max_size=30) | RECORDS.map(lambda record: json.dumps(record).encode()), max_size=6))
def test_whatever_a_file_holds_each_line_is_a_record_an_error_or_blank(lines: list[bytes]) -> None:
    content = b"\n".join(lines)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.jsonl").write_bytes(content)
        result = scan_recordings(folder)
    told = [line.removeprefix(b"\xef\xbb\xbf").strip() for line in content.split(b"\n")]
    assert result.total_lines == len([line for line in told if line])
    assert result.total_lines == sum(counts(result).values()) + len(result.errors)


# Memory and progress


def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "BATCH_LINES", 50)
    peaks = []
    for ticks in (500, 5000):
        file = write(tmp_path / f"{ticks}.jsonl", *(tick(number + 0.5) for number in range(ticks)))
        with traced() as memory:
            assert scan_jsonl_file(file).total_lines == ticks
        peaks.append(memory.peak)
    assert peaks[1] < peaks[0] + 20_000


def test_progress_is_reported_in_bytes_up_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "BATCH_LINES", 2)
    for name in ("a", "b"):
        write(tmp_path / f"{name}.jsonl", *(tick(number, name) for number in range(5)))
    seen: list[tuple[int, int]] = []
    scan_recordings(tmp_path, progress=lambda done, total: seen.append((done, total)))
    total = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert {each for _, each in seen} == {total}
    assert len(seen) == 6
    assert seen[-1][0] == total
