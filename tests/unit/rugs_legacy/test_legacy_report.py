"""What an import says about itself, and that counts which differ are errors."""

from __future__ import annotations

import errno
import gzip
import json
import os
import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from legacy_importer.report import FileReport, Report
from legacy_importer.waiting import compare
from rugs_lake.store.ledger import Run
from rugs_legacy.files import find_files, named_by, special_kind
from rugs_legacy.recording import Counts, look_at, read
from tests.support.legacy_lines import start, tick


@pytest.fixture
def one(tmp_path: Path) -> FileReport:
    path = tmp_path / "game_\udcff20981231_220000.jsonl"
    path.write_bytes(start() + b"\n\n?" + tick(1) + b"\n")
    recording, counts = look_at(path, "America/New_York"), Counts()
    for _ in read(recording, counts):
        pass
    report = FileReport.of(recording)
    report.take_counts(counts)
    return report


def run(stored: int, duplicates: int, rejected: int, rejected_before: int = 0, *, done: bool = True) -> Run:
    return Run("0" * 32, 3, 3, stored, duplicates, rejected, rejected_before, {}, done)


def test_counts_that_agree(one: FileReport) -> None:
    compare(one, run(1, 1, 0, 1))
    assert (one.state, one.stored, one.duplicates, one.error) == ("committed", 1, 1, None)


@pytest.mark.parametrize(
    ("counted", "reason"),
    [
        (run(1, 0, 1), "1 stored [+] 0 duplicates [+] 0 refused, the file has 2"),
        (run(2, 1, 1), "2 stored [+] 1 duplicates [+] 0 refused, the file has 2"),
        (run(2, 0, 0), "0 rejects, the file has 1"),
        (run(2, 0, 1, done=False), "lost some of its messages: import it again"),
    ],
)
def test_counts_that_differ_are_an_error(one: FileReport, counted: Run, reason: str) -> None:
    compare(one, counted)
    report = Report(files=[one])
    assert one.state == "failed"
    assert len(report.failures) == 1
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(report.failures[0])


def test_a_ledger_entry_is_ascii_whatever_the_file_is_called(one: FileReport) -> None:
    told = one.ledger_entry("a\nb\u00e9.jsonl")
    assert told.isascii()
    assert "\n" not in told
    assert list(json.loads(told)) == [
        *("file", "sha256", "format", "reader", "tz", "size"),
        *("lines", "blank", "records", "rejected", "salvaged"),
    ]


def test_the_summary_keeps_its_shape(one: FileReport) -> None:
    report = Report(files=[one], seconds=1.23456)
    report.skip("x.md", "no known format")
    assert report.summary() == {
        "files": 1,
        "lines": 3,
        "blank": 1,
        "records": 1,
        "rejected": 1,
        "salvaged": 1,
        "stored": None,
        "duplicates": None,
        "refused": 0,
        "skipped_files": ["x.md"],
        "notes": [],
        "failures": [],
        "seconds": 1.235,
    }
    one.take_known(vars(one), "copy")
    assert (report.summary()["stored"], report.summary()["duplicates"]) == (0, 2)
    assert report.details()["skipped"] == [{"file": "x.md", "reason": "no known format"}]
    json.dumps(report.details()).encode("ascii")


