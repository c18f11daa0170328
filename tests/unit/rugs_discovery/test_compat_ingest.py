"""What ingestion promises: three documents, the same again for the same recordings, and chunks for the index."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_discovery.compat import EventChunk, IngestionResult, NoIndexError, ingest_websocket_recordings, jsonl_ingest
from tests.support.jsons import JSON, TEXT

HOSTILE = st.sampled_from(["\ud800", "\udfff", "\0", "`|`", "a.b", ""]) | TEXT
RECORDS = st.fixed_dictionaries(
    {"event": HOSTILE | JSON, "data": st.dictionaries(HOSTILE, HOSTILE | st.floats() | JSON, max_size=3)}
)


def write(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def tick(price: float, event: str = "gameStateUpdate") -> dict[str, Any]:
    return {"event": event, "data": {"price": price}}


def ingest(folder: Path) -> tuple[IngestionResult, dict[str, bytes]]:
    done = ingest_websocket_recordings(folder, folder / "out" / "documents", embed=False)
    return done, {path.name: path.read_bytes() for path in (folder / "out" / "documents").iterdir()}


def test_ingestion_writes_three_documents(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", tick(1.5), tick(2.5, "other"))
    write(tmp_path / "b.jsonl", tick(3.5))
    (tmp_path / "c.jsonl").write_text("broken\n")
    done, documents = ingest(tmp_path)
    assert (done.files_scanned, done.events_discovered, done.fields_discovered, done.chunks_embedded) == (3, 2, 3, 0)
    assert [error.partition(": ")[0] for error in done.errors] == [f"{tmp_path}/c.jsonl:1"]
    assert sorted(documents) == ["coverage_report.md", "event_schemas.json", "field_index.json"]
    schemas = json.loads(documents["event_schemas.json"])
    assert list(schemas) == ["gameStateUpdate", "other"]
    assert schemas["other"]["properties"]["data"]["properties"]["price"]["type"] == "number"
    index = json.loads(documents["field_index.json"])
    assert list(index) == ["data", "data.price", "event"]
    assert index["data.price"]["event"] == ["gameStateUpdate", "other"]
    assert documents["coverage_report.md"].startswith(b"# WebSocket Recording Coverage Report\n")


def test_ingestion_again_gives_the_same_documents(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", tick(1.5), {"x": 1})
    assert ingest(tmp_path) == ingest(tmp_path)


@given(st.lists(RECORDS, max_size=4))
def test_the_documents_are_strict_json_whatever_the_records_hold(records: list[dict[str, Any]]) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "a.jsonl", *records)
        _, documents = ingest(Path(folder))
    for name in ("event_schemas.json", "field_index.json"):
        document = json.loads(documents[name], parse_constant=refuse)
        json.dumps(document, ensure_ascii=False).encode()
    assert documents["coverage_report.md"].decode().replace("\n", "").isprintable()


def test_embedding_without_the_index_is_refused_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rugs_index.compat", None)
    with pytest.raises(NoIndexError, match=r"install the search index.*embed=False.*--no-embed") as caught:
        ingest_websocket_recordings(tmp_path, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_chunks_of_schemas_and_index_are_embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embedded: list[EventChunk] = []

    def embed_chunks(chunks: Sequence[EventChunk]) -> int:
        embedded.extend(chunks)
        return len(chunks)

    index = ModuleType("rugs_index.compat")
    index.embed_chunks = embed_chunks  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "rugs_index", ModuleType("rugs_index"))
    monkeypatch.setitem(sys.modules, "rugs_index.compat", index)
    write(tmp_path / "a.jsonl", tick(1.5))
    assert ingest_websocket_recordings(tmp_path, tmp_path / "out", embed=True).chunks_embedded == 7
    assert [chunk.source for chunk in embedded if chunk.field_path in (None, "data.price")] == [
        "schemas/gameStateUpdate.json",
        "schemas/gameStateUpdate.json#data.price",
        "field_index.json#data.price",
    ]


def test_a_name_that_is_not_utf8_fits_into_the_documents(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff.jsonl")
    (tmp_path / name).write_text("broken\n")
    done = ingest_websocket_recordings(tmp_path, tmp_path / "out", embed=False)
    assert done.errors[0].startswith(rf"{tmp_path}/\udcff.jsonl:1: ")
    assert r"\udcff.jsonl" in (tmp_path / "out" / "coverage_report.md").read_text()


# The command


def test_the_command_prints_files_events_fields_and_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "a.jsonl", tick(1.5), [])
    arguments = ["--recordings", str(tmp_path), "--output", str(tmp_path / "out"), "--no-embed"]
    assert jsonl_ingest.main(arguments) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [
        "Files scanned: 1", "Events discovered: 1", "Fields discovered: 3", "Chunks embedded: 0", "Errors: 1",
    ]  # fmt: skip
    assert shown.err == ""


@pytest.mark.parametrize("more", [["--no-embed", "--recordings", "nowhere"], []])
def test_the_command_says_in_one_line_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, more: list[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rugs_index.compat", None)
    assert jsonl_ingest.main(["--recordings", str(tmp_path), "--output", str(tmp_path / "out"), *more]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert shown.err.count("\n") == 1


def test_a_long_scan_shows_its_progress_on_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setattr(jsonl_ingest, "_UNNOTICED", 0)
    write(tmp_path / "a.jsonl", tick(1.5))
    jsonl_ingest.main(["--recordings", str(tmp_path), "--output", str(tmp_path / "out"), "--no-embed"])
    assert "\r\x1b[K0 of 0 MB" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")


@pytest.mark.slow
def test_the_command_runs_as_a_module(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", tick(1.5))
    command = [sys.executable, "-W", "error", "-m", "rugs_discovery.compat.jsonl_ingest", "--no-embed"]
    command += ["--recordings", str(tmp_path), "--output", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Files scanned: 1\n")
