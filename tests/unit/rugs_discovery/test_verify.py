"""The proof: it finds nothing where the documents say everything, and names whatever they lack."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from rugs_discovery.documented import DocumentsError
from tests.support.documentkit import HOSTILE
from tests.support.proofkit import GAME, TICKS, TRADES, Room, fields_of


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def test_documents_of_the_data_have_no_findings(room: Room) -> None:
    room.record(*GAME)
    room.record("not JSON", {"type": "tick", "n": 1}, "", "[1]", name="b.jsonl")
    report = room.document().verify()
    assert report.findings == ()
    counts = {key: getattr(report, key) for key in ("files", "lines", "errors", "events", "event_types", "not_json")}
    assert counts == {"files": 2, "lines": 18, "errors": 2, "events": 16, "event_types": 3, "not_json": 0}
    assert report.paths == 5 + 6 + 2
    assert report.values == 12 * 6 + 3 * (1 + 3 + 2 + 1) + 2
    assert report.as_dict()["total_findings"] == 0


def test_maps_are_compared_as_maps(room: Room) -> None:
    room.record(*TICKS)
    room.document()
    assert "data.prices{*}" in fields_of(json.loads((room.documents / "fields.json").read_text()))
    assert room.findings() == []


@pytest.mark.slow
def test_hostile_names_have_no_findings(room: Room) -> None:
    payload = {key: {"text": key, "list": [key, [key]], "map": {"1": key, "2": key}} for key in HOSTILE}
    room.record(*({"event": name, "data": payload} for name in HOSTILE))
    room.record(*({**payload, "type": name} for name in HOSTILE), name="b.jsonl")
    report = room.document().verify()
    assert report.findings == ()
    assert report.not_json == report.events > 0  # each payload has a key that is half a surrogate pair


@pytest.mark.parametrize("as_a_file", [".json", ".jsonl.gz", "array.json", "pretty.json", "utf-16"])
def test_files_of_every_kind_have_no_findings(room: Room, as_a_file: str) -> None:
    whole = "\n".join(map(json.dumps, GAME))
    contents = {
        ".json": whole.encode(),
        ".jsonl.gz": gzip.compress(whole.encode()),
        "array.json": json.dumps(GAME, indent=1).encode(),
        "pretty.json": json.dumps(GAME[0], indent=2).encode(),
        "utf-16": whole.encode("utf-16"),
    }
    (room.recordings / f"a{as_a_file}").write_bytes(contents[as_a_file])
    report = room.document().verify()
    assert report.findings == ()
    assert report.events == (1 if as_a_file == "pretty.json" else len(GAME))


def test_a_file_with_the_content_of_another_counts_once_and_one_without_an_event_not_at_all(room: Room) -> None:
    room.record(*GAME)
    room.record(*GAME, name="b.jsonl")
    room.record("# A title", "no event", name="c.md")
    room.record(name="d.jsonl")
    report_on_a_capture = {"total_events": 5, "event_types": {}, "event": "e", "data": 1}
    room.record(json.dumps(report_on_a_capture, indent=1), name="e.json")
    report = room.document().verify()
    assert report.findings == ()
    assert (report.events, report.errors) == (len(GAME), 0)


def test_an_event_of_very_many_objects_has_no_findings(room: Room) -> None:
    room.record(*TICKS, {"event": "gameStateUpdate", "data": {"rows": [{"a": [n]} for n in range(20_001)]}})
    report = room.document().verify()
    assert report.findings == ()
    assert report.values == 12 * 6 + 2 + 3 * 20_001


# --- events that JSON Schema cannot check -------------------------------------------------------------------------

NOT_JSON = {
    "NaN": '{"event": "e", "data": {"a": [NaN, 1], "b": {"c": null}}}',
    "-Infinity": '{"event": "e", "data": -Infinity}',
    "a number too large": '{"event": "e", "data": {"a": 1e999}}',
    "a number too long": '{"event": "e", "data": {"a": %s}}' % ("9" * 5000),
    "a key twice": '{"event": "e", "data": {"a": 1, "a": {"b": 1}}}',
    "a key twice beside the payload": '{"event": "e", "data": {"a": 1}, "x": {"y": 1, "y": 1}}',
    "a key of the record twice": '{"event": "e", "data": {"a": 1}, "event": "e"}',
    "half a pair": '{"event": "e", "data": {"a": "\\ud83d"}}',
    "half a pair behind a backslash": '{"event": "e", "data": {"a": "\\\\ud83d\\ude00"}}',
    "half a pair in a key": '{"event": "e", "data": {"\\uDE00": 1}}',
}


@pytest.mark.parametrize("line", NOT_JSON.values(), ids=NOT_JSON.keys())
def test_an_event_that_cannot_be_checked_is_counted_and_does_not_fail(room: Room, line: str) -> None:
    room.record({"event": "e", "data": {"a": 1}}, line, {"event": "e", "data": {"a": 2, "b": []}})
    report = room.document().verify()
    assert report.findings == ()
    assert report.not_json == 1


def test_what_only_looks_like_a_flaw_is_checked(room: Room) -> None:
    room.record(
        '{"event": "e", "data": {"pair": "\\ud83d\\ude00", "backslash": "\\\\ud83d", "colon": "a\\u003ab"}}',
        '{"event": "e", "data": {"hash": "0e1234", "text": "[1e999", "n": [1e25, 1E+5, -0, -0.0, 1e-999]}}',
        json.dumps({"event": "e", "data": {"whole": [10**29, 1 << 64, -(10**400)]}}),
        '{"event": "e", "data": {"a": {"x": 1}, "b": {"x": 1}, "c": [{"x": 1}, {"x": 1}]}}',
    )  # fmt: skip
    report = room.document().verify()
    assert report.findings == ()
    assert report.not_json == 0


def test_an_undocumented_event_that_cannot_be_checked_is_named(room: Room) -> None:
    room.record(NOT_JSON["NaN"], NOT_JSON["a key twice"])
    room.document()

    def forget_one(document: dict[str, Any]) -> None:
        event = document["events"]["e"]
        event["not_json"] = {"a number that is not finite": 1}
        event["faults"] = event["faults"][:1]

    room.change("fields.json", forget_one)
    assert room.findings() == [
        "e: events that are not JSON: documented 1, found 2",
        "e: a.jsonl:2 is not JSON, but not documented so",
    ]


def test_the_place_of_an_event_that_cannot_be_checked_is_compared(room: Room) -> None:
    room.record({"event": "e", "data": {"a": 1}}, NOT_JSON["a key twice"])
    room.document()
    room.change("fields.json", lambda document: document["events"]["e"]["faults"][0].update(line=1))
    assert room.findings() == [
        "e: a.jsonl:1 is documented as not JSON, but is",
        "e: a.jsonl:2 is not JSON, but not documented so",
    ]


# --- something is missing -----------------------------------------------------------------------------------------


def test_a_path_that_is_not_documented_is_named_with_its_first_place(room: Room) -> None:
    room.record(*TICKS[:3])
    room.record(*TICKS[3:], name="b.jsonl")
    room.document()
    room.change("fields.json", lambda document: fields_of(document).pop("data.price"))
    assert room.findings() == ["gameStateUpdate: path data.price is not documented (first seen a.jsonl:1)"]


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("data", "data"),
        ("data.tags", "data.tags"),
        ("data.tags[]", "data.tags[]"),
        ("data.tags[][]", "data.tags[][]"),
        ("data.qty", "data.qty"),
    ],
)
def test_a_path_inside_of_others_is_named_alone(room: Room, path: str, named: str) -> None:
    room.record(*GAME)
    room.document()
    room.change("fields.json", lambda document: fields_of(document, "standard/newTrade").pop(path))
    assert room.findings() == [f"standard/newTrade: path {named} is not documented (first seen a.jsonl:13)"]


@pytest.mark.parametrize("key", ["a.b", "a[0]", 'a"b', "", "a\\b", "{*}", "1.5", "é", "x y", "[]"])
def test_a_path_with_a_special_key_is_named_as_the_documents_write_it(room: Room, key: str) -> None:
    room.record({"event": "e", "data": {key: [{key: 1}], "other": 1}})
    room.document()
    document = json.loads((room.documents / "fields.json").read_text())
    (path,) = [each for each in fields_of(document, "e") if "[]." in each]
    room.change("fields.json", lambda document: fields_of(document, "e").pop(path))
    assert room.findings() == [f"e: path {path} is not documented (first seen a.jsonl:1)"]


def test_a_type_that_is_not_documented_is_named(room: Room) -> None:
    room.record(*TICKS, {"event": "gameStateUpdate", "data": {"price": None, "tickCount": 1, "prices": {}}})
    room.document()
    room.change("fields.json", lambda document: fields_of(document)["data.price"]["types"].pop("null"))
    assert room.findings() == [
        "gameStateUpdate: type null of data.price is not documented (first seen a.jsonl:13)",
        "gameStateUpdate: count of data.price: documented 12, found 13",
    ]


def test_an_event_that_is_not_documented_is_named(room: Room) -> None:
    room.record(*GAME)
    room.document()
    room.change("fields.json", lambda document: document["events"].pop("standard/newTrade"))
    assert room.findings() == [
        "schema standard~2FnewTrade.open.json is of no documented event",
        "schema standard~2FnewTrade.strict.json is of no documented event",
        "event standard/newTrade is not documented (first seen a.jsonl:13)",
    ]


def test_an_event_that_is_not_in_the_data_is_named(room: Room) -> None:
    room.record(*GAME)
    room.document()
    room.record(*TICKS)
    room.change("manifest.json", lambda manifest: manifest["files"].clear())
    findings = room.findings()
    assert "standard/newTrade: events: documented 3, found 0" in findings
    assert "standard/newTrade: count of data.qty: documented 3, found 0" in findings


def test_a_file_that_is_not_in_the_manifest_is_named(room: Room) -> None:
    room.record(*TICKS)
    room.record(*TRADES, name="b.jsonl")
    room.document()
    room.change("manifest.json", lambda manifest: manifest["files"].pop())
    assert room.findings() == ["file RECORDINGS/b.jsonl is not in the manifest"]


def test_a_file_of_the_manifest_that_is_missing_is_named(room: Room) -> None:
    room.record(*TICKS)
    room.record(*TRADES, name="b.jsonl").unlink()
    room.record(*TRADES, name="b.jsonl")
    room.document()
    (room.recordings / "b.jsonl").unlink()
    findings = room.findings()
    assert findings[0] == "file RECORDINGS/b.jsonl of the manifest is missing"
    assert "standard/newTrade: events: documented 3, found 0" in findings


def test_a_file_that_cannot_be_read_is_named(room: Room) -> None:
    path = room.record(*TICKS)
    room.document()
    path.unlink()
    path.mkdir()
    assert any("a.jsonl does not count: a folder" in finding for finding in room.findings())


def test_a_value_of_another_type_is_named_with_its_event(room: Room) -> None:
    room.record(*TICKS)
    room.document()
    changed = json.loads(json.dumps(TICKS))
    changed[4]["data"]["price"] = "1.5"
    room.record(*changed)
    assert room.findings() == [
        "file RECORDINGS/a.jsonl has changed since it was scanned: its SHA-256 is another one",
        "gameStateUpdate: type string of data.price is not documented (first seen a.jsonl:5)",
        "a.jsonl:5: gameStateUpdate does not validate: the value is not of type \"number\", at price",
        "a.jsonl:5: gameStateUpdate does not validate against its open schema: the value is not of type \"number\","
        " at price",
        "gameStateUpdate: type number of data.price: documented 12, found 11",
    ]  # fmt: skip


@pytest.mark.parametrize(("path", "by"), [("data.price", 1), ("data.prices{*}", -1), ("data", 5)])
def test_a_count_that_is_wrong_is_named(room: Room, path: str, by: int) -> None:
    room.record(*TICKS)
    room.document()

    def change(document: dict[str, Any]) -> None:
        types = fields_of(document)[path]["types"]
        types[next(iter(types))] += by

    found = sum(fields_of(json.loads((room.documents / "fields.json").read_text()))[path]["types"].values())
    room.change("fields.json", change)
    assert room.findings() == [f"gameStateUpdate: count of {path}: documented {found + by}, found {found}"]


def test_a_line_more_and_an_error_more_are_named(room: Room) -> None:
    room.record(*TICKS, "no event")
    room.document()
    room.change("fields.json", lambda document: document.update(lines=12, errors={}))
    assert room.findings() == [
        "lines: documented 12, found 13",
        "lines that are no event: documented 0, found 1",
    ]


def test_an_object_that_is_documented_as_no_map_is_named(room: Room) -> None:
    room.record(*TICKS)
    room.document()

    def unfold(document: dict[str, Any]) -> None:
        fields = fields_of(document)
        fields["data.prices.0"] = fields.pop("data.prices{*}")

    room.change("fields.json", unfold)
    findings = room.findings()
    assert "gameStateUpdate: path data.prices.12 is not documented (first seen a.jsonl:12)" in findings
    assert "gameStateUpdate: count of data.prices.0: documented 24, found 1" in findings


def test_values_that_were_too_deep_are_named(room: Room) -> None:
    room.record({"event": "e", "data": {"a": {"b": {"c": 1}}, "d": [[], {}]}})
    assert room.document(levels=2).findings() == ["e: data.a.b: 1 value too deep to be documented"]


@pytest.mark.parametrize("kind", ["strict", "open"])
def test_a_schema_that_is_missing_broken_or_too_narrow_is_named(room: Room, kind: str) -> None:
    room.record(*TICKS)
    room.document()
    name = f"schemas/gameStateUpdate.{kind}.json"
    room.change(name, lambda schema: schema["properties"]["price"].update(type="integer"))
    suffix = "" if kind == "strict" else " against its open schema"
    expected = f"gameStateUpdate does not validate{suffix}: the value is not of type \"integer\", at price"  # fmt: skip
    assert f"a.jsonl:2: {expected}" in room.findings()
    room.write(name, {"type": "nothing"})
    assert room.findings()[0].startswith(f"gameStateUpdate: schema gameStateUpdate.{kind}.json is no JSON Schema: ")
    (room.documents / name).unlink()
    assert room.findings() == [f"gameStateUpdate: schema gameStateUpdate.{kind}.json is missing"]


def test_further_arguments_are_compared(room: Room) -> None:
    room.record('42["e",{"a":1},7]', '42["e",["x",2.5],{"a":2}]', '42["e",{"a":3}]')
    room.document()
    assert room.findings() == []
    room.change("fields.json", lambda document: document["events"]["e"]["arguments"].pop("arguments[]"))
    assert room.findings() == ["e: path arguments[] is not documented (first seen a.jsonl:1)"]


def test_findings_are_bounded_and_all_are_counted(room: Room) -> None:
    room.record({"event": "e", "data": {}}, {"event": "e", "data": {f"k{n}x": n for n in range(1500)}})
    room.document()
    room.change("fields.json", lambda document: fields_of(document, "e").pop("data{*}"))
    report = room.verify()
    assert len(report.findings) == 200
    assert report.total_findings == 1500


def test_findings_are_one_printable_line_each_and_show_no_values(room: Room) -> None:
    room.record({"event": "e", "data": {"a": 1}})
    room.document()
    room.record({"event": "e\n\x1b[31m", "data": 1}, {"event": "e", "data": {"a": "s3cret", "b\n\ud800": 1}})
    findings = room.findings()
    assert all(line.isprintable() for line in findings)
    assert "s3cret" not in "".join(findings)


@pytest.mark.parametrize("broken", [None, "[]", "{", '{"events": {"e": {}}}', '{"events": 1}'])
def test_a_folder_without_documents_is_said_to_be_one(room: Room, broken: str | None) -> None:
    room.record(*TICKS)
    room.document()
    if broken is None:
        (room.documents / "fields.json").unlink()
    else:
        (room.documents / "fields.json").write_text(broken)
    with pytest.raises(DocumentsError, match=r"build"):
        room.verify()
