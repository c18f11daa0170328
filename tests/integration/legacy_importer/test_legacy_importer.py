"""The importer as a process, with a real broker and a real writer: what goes in is in the lake, once."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
from pathlib import Path

import pytest

from rugs_lake.store import ledger
from rugs_lake.store.paths import LakePaths
from rugs_runtime.broker import Broker
from tests.support.importkit import Desk
from tests.support.legacy_lines import cdp_frame, end, frame, start, tick
from tests.support.stackkit import wait

pytestmark = pytest.mark.slow

GAME = "game_20981231_220000_89abcdef.jsonl"
RAW = "2098-12-31_22-00-00_raw.jsonl"
CDP = "2098-12-31_22-30-00_cdp.jsonl"


@pytest.fixture
def desk(broker: Broker, tmp_path: Path) -> Desk:
    return Desk(broker, tmp_path)


DAMAGED = tick(2)[:-1] + b'{"' + tick(3)


def test_what_goes_in_is_stored_once(desk: Desk) -> None:
    state = {"gameId": "g", "price": 1.5, "tickCount": 3, "active": True}
    desk.put(GAME, start(), tick(1), b"", DAMAGED, end())
    desk.put(RAW, frame(1, "connect"), frame(2, data=state))
    desk.put(CDP, cdp_frame(1, data=state, direction="sent"))
    (desk.recordings / "folder").mkdir()
    desk.put(f"folder/copy_of_{GAME}", start(), tick(1), b"", DAMAGED, end())
    desk.put("folder/empty_raw.jsonl")
    desk.put("notes.md", b"# hello")
    with desk.writer():
        told = desk.imported()
        figures = {key: told[key] for key in ("files", "lines", "blank", "records", "rejected", "salvaged")}
        assert figures == {"files": 5, "lines": 13, "blank": 2, "records": 9, "rejected": 2, "salvaged": 2}
        assert (told["stored"], told["duplicates"]) == (7, 4)
        assert [Path(skipped).name for skipped in told["skipped_files"]] == ["notes.md"]
        assert list(told)[6:] == ["stored", "duplicates", "refused", "skipped_files", "notes", "failures", "seconds"]

        again = desk.imported()
        assert (again["stored"], again["duplicates"], again["files"]) == (0, 11, 5)

        elsewhere = desk.imported("--timezone", "UTC")  # the same bytes, understood otherwise: not stored again
        assert (elsewhere["stored"], elsewhere["duplicates"]) == (0, 11)
        _, by_hand, _ = desk.run(desk.recordings, "--timezone", "UTC")
        assert "files imported before with another time zone: 5 with America/New_York" in by_hand

    counted = desk.rows("SELECT doc_type, count(*) FROM events GROUP BY 1 ORDER BY 1")
    assert counted == [("game_tick", 2), ("system_event", 2), ("ws_event", 3)]
    stored = desk.rows("SELECT raw FROM events WHERE doc_type IN ('game_tick', 'system_event') ORDER BY seq")
    assert [raw.encode() for (raw,) in stored] == [start(), tick(1), tick(3), end()]
    assert desk.rows("SELECT raw FROM reject") == [(DAMAGED.decode(),)]
    assert desk.rows("SELECT price, tick, direction FROM ws_event WHERE price = 1.5 ORDER BY direction") == [
        (1.5, 3, "received"),
        (1.5, 3, "sent"),
    ]
    reports = list((desk.root / "manifests" / "imports").glob("*.json"))
    assert len(reports) == 4
    assert all(len(json.loads(report.read_bytes())["file_reports"]) == 5 for report in reports)


def test_a_file_that_has_grown_adds_what_is_new(desk: Desk) -> None:
    with desk.writer():
        desk.put(GAME, start(), tick(1))
        assert desk.imported()["stored"] == 2
        desk.put(GAME, start(), tick(1), tick(2), end())
        told = desk.imported()
    assert (told["stored"], told["duplicates"]) == (2, 2)


def test_a_frame_too_large_for_a_message_is_stored_whole(desk: Desk) -> None:
    large = frame(2, data={"gameId": "g", "filling": "x" * 20_000_000})
    desk.put(RAW, frame(1), large, frame(3))
    with desk.writer():
        assert desk.imported()["stored"] == 3
    assert desk.rows("SELECT raw FROM ws_event ORDER BY seq")[1][0].encode() == large


def test_without_wait_the_figures_of_the_lake_are_open(desk: Desk) -> None:
    desk.put(GAME, start(), tick(1))
    with desk.writer():
        code, out, _ = desk.run(desk.recordings, "--json")
        told = json.loads(out)
        assert (code, told["records"], told["stored"], told["duplicates"]) == (0, 2, None, None)
        wait(lambda: (desk.root / "manifests" / "lake.sqlite").exists() and _committed(desk))
        assert desk.imported()["stored"] == 0
        code, out, _ = desk.run(desk.recordings)
    assert code == 0
    assert "0 stored, 2 duplicates" in out


def _committed(desk: Desk) -> bool:
    report = next((desk.root / "manifests" / "imports").glob("*.json"))
    run = ledger.run(desk.root, json.loads(report.read_bytes())["file_reports"][0]["run_id"])
    return run is not None and run.done


@pytest.mark.crash
@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_an_import_that_is_ended_is_finished_by_the_next(desk: Desk, way: signal.Signals) -> None:
    """The broker's stream is filled while no writer runs, so that the import is surely under way."""
    frames = [frame(number, data={"gameId": "g", "filling": os.urandom(3000).hex()}) for number in range(6_000)]
    desk.put(RAW, *frames)
    for number in range(20):
        desk.put(f"game_20981231_2200{number:02}.jsonl", start(number=number), *map(tick, range(50)))
    with desk.writer() as writer:
        process = desk.start("legacy_importer", desk.recordings, "--wait", "--json")
        wait(lambda: process.poll() is not None or desk_has_rows(desk))
        process.send_signal(way)
        out, err = process.communicate(timeout=30)
        assert writer.poll() is None
        if way == signal.SIGKILL:
            assert process.returncode == -signal.SIGKILL
        elif process.returncode:  # it may have been done already
            assert process.returncode == 1
            assert "stopped; what was sent is kept" in err
            assert "never retrieved" not in err
            assert json.loads(out)["files"] >= 1
        told = desk.imported()
        assert told["stored"] + told["duplicates"] == 6_000 + 20 * 51
        assert desk.imported()["stored"] == 0
    assert desk.rows("SELECT count(*), count(DISTINCT id) FROM events") == [(7020, 7020)]
    assert [raw.encode() for (raw,) in desk.rows("SELECT raw FROM ws_event ORDER BY seq")] == frames


