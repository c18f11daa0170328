"""The names and shapes that callers of an older pipeline use: what one record has."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_discovery.compat import DiscoveryResult, EventInfo, FieldInfo, discover_fields, get_type
from rugs_discovery.paths import escape
from tests.support.hostile import circle, nested
from tests.support.jsons import JSON, TEXT

RECORDS = st.dictionaries(TEXT, JSON, max_size=4)


def samples_of(value: Any) -> list[Any]:
    return discover_fields({"x": value})["x"].sample_values


def nested_objects(levels: int) -> dict[str, Any]:
    record: dict[str, Any] = {"last": 1}
    for _ in range(levels - 1):
        record = {"a": record}
    return record


def test_a_field_has_the_defaults_of_old() -> None:
    info = FieldInfo(path="data.price", type="number")
    assert (info.path, info.type, info.count, info.sample_values, info.max_samples) == (
        "data.price", "number", 0, [], 5,
    )  # fmt: skip


def test_results_have_the_defaults_of_old_and_share_nothing() -> None:
    assert EventInfo("e") == EventInfo(name="e", count=0, fields={})
    assert DiscoveryResult() == DiscoveryResult(events={}, total_lines=0, files_scanned=0, errors=[])
    DiscoveryResult().errors.append("x")
    FieldInfo("x", "string").sample_values.append("x")
    assert DiscoveryResult().errors == FieldInfo("x", "string").sample_values == []


def test_a_sample_occurs_once_and_there_are_no_more_than_the_limit() -> None:
    info = FieldInfo("x", "number", max_samples=3)
    for value in (2, 1, 2, 1.0, 3, 4):
        info.add_sample(value)
    assert info.sample_values == [2, 1, 3]
    assert info.count == 0


def test_true_is_not_the_number_one_among_samples() -> None:
    info = FieldInfo("x", "boolean")
    for value in (1, True, 0, False, True):
        info.add_sample(value)
    assert [str(value) for value in info.sample_values] == ["1", "True", "0", "False"]


def test_a_sampled_string_is_cut_at_100_characters() -> None:
    info = FieldInfo("x", "string")
    for text in ("a" * 100, "b" * 101, "b" * 102):
        info.add_sample(text)
    assert info.sample_values == ["a" * 100, "b" * 100 + "..."]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", "string"), (0, "number"), (0.5, "number"), (10**30, "number"), (math.nan, "number"), (True, "boolean"),
        (False, "boolean"), ({}, "object"), ([], "array"), ((), "array"), (None, "null"),
        (OrderedDict(), "object"), (object(), "string"),
    ],
)  # fmt: skip
def test_a_value_has_one_of_six_types(value: Any, expected: str) -> None:
    assert get_type(value) == expected


def test_fields_of_objects_in_arrays_have_their_paths() -> None:
    found = discover_fields({"event": "x", "data": {"leaderboard": [{"pnl": 1}]}})
    assert {path: info.type for path, info in found.items()} == {
        "event": "string",
        "data": "object",
        "data.leaderboard": "array",
        "data.leaderboard[]": "object",
        "data.leaderboard[].pnl": "number",
    }
    assert found["event"].sample_values == ["x"]


def test_each_element_of_an_array_counts() -> None:
    found = discover_fields({"x": [{"a": 1}, {"a": 2, "b": None}, {"a": 2}]})
    assert [(path, info.count, info.sample_values) for path, info in found.items()] == [
        ("x", 1, []), ("x[]", 3, []), ("x[].a", 3, [1, 2]), ("x[].b", 1, []),
    ]  # fmt: skip


def test_arrays_of_arrays_are_entered_and_empty_ones_have_no_elements() -> None:
    found = discover_fields({"x": [[1, 2], [], [[True]]], "y": [], "z": {}})
    assert {path: info.type for path, info in found.items()} == {
        "x": "array", "x[]": "array", "x[][]": "number", "x[][][]": "boolean", "y": "array", "z": "object",
    }  # fmt: skip


def test_a_trace_is_not_unwrapped_and_numbered_keys_are_not_folded() -> None:
    found = discover_fields({"data": [{"__trace": True}, {"values": {"125": 1.5, "126": 2}}]})
    assert list(found) == [
        "data", "data[]", "data[].__trace", "data[].values", "data[].values.125", "data[].values.126",
    ]  # fmt: skip


def test_an_object_of_any_number_of_keys_is_entered() -> None:
    assert len(discover_fields({"data": {str(number): number for number in range(1000)}})) == 1001


def test_samples_are_not_masked() -> None:
    assert discover_fields({"username": "Rick"})["username"].sample_values == ["Rick"]


def test_the_most_frequent_type_is_the_type() -> None:
    found = discover_fields({"x": ["a", None, 1, True, 2.5], "y": [1, None, None]})
    assert (found["x[]"].type, found["x[]"].types) == ("number", {"string": 1, "null": 1, "number": 2, "boolean": 1})
    assert found["y[]"].type == "null"


@pytest.mark.parametrize(
    ("values", "expected"), [([1, "a"], "number"), (["a", 1], "string"), ([None, True], "boolean"), ([None], "null")]
)
def test_of_equally_frequent_types_the_first_seen_is_the_type_and_null_the_last(
    values: list[Any], expected: str
) -> None:
    assert discover_fields({"x": values})["x[]"].type == expected


def test_a_prefix_is_the_path_of_the_record() -> None:
    assert list(discover_fields({"a": [1]}, "data")) == ["data.a", "data.a[]"]
    assert list(discover_fields([{"a": 1}], prefix="data.x")) == ["data.x[]", "data.x[].a"]
    assert list(discover_fields(event={"a": 1}, prefix="x[]")) == ["x[].a"]


@pytest.mark.parametrize("value", [None, 1, "text", True, math.nan, {}, []])
def test_a_value_without_anything_inside_has_no_fields(value: Any) -> None:
    assert discover_fields(value) == {}


def test_a_key_with_the_signs_of_paths_is_escaped() -> None:
    assert list(discover_fields({"a.b": {"c[]": 1}, "": 2, "*": 3})) == [r"a\.b", r"a\.b.c\[\]", r"\0", r"\*"]


def test_ten_levels_are_entered_and_deeper_values_are_counted() -> None:
    ten = discover_fields(nested_objects(10))
    assert [path.count(".") for path in ten] == list(range(10))
    assert sum(info.truncated for info in ten.values()) == 0
    eleven = discover_fields(nested_objects(11))
    assert "last" not in "".join(eleven)
    assert eleven[".".join("a" * 10)].truncated == 1


def test_an_empty_object_at_the_limit_is_not_truncated() -> None:
    record: Any = {}
    for _ in range(10):
        record = {"a": record}
    assert sum(info.truncated for info in discover_fields(record).values()) == 0


@pytest.mark.parametrize("value", [nested(), circle()])
def test_values_nested_without_an_end_are_entered_to_the_limit(value: Any) -> None:
    found = discover_fields({"x": value})
    assert sum(info.truncated for info in found.values()) > 0


def test_numbers_that_are_not_finite_are_counted_and_no_samples() -> None:
    info = discover_fields({"x": [math.nan, math.inf, -math.inf, 1.5]})["x[]"]
    assert (info.types, info.sample_values) == ({"number": 4}, [1.5])


def test_a_whole_number_of_thirty_digits_stays_exact() -> None:
    assert samples_of(123456789012345678901234567890) == [123456789012345678901234567890]


def test_half_a_surrogate_pair_is_written_out() -> None:
    found = discover_fields({"\udc00": "a\ud800b", "\U0001f600": "\U0001f600"})
    assert {path: info.sample_values for path, info in found.items()} == {
        r"\\udc00": [r"a\ud800b"],
        "\U0001f600": ["\U0001f600"],
    }


def test_a_value_that_json_does_not_have_is_a_string() -> None:
    found = discover_fields({"x": [{1}, b"a", {1}], "y": {7: 1j}})
    assert (found["x[]"].types, found["x[]"].sample_values) == ({"string": 3}, ["{1}", "b'a'"])
    assert found["y.7"].sample_values == ["1j"]


@given(RECORDS)
def test_fields_are_those_of_a_plain_walk(record: dict[str, Any]) -> None:
    expected: dict[str, list[Any]] = {}

    def walk(value: Any, path: str, level: int) -> None:
        if level == 10:
            return
        members = value.items() if isinstance(value, dict) else [(None, each) for each in value]
        for key, each in members:
            inner = f"{path}[]" if key is None else f"{path}.{escape(key)}" if path else escape(key)
            expected.setdefault(inner, []).append(each)
            if isinstance(each, dict | list):
                walk(each, inner, level + 1)

    walk(record, "", 0)
    found = discover_fields(record)
    assert found.keys() == expected.keys()
    for path, values in expected.items():
        info = found[path]
        assert info.types == dict(Counter(map(get_type, values)))
        assert info.count == len(values)
        assert len(info.sample_values) <= info.max_samples
        assert all(any(sample == value for value in values) for sample in info.sample_values if len(str(sample)) < 100)
