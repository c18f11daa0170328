"""Field discovery in records as they are: nothing is unwrapped, folded or masked.

The values of one path are taken together, for many records at a time, in the records' order. So a file is scanned
fast, and the outcome is the one that `discover_fields` gives record by record.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

from rugs_discovery.paths import ITEM, escape
from rugs_discovery.shred import MOST_LEVELS

MOST_SAMPLES: Final = 5
"""Values that a field's samples hold, unless the caller says otherwise."""
LONGEST: Final = 100
"""Characters of a sampled string; longer ones are cut, and `...` follows."""

_TYPES: Final[Mapping[type, str]] = {
    dict: "object", list: "array", tuple: "array", str: "string", bool: "boolean", int: "number", float: "number",
    type(None): "null",
}  # fmt: skip
_KINDS: Final = tuple(_TYPES)
_CONTAINERS: Final = frozenset({"object", "array"})
_NUMBERS: Final = frozenset({int, float})


def get_type(value: Any) -> str:
    """Return the JSON type of a value: string, number, boolean, object, array or null.

    A value that JSON does not have is a string, as `json.dumps(value, default=str)` writes it.
    """
    return _type_name(type(value))


def _type_name(kind: type) -> str:
    known = _TYPES.get(kind)
    return known or next((name for base, name in _TYPES.items() if issubclass(kind, base)), "string")


@dataclass
class FieldInfo:
    """What is known of the values at one path.

    Attributes:
        path: from the root of the record, as `rugs_discovery.paths` writes it: `data.leaderboard[].pnl`.
        type: the most frequent type; of equally frequent ones the first seen, and null last.
        count: values; each element of an array is one.
        sample_values: the first distinct values; no object, no array, no null, and no number that is not finite.
        max_samples: how many values the samples hold at the most.
        types: values by type, as `get_type` names it.
        truncated: objects and arrays that were not entered, because they were too deep.
    """

    path: str
    type: str
    count: int = 0
    sample_values: list[Any] = field(default_factory=list)
    max_samples: int = MOST_SAMPLES
    types: dict[str, int] = field(default_factory=dict)
    truncated: int = 0

    def __post_init__(self) -> None:
        if self.count and not self.types:
            self.types[self.type] = self.count

    def add_sample(self, value: Any) -> None:
        """Add a value to the samples, unless it is among them or they are full. Long strings are cut."""
        if len(self.sample_values) >= self.max_samples or (isinstance(value, float) and not math.isfinite(value)):
            return
        sample = _shown(value)
        is_truth = isinstance(sample, bool)  # Python says that true equals 1
        if not any(sample == each and isinstance(each, bool) == is_truth for each in self.sample_values):
            self.sample_values.append(sample)

    def add_types(self, counts: Mapping[str, int]) -> None:
        """Count values, given by type."""
        for name, count in counts.items():
            self.types[name] = self.types.get(name, 0) + count
            self.count += count
        self.type = max(self.types, key=lambda name: (self.types[name], name != "null"))

    def merge(self, later: FieldInfo) -> None:
        """Take what is known of later values at the same path; `later` stays as it is."""
        is_counted = sum(later.types.values()) == later.count
        self.add_types(later.types if is_counted else {later.type: later.count})
        self.truncated += later.truncated
        for value in later.sample_values:
            self.add_sample(value)


def discover_fields(event: Any, prefix: str = "") -> dict[str, FieldInfo]:
    """Return what one record has, by path: every key, `x[]` for an array that is not empty, and what lies inside.

    Objects and arrays are entered to `MOST_LEVELS` levels, the record's own among them.

    Args:
        event: the record; of a value that is no object, no array either, nothing is returned.
        prefix: the path of the record itself.
    """
    fields: dict[str, FieldInfo] = {}
    if get_type(event) in _CONTAINERS:
        _take_inside(fields, prefix, [event], 0)
    return fields


def take_records(fields: dict[str, FieldInfo], records: Sequence[dict[str, Any]]) -> None:
    """Add what further records have to `fields`, by path."""
    _take_inside(fields, "", records, 0)


def clean(text: str) -> str:
    r"""Return a text that every JSON writer takes: half a surrogate pair is written out, as `\ud800`."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def _take(fields: dict[str, FieldInfo], path: str, values: Sequence[Any], level: int) -> None:
    """Take values at one path, and what lies inside; `level` is how many objects and arrays are around them."""
    kinds = Counter(map(type, values))
    types: dict[str, int] = {}
    for kind, count in kinds.items():
        name = _type_name(kind)
        types[name] = types.get(name, 0) + count
    info = fields.get(path)
    if info is None:
        info = fields[path] = FieldInfo(path, next(iter(types)))
    info.add_types(types)
    scalars = values
    if not types.keys().isdisjoint(_CONTAINERS):
        containers = values
        scalars = ()
        if not types.keys() <= _CONTAINERS:
            containers = [value for value in values if get_type(value) in _CONTAINERS]
            scalars = [value for value in values if get_type(value) not in _CONTAINERS]
        if level < MOST_LEVELS:
            _take_inside(fields, path, containers, level)
        else:
            info.truncated += sum(map(bool, containers))
    if len(info.sample_values) < info.max_samples:
        for value in _distinct(scalars, kinds):
            if value is not None:
                info.add_sample(value)


def _distinct(values: Sequence[Any], kinds: Mapping[type, int]) -> Iterable[Any]:
    """Return values without most repetitions, in their order; all, where a dict cannot tell them apart."""
    is_mixed = bool in kinds and not _NUMBERS.isdisjoint(kinds)
    return values if is_mixed or not kinds.keys() <= _TYPES.keys() else dict.fromkeys(values)


def _take_inside(fields: dict[str, FieldInfo], path: str, values: Sequence[Any], level: int) -> None:
    """Take the members of objects and the elements of arrays that are at one path."""
    objects = [value for value in values if isinstance(value, dict)]
    for key, column in _columns(objects).items():
        step = escape(clean(str(key)))
        _take(fields, f"{path}.{step}" if path else step, column, level + 1)
    elements = list(chain.from_iterable(value for value in values if not isinstance(value, dict)))
    if elements:
        _take(fields, path + ITEM.value, elements, level + 1)


def _columns(objects: Iterable[dict[Any, Any]]) -> dict[Any, list[Any]]:
    """Return the values of each key, in the order of the objects."""
    if len(shapes := set(map(tuple, objects))) == 1:
        return dict(zip(shapes.pop(), zip(*map(dict.values, objects), strict=True), strict=True))
    columns: defaultdict[Any, list[Any]] = defaultdict(list)
    for each in objects:
        for key, value in each.items():
            columns[key].append(value)
    return columns


def _shown(value: Any) -> Any:
    """Return a value as samples show it."""
    if not isinstance(value, str):
        return value if isinstance(value, _KINDS) else clean(str(value))
    return clean(value if len(value) <= LONGEST else value[:LONGEST] + "...")
