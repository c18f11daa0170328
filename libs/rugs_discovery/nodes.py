"""What is known of the values at one field path: a tree of them is what is known of an event.

Trees are made of batches and merged; merging is commutative and associative, so neither the order of the data nor how
it was cut matters. A tree is bounded: an object with more than `MOST_KEYS` distinct keys is a map, and its values are
known together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from rugs_discovery.sample import Sample

MOST_KEYS: Final = 256
"""Distinct keys of an object, at the most, that have a node each."""
TYPES: Final = ("null", "boolean", "integer", "number", "string", "array", "object")
"""JSON types. `integer` is a number written without a fraction or an exponent, `number` any other."""


class Place(NamedTuple):
    """Where an event is, in the order in which first and last are told.

    Attributes:
        ts: the event's time, µs since the Unix epoch.
        name: its id in hex, or the file that holds it.
        line: its line in the file, from 1; 0 for a stored event.
    """

    ts: int
    name: str
    line: int = 0


class Node:
    """What is known of the values at one path.

    Attributes:
        types: values by JSON type.
        first: the first event with a value of each type.
        last: the last event with a value.
        low, high: of numbers; None where there is none.
        sample: of strings and numbers, of public events only.
        fields: nodes by key; None where there are too many keys: then `anything` is the node of all values.
        keys: of objects: a sample of their keys.
        items: node of the elements of arrays.
        shortest, longest: array: elements.
        trues, falses: booleans, of public events only.
        truncated: objects and arrays that were not entered, because they were too deep.
    """

    __slots__ = (
        "anything", "falses", "fields", "first", "high", "items", "keys", "last", "longest", "low", "sample",
        "shortest", "trues", "truncated", "types",
    )  # fmt: skip

    def __init__(self) -> None:
        self.types: dict[str, int] = {}
        self.first: dict[str, Place] = {}
        self.last: Place | None = None
        self.low: float | None = None
        self.high: float | None = None
        self.sample = Sample()
        self.fields: dict[str, Node] | None = {}
        self.anything: Node | None = None
        self.keys = Sample()
        self.items: Node | None = None
        self.shortest = self.longest = -1
        self.truncated = 0
        self.trues = self.falses = 0

    @property
    def count(self) -> int:
        """Values."""
        return sum(self.types.values())

    @property
    def is_leaf(self) -> bool:
        """Whether there is no node below."""
        return not self.fields and self.anything is None and self.items is None

    def field(self, key: str) -> Node:
        """Return the node of a key; it is made where there is none."""
        if self.fields is None:
            return self.of_anything()
        found = self.fields.get(key)
        if found is None:
            found = self.fields[key] = Node()
        return found

    def of_anything(self) -> Node:
        """Return the node of all values of a map."""
        if self.anything is None:
            self.anything = Node()
        return self.anything

    def of_items(self) -> Node:
        """Return the node of the elements of arrays."""
        if self.items is None:
            self.items = Node()
        return self.items

    def fold(self) -> None:
        """Make the object a map: its values are known together from now on."""
        if self.fields is not None:
            known = list(self.fields.values())
            self.fields = None
            if known:
                self.of_anything().merge(*known)

    def fold_if_large(self, most: int = MOST_KEYS) -> None:
        """Make the object a map if it has too many keys."""
        if self.fields is not None and len(self.fields) > most:
            self.fold()

    def add_length(self, shortest: int, longest: int) -> None:
        """Take the lengths of arrays."""
        self.shortest = shortest if self.shortest < 0 else min(self.shortest, shortest)
        self.longest = max(self.longest, longest)

    def add_range(self, low: float, high: float) -> None:
        """Take the least and the greatest of numbers."""
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)

    def merge(self, *others: Node) -> None:
        """Take what is known of other values at the same path. The others are not to be used any more."""
        for other in others:
            for name, count in other.types.items():
                self.types[name] = self.types.get(name, 0) + count
            for name, place in other.first.items():
                self.first[name] = min(self.first.get(name, place), place)
            if other.last is not None:
                self.last = other.last if self.last is None else max(self.last, other.last)
            if other.low is not None and other.high is not None:
                self.add_range(other.low, other.high)
            self.sample.merge(other.sample)
            self.keys.merge(other.keys)
            if other.longest >= 0:
                self.add_length(other.shortest, other.longest)
            self.truncated += other.truncated
            self.trues += other.trues
            self.falses += other.falses
            self._merge_fields(other)
            if other.items is not None:
                self.of_items().merge(other.items)

    def _merge_fields(self, other: Node) -> None:
        if other.fields is None:
            self.fold()
            if other.anything is not None:
                self.of_anything().merge(other.anything)
        elif self.fields is None:
            if other.fields:
                self.of_anything().merge(*other.fields.values())
        else:
            for key, node in other.fields.items():
                known = self.fields.get(key)
                if known is None:
                    self.fields[key] = node
                else:
                    known.merge(node)
            self.fold_if_large()


def pack(node: Node) -> list[Any]:
    """Return a node as what msgpack takes; equal nodes give equal lists."""
    return [
        [node.types.get(name, 0) for name in TYPES],
        sorted((name, *place) for name, place in node.first.items()),
        node.last,
        _packed_number(node.low),
        _packed_number(node.high),
        _packed_sample(node.sample),
        None if node.fields is None else [(key, pack(node.fields[key])) for key in sorted(node.fields)],
        None if node.anything is None else pack(node.anything),
        _packed_sample(node.keys),
        None if node.items is None else pack(node.items),
        node.shortest,
        node.longest,
        node.truncated,
        node.trues,
        node.falses,
    ]


def unpack(packed: list[Any]) -> Node:
    """Return the node that `pack` was given."""
    node = Node()
    (types, first, last, low, high, sample, fields, anything, keys, items, *rest) = packed
    node.types = {name: count for name, count in zip(TYPES, types, strict=True) if count}
    node.first = {name: Place(*place) for name, *place in first}
    node.last = None if last is None else Place(*last)
    node.low, node.high = _number(low), _number(high)
    node.sample, node.keys = _sample(sample), _sample(keys)
    node.fields = None if fields is None else {key: unpack(each) for key, each in fields}
    node.anything = None if anything is None else unpack(anything)
    node.items = None if items is None else unpack(items)
    node.shortest, node.longest, node.truncated, node.trues, node.falses = rest
    return node


def _packed_number(value: float | None) -> float | str | None:
    """Return a number as msgpack has room for it: a large whole number as text."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # of 1 and 1.0 either may have come first
    is_large = value is not None and not -(1 << 63) <= value < 1 << 63
    return str(value) if is_large else value


def _number(value: float | str | None) -> float | None:
    return _read_number(value) if isinstance(value, str) else value


def _packed_sample(sample: Sample) -> list[Any]:
    values = [(isinstance(sample.values[key], str), *key) for key in sorted(sample.values)]
    return [sample.is_whole, sample.limit, values]


def _sample(packed: list[Any]) -> Sample:
    sample = Sample()
    sample.is_whole, sample.limit, values = packed
    sample.values = {(rank, text): text if is_text else _read_number(text) for is_text, rank, text in values}
    return sample


def _read_number(text: str) -> float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def types_of(nodes: Iterable[Node]) -> set[str]:
    """Return the JSON types that values of nodes have; `number` for whole numbers, too."""
    return {"number" if name == "integer" else name for node in nodes for name in node.types if name != "null"}