def desk_has_rows(desk: Desk) -> bool:
    return any((desk.root / "events_parquet").glob("doc_type=ws_event/*/*.parquet"))


def test_what_cannot_be_read_is_named_and_the_rest_imported(desk: Desk) -> None:
    """Links, pipes and sockets are left alone; what should be a recording and has no record is a failure."""
    desk.put(GAME, start(), tick(1))
    (desk.recordings / "gone_raw.jsonl").symlink_to("nowhere")
    (desk.recordings / "loop_raw.jsonl").symlink_to("loop_raw.jsonl")
    os.mkfifo(desk.recordings / "pipe_raw.jsonl")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(desk.recordings / "socket_raw.jsonl"))
    (desk.recordings / RAW).write_bytes(frame(1).decode().encode("utf-16-be"))
    (desk.recordings / CDP).write_bytes(gzip.compress(gzip.compress(cdp_frame(1))))
    desk.put("junk_raw.jsonl", b"not one", b"record")
    cut = b"\n".join(tick(number, price=number / 7) for number in range(500))
    (desk.recordings / f"{GAME}.gz").write_bytes(gzip.compress(cut)[:-40])
    with desk.writer():
        runs = [desk.run(desk.recordings, "--wait", "--json") for _ in range(2)]
    told, again = (json.loads(out) for _, out, _ in runs)
    assert [code for code, _, _ in runs] == [1, 1], "known files are no better than new ones"
    assert (told["stored"] > 400, again["stored"], told["failures"]) == (True, 0, again["failures"])
    assert told["notes"][0].endswith(": the packed file ends too early: what is in it until there was read")
    assert {Path(each.partition(": ")[0]).name: each.partition(": ")[2] for each in told["failures"]} == {
        RAW: "text in UTF-16 (big endian) without a byte order mark: convert it to UTF-8, and import that",
        CDP: "gzip packed once more inside: unpack it once, and import what is in it",
        "junk_raw.jsonl": "none of its 2 lines is a record: they are kept as rejects (see `rugs rejects list`)",
    }
    kept = sorted((desk.root / "manifests" / "imports").glob("*.json"))[0]
    assert {Path(one["file"]).name: one["reason"] for one in json.loads(kept.read_bytes())["skipped"]} == {
        "gone_raw.jsonl": "it points nowhere",
        "loop_raw.jsonl": "a link that leads to itself",
        "pipe_raw.jsonl": "a pipe, not a plain file",
        "socket_raw.jsonl": "a socket, not a plain file",
        RAW: "text in UTF-16 (big endian) without a byte order mark: convert it to UTF-8, and import that",
        CDP: "gzip packed once more inside: unpack it once, and import what is in it",
    }


