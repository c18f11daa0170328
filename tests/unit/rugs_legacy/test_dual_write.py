"""Dual-write: the lines of the old recorders, each exactly once, wherever the process dies."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rugs_legacy.dual_write.folder import CHECKPOINT, CheckpointError, Folder
from rugs_legacy.dual_write.recorder import MOST_SESSIONS
from rugs_legacy.old_names import free_name
from rugs_proto.message import Message
from rugs_sim.made_up.feed import Feed
from rugs_sim.old_files import recorders
from tests.support.derivekit import Frame, frames
from tests.support.dualkit import expected, messages, recorder_of, write, written
from tests.support.examples import examples
from tests.support.lakekit import FULL

START = 1_764_640_800_000_000


def two_sessions() -> list[Frame]:
    """Two sessions of the source, at the same time, and another source that sees the first one's games."""
    first = frames(500, seed=12, start=START, session_id="a")
    second = frames(300, seed=13, start=START + 90_000_000, session_id="b")
    cdp = [{**each, "source": "cdp", "session_id": "c"} for each in first]
    return sorted([*first, *second, *cdp], key=lambda each: (each["ts"], each["session_id"]))


@lru_cache
def some_messages() -> list[Message]:
    return messages(two_sessions()[:400])


def after_time(line: bytes) -> Any:
    return {key: value for key, value in json.loads(line).items() if key not in ("timestamp", "ts")}


def test_games_are_the_old_recorders_lines_in_a_file_of_the_old_name(tmp_path: Path) -> None:
    files = expected(frames(1_500, seed=12, start=START), tmp_path)
    old = next(recorders.games(Feed(12, START)))
    game, began = (json.loads(old[0])[key] for key in ("game_id", "timestamp"))
    name = f"game_{began[:10].replace('-', '')}_{began[11:19].replace(':', '')}_{game[-8:]}.jsonl"
    lines = files[name].splitlines()
    assert len(lines) > 100
    assert [*map(after_time, lines)] == [*map(after_time, old)]
    for line, wanted in zip(lines, old, strict=True):  # also 1 and 1.0, and the order of keys
        assert line.partition(b'"game_id"')[2] == wanted.partition(b'"game_id"')[2]
    assert json.loads(lines[0])["timestamp"] == began
    assert json.loads(lines[-1])["timestamp"] == json.loads(lines[-2])["timestamp"]


def test_a_game_without_an_end_has_none(tmp_path: Path) -> None:
    files = expected(frames(1_500, seed=12, start=START), tmp_path)
    ends = [json.loads(content.splitlines()[-1])["type"] for name, content in files.items() if name.startswith("game_")]
    assert ends.count("tick") == 1
    assert ends.count("game_end") == len(ends) - 1


def test_a_session_is_a_raw_capture_numbered_from_one(tmp_path: Path) -> None:
    told = frames(200, seed=13, start=START)
    files = expected(told, tmp_path)
    (name,) = [name for name in files if name.endswith("_raw.jsonl")]
    assert name == "2025-12-01_21-00-00_raw.jsonl"
    lines = files[name].splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [*range(1, 201)]
    assert [json.loads(line)["data"] for line in lines] == [json.loads(each["raw"][2:])[1] for each in told]
    assert all([*json.loads(line)] == ["seq", "ts", "event", "data"] for line in lines)
    assert json.loads(lines[0])["ts"] == recorders.local(told[0]["ts"])


def test_another_source_that_sees_the_same_games_adds_nothing(tmp_path: Path) -> None:
    told = two_sessions()
    alone = expected([each for each in told if each["source"] == "public_ws"], tmp_path / "alone")
    assert expected(told, tmp_path / "both") == alone


def test_an_event_that_comes_again_is_written_once(tmp_path: Path) -> None:
    told = frames(100, seed=13, start=START)
    assert expected([*told, *told[40:], *told[:50]], tmp_path / "again") == expected(told, tmp_path / "once")


def test_what_is_there_is_never_written_over(tmp_path: Path) -> None:
    told = frames(50, seed=13, start=START)
    clean = expected(told, tmp_path / "clean")
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in clean:
        (folder / name).write_bytes(b"an old recorder's\n")
    found = expected(told, folder)
    assert {name: found[name] for name in clean} == dict.fromkeys(clean, b"an old recorder's\n")
    assert sorted(found[name] for name in found.keys() - clean.keys()) == sorted(clean.values())


