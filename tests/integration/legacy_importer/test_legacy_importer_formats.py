"""The importer as a process on files of every format: interrupted anywhere, the same lake comes of it."""

from __future__ import annotations

import json
import random
import signal
from pathlib import Path

import pytest

from rugs_legacy.recognise import UnknownFormatError
from rugs_runtime.broker import Broker
from rugs_sim.old_files.generate import files_of_every_format, write_files
from tests.support.importkit import Desk
from tests.support.lakekit import FULL
from tests.support.legacy_files import ids_of, read_file
from tests.support.legacy_lines import line
from tests.support.stackkit import wait

pytestmark = [pytest.mark.slow, pytest.mark.crash]


@pytest.fixture
def desk(broker: Broker, tmp_path: Path) -> Desk:
    return Desk(broker, tmp_path)


def expected_ids(folder: Path) -> tuple[set[str | None], set[str | None]]:
    """Return the ids of all events, and of all rejects, that the files of a folder stand for."""
    events: set[str | None] = set()
    rejects: set[str | None] = set()
    for path in folder.rglob("*"):
        if path.is_file():
            try:
                envelopes = read_file(path)[2]
            except UnknownFormatError:
                continue
            events.update(ids_of([one for one in envelopes if one["doc_type"] != "reject"]))
            rejects.update(ids_of([one for one in envelopes if one["doc_type"] == "reject"]))
    return events, rejects


@pytest.mark.timeout(300)
@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGKILL] if FULL else [signal.SIGTERM])
def test_an_import_of_every_format_ended_again_and_again_comes_to_the_same_lake(
    desk: Desk, way: signal.Signals
) -> None:
    chance = random.Random(way)
    for seed in (11, 12):
        write_files(desk.recordings / str(seed), files_of_every_format(seed))
    events, rejects = expected_ids(desk.recordings)
    with desk.writer():
        for _ in range(4):
            process = desk.start("legacy_importer", desk.recordings, "--wait", "--json")
            wanted = chance.randint(1, 12)  # partitions by then; a later attempt finds some of them there already
            wait(lambda: process.poll() is not None or partitions(desk) >= wanted)  # noqa: B023 - asked at once
            process.send_signal(way)
            process.communicate(timeout=30)
        desk.imported()
        assert desk.imported()["stored"] == 0
    assert {row[0] for row in desk.rows("SELECT id FROM events")} == events
    assert {row[0] for row in desk.rows("SELECT id FROM reject")} == rejects
    assert desk.rows("SELECT count(*) FROM events") == [(len(events),)]


def partitions(desk: Desk) -> int:
    return sum(1 for _ in (desk.root / "events_parquet").glob("*/*/*.parquet"))


def test_a_document_too_large_for_a_message_is_stored_whole(desk: Desk) -> None:
    """Its bytes go by the object store; what is read out of it names it all the same."""
    told = [
        {
            "seq": seq,
            "ts": f"2099-01-01T03:00:{seq:02}.000001",
            "event": "gameStateUpdate",
            "data": {"gameId": "g", "x": x},
        }
        for seq, x in enumerate(("a", "x" * 9_000_000, "b"), 1)
    ]
    content = b"[" + b",".join(map(line, told)) + b"]"
    path = desk.recordings / "x_samples.json"
    path.write_bytes(content)
    with desk.writer():
        assert desk.imported()["stored"] == 1
        assert desk.imported()["stored"] == 0
    ((document_id, raw),) = desk.rows("SELECT id, raw FROM system_event")
    assert raw.encode() == content
    assert desk.rows("SELECT DISTINCT cause, game_id FROM ws_event") == [(document_id, "g")]
    report = json.loads(next((desk.root / "manifests" / "imports").glob("*.json")).read_bytes())
    assert report["file_reports"][0]["format"] == "F16"