def test_each_file_is_found_once_and_the_data_root_is_left_alone(tmp_path: Path) -> None:
    data = tmp_path / "recordings" / "rugs_data"
    for name in ("b.jsonl", "a/c.jsonl", "a/.hidden", "rugs_data/manifests/lake.sqlite"):
        path = tmp_path / "recordings" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "recordings" / "folder").symlink_to(tmp_path)
    (tmp_path / "recordings" / "loop").symlink_to("loop")
    (tmp_path / "recordings" / "one").symlink_to("other")
    (tmp_path / "recordings" / "other").symlink_to("one")
    failed: list[Path] = []

    def unreadable(path: Path, _error: OSError) -> None:
        failed.append(path)

    named = [tmp_path / "recordings", tmp_path / "recordings" / "b.jsonl"]
    found = [str(path.relative_to(tmp_path / "recordings")) for path in find_files(named, data, unreadable)]
    assert found == ["a/.hidden", "a/c.jsonl", "b.jsonl", "folder", "loop", "one", "other"]
    assert failed == []
    kinds = {name: special_kind(tmp_path / "recordings" / name) for name in ("folder", "loop", "one", "b.jsonl")}
    loop = "a link that leads to itself"
    assert kinds == {
        "folder": "a link to a folder: name it itself, and it is entered",
        "loop": loop,
        "one": loop,
        "b.jsonl": None,
    }


def test_a_folder_that_cannot_be_listed_ends_nothing(tmp_path: Path) -> None:
    """Nested so deeply that no path reaches it: as root, permissions would not matter."""
    name = "d" * 200
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(30):
        os.mkdir(name, dir_fd=folder)
        inner = os.open(name, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)
    (tmp_path / "z.jsonl").touch()
    failed: list[tuple[Path, int | None]] = []
    found = [*find_files([tmp_path], tmp_path / "data", lambda path, error: failed.append((path, error.errno)))]
    assert found == [tmp_path / "z.jsonl"]
    assert [code for _, code in failed] == [errno.ENAMETOOLONG]


def test_what_is_odd_is_noted(tmp_path: Path) -> None:
    """A packed file that ends too early, and games that several recordings tell."""
    path = tmp_path / "game_20981231_220000.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n".join([start(), *(tick(number) for number in range(500))]))[:-20])
    recording = look_at(path, "America/New_York")
    report = Report(files=[FileReport.of(recording)])
    (note,) = report.notes()
    assert note.startswith(f"{path}: the packed file ends too early")
    assert report.files[0].packed_sha256 == sha256(path.read_bytes()).hexdigest()
    assert report.details()["repeated_games"] is None
    report.repeated_games = [{"game_id": "g", "repeated": 15, "files": []}]
    assert report.notes()[1].startswith("games in more than one recording: 1, with 15 ticks")
    assert report.details()["repeated_games"] == report.repeated_games


@pytest.mark.parametrize(
    ("changed", "note"),
    [
        (lambda packed: packed + b"junk", "4 bytes that are not packed stand behind the others"),
        (lambda packed: packed[:-8] + b"\0" * 8, "not whole gzip: .*; what could be unpacked was read"),
    ],
)
def test_what_is_odd_about_a_packed_file_is_noted(tmp_path: Path, changed: Callable[[bytes], bytes], note: str) -> None:
    path = tmp_path / "game_20981231_220000.jsonl.gz"
    path.write_bytes(changed(gzip.compress(start() + b"\n")))
    report = Report(files=[FileReport.of(look_at(path, "America/New_York"))])
    (found,) = report.notes()
    assert re.search(note, found)
    assert report.details()["file_reports"][0]["note"] in found


def test_a_path_may_be_a_pattern(tmp_path: Path) -> None:
    for name in ("a/b/x_raw.jsonl", "a/y_raw.jsonl", "a/z[1].jsonl", "z.gz"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    named = {
        "**/*_raw.jsonl": ["a/b/x_raw.jsonl", "a/y_raw.jsonl"],
        "a/*.jsonl": ["a/y_raw.jsonl", "a/z[1].jsonl"],
        "a/z[1].jsonl": ["a/z[1].jsonl"],  # there is such a file: it is no pattern
        "*": ["a", "z.gz"],
    }
    for pattern, found in named.items():
        assert [str(path.relative_to(tmp_path)) for path in named_by(tmp_path / pattern)] == found
    for nothing in ("nowhere", "*.zip", "a/z[2].jsonl"):
        with pytest.raises(FileNotFoundError, match="no such file or folder"):
            named_by(tmp_path / nothing)
