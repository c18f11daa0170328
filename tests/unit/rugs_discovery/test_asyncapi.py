"""What the AsyncAPI document promises: it is one, by AsyncAPI's own schema, and has every event of the feed."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import jsonschema_rs
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rugs_discovery.asyncapi import asyncapi, component_id
from rugs_discovery.meanings import OBSERVED, Meaning, Meanings
from rugs_discovery.schema import open_schema
from tests.support.asyncapi_schema import asyncapi_schema
from tests.support.documentkit import HOSTILE, hostile_summary, summary_of
from tests.support.examples import examples
from tests.support.jsons import JSON

COMPONENT = re.compile(r"[\w.-]+", re.ASCII)
VALIDATOR = jsonschema_rs.validator_for(asyncapi_schema())


def problems(document: dict[str, Any]) -> list[str]:
    return [f"{error.instance_path}: {error.message}" for error in VALIDATOR.iter_errors(document)]


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [each for member in value.values() for each in references(member)]
    return [each for member in value for each in references(member)] if isinstance(value, list) else []


def check(document: dict[str, Any]) -> None:
    """Check what AsyncAPI's schema does, and what it leaves to its prose: names, references and examples."""
    assert problems(document) == []
    for reference in references({**document, "components": {"messages": document["components"]["messages"]}}):
        found: Any = document
        for key in reference.removeprefix("#/").split("/"):
            found = found[key]
    for part in document["components"].values():
        assert all(COMPONENT.fullmatch(name) for name in part)
    for name, message in document["components"]["messages"].items():
        validator = jsonschema_rs.validator_for(document["components"]["schemas"][name])
        assert all(validator.is_valid(example["payload"]) for example in message["examples"])
    orjson.dumps(document)


def test_a_document_without_events_is_one() -> None:
    check(asyncapi(summary_of(), Meanings(), open_schema))


def test_each_event_is_a_message_with_its_meaning_schema_and_an_example() -> None:
    summary = summary_of(("state", {"price": 1.5, "user": {"username": "someone"}}), ("standard/newTrade", None))
    meanings = Meanings({"state": Meaning("The state.", "m", OBSERVED)}, {"data.price": [Meaning("The price.", "m")]})
    document = asyncapi(summary, meanings, open_schema)
    check(document)
    assert document["components"]["messages"]["state"] == {
        "name": "state",
        "title": "state",
        "summary": "The state.",
        "description": "The state.",
        "payload": {"$ref": "#/components/schemas/state"},
        "examples": [
            {"summary": "Composed of observed values.", "payload": {"price": 1.5, "user": {"username": "<name>"}}}
        ],
        "x-frequency": {
            "count": 1,
            "first": {"at": "2025-12-06T05:46:40Z", "file": "capture.jsonl", "line": 1},
            "last": {"at": "2025-12-06T05:46:40Z", "file": "capture.jsonl", "line": 1},
        },
    }
    schema = document["components"]["schemas"]["state"]
    assert schema["properties"]["price"]["description"] == "The price."
    assert not {"$schema", "$id"} & schema.keys()
    names = {message["name"] for message in document["components"]["messages"].values()}
    assert names == {"state", "standard/newTrade"}
    assert document["channels"]["feed"]["messages"].keys() == document["components"]["messages"].keys()


def test_a_client_receives_events_and_sends_those_that_are_named() -> None:
    document = asyncapi(summary_of(("state", 1), ("buyOrder", 2)), Meanings(), open_schema, sent={"buyOrder"})
    check(document)
    assert document["operations"]["receive"]["messages"] == [{"$ref": "#/channels/feed/messages/state"}]
    assert document["operations"]["send"]["messages"] == [{"$ref": "#/channels/feed/messages/buyOrder"}]
    assert asyncapi(summary_of(("state", 1)), Meanings(), open_schema)["operations"].keys() == {"receive"}


def test_packets_and_records_are_no_events_of_the_feed() -> None:
    summary = summary_of(("state", 1))
    others = {key: replace(summary.events["state"], key=key) for key in ("packet:ping", "record:tick")}
    mixed = replace(summary, events={**summary.events, **others})
    assert asyncapi(mixed, Meanings(), open_schema)["components"]["messages"].keys() == {"state"}


def test_hostile_names_make_a_document_all_the_same() -> None:
    document = asyncapi(hostile_summary(), Meanings(), open_schema)
    check(document)
    names = {message["name"] for message in document["components"]["messages"].values()}
    assert {name for name in HOSTILE if name and name.isprintable()} <= names


@pytest.mark.slow
@settings(max_examples=examples(50))
@given(st.lists(st.tuples(st.text(max_size=6), JSON), max_size=4))
def test_whatever_events_hold_the_document_is_valid(events: list[tuple[str, Any]]) -> None:
    check(asyncapi(summary_of(*events), Meanings(), open_schema))


@given(st.text(), st.text())
def test_references_to_different_events_differ(one: str, other: str) -> None:
    assert (component_id(one) == component_id(other)) == (one == other)
    assert COMPONENT.fullmatch(component_id(one))


def test_numbers_that_readers_of_json_refuse_become_floats() -> None:
    summary = summary_of(("state", [10**30, 1e300]))
    event = summary.events["state"]
    huge = replace(event.fields["data[]"], samples=(-(10**400),))
    for known in (event, replace(event, fields={**event.fields, "data[]": huge})):
        document = asyncapi(replace(summary, events={"state": known}), Meanings(), open_schema)
        check(document)
        ((sample,),) = (example["payload"] for example in document["components"]["messages"]["state"]["examples"])
        assert isinstance(sample, float)


def test_the_check_finds_what_is_wrong() -> None:
    document = asyncapi(summary_of(("state", 1)), Meanings(), open_schema)
    broken = json.loads(json.dumps(document))
    del broken["operations"]["receive"]["channel"]
    assert problems(broken)