def test_without_a_writer_it_says_so(desk: Desk) -> None:
    desk.put(GAME, start())
    with desk.writer():
        desk.imported()
    desk.put(GAME, start(), tick(1))
    code, out, err = desk.run(desk.recordings, "--wait", "--json", "--timeout", "1")
    assert code == 1
    assert err == (
        "legacy-importer: not done within 1 seconds; what was sent is kept, and the same import again does the rest\n"
    )
    assert json.loads(out)["stored"] is None


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nowhere.jsonl"], "no such file or folder: nowhere.jsonl"),
        ([], "required: PATH"),
        ([".", "--timezone", "Nowhere/Else"], "no such time zone"),
        ([".", "--timeout", "0"], "above 0"),
        ([".", "--timeout", "soon"], "invalid float"),
    ],
)
def test_wrong_usage(desk: Desk, arguments: list[str], reason: str) -> None:
    code, out, err = desk.run(*arguments)
    assert (code, out) == (2, "")
    assert reason in err.splitlines()[-1]


def test_no_broker(desk: Desk, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.put(GAME, start())
    broker.stop()
    desk._environment["RUGS_CONNECT_TIMEOUT"] = "0.5"
    code, _, err = desk.run(desk.recordings, "--json")
    assert code == 1
    assert len(err.splitlines()) == 1


def test_an_import_of_nothing_at_all_fails_and_one_of_files_that_are_no_recordings_names_them(desk: Desk) -> None:
    with desk.writer():
        code, _, err = desk.run(desk.recordings, "--wait")
        assert (code, err) == (1, "legacy-importer: nothing was imported: there is no file at all\n")
        desk.put("notes.md", b"# hello")
        code, out, err = desk.run(desk.recordings, "--wait", "--json")
        assert (code, err) == (0, "")
        told = json.loads(out)
        assert (told["stored"], len(told["skipped_files"])) == (0, 1)


def test_a_lake_that_cannot_be_read_now_is_waited_for(desk: Desk) -> None:
    """It is not taken for one that knows no file: that would be imported again."""
    desk.put(GAME, start(), tick(1), end())
    with desk.writer():
        desk.imported()
    manifests = LakePaths(desk.root).manifests
    manifests.rename(desk.root / "aside")
    manifests.symlink_to(desk.root / "not mounted")
    process = desk.start("legacy_importer", desk.recordings, "--wait", "--json", "--timeout", "60")
    assert process.stderr is not None
    assert "cannot read the lake" in process.stderr.readline()
    manifests.unlink()
    (desk.root / "aside").rename(manifests)
    with desk.writer():
        out, _ = process.communicate(timeout=90)
    told = json.loads(out)
    assert (process.returncode, told["stored"], told["duplicates"]) == (0, 0, 3)
