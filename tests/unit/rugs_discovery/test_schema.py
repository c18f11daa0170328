"""The schemas of an event: what they allow, what they forbid, and what they show."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jsonschema_rs
import pytest
from genson import SchemaBuilder  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from rugs_discovery.files import scan_file
from rugs_discovery.meanings import Meaning, Meanings
from rugs_discovery.schema import file_name, open_schema, strict_schema
from rugs_discovery.summary import Event, summarise
from tests.support.documentkit import HOSTILE
from tests.support.examples import examples

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(1 << 70), 1 << 70), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8), st.sampled_from(["buy", "sell"]),
)  # fmt: skip
KEYS = st.one_of(st.text(max_size=5), st.integers(-5, 300).map(str), st.sampled_from(["a", "b", "a.b", "[]", "{*}"]))
PAYLOADS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=6)),
    max_leaves=15,
)
PLAIN_PAYLOADS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abcdef"), inner, max_size=4)),
    max_leaves=12,
)


def events_of(*records: dict[str, Any], levels: int = 10) -> dict[str, Event]:
    """Return what discovery says of recorded lines."""
    return events_of_lines(*map(json.dumps, records), levels=levels)


def events_of_lines(*lines: str, levels: int = 10) -> dict[str, Event]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        path.write_text("\n".join(lines))
        return dict(summarise(scan_file(path, levels=levels).state).events)


def event_of(*payloads: Any, private: bool = False, levels: int = 10) -> Event:
    direction = "sent" if private else "received"  # what a player sends is private
    records = ({"event": "e", "data": payload, "direction": direction} for payload in payloads)
    return events_of(*records, levels=levels)["e"]


def is_valid(schema: dict[str, Any], payload: Any) -> bool:
    return jsonschema_rs.Draft202012Validator(schema).is_valid(payload)


def both(event: Event) -> tuple[dict[str, Any], dict[str, Any]]:
    return strict_schema(event), open_schema(event)


def deeper(payload: Any, levels: int) -> Any:
    for level in range(levels):
        payload = {"a": payload} if level % 2 else [payload]
    return payload


@settings(max_examples=examples(300))
@given(
    st.lists(st.builds(deeper, PAYLOADS, st.sampled_from([0, 0, 0, 1, 9, 12])), min_size=1, max_size=6), st.booleans()
)
def test_every_event_validates_against_both_schemas_of_its_kind(payloads: list[Any], private: bool) -> None:
    event = event_of(*payloads, private=private)
    for schema in both(event):
        jsonschema_rs.meta.validate(schema)
        validator = jsonschema_rs.Draft202012Validator(schema)
        for payload in payloads:
            validator.validate(payload)


@pytest.mark.slow
@settings(max_examples=examples(50))
@given(st.lists(st.dictionaries(KEYS, PAYLOADS, max_size=4), min_size=1, max_size=4))
def test_every_record_validates_against_both_schemas_of_its_kind(records: list[dict[str, Any]]) -> None:
    records = [{**record, "type": "tick"} for record in records]
    (event,) = events_of(*records).values()
    assert event.key == "record:tick"
    for schema in both(event):
        jsonschema_rs.meta.validate(schema)
        assert all(is_valid(schema, record) for record in records)


@settings(max_examples=examples(50))
@given(st.lists(st.tuples(st.sampled_from(["sent", "received"]), st.sampled_from(["a", "b", "c"])), min_size=2))
def test_private_events_beside_public_ones_validate(said: list[tuple[str, str]]) -> None:
    records = [{"event": "e", "direction": way, "data": {"x": text}} for way, text in said]
    for schema in both(events_of(*records)["e"]):
        assert all(is_valid(schema, record["data"]) for record in records)


@settings(max_examples=examples(100))
@given(st.lists(PLAIN_PAYLOADS, min_size=1, max_size=8))
def test_types_agree_with_genson(payloads: list[Any]) -> None:
    builder = SchemaBuilder()
    for payload in payloads:
        builder.add_object(payload)
    expected = dict(types_by_path(builder.to_schema()))
    for schema in both(event_of(*payloads)):
        assert dict(types_by_path(schema)) == expected


def types_by_path(schema: dict[str, Any], path: str = "") -> Iterable[tuple[str, set[str]]]:
    """Give the JSON types that a schema names, by path."""
    parts = schema.get("anyOf", [schema])
    named = [part["type"] for part in parts if "type" in part]
    yield path, {name for each in named for name in ([each] if isinstance(each, str) else each)}
    for part in parts:
        for key, inner in part.get("properties", {}).items():
            yield from types_by_path(inner, f"{path}.{key}")
        if part.get("items"):
            yield from types_by_path(part["items"], f"{path}[]")


def test_the_strict_schema_forbids_what_was_never_seen() -> None:
    schema = strict_schema(
        event_of(
            {"side": "buy", "n": 1}, {"side": "sell", "n": 2}, {"side": "buy", "n": 3, "x": []}, {"side": "buy", "n": 4}
        )
    )
    assert is_valid(schema, {"side": "buy", "n": 5})
    never_seen: tuple[Any, ...] = (
        {"side": "buy"},  # a key that was always there
        {"side": "hold", "n": 1},
        {"side": "buy", "n": "1"},
        {"side": "buy", "n": 1.5},
        {"side": "buy", "n": 1, "new": 1},
        {"side": "buy", "n": 1, "x": [1]},
        None,
        [],
    )
    assert not any(is_valid(schema, payload) for payload in never_seen)


def test_the_open_schema_forbids_only_other_types() -> None:
    schema = open_schema(event_of({"side": "buy", "n": 1, "x": [{"y": 1}]}, {"side": "buy", "n": 2, "x": []}))
    for allowed in ({}, {"side": "hold"}, {"n": 7, "new": None}, {"x": [{}, {"z": 1}]}):
        assert is_valid(schema, allowed)
    forbidden: tuple[Any, ...] = ({"n": "1"}, {"side": None}, {"x": [{"y": None}]}, [])
    assert not any(is_valid(schema, payload) for payload in forbidden)


def test_a_number_beyond_what_was_seen_is_valid() -> None:
    for schema in both(event_of({"price": 1.5}, {"price": 2.5})):
        assert is_valid(schema, {"price": 1e12})
        assert "minimum" not in json.dumps(schema)


def test_whole_numbers_beside_others_are_numbers() -> None:
    schema = strict_schema(event_of({"a": 1, "b": 1, "c": None}, {"a": 1.5, "b": 2, "c": 3}))
    types = {key: inner["type"] for key, inner in schema["properties"].items()}
    assert types == {"a": "number", "b": "integer", "c": ["integer", "null"]}


def test_anything_is_allowed_below_the_depth_limit() -> None:
    event = event_of({"a": {"b": {"c": 1}, "d": [[1]]}}, levels=2)
    assert sum(each.truncated for each in event.fields.values()) == 2
    for schema in both(event):
        assert is_valid(schema, {"a": {"b": {"other": []}, "d": [7, "x"]}})
    assert not is_valid(strict_schema(event), {"a": {"b": [], "d": []}})


def test_a_map_has_the_schema_of_its_values_and_of_its_keys() -> None:
    event = event_of({"prices": {"10": 1.5, "11": 2}}, {"prices": {"-3": 0.5}})
    strict = strict_schema(event)
    assert is_valid(strict, {"prices": {"123": 4.5}})
    assert not is_valid(strict, {"prices": {"x": 4.5}})
    assert not is_valid(strict, {"prices": {"123": "x"}})
    assert "properties" not in strict["properties"]["prices"]
    assert is_valid(open_schema(event), {"prices": {"x": 4.5}})
    assert not is_valid(open_schema(event), {"prices": {"123": "x"}})


def test_a_record_that_is_a_map_is_valid() -> None:
    records = [{"1": 1, "2": 2}, {"3": 3}]
    (event,) = events_of(*records).values()
    for schema in both(event):
        assert all(is_valid(schema, record) for record in records)


@pytest.mark.parametrize("payload", [None, True, 0, "", [], {}, [[]], [{}, []]])
def test_a_payload_may_be_any_json_value(payload: Any) -> None:
    for schema in both(event_of(payload, payload)):
        assert is_valid(schema, payload)
        assert not is_valid(schema, 1 if isinstance(payload, str) else "x")


def test_an_event_without_a_value_has_a_strict_schema_that_nothing_fits() -> None:
    event = events_of_lines('{"raw": "42[\\"e\\",{"}')["e"]
    assert not event.fields
    assert not is_valid(strict_schema(event), None)


def test_strings_that_were_cut_as_samples_stay_valid() -> None:
    long = "x" * 500
    for schema in both(event_of({"text": long}, {"text": long})):
        assert is_valid(schema, {"text": long})


def test_an_enum_takes_null_where_null_was_seen() -> None:
    schema = strict_schema(event_of({"a": "x"}, {"a": "x"}, {"a": None}))
    assert schema["properties"]["a"]["enum"] == ["x", None]
    assert is_valid(schema, {"a": None})


def test_known_formats_have_the_names_of_json_schema() -> None:
    payload = {
        "id": "0b7e8a52-36a3-4f3c-9f3c-5d6b2f1f4a10", "at": "2025-12-12T10:00:00.5Z", "local": "2025-12-12T10:00:00",
        "day": "2025-12-12", "bad": "2025-13-45", "link": "https://example.org/x", "n": "12",
    }  # fmt: skip
    schema = strict_schema(event_of(payload))
    formats = {key: inner["format"] for key, inner in schema["properties"].items() if "format" in inner}
    assert formats == {"id": "uuid", "at": "date-time", "day": "date", "link": "uri"}


def test_examples_show_neither_personal_nor_private_values() -> None:
    shown = event_of({"username": "alice", "n": 7}, {"username": "bob", "n": 8})
    hidden = event_of({"n": 7, "s": "secret"}, {"n": 8, "s": "secret"}, private=True)
    for schema in (*both(shown), *both(hidden)):
        assert not re.search("alice|bob|<name>|secret", json.dumps(schema))
    assert sorted(strict_schema(shown)["properties"]["n"]["examples"]) == [7, 8]
    assert "examples" not in strict_schema(hidden)["properties"]["n"]


def test_meanings_become_descriptions_and_counts_frequencies() -> None:
    meanings = Meanings({"e": Meaning("A thing.", "a.yaml")}, {"data.a": [Meaning("Its part.", "a.yaml")]})
    event = event_of({"a": 1}, {})
    for schema in (strict_schema(event, meanings), open_schema(event, meanings)):
        assert (schema["title"], schema["description"], schema["x-frequency"]) == ("e", "A thing.", 2)
        inner = schema["properties"]["a"]
        assert (inner["title"], inner["description"], inner["x-frequency"]) == ("data.a", "Its part.", 1)


def test_schemas_have_relative_ids_of_their_own() -> None:
    event = events_of({"event": "standard/newTrade", "data": {}})["standard/newTrade"]
    assert [schema["$id"] for schema in both(event)] == [
        "standard~2FnewTrade.strict.json",
        "standard~2FnewTrade.open.json",
    ]


def test_schemas_of_hostile_names_can_be_written_as_utf8_and_are_valid() -> None:
    payload = {key: {"text": key, "list": [key]} for key in HOSTILE}
    for event in events_of(*({"event": name, "data": payload} for name in HOSTILE)).values():
        for schema in both(event):
            json.dumps(schema, ensure_ascii=False).encode()
            jsonschema_rs.meta.validate(schema)


@settings(max_examples=examples(300))
@given(st.one_of(st.text(), st.sampled_from(["..", ".", "", "a/../b", "\0", "x" * 300, "é" * 150, "~", "~~", "CON"])))
def test_a_file_name_is_safe_and_can_be_read_back(key: str) -> None:
    name = file_name(key)
    assert re.fullmatch(r"[A-Za-z0-9_~-]{1,200}", name)
    if "~~" not in name:
        whole = b"" if name == "~" else re.sub(rb"~(..)", lambda hit: bytes([int(hit[1], 16)]), name.encode())
        assert whole.decode(errors="surrogatepass") == key


@given(st.lists(st.text(), unique=True))
def test_different_keys_have_different_file_names(keys: list[str]) -> None:
    keys += ["x" * 300, "x" * 301, "x" * 300 + "\ud800"]
    assert len({file_name(key) for key in set(keys)}) == len(set(keys))
