"""What the coverage report promises: all counts, every place, one table an event, whatever the names are."""

from __future__ import annotations

import json
from pathlib import Path

from rugs_discovery.maps import Pins
from rugs_discovery.meanings import OBSERVED, Meaning, Meanings
from rugs_discovery.nodes import Place
from rugs_discovery.report import report_json, report_markdown
from rugs_discovery.scan import Source
from rugs_discovery.state import Fault
from rugs_discovery.summary import summarise
from rugs_discovery.wording import name_text, printable
from tests.support.documentkit import HOSTILE, hostile_summary, state_of, summary_of, tables_of, tokens_of

PRICE = Meaning("The | price.", "ours", OBSERVED)
MEANINGS = Meanings({"state": PRICE}, {"data.price": [PRICE], "data.gone": [PRICE]}, Pins(objects={"data.none"}))
SOURCES = [
    Source("a.jsonl", "ab" * 32, lines=1_000, blank=2, events=998, errors=2, size=1_234_567),
    Source("b|c.md", skipped="none of its lines is a record"),
]


def table_after(markdown: str, heading: str) -> list[list[str]]:
    """The first table after a heading."""
    return tables_of(markdown[markdown.index(f"\n{heading}\n") :])[0]


def test_totals_are_all_there_and_have_separators_for_people() -> None:
    summary = summary_of(*[("state", {"price": 1, "prizes": {"1": 2}})] * 1_200, ("trade", None))
    totals = report_json(summary, MEANINGS, SOURCES, 1.23456)["totals"]
    assert totals == {
        "files": 1,
        "skipped_files": 1,
        "blank_lines": 2,
        "lines": 1_201,
        "bytes": summary.size,
        "events": 1_201,
        "event_types": 2,
        "fields": 5,
        "distinct_paths": 4,
        "errors": 0,
        "not_json": 0,
        "truncated": 0,
        "private": 0,
        "without_meaning": 3,
        "seconds": 1.235,
    }
    markdown = report_markdown(summary, MEANINGS, SOURCES, 1.23456)
    assert ["events", "1,201"] in table_after(markdown, "## Totals")
    assert table_after(markdown, "## Files")[1:] == [
        ["a.jsonl", "1,000", "2", "998", "2", "1,234,567", "ab" * 32, ""],
        ["b|c.md", "0", "0", "0", "0", "0", "", "none of its lines is a record"],
    ]
    assert ["integer", "2,400", "50%"] in table_after(markdown, "## JSON types")


def test_each_event_has_a_table_of_its_fields() -> None:
    summary = summary_of(("state", {"price": 1.5}), ("state", {"price": 2, "kind": "a"}), ("trade", None))
    markdown = report_markdown(summary, MEANINGS)
    assert table_after(markdown, "## Events") == [
        ["event", "count", "share", "fields"],
        ["state", "2", "66.7%", "3"],
        ["trade", "1", "33.3%", "1"],
    ]
    assert table_after(markdown, "### `state`") == [
        ["path", "type", "presence", "values", "meaning"],
        ["data", "object", "100%", "", "The | price."],
        ["data.kind", "string", "50%", 'such as "a"', ""],
        ["data.price", "number", "100%", "1.5 to 2", "The | price."],
    ]
    fields = report_json(summary, MEANINGS)["events"][0]["fields"]
    assert [(field["path"], field["count"], field["meaning"]) for field in fields] == [
        ("data", 2, "The | price."),
        ("data.kind", 1, None),
        ("data.price", 2, "The | price."),
    ]


def test_what_could_not_be_understood_is_listed_with_its_places() -> None:
    state = state_of(("state", {"price": "\ud800"}), ("state", {"price": 1}), ("state", {"price": 2}))
    state.errors = {"not JSON": 120, "not a JSON object but null": 1}
    state.faults = [Fault(Place(0, "a b.jsonl", line), "not JSON") for line in range(1, 101)]
    summary = summarise(state)
    said = report_json(summary, MEANINGS)
    assert said["errors"] == state.errors
    assert len(said["faults"]) == 100
    assert said["faults"][0] == {"file": "a b.jsonl", "line": 1, "reason": "not JSON"}
    assert said["not_json"] == [
        {
            "event": "state",
            "at": "2025-12-06T05:46:40Z",
            "file": "capture.jsonl",
            "line": 1,
            "reason": "half a surrogate pair",
        }
    ]
    markdown = report_markdown(summary, MEANINGS)
    errors = table_after(markdown, "## Parse errors")
    assert errors[1][2].startswith("a b.jsonl:1, a b.jsonl:2, ")
    assert errors[1][2].endswith("a b.jsonl:20, 100 more")
    assert errors[2] == ["not a JSON object but null", "1", "1 more"]
    (row,) = table_after(markdown, "## Events that JSON Schema cannot check")[1:]
    assert row == ["state", "half a surrogate pair", "1", "capture.jsonl:1"]
    (varying,) = table_after(markdown, "## Types that vary")[1:]
    assert varying[:3] == ["state", "data.price", "integer 66.7%, string 33.3%"]
    assert "string: 2025-12-06T05:46:40Z, capture.jsonl:1" in varying[3]


def test_truncated_values_maps_and_missing_meanings_are_listed() -> None:
    deep: object = 1
    for _ in range(12):
        deep = {"a": deep}
    summary = summary_of(("state", {"deep": deep, "prizes": {"1": 2, "2": 3}}))
    said = report_json(summary, MEANINGS)
    (truncated,) = said["truncated"]
    assert (truncated["event"], truncated["count"]) == ("state", 1)
    assert said["maps"] == [{"event": "state", "path": "data.prizes", "evidence": "all 2 keys are whole numbers"}]
    assert {"event": "state", "path": "data.prizes{*}"} in said["without_meaning"]
    assert [(each["section"], each["name"]) for each in said["unseen"]] == [
        ("fields", "data.price"),
        ("fields", "data.gone"),
        ("objects", "data.none"),
    ]
    markdown = report_markdown(summary, MEANINGS)
    assert table_after(markdown, "## Truncated values")[1][:2] == ["state", truncated["path"]]
    assert table_after(markdown, "## Maps")[1][2] == "all 2 keys are whole numbers"
    assert ["state", "data.prizes{*}"] in table_after(markdown, "## Fields without a meaning")
    assert ["fields", "data.gone", "any"] in table_after(markdown, "## Meanings of what was not seen")


def test_an_empty_report_says_so() -> None:
    markdown = report_markdown(summary_of(), Meanings())
    assert markdown.count("None.\n") == 7
    assert report_json(summary_of(), Meanings())["events"] == []


def test_hostile_names_stay_in_their_cells() -> None:
    summary = hostile_summary()
    markdown = report_markdown(summary, Meanings(), [Source(name) for name in HOSTILE if name.strip()])
    assert {token.content for token in tokens_of(markdown) if token.type.startswith("html")} <= {"<code>", "</code>"}
    tables = tables_of(markdown)
    assert all(len({len(row) for row in table}) == 1 for table in tables)
    cells = {cell for table in tables for row in table for cell in row}
    for event in summary.events.values():
        assert name_text(event.key) in cells
        assert {printable(field.path) for field in event.all_fields} <= cells
    markdown.encode()
    json.dumps(report_json(summary, Meanings()))


def test_the_report_is_the_same_each_time(tmp_path: Path) -> None:
    events = [("state", {"price": number, "kind": str(number)}) for number in range(50)]
    one, other = (report_markdown(summary_of(*events), MEANINGS) for _ in range(2))
    assert one == other
