"""Take many values apart at once, path by path: what makes discovery fast.

A plain walk looks at one value after the other. Here the values of one path stand in one list, and what is asked of
them (types, range, distinct values) is asked of the whole list by functions that run in C.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from rugs_discovery.exact import colons
from rugs_discovery.nodes import MOST_KEYS, Node

MOST_LEVELS: Final = 10
"""Levels of objects and arrays that are entered; what is deeper is counted as truncated."""
LARGE: Final = 1 << 63
"""A float as large as this may have been a whole number."""

_NUMBERS: Final = {int, float}
_chained: Final = chain.from_iterable


class Shredder:
    """Takes values apart, into nodes.

    Args:
        is_public: whether samples, ranges and formats may be kept of the values.
        levels: of objects and arrays that are entered.

    Attributes:
        colons: how many colons the JSON texts of the values have if no key stands twice: see `exact.colons`.
        has_large: whether there was a number that the fast reader may have changed.
    """

    def __init__(self, *, is_public: bool = True, levels: int = MOST_LEVELS) -> None:
        self.colons = 0
        self.has_large = False
        self._is_public = is_public
        self._levels = levels

    def shred(self, node: Node, values: Sequence[Any], level: int = 0) -> None:
        """Take values at one path apart; `level` is how many objects and arrays are around them."""
        kinds = set(map(type, values))
        if len(kinds) == 1:
            self._shred_alike(node, kinds.pop(), values, level)
            return
        if kinds == _NUMBERS:
            self._count(node, Counter(map(type, values)))
            self._numbers(node, values, level)
            return
        for kind in kinds:
            self._shred_alike(node, kind, [value for value in values if type(value) is kind], level)

    def _shred_alike(self, node: Node, kind: type, values: Sequence[Any], level: int) -> None:
        self._count(node, {kind: len(values)})
        _TAKE[kind][1](self, node, values, level)

    def _count(self, node: Node, kinds: Mapping[type, int]) -> None:
        for kind, count in kinds.items():
            name = _TAKE[kind][0]
            node.types[name] = node.types.get(name, 0) + count

    def _nulls(self, node: Node, values: Sequence[None], level: int) -> None:
        """Take null: its count says all."""

    def _booleans(self, node: Node, values: Sequence[bool], level: int) -> None:
        if self._is_public:
            node.trues += sum(values)
            node.falses += len(values) - sum(values)

    def _strings(self, node: Node, values: Sequence[str], level: int) -> None:
        self.colons += "".join(values).count(":")
        if not self._is_public:
            return
        distinct = set(values)
        node.sample.add_strings(distinct)

    def _numbers(self, node: Node, values: Sequence[float], level: int) -> None:
        distinct = set(values)
        low, high = min(distinct), max(distinct)
        if not -LARGE < low <= high < LARGE:
            self.has_large = self.has_large or any(isinstance(value, float) for value in distinct)
            distinct = {value for value in distinct if isinstance(value, int) or math.isfinite(value)}
            if not distinct:
                return
            low, high = min(distinct), max(distinct)
        if self._is_public:
            node.add_range(low, high)
            node.sample.add_numbers(distinct)

    def _arrays(self, node: Node, values: Sequence[list[Any]], level: int) -> None:
        lengths = list(map(len, values))
        node.add_length(min(lengths), max(lengths))
        if level >= self._levels:
            self._leave(node, values)
        elif elements := list(_chained(values)):
            self.shred(node.of_items(), elements, level + 1)

    def _objects(self, node: Node, values: Sequence[dict[str, Any]], level: int) -> None:
        if level >= self._levels:
            self._leave(node, values)
            return
        columns = _columns(values) if node.fields is not None else {}
        if node.fields is not None and len(columns.keys() | node.fields.keys()) > MOST_KEYS:
            node.fold()
        if node.fields is None:
            keys = set(_chained(values))
            if members := list(_chained(map(dict.values, values))):
                self.shred(node.of_anything(), members, level + 1)
            self.colons += len(members) + "".join(_chained(values)).count(":")
        else:
            keys = set(columns)
            for key, column in columns.items():
                self.colons += len(column) * (1 + key.count(":"))
                self.shred(node.field(key), column, level + 1)
        if self._is_public and keys:
            node.keys.add_strings(keys)

    def _leave(self, node: Node, values: Sequence[list[Any]] | Sequence[dict[str, Any]]) -> None:
        node.truncated += sum(map(bool, values))
        self.colons += sum(map(colons, values))


_TAKE: Final[dict[type, tuple[str, Callable[[Shredder, Node, Sequence[Any], int], None]]]] = {
    type(None): ("null", Shredder._nulls),
    bool: ("boolean", Shredder._booleans),
    int: ("integer", Shredder._numbers),
    float: ("number", Shredder._numbers),
    str: ("string", Shredder._strings),
    list: ("array", Shredder._arrays),
    dict: ("object", Shredder._objects),
}


def _columns(values: Sequence[dict[str, Any]]) -> dict[str, Sequence[Any]]:
    """Return the values of each key."""
    shapes = Counter(map(tuple, values)) if len(values) > 1 else Counter([tuple(values[0])])
    if len(shapes) == 1:
        keys = next(iter(shapes))
        return dict(zip(keys, zip(*map(dict.values, values), strict=True), strict=True)) if keys else {}
    columns: defaultdict[str, list[Any]] = defaultdict(list)
    if len(shapes) * 4 > len(values):
        for value in values:
            for key, member in value.items():
                columns[key].append(member)
        return dict(columns)
    alike: dict[tuple[str, ...], list[dict[str, Any]]] = {shape: [] for shape in shapes}
    for value in values:
        alike[tuple(value)].append(value)
    for shape, same in alike.items():
        for key, column in zip(shape, zip(*map(dict.values, same), strict=True), strict=False):
            columns[key].extend(column)
    return dict(columns)
