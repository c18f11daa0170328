"""`rugs index chunks`: a chunk for every record, without a stack, a model or a table."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from rugs_cli.app import app
from rugs_index.chunk import chunk_id
from tests.support.legacy_lines import GAME, cdp_frame, frame
from tests.support.stackkit import RUGS, clean_environment

LINES = [
    frame(1, "connect", None),
    frame(2, "newChatMessage", [{"__trace": True}, {"username": "Ada", "level": 7, "message": "é \x1b[31m"}]),
    cdp_frame(3, "gameStatePlayerUpdate", {"gameId": GAME}),
]
NAME = "2098-12-31_22-00-00_raw.jsonl"


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "captures" / NAME
    path.parent.mkdir()
    path.write_bytes(b"\n".join(LINES) + b"\n")
    return path


def run(*arguments: str | Path, code: int = 0) -> Result:
    done = CliRunner().invoke(app, ["index", "chunks", *map(str, arguments)])
    assert done.exit_code == code, done.output
    return done


def chunks(*arguments: str | Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run(*arguments, "--json").stdout.splitlines()]


def test_a_chunk_for_every_record(recording: Path) -> None:
    found = chunks(recording)
    assert [each["text"].split("\n")[0] for each in found] == [
        "Event Type: connect",
        "Event Type: newChatMessage",
        "Event Type: gameStatePlayerUpdate",
    ]
    assert [each["id"] for each in found] == [chunk_id(NAME, each["text"]) for each in found]
    assert [each.keys() for each in found] == [{"id", "text", "metadata"}] * 3
    assert found[2]["metadata"] == {
        **{"source": NAME, "kind": "ws_event", "doc_type": "raw_event", "event_type": "gameStatePlayerUpdate"},
        **{"game_id": GAME, "timestamp": "2099-01-01T03:00:03.601933+00:00", "seq": 3, "headers": []},
        **{"line_start": 3, "line_end": 3},
    }


def test_the_source_can_be_named(recording: Path) -> None:
    found = chunks(recording, "--source", f"raw_captures/{NAME}")
    assert {each["metadata"]["source"] for each in found} == {f"raw_captures/{NAME}"}
    assert found[0]["id"] == chunk_id(f"raw_captures/{NAME}", found[0]["text"])


def test_a_source_is_that_of_one_file(recording: Path) -> None:
    (recording.parent / "b_raw.jsonl").write_bytes(LINES[0])
    assert ": name one file" in run(recording.parent, "--source", "a", code=2).stderr


def test_the_profile_of_the_index(recording: Path) -> None:
    found = chunks(recording, "--profile", "rugbus")
    assert found[0]["text"].split("\n")[0] == "connect: the recorder connected to the server."
    assert {each["id"] for each in found}.isdisjoint(each["id"] for each in chunks(recording))


def test_a_folder_with_packed_files_and_what_is_no_recording(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = recording.parent
    monkeypatch.setenv("RUGS_DATA_DIR", str(folder / "data"))
    (folder / "z_cdp.jsonl.gz").write_bytes(gzip.compress(LINES[2]))
    (folder / "2098-12-31_22-00-00_summary.md").write_text("# Summary\n\nof a capture\n")
    (folder / "notes.md").write_text("# Notes\n\nof a capture\n")
    (folder / "data").mkdir()
    (folder / "data" / "own_raw.jsonl").write_bytes(LINES[0])
    done = run(folder, "--json")
    assert [json.loads(line)["metadata"]["source"] for line in done.stdout.splitlines()] == [
        *[NAME] * 3,
        "z_cdp.jsonl.gz",
    ]
    assert done.stderr.count("skipped ") == 2
    assert f"skipped {folder / 'notes.md'}: none of its 2 lines is a record\n" in done.stderr


def test_bad_lines_are_named_and_counted(recording: Path) -> None:
    recording.write_bytes(b"\n".join([LINES[0], b"{torn", LINES[1], *[b"[]"] * 30]))
    done = run(recording, "--json")
    assert len(done.stdout.splitlines()) == 2
    assert f"{NAME}:2: not JSON" in done.stderr
    assert f"{NAME}:4: not a JSON object but an array\n" in done.stderr
    assert done.stderr.endswith("31 faults, 11 of them not named\n")


def test_without_any_recording_it_fails(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    done = CliRunner().invoke(app, ["index", "chunks", str(tmp_path / "a.txt")])
    assert "none of these files is a recording" in str(done.exception)
    assert done.exit_code == 1
    absent = CliRunner().invoke(app, ["index", "chunks", str(tmp_path / "absent.jsonl")])
    assert "no such file or folder" in str(absent.exception)
    (tmp_path / "empty.jsonl").touch()
    assert run(tmp_path / "empty.jsonl").stdout == ""


def test_for_people(recording: Path) -> None:
    text = run(recording).stdout
    assert f"{chunks(recording)[1]['id']}  {NAME}:2\n  Event Type: newChatMessage\n" in text
    assert "Message: é \\x1b[31m\n" in text


def test_what_json_cannot_say_in_utf8(recording: Path) -> None:
    recording.write_bytes(frame(10**30, "newChatMessage", {"message": "\ud800", "username": 10**30}))
    (found,) = chunks(recording)
    assert "Message: \ud800" in found["text"]
    assert found["metadata"]["seq"] == 10**30
    assert "\\ud800" in run(recording).stdout


@pytest.mark.slow
def test_a_closed_pipe_ends_it_quietly(recording: Path) -> None:
    recording.write_bytes(b"\n".join(LINES * 20_000))
    command = [str(RUGS), "index", "chunks", str(recording), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment()) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["metadata"]["seq"] == 1
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(20) == 1


@pytest.mark.slow
def test_it_loads_neither_a_table_nor_a_model_nor_the_lake(recording: Path) -> None:
    code = (
        "import sys; from rugs_cli.app import run; run(); heavy = {'lancedb', 'openvino', 'tokenizers', 'numpy',"
        " 'pyarrow', 'duckdb', 'nats', 'pydantic_settings'} & sys.modules.keys(); print(sorted(heavy), file=sys.stderr)"
    )
    for profile in ("claude_flow_v1", "rugbus"):
        done = subprocess.run(
            [sys.executable, "-c", code, "index", "chunks", recording, "--profile", profile, "--json"],
            capture_output=True,
            check=True,
            env=clean_environment(),
        )
        assert len(done.stdout.splitlines()) == 3
        assert done.stderr == b"[]\n"
