"""What a state promises: exact counts, and the same state whatever order and batches the events came in."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_discovery import exact
from rugs_discovery.batch import take
from rugs_discovery.messages import read_line
from rugs_discovery.nodes import MOST_KEYS, Place
from rugs_discovery.paths import ANY, ITEM, join, split
from rugs_discovery.state import State
from rugs_discovery.summary import Summary, summarise

TYPE_NAMES = {
    type(None): "null", bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object",
}  # fmt: skip

keys = st.sampled_from(["a", "b", "c", "a.b", "x[]", "{*}", "*", "", "1", "2", "-3", "did:x:1", "é", "a:b", "\\"])
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.integers(),
    st.integers(-(1 << 100), 1 << 100),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=6),
    st.sampled_from(["x", "a:b", "did:privy:abc", "2025-01-01T00:00:00Z"]),
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=12,
)
events = st.tuples(st.sampled_from(["one", "two"]), values)


def line(name: str, data: Any) -> bytes:
    return json.dumps({"event": name, "data": data}).encode()


def place_of(number: int) -> Place:
    return Place(number // 2, f"e{number:03}")


def state_of(texts: Sequence[bytes], numbers: Sequence[int] | None = None, *, is_public: bool = True) -> State:
    """Return the state of lines, or of stored messages, that are at these places, in order."""
    at = numbers or range(len(texts))
    return take(texts, lambda index: place_of(at[index]), lambda key, is_sent: is_public, read_line)


def summary_of(*lines: bytes) -> Summary:
    return summarise(state_of(lines))


def plain_walk(value: Any, steps: tuple[Any, ...], found: Counter[tuple[str, str]], level: int = 0) -> None:
    """Count (path, type) the plain way: what the fast way must agree with."""
    found[join(steps), TYPE_NAMES[type(value)]] += 1
    if level < 10 and isinstance(value, dict):
        for key, member in value.items():
            plain_walk(member, (*steps, key), found, level + 1)
    elif level < 10 and isinstance(value, list):
        for element in value:
            plain_walk(element, (*steps, ITEM), found, level + 1)


def counts_of(state: State) -> Counter[tuple[str, str]]:
    """Return the same counts as a state has them, of objects that are not folded."""
    found: Counter[tuple[str, str]] = Counter()
    for event in state.events.values():
        waiting: list[tuple[Any, tuple[Any, ...]]] = [(event.data, ("data",))]
        while waiting:
            node, steps = waiting.pop()
            for name, count in node.types.items():
                found[join(steps), name] += count
            waiting += ((child, (*steps, key)) for key, child in (node.fields or {}).items())
            if node.items is not None:
                waiting.append((node.items, (*steps, ITEM)))
    return found


@given(st.lists(events, min_size=1, max_size=8))
def test_counts_are_those_of_a_plain_walk(told: list[tuple[str, Any]]) -> None:
    lines = [line(*event) for event in told]
    expected: Counter[tuple[str, str]] = Counter()
    for text in lines:
        plain_walk(json.loads(text)["data"], ("data",), expected)
    assert counts_of(state_of(lines)) == expected


@given(st.lists(events, min_size=1, max_size=8), st.data())
def test_neither_order_nor_batches_matter(told: list[tuple[str, Any]], data: st.DataObject) -> None:
    lines = [line(*event) for event in told]
    whole = state_of(lines).pack()
    order = data.draw(st.permutations(range(len(lines))))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(lines)), max_size=3)))
    merged = State()
    for begin, end in zip([0, *cuts], [*cuts, len(lines)], strict=True):
        numbers = sorted(order[begin:end])
        part = state_of([lines[number] for number in numbers], numbers)
        merged.merge(State.unpack(part.pack()))
    assert merged.pack() == whole


@given(st.lists(events, min_size=1, max_size=8))
def test_the_fast_reader_and_the_exact_one_agree(told: list[tuple[str, Any]]) -> None:
    lines = [line(*event) for event in told]
    exactly = State()
    for number, text in enumerate(lines):  # a blank before it: the fast reader leaves such a line to the other
        exactly.merge(state_of([b" " + text], [number]))
    exactly.size -= len(lines)
    assert state_of(lines).pack() == exactly.pack()


def test_a_map_is_the_same_however_its_keys_came() -> None:
    lines = [line("one", {"m": {f"k{n}": n, "same": n}}) for n in range(MOST_KEYS + 50)]
    whole = state_of(lines)
    merged = State()
    for number in reversed(range(len(lines))):
        merged.merge(state_of([lines[number]], [number]))
    assert merged.pack() == whole.pack()
    fields = summarise(whole).events["one"].fields
    assert "data.m{*}" in fields
    assert fields["data.m"].map_evidence == f"more than {MOST_KEYS} distinct keys"


@given(st.lists(st.one_of(st.text(max_size=5), st.just(ITEM), st.just(ANY)), max_size=6))
def test_a_path_is_read_as_it_was_written(steps: list[Any]) -> None:
    assert list(split(join(steps))) == steps


@pytest.mark.parametrize("path", ["a..b", ".a", "a.", "a[", "a]", "a{", "{}", "a*", "[x]", "a\\"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="no field path"):
        split(path)


@pytest.mark.parametrize(
    ("data", "flaw"),
    [
        (b'{"a": NaN}', exact.NOT_FINITE),
        (b'{"a": 1e999}', exact.NOT_FINITE),
        (b'{"a": "\\ud800"}', exact.SURROGATE),
        (b'{"\\ud800": 1}', exact.SURROGATE),
        (b'{"a": 1, "a": 2}', exact.DUPLICATE_KEY),
        (b'[{"b": {"a": 1, "a": "x:y"}}]', exact.DUPLICATE_KEY),
        (b'{"a" : "x\\u003ay", "b":1,"b":2}', exact.DUPLICATE_KEY),
        (b'{"a":"\\u003a","a":1}', exact.DUPLICATE_KEY),
    ],
)
def test_what_json_schema_cannot_check_is_counted_with_its_place(data: bytes, flaw: str) -> None:
    good = line("one", {"a": 1})
    found = summary_of(good, b'{"event": "one", "data": ' + data + b"}", good).events["one"]
    assert (found.count, dict(found.not_json)) == (3, {flaw: 1})
    assert [(fault.place.name, fault.reason) for fault in found.faults] == [("e001", flaw)]


@pytest.mark.parametrize("levels", [1100, 3000, 100_000])
@pytest.mark.parametrize(
    ("head", "key"),
    [
        ('{"event": "one", "data": ', "one"),
        ('{"seq": 1, "ts": "a\\"b", "event": "o\\u006ee", "data": ', "one"),
        ('{"event": 5, "data": ', "unknown"),
        ('{"other": {"event": "no"}, "data": ', "record:unknown"),
    ],
)
def test_more_than_1024_levels_are_counted_and_not_entered(head: str, key: str, levels: int) -> None:
    deep = head.encode() + b"[" * levels + b"]" * levels + b"}"
    found = summary_of(line("two", 1), deep)
    assert found.errors == {}
    event = found.events[key]
    assert (event.count, dict(event.not_json), list(event.fields)) == (1, {exact.TOO_DEEP: 1}, [])


def test_1000_levels_are_truncated() -> None:
    found = summary_of(b'{"event": "one", "data": ' + b"[" * 1000 + b"]" * 1000 + b"}")
    assert (found.truncated, dict(found.events["one"].not_json)) == (1, {})


def test_whole_numbers_stay_exact_however_long() -> None:
    long = 123456789012345678901234567890
    field = summary_of(line("one", {"n": long}), line("one", {"n": 1})).events["one"].fields["data.n"]
    assert (dict(field.types), field.high) == ({"integer": 2}, long)


def test_what_is_deeper_than_ten_levels_is_truncated() -> None:
    value: Any = {"deep": 1}
    for _ in range(10):
        value = {"x": value}
    found = summary_of(line("one", value))
    assert found.truncated == 1
    assert "data" + ".x" * 10 in found.events["one"].fields


def test_private_events_leave_no_values() -> None:
    state = state_of([line("one", {"cash": 12.5, "who": "someone"})], is_public=False)
    fields = summarise(state).events["one"].fields
    assert all(not field.samples and field.low is None and not field.formats for field in fields.values())
    assert fields["data.cash"].types == {"number": 1}


def test_traces_are_unwrapped_and_other_arguments_kept() -> None:
    frame = b'42["one",{"__trace":true,"traceparent":"a:b"},{"a":1},"offset"]'
    event = summary_of(frame).events["one"]
    fields = ["data", "data.a"], ["arguments", "arguments[]"]
    assert (event.traced, list(event.fields), list(event.arguments)) == (1, *fields)


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "a:b"]), leaves), min_size=1, max_size=5))
def test_a_key_that_stands_twice_is_found_wherever_it_is(pairs: list[tuple[str, Any]]) -> None:
    inside = ",".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in pairs)
    text = b'{"event": "one", "data": [{"x": 1}, {%s}]}' % inside.encode()
    names = [key for key, _ in pairs]
    found = summary_of(line("one", {"a": "b:c"}), text, line("two", 1)).events["one"]
    assert bool(found.not_json) == (len(set(names)) < len(names))
