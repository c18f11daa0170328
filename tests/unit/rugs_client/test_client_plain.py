"""That a copy of whatever a program holds takes bounded time and memory, and keeps what can be kept."""

from __future__ import annotations

import json
import sys
from collections import deque, namedtuple
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_client.plain import TooLargeError, described, name, plain
from rugs_client.records import packed
from rugs_proto.rules import MAX_NAME, check_plain
from tests.support.hostile import EXPLOSIVE, Mute, Pair, nested


class Colour(Enum):
    """An enum for the test."""

    RED = Decimal("0.1")


@dataclass
class Nested:
    """A dataclass for the test."""

    path: Path
    inner: object = None


class Broken:
    """Everything about it fails."""

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        raise RuntimeError

    def __repr__(self) -> str:
        raise RuntimeError


def test_what_a_program_holds_becomes_plain() -> None:
    pair = namedtuple("pair", "a b")
    circle: dict[str, object] = {}
    circle["again"] = circle
    assert plain(
        {
            "decimal": Decimal("0.1"),
            "exact": Decimal("0.1000000000000000055511151231257827"),
            "nan": Decimal("NaN"),
            1: Colour.RED,
            "nested": Nested(Path("a/b"), Nested(Path("c"))),
            "pair": pair(1, (2,)),
            "set": {3},
            "uuid": UUID(int=0),
            "when": datetime(2025, 1, 1, tzinfo=UTC),
            "bytes": b"a\xff",
            "large": 2**70,
            "half": "\ud800",
            "broken": Broken(),
            "type": int,
        }
    ) == {
        "decimal": 0.1,
        "exact": "0.1000000000000000055511151231257827",
        "nan": "NaN",
        "1": 0.1,
        "nested": {"path": "a/b", "inner": {"path": "c", "inner": None}},
        "pair": {"a": 1, "b": [2]},
        "set": [3],
        "uuid": "00000000-0000-0000-0000-000000000000",
        "when": "2025-01-01T00:00:00+00:00",
        "bytes": "a\\xff",
        "large": str(2**70),
        "half": "?",
        "broken": "<Broken>",
        "type": "<class 'int'>",
    }
    check_plain(plain(circle))


@pytest.mark.slow
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.decimals() | st.dates(),
        lambda inner: st.lists(inner) | st.dictionaries(st.integers() | st.text(), inner) | st.sets(st.integers()),
    )
)
def test_plain_never_fails_and_changes_nothing_that_is_plain(value: object) -> None:
    made = plain(value)
    check_plain(made)
    assert plain(made) == made
    assert json.loads(json.dumps(made)) == made


@pytest.mark.parametrize("kind", EXPLOSIVE)
def test_what_would_be_too_large_is_refused_in_bounded_time(kind: str) -> None:
    with pytest.raises(TooLargeError, match="too large"):
        plain({"x": EXPLOSIVE[kind]()})


@pytest.mark.parametrize("kind", ["a circle", "lists", "tuples", "maps", "user maps", "dataclasses", "objects"])
def test_a_description_is_bounded_too(kind: str) -> None:
    value = EXPLOSIVE[kind]()
    assert len(described(value)) <= 1000
    assert len(described(deque([value] * 1000))) <= 1000


@pytest.mark.parametrize(
    ("value", "made"),
    [
        ({"1": "b", 1: "a", 1.5: "c", None: "d"}, {"1": "b", "1'": "a", "1.5": "c", "None": "d"}),
        ({chr(0xD800): 1, chr(0xD801): 2, "?": 3}, {"?": 1, "?'": 2, "?''": 3}),
        ({"n": 10**4999}, {"n": hex(10**4999)}),
        ({"n": -(2**70)}, {"n": str(-(2**70))}),
        ({"d": Decimal("1e999999")}, {"d": "1E+999999"}),
        ({"b": b"\xff" * 100_000, "c": b"a\xff"}, {"b": "ff" * 100_000, "c": "a\\xff"}),
    ],
    ids=["keys", "half pairs", "many digits", "digits", "a large Decimal", "bytes"],
)
def test_odd_keys_and_numbers_are_kept(value: dict[Any, Any], made: dict[str, Any]) -> None:
    assert plain(value) == made
    assert msgpack.unpackb(packed(value)) == made


@pytest.mark.parametrize(
    "value", [Mute(), {Mute(): 1}, {(1, (2,)): 1}, nested(), sys.stdout, Decimal("sNaN")], ids=type
)
def test_odd_objects_become_something_that_can_be_sent(value: object) -> None:
    check_plain(plain([value]))
    assert packed({"x": value})


def test_a_description_says_what_it_is() -> None:
    assert described(Pair(1, 2)) == "<Pair>"
    assert described([1, [2, [3]]]) == "[1, [...]]"
    assert described(object()).startswith("<object object")
    assert described(int) == "<class 'int'>"
    assert described(Mute()).startswith("<Mute")


@pytest.mark.parametrize(
    "value", ["x" * 10_000, 10**6000, Mute(), nested(), "\ud800", b"x", None, 5], ids=lambda value: type(value).__name__
)
def test_a_name_is_text_that_fits(value: object) -> None:
    made = name(value)
    assert len(made) <= MAX_NAME
    made.encode()


def test_fields_that_were_said_to_be_plain_and_are_not_are_packed_all_the_same() -> None:
    cycle: dict[str, Any] = {"n": 1}
    cycle["again"] = cycle
    for fields in (cycle, {"x": object()}, {"x": 2**70}, {"x": "\ud800"}, {"x": nested()}, [1], "text", object()):
        assert isinstance(msgpack.unpackb(packed(fields, copy=False)), dict)
    assert packed({}, copy=False) == packed(None) == packed({}) == b""