def test_names_that_are_taken_keep_their_beginning_and_their_end() -> None:
    taken = {"2025-12-01_21-00-00_raw.jsonl", "game_x.jsonl", "game_x-2.jsonl"}
    assert free_name("2025-12-01_21-00-00_raw.jsonl", taken.__contains__) == "2025-12-01_21-00-00-2_raw.jsonl"
    assert free_name("game_x.jsonl", taken.__contains__) == "game_x-3.jsonl"


def test_a_hostile_game_id_names_no_other_folder(tmp_path: Path) -> None:
    told = [{**each, "game_id": "../../x/y"} for each in frames(3, seed=13, start=START)]
    assert all("/" not in name for name in expected(told, tmp_path / "deep" / "folder"))
    assert [*tmp_path.iterdir()] == [tmp_path / "deep"]


@pytest.mark.slow
def test_how_many_sessions_are_known_is_bounded(tmp_path: Path) -> None:
    one = frames(1, start=START)[0]
    told = [{**one, "session_id": f"s-{number}", "ts": START + number * 1_000_000} for number in range(200)]
    assert len(expected(told, tmp_path)) >= 200
    folder = Folder(tmp_path)
    folder.open()
    assert len(folder.sessions) == MOST_SESSIONS


def test_what_pythons_json_cannot_write_is_left_out_and_nothing_behind_it(tmp_path: Path) -> None:
    last = frames(120, start=START)[-1]
    told = []
    for seq, depth in enumerate(range(900, 1_010), 1):
        nested = '{"gameId":"g","tickCount":' + "[" * depth + "]" * depth + "}"
        told.append({**last, "seq": seq, "event": "gameStateUpdate", "raw": f'42["gameStateUpdate",{nested}]'})
    files = expected([*told, {**last, "seq": 500}], tmp_path)
    (name,) = [name for name in files if name.endswith("_raw.jsonl")]
    assert json.loads(files[name].splitlines()[-1])["event"] == last["event"]


def test_a_checkpoint_that_cannot_be_read_is_not_guessed(tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).write_text("{")
    with pytest.raises(CheckpointError, match="RUGS_LEGACY_DIR"):
        Folder(tmp_path).open()


@pytest.mark.slow
@settings(max_examples=examples(25))  # each is some fsyncs
@given(cuts=st.lists(st.integers(1, 400), max_size=5), garbage=st.binary(max_size=40))
def test_started_again_anywhere_with_anything_behind_the_checkpoint_the_files_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], garbage: bytes
) -> None:
    stream = some_messages()
    path = tmp_path_factory.mktemp("folder")
    for cut in sorted(cuts):
        write(path, stream[:cut])
        for name in Folder(path).sizes():
            with (path / name).open("ab") as file:
                file.write(garbage)
        (path / ".game_left_behind.jsonl.new").write_bytes(garbage)
    write(path, stream)
    whole = tmp_path_factory.mktemp("whole")
    write(whole, stream)
    assert written(path) == written(whole)


def in_a_process(work: Callable[[], None], events: int) -> bool:
    """Do work in a process that ends, without a word, at that many file operations; return whether it was done."""
    pid = os.fork()
    if pid == 0:
        left = events

        def hook(event: str, _: object) -> None:
            nonlocal left
            if event in ("open", "os.rename", "os.truncate", "os.remove"):
                left -= 1
                if left < 0:
                    os._exit(9)

        sys.addaudithook(hook)
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.slow
@pytest.mark.crash
def test_a_process_that_ends_at_any_file_operation_and_another_after_it(tmp_path: Path) -> None:
    told = [*islice((each for each in two_sessions() if each["source"] == "public_ws"), 420, 540)]
    whole = expected(told, tmp_path / "whole")
    stream = messages(told)
    for events in range(0, 1_000, 1 if FULL else 3):
        path = tmp_path / str(events)
        if in_a_process(lambda path=path: write(path, stream, batch=15), events):  # type: ignore[misc]
            break
        write(path, stream, batch=15)
        assert written(path) == whole, events
    assert events > 50
    assert written(path) == whole
    assert recorder_of(Folder(path)).lines == 0
