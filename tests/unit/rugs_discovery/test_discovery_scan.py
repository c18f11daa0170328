"""A scan of many files: the same in one process and in several, and a file that comes twice counts once."""

from __future__ import annotations

from pathlib import Path

import pytest

from rugs_discovery import scan as scanning
from rugs_discovery.scan import Scan, scan


def record(folder: Path) -> list[Path]:
    """Write recordings: three that differ, one of them twice, and one that is none."""
    for number in range(3):
        lines = [f'{{"event":"one","data":{{"n":{n},"of":"{number}"}}}}' for n in range(number, 20)]
        (folder / f"{number}.jsonl").write_text("\n".join(lines))
    (folder / "again.jsonl").write_text((folder / "0.jsonl").read_text())
    (folder / "notes.md").write_text("no recording")
    return sorted(folder.iterdir())


def said(result: Scan) -> tuple[object, ...]:
    return result.state.pack(), result.sources


def test_a_file_that_comes_twice_counts_once(tmp_path: Path) -> None:
    result = scan(record(tmp_path), processes=1)
    skipped = {Path(source.file).name: source.skipped for source in result.sources if source.skipped}
    assert skipped == {
        "again.jsonl": f"the same content as {tmp_path / '0.jsonl'}",
        "notes.md": "none of its lines is a record",
    }
    assert result.state.lines == 20 + 19 + 18


@pytest.mark.slow
def test_several_processes_say_what_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = record(tmp_path)
    one = scan(paths, processes=1)
    monkeypatch.setattr(scanning, "SMALL", 0)
    assert said(scan(paths, processes=2)) == said(one)
