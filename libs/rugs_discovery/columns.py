"""Many events at once, as columns: the values of each key in one list. Fast, and checked to be exact.

The fast reader says nothing of a key that stands twice, and may change a long number. Both show in sums over a batch:
colons, and large floats. What the fast reader refuses is left to `messages`, one at a time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson

from rugs_discovery.exact import colons
from rugs_discovery.messages import DATA_KEYS, EVENT, NAME_KEYS, RECORD, UNKNOWN, Message, name_of, of_arguments
from rugs_proto.arguments import is_trace

_ESCAPED_COLON: Final = b"\\u003"
_BRACE: Final = ord("{")
_loads: Final = orjson.loads


@dataclass
class Group:
    """Events of one key, all sent or all received.

    Attributes:
        indexes: of the events in the batch.
        values: the payloads, one an event.
        others: further arguments, with the events' indexes.
        traced: indexes of events with a trace before the payload.
        is_sorted: whether `indexes` are in order.
    """

    indexes: list[int] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    others: list[tuple[int, list[Any]]] = field(default_factory=list)
    traced: list[int] = field(default_factory=list)
    is_sorted: bool = True


@dataclass
class Columns:
    """A batch as columns.

    Attributes:
        groups: by (key, whether sent).
        unread: indexes of what the fast reader refuses, or is not made for.
        colons: in the texts that were read, without those of `groups`' values and arguments.
    """

    groups: defaultdict[tuple[str, bool], Group] = field(default_factory=lambda: defaultdict(Group))
    unread: list[int] = field(default_factory=list)
    colons: int = 0


class _Plan(NamedTuple):
    """How records with the same keys are read."""

    name_key: str | None
    data_key: str | None
    others: tuple[str, ...]
    has_direction: bool
    is_fast: bool
    colons: int


def read(texts: Sequence[bytes]) -> Columns:
    """Read lines of recordings, or stored bytes."""
    found = Columns()
    shapes: defaultdict[tuple[str, ...], tuple[list[int], list[dict[str, Any]]]] = defaultdict(lambda: ([], []))
    joined = b"\n".join(texts)
    has_escape = _ESCAPED_COLON in joined
    for index, text in enumerate(texts):
        try:
            if has_escape and _ESCAPED_COLON in text:
                found.unread.append(index)
            elif text[0] == _BRACE:
                record = _loads(text)
                indexes, records = shapes[tuple(record)]
                indexes.append(index)
                records.append(record)
            elif text[:3] == EVENT:
                _take_frame(found, index, _loads(text[2:]))
            else:
                found.unread.append(index)
        except (orjson.JSONDecodeError, IndexError):  # an empty text is nothing
            found.unread.append(index)
    for keys, (indexes, records) in shapes.items():
        _take_records(found, _plan(keys), indexes, records)
    found.colons += joined.count(b":") - sum(texts[index].count(b":") for index in found.unread)
    return found


@lru_cache(1024)
def _plan(keys: tuple[str, ...]) -> _Plan:
    name_key = next((key for key in NAME_KEYS if key in keys), None)
    data_key = next((key for key in DATA_KEYS if key in keys), None)
    if name_key is None or data_key is None:
        kind = name_key or ("type" if "type" in keys else None)
        return _Plan(kind, None, (), "direction" in keys, "raw" not in keys, 0)
    others = tuple(key for key in keys if key != data_key)
    count = sum(1 + key.count(":") for key in keys)
    return _Plan(name_key, data_key, others, "direction" in keys, "raw" not in keys, count)


def _take_records(found: Columns, plan: _Plan, indexes: list[int], records: list[dict[str, Any]]) -> None:
    if not plan.is_fast:
        found.unread += indexes
        return
    names = [record[plan.name_key] for record in records] if plan.name_key else [UNKNOWN] * len(records)
    sent = [record["direction"] == "sent" for record in records] if plan.has_direction else [False] * len(records)
    if plan.data_key is None:
        keys = [(RECORD + name_of(name), is_sent) for name, is_sent in zip(names, sent, strict=True)]
        _extend(found, keys, indexes, records)
        return
    found.colons -= plan.colons * len(records)
    for other in plan.others:
        found.colons -= _colons_of([record[other] for record in records])
    column = [record[plan.data_key] for record in records]
    keys = [(name_of(name), is_sent) for name, is_sent in zip(names, sent, strict=True)]
    traced = [at for at, data in enumerate(column) if type(data) is list and any(map(is_trace, data))]
    for at in traced:
        _take(found, of_arguments(keys[at][0], column[at]), indexes[at], keys[at][1], column[at])
    if traced:
        rest = sorted(set(range(len(column))) - set(traced))
        keys, indexes, column = [keys[at] for at in rest], [indexes[at] for at in rest], [column[at] for at in rest]
    _extend(found, keys, indexes, column)


def _extend(found: Columns, keys: list[tuple[str, bool]], indexes: list[int], values: list[Any]) -> None:
    """Add events to their groups."""
    if len(set(keys)) == 1:
        group = found.groups[keys[0]]
        group.is_sorted = group.is_sorted and (not group.indexes or group.indexes[-1] < indexes[0])
        group.indexes += indexes
        group.values += values
        return
    for key, index, value in zip(keys, indexes, values, strict=True):
        group = found.groups[key]
        group.is_sorted = group.is_sorted and (not group.indexes or group.indexes[-1] < index)
        group.indexes.append(index)
        group.values.append(value)


def _take_frame(found: Columns, index: int, event: list[Any]) -> None:
    if not event:
        found.unread.append(index)
        return
    found.colons -= colons(event[0])
    _take(found, of_arguments(name_of(event[0]), event[1:]), index, False, event[1:])


def _take(found: Columns, message: Message, index: int, is_sent: bool, args: list[Any]) -> None:
    _extend(found, [(message.key, is_sent)], [index], list(message.values))
    group = found.groups[message.key, is_sent]
    if message.others:
        group.others.append((index, list(message.others)))
    if message.is_traced:
        group.traced.append(index)
        found.colons -= sum(colons(each) for each in args if is_trace(each))


def _colons_of(column: list[Any]) -> int:
    texts = [value for value in column if type(value) is str]
    count = "".join(texts).count(":")
    return count if len(texts) == len(column) else count + sum(colons(v) for v in column if type(v) is not str)
