"""The names and shapes that callers of an older pipeline use: schemas, index, report and chunks."""

from __future__ import annotations

import json
import math
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_discovery.compat import (
    DiscoveryResult,
    EventChunk,
    EventInfo,
    FieldInfo,
    chunk_event_schema,
    chunk_field_index,
    discover_fields,
    generate_coverage_report,
    generate_event_schema,
    generate_field_index,
)
from tests.support.jsons import JSON, TEXT

RECORDS = st.dictionaries(TEXT, JSON, max_size=4)


def event_of(*records: dict[str, Any], name: str = "e") -> EventInfo:
    """Return what is known of an event's records, taken one by one."""
    event = EventInfo(name)
    for record in records:
        event.merge(EventInfo(name, 1, discover_fields(record)))
    return event


def nested_objects(levels: int) -> dict[str, Any]:
    record: dict[str, Any] = {"last": 1}
    for _ in range(levels - 1):
        record = {"a": record}
    return record


# Schemas and the index


PRICE = FieldInfo("data.price", "number", 4500, [1.5, 2.0])
MADE = EventInfo("gameStateUpdate", 4500, {"data.price": PRICE})


def test_a_schema_is_nested_as_the_record_is() -> None:
    schema = generate_event_schema(MADE)
    assert (schema["title"], schema["type"], schema["x-frequency"]) == ("gameStateUpdate", "object", 4500)
    assert schema["properties"]["data"]["type"] == "object"
    price = schema["properties"]["data"]["properties"]["price"]
    assert price == {"type": "number", "x-frequency": 4500, "examples": [1.5, 2.0]}


def test_elements_of_arrays_are_items() -> None:
    schema = generate_event_schema(event_of({"x": [[{"a": 1}]], "y": []}))
    assert schema["properties"]["x"]["items"]["items"]["properties"]["a"]["type"] == "number"
    assert schema["properties"]["y"] == {"type": "array", "x-frequency": 1}


def test_several_types_are_all_allowed_the_most_frequent_one_first() -> None:
    schema = generate_event_schema(event_of({"x": None}, {"x": {"a": 1}}, {"x": {}}, {"x": "s"}))
    assert schema["properties"]["x"]["type"] == ["object", "null", "string"]


def test_values_that_were_not_entered_are_counted_in_the_schema() -> None:
    schema = generate_event_schema(event_of(nested_objects(11)))
    for _ in range(10):
        schema = schema["properties"]["a"]
    assert schema == {"type": "object", "x-frequency": 1, "x-truncated": 1}


def test_a_path_that_is_none_is_split_at_its_dots() -> None:
    schema = generate_event_schema(EventInfo("e", 1, {"data.*": FieldInfo("data.*", "number", 1)}))
    assert schema["properties"]["data"]["properties"]["*"]["type"] == "number"


@given(st.lists(RECORDS, min_size=1, max_size=4))
def test_a_schema_is_valid_and_admits_every_record_that_it_was_made_of(records: list[dict[str, Any]]) -> None:
    schema = json.loads(json.dumps(generate_event_schema(event_of(*records))))
    jsonschema_rs.meta.validate(schema)
    validator = jsonschema_rs.validator_for(schema)
    for record in records:
        validator.validate(record)


def test_the_index_names_one_event_or_a_list_of_several() -> None:
    price = FieldInfo("data.price", "number", 7, [2.0, 3.0])
    trade = EventInfo("newTrade", 7, {"data.price": price, "data.qty": FieldInfo("data.qty", "string", 7, ["1"])})
    index = generate_field_index(DiscoveryResult({"gameStateUpdate": MADE, "newTrade": trade}))
    assert index == {
        "data.price": {
            "event": ["gameStateUpdate", "newTrade"],
            "type": "number",
            "types": {"number": 4507},
            "frequency": 4507,
            "samples": [1.5, 2.0, 3.0],
        },
        "data.qty": {
            "event": "newTrade",
            "type": "string",
            "types": {"string": 7},
            "frequency": 7,
            "samples": ["1"],
        },
    }
    assert PRICE.count == 4500


def test_the_index_has_the_type_that_is_most_frequent_over_all_events() -> None:
    result = DiscoveryResult({"a": event_of({"x": "s"}), "b": event_of({"x": 1}, {"x": 2})})
    assert generate_field_index(result)["x"]["type"] == "number"


def test_a_count_that_was_set_by_hand_counts() -> None:
    info = FieldInfo("x", "number", 1)
    info.count = 5
    assert generate_field_index(DiscoveryResult({"e": EventInfo("e", 5, {"x": info})}))["x"]["frequency"] == 5


def test_what_is_found_in_hostile_records_can_be_written_as_strict_json() -> None:
    event = event_of({"\ud800": ["\udfff", math.nan, math.inf, "\0"], "data": {"\ud800": {"\ud800": None}}})
    for shape in (generate_event_schema(event), generate_field_index(DiscoveryResult({"e": event}))):
        written = json.dumps(shape, ensure_ascii=False, allow_nan=False).encode()
        assert json.loads(written) == shape


# The coverage report


def lines_of(result: DiscoveryResult) -> list[str]:
    return generate_coverage_report(result).splitlines()


def test_the_report_has_the_headings_and_counts_of_old() -> None:
    other = EventInfo("usernameStatus", 500)
    report = lines_of(DiscoveryResult({"usernameStatus": other, "gameStateUpdate": MADE}, 5000, 10))
    assert report[0] == "# WebSocket Recording Coverage Report"
    assert "## Coverage Summary" in report
    for said in ("10 files", "5,000 events", "2 unique event types"):
        assert any(said in line for line in report)
    assert "| gameStateUpdate | 4,500 | 90.0% | 1 |" in report
    assert "| `data.price` | number | 4,500 | `1.5`, `2.0` |" in report
    assert report.index("### gameStateUpdate") < report.index("### usernameStatus")


