"""Import runs: counted in the same transaction as their rows, exact whatever comes twice or makes no sense."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from rugs_lake.store import ledger
from rugs_proto.ids import natural_id
from rugs_proto.message import Message
from tests.support import lakekit
from tests.support.lakekit import commit, envelope, import_headers, message, open_writer

RUN, OTHER = "1" * 32, "2" * 32
TEXTS = {"file": "game.jsonl", "sha256": "f" * 64, "format": "f1", "reader": "f1/1", "tz": "America/New_York"}
REPORT = {**TEXTS, "size": 900, "lines": 7, "blank": 1, "records": 6, "rejected": 0, "salvaged": 0}
ENTRY = ("f" * 64, "f1/1", "America/New_York")


def part(seq: int, place: int, *seqs: int, run: str = RUN) -> Message:
    told = [envelope(n, source="import", session_id="file") for n in seqs]
    return message(seq, *told, headers=import_headers(run, place))


def last(seq: int, place: int, run: str = RUN, **changes: object) -> Message:
    done = json.dumps({**REPORT, **changes})
    return message(seq, subject="rugs.events.system_event.import._", headers=import_headers(run, place, done))


def find(root: Path, sha256: str, reader: str, tz: str) -> ledger.Entry | None:
    return next((entry for entry in ledger.imports_of(root, sha256) if entry.is_by(reader, tz)), None)


def counts(root: Path, run: str = RUN) -> tuple[int, int, int, int, int]:
    found = ledger.run(root, run)
    assert found is not None
    return found.last_message, found.stored, found.duplicates, found.rejected, found.rejected_before


def test_a_run_counts_over_many_commits_and_its_last_message_completes_the_ledger(tmp_path: Path) -> None:
    assert ledger.run(tmp_path, RUN) is None  # not even a lake yet
    writer = open_writer(tmp_path)
    commit(writer, part(1, 1, 1, 2), part(2, 2, 3))
    commit(writer, part(3, 3, 3, 4, 4))
    assert counts(tmp_path) == (3, 4, 2, 0, 0)
    found = ledger.run(tmp_path, RUN)
    assert found is not None
    assert (found.done, found.report) == (False, None)
    assert find(tmp_path, "f" * 64, "f1/1", "America/New_York") is None
    commit(writer, last(4, 4))
    entry = find(tmp_path, "f" * 64, "f1/1", "America/New_York")
    assert entry is not None
    assert (entry.run_id, entry.done, entry.report) == (RUN, True, REPORT)
    for other in (
        ("e" * 64, "f1/1", "America/New_York"),
        ("f" * 64, "f1/2", "America/New_York"),
        ("f" * 64, "f1/1", ""),
    ):
        assert find(tmp_path, *other) is None
    lakekit.checked(tmp_path)


def test_records_that_the_importer_knew_and_did_not_send_make_a_run_whole(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    commit(writer, part(1, 1, 1, 2), last(2, 2, known=4))
    entry = find(tmp_path, *ENTRY)
    assert entry is not None
    assert (entry.stored, entry.report) == (2, {**REPORT, "known": 4})
    commit(writer, part(3, 1, 3, run=OTHER), last(4, 2, run=OTHER, known=4))
    assert (found := ledger.run(tmp_path, OTHER)) is not None
    assert not found.done, "a record is missing"


def test_two_runs_in_one_commit_are_counted_apart(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    commit(writer, part(1, 1, 1, 2), part(2, 1, 2, 3, run=OTHER), message(3, envelope(9)), part(4, 2, 4))
    assert counts(tmp_path) == (2, 3, 0, 0, 0)
    assert counts(tmp_path, OTHER) == (1, 1, 1, 0, 0)


def test_rejects_are_counted_apart(tmp_path: Path) -> None:
    def reject(n: int) -> dict[str, object]:
        return envelope(n, source="import", session_id="file", doc_type="reject", raw=b"{torn", event="line")

    writer = open_writer(tmp_path)
    commit(writer, part(1, 1, 1), message(2, reject(50), reject(60), headers=import_headers(RUN, 2)))
    commit(writer, message(3, reject(60), reject(70), headers=import_headers(OTHER, 1)))
    assert counts(tmp_path) == (2, 1, 0, 2, 0)
    assert counts(tmp_path, OTHER) == (1, 0, 0, 1, 1)
    lakekit.checked(tmp_path)


@pytest.mark.parametrize("together", [True, False])
def test_a_message_that_comes_twice_is_counted_once(tmp_path: Path, together: bool) -> None:
    writer = open_writer(tmp_path)
    messages = [part(1, 1, 1, 2), part(2, 1, 1, 2), part(3, 2, 3), part(4, 1, 1, 2), part(5, 2, 3)]
    if together:
        commit(writer, *messages)
    else:
        for each in messages:
            commit(writer, each)
    assert counts(tmp_path) == (2, 3, 0, 0, 0)
    assert lakekit.checked(tmp_path).rows == 3


def test_events_under_a_place_that_was_taken_are_stored_all_the_same(tmp_path: Path) -> None:
    """Places are for counting. What an event is, its id says: a wrong place must never lose one."""
    writer = open_writer(tmp_path)
    commit(writer, part(1, 5, 1, 2))
    commit(writer, part(2, 3, 3, 4), part(3, 5, 5))
    assert counts(tmp_path) == (5, 2, 0, 0, 0)
    assert lakekit.checked(tmp_path).rows == 5


@pytest.mark.parametrize("together", [True, False])
def test_a_message_after_the_last_does_not_undo_the_ledger_entry(tmp_path: Path, together: bool) -> None:
    writer = open_writer(tmp_path)
    messages = [part(1, 1, 1), last(2, 2, records=1), part(3, 3, 2), last(4, 4, records=2)]
    for group in [messages] if together else [[each] for each in messages]:
        commit(writer, *group)
    found = ledger.run(tmp_path, RUN)
    assert found is not None
    assert (found.done, found.report, found.stored) == (True, {**REPORT, "records": 1}, 1)
    assert lakekit.checked(tmp_path).rows == 2


@pytest.mark.parametrize(
    "headers",
    [
        import_headers("short", 1),
        import_headers(RUN.upper().replace("1", "A"), 1),
        import_headers(RUN, 0),
        import_headers(RUN, -1),
        {**import_headers(RUN, 1), "Rugs-Import-Seq": "1e3"},
        {**import_headers(RUN, 1), "Rugs-Import-Seq": "9" * 30},
        {**import_headers(RUN, 1), "Rugs-Import-Seq": "١"},
        {"Rugs-Import": RUN},
        {"Rugs-Import-Seq": "1"},
    ],
)
def test_headers_that_make_no_sense_are_ignored_and_the_events_kept(tmp_path: Path, headers: dict[str, str]) -> None:
    lakekit.store(tmp_path, message(1, envelope(1), headers=headers))
    assert lakekit.catalog_rows(tmp_path, "SELECT * FROM rugs_import") == []
    assert lakekit.checked(tmp_path).rows == 1


NO_REPORTS = {
    **{text: text for text in ("", "{", "[]", "3", '"x"', "null", '{"a": NaN}', "\udce9", "{}")},
    "nested": '{"a":' + "[" * 300 + "]" * 300 + "}",
    "nested too deep": "[" * 5000,
    **{f"without {name}": json.dumps({k: v for k, v in REPORT.items() if k != name}) for name in REPORT},
    **{f"{name} a list": json.dumps({**REPORT, name: []}) for name in REPORT},
    "name too long": json.dumps({**REPORT, "file": "x" * 5000}),
    **{f"records {n!r}": json.dumps({**REPORT, "records": n}) for n in (-1, 1.0, True, 2**60, 10**30)},
}


@pytest.mark.parametrize("done", NO_REPORTS.values(), ids=NO_REPORTS.keys())
def test_a_report_that_makes_no_sense_completes_nothing(tmp_path: Path, done: str) -> None:
    lakekit.store(tmp_path, message(1, envelope(1), headers=import_headers(RUN, 1, done)))
    found = ledger.run(tmp_path, RUN)
    assert found is not None
    assert (found.done, found.report, found.stored) == (False, None, 1)


def test_of_a_report_only_the_known_keys_are_kept(tmp_path: Path) -> None:
    deep: object = []
    for _ in range(300):
        deep = [deep]
    lakekit.store(tmp_path, last(1, 1, records=0, deep=deep, more="x"))
    found = ledger.run(tmp_path, RUN)
    assert found is not None
    assert (found.done, found.report) == (True, {**REPORT, "records": 0})


@pytest.mark.parametrize(
    ("first", "told"),
    [(2, {"records": 2}), (1, {"records": 3}), (1, {"records": 1}), (1, {"records": 2, "rejected": 1})],
    ids=["a message is missing", "a record is missing", "a record too many", "a reject is missing"],
)
def test_a_run_that_is_not_whole_is_closed_but_no_ledger_entry(
    tmp_path: Path, first: int, told: dict[str, Any]
) -> None:
    """Else the next import of the same file would skip it, and what the bus has lost would stay lost."""
    writer = open_writer(tmp_path)
    commit(writer, part(1, first, 1, 2), last(2, first + 1, **told))
    found = ledger.run(tmp_path, RUN)
    assert found is not None
    assert (found.closed, found.done, found.report) == (True, False, {**REPORT, **told})
    assert find(tmp_path, *ENTRY) is None
    commit(writer, part(3, 1, 1, 2, run=OTHER), last(4, 2, run=OTHER, records=2))
    entry = find(tmp_path, *ENTRY)
    assert entry is not None
    assert (entry.run_id, entry.stored, entry.duplicates) == (OTHER, 0, 2)


def test_a_record_whose_bytes_never_came_is_counted_as_rejected(tmp_path: Path) -> None:
    """Its bytes travelled in the object store, and are not there: a reject, neither stored nor a duplicate."""
    large = envelope(1, source="import", session_id="file", raw=..., blob="b" * 64, id="e" * 32)
    sent = message(1, large, headers=import_headers(RUN, 1))
    writer = open_writer(tmp_path)
    writer.add(sent, writer.judge(sent), {"b" * 64: None})
    pending = writer.take()
    assert pending is not None
    writer.commit(pending)
    assert counts(tmp_path) == (1, 0, 0, 1, 0)
    lakekit.checked(tmp_path)


def test_a_report_file_is_whole_json(tmp_path: Path) -> None:
    path = ledger.write_report(tmp_path, "import-1", {"files": 3, "name": "Zoë"})
    assert path.parent == tmp_path / "manifests" / "imports"
    assert orjson.loads(path.read_bytes()) == {"files": 3, "name": "Zoë"}
    assert [each.name for each in path.parent.iterdir()] == ["import-1.json"]


def test_what_is_derived_from_a_record_is_stored_and_not_counted(tmp_path: Path) -> None:
    """A document is one record, however much is read out of it; every message of the run has to come all the same."""
    document = envelope(1, source="import", session_id="file", doc_type="system_event")
    cause = lakekit.id_of(document)
    derived = envelope(
        1,
        source="import",
        session_id="file",
        doc_type="game_tick",
        game_id="g",
        cause=cause,
        raw=...,
        fields={"tick": 3},
    )
    derived["id"] = natural_id("game_tick", "import", "g", derived["fields"])
    writer = open_writer(tmp_path)
    told = message(1, document, headers=import_headers(RUN, 1), subject="rugs.events.system_event.import._")
    rows = message(2, derived, headers=import_headers(RUN, 2), subject="rugs.events.game_tick.import._")
    commit(writer, told, rows, last(3, 3, records=1))
    assert counts(tmp_path) == (3, 1, 0, 0, 0)
    assert find(tmp_path, *ENTRY) is not None
    assert lakekit.select(tmp_path, "SELECT doc_type FROM events ORDER BY 1") == [("game_tick",), ("system_event",)]