@pytest.mark.parametrize(
    "result",
    [
        DiscoveryResult(total_lines=5000),
        DiscoveryResult({"e": EventInfo("e", 5000)}),
        DiscoveryResult(total_lines=5001, rejects=1),
    ],
)
def test_events_are_the_lines_that_are_records(result: DiscoveryResult) -> None:
    assert "- 5,000 events" in lines_of(result)


def test_the_report_of_nothing_says_so() -> None:
    report = lines_of(DiscoveryResult())
    assert "- 0 files" in report
    assert "## Parse Errors" not in report


def test_the_report_lists_errors_by_file_and_line() -> None:
    errors = ["a.jsonl:3: not JSON", "a.jsonl:5: not `JSON`", "b: c.jsonl:0: it points nowhere", "odd"]
    report = lines_of(DiscoveryResult(errors=errors, errors_left_out=2000))
    assert report[report.index("## Parse Errors") :] == [
        "## Parse Errors", "",
        "### `a.jsonl`", "", "- line 3: `not JSON`", "- line 5: `` not `JSON` ``", "",
        "### `b: c.jsonl`", "", "- line 0: `it points nowhere`", "",
        "### Without a place", "", "- `odd`", "",
        "2,000 further errors not listed.",
    ]  # fmt: skip
    assert "- 2,004 errors" in report


def test_several_types_have_their_counts_in_the_report() -> None:
    report = lines_of(DiscoveryResult({"e": event_of({"x": None}, {"x": 1}, {"x": 2})}))
    assert "| `x` | number (2), null (1) | 3 | `1`, `2` |" in report


def test_values_that_were_not_entered_are_counted_in_the_report() -> None:
    assert "- 1 value below 10 levels, not entered" in lines_of(DiscoveryResult({"e": event_of(nested_objects(11))}))


@given(st.text(), st.text(st.sampled_from("a`|\n\r\\\u2028\x85 "), max_size=6))
def test_no_name_and_no_value_breaks_the_tables(name: str, value: str) -> None:
    event = event_of({name: value}, name=name)
    report = lines_of(DiscoveryResult({name: event}, 1, 1))
    table = report[report.index("| --- | ---: | ---: | ---: |") + 1 :]
    assert table[0].endswith(" | 1 | 100.0% | 1 |")
    assert table[1:4] == ["", "## Fields by Event", ""]
    assert table[8].startswith("| `")
    assert table[8].endswith("` |")
    assert len(table) == 9


# Chunks


def test_a_schema_gives_an_overview_and_a_chunk_for_each_property() -> None:
    schema = generate_event_schema(
        event_of({"event": "standard/newTrade", "data": {"price": 1.5, "list": [{"pnl": 2}]}}, name="standard/newTrade")
    )
    overview, *fields = chunk_event_schema(schema)
    assert (overview.source, overview.event_type, overview.chunk_type, overview.field_path) == (
        "schemas/standard/newTrade.json", "standard/newTrade", "schema", None,
    )  # fmt: skip
    assert {(chunk.source, chunk.event_type, chunk.chunk_type, chunk.field_path) for chunk in fields} == {
        (f"schemas/standard/newTrade.json#{path}", "standard/newTrade", "field", path)
        for path in ("event", "data", "data.price", "data.list", "data.list[].pnl")
    }
    assert overview.text.splitlines()[:3] == ["Event: standard/newTrade", "Frequency: 1", "Fields: 5"]
    price = next(chunk for chunk in fields if chunk.field_path == "data.price")
    assert price.text.splitlines() == [
        "Field: data.price", "Event: standard/newTrade", "Type: number", "Frequency: 1", "Samples: 1.5",
    ]  # fmt: skip


def test_a_schema_made_by_hand_is_chunked() -> None:
    schema = {"properties": {"a.b": True, "c": {"type": ["string", "null"], "description": "A name.", "items": False}}}
    overview, first, second = chunk_event_schema(schema)
    assert overview.source == "schemas/unknown.json"
    assert first.field_path == r"a\.b"
    assert second.text.splitlines()[2:] == ["Type: string, null", "Description: A name."]


@given(st.lists(RECORDS, min_size=1, max_size=2), st.integers(3, 200))
def test_no_chunk_of_a_schema_is_longer_than_asked_for(records: list[dict[str, Any]], most: int) -> None:
    schema = generate_event_schema(event_of(*records))
    assert all(len(chunk.text) <= most for chunk in chunk_event_schema(schema, max_chunk_size=most))
    assert all(len(chunk.text) <= 500 for chunk in chunk_event_schema(schema))


def test_the_index_gives_a_chunk_for_each_path() -> None:
    result = DiscoveryResult({"a": event_of({"x": 1, "y": "s"}, {"x": 2}), "b": event_of({"x": 1})})
    x = "Field: x\nType: number\nEvents: a, b\nFrequency: 3\nSamples: 1, 2"
    y = 'Field: y\nType: string\nEvents: a\nFrequency: 1\nSamples: "s"'
    assert chunk_field_index(generate_field_index(result)) == [
        EventChunk(x, "field_index.json#x", "a, b", "field", "x"),
        EventChunk(y, "field_index.json#y", "a", "field", "y"),
    ]
