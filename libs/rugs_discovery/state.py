"""What discovery knows of events: mergeable, in whatever order, and storable.

A `State` is that of a batch, a file, a day of the lake, or of everything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgpack

from rugs_discovery.nodes import Node, Place, pack, unpack

MOST_PLACES: Final = 100
"""Places of faults that are listed, of one kind."""
VERSION: Final = 1
"""Of the state: another one cannot be read, and is made again."""


class Fault(NamedTuple):
    """Something that could not be read, and where."""

    place: Place
    reason: str


@dataclass(eq=False)
class EventState:
    """What is known of the events of one key.

    Attributes:
        private: events of which neither values nor ranges are kept.
        traced: events with a trace before the payload.
        sent: events that the recorder's own side sent.
        data: of the payloads, or for `record:` of the whole objects.
        others: of further arguments, as one array.
        not_json: events that JSON Schema cannot check, by reason; `faults` has the first of them.
    """

    count: int = 0
    private: int = 0
    traced: int = 0
    sent: int = 0
    first: Place | None = None
    last: Place | None = None
    data: Node = field(default_factory=Node)
    others: Node = field(default_factory=Node)
    not_json: dict[str, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def merge(self, other: EventState) -> None:
        """Take what another state knows of the same key; it is not to be used any more."""
        self.count += other.count
        self.private += other.private
        self.traced += other.traced
        self.sent += other.sent
        self.first = _least(self.first, other.first)
        self.last = _greatest(self.last, other.last)
        self.data.merge(other.data)
        self.others.merge(other.others)
        _add(self.not_json, other.not_json)
        self.faults = first_faults(self.faults, other.faults)


@dataclass(eq=False)
class State:
    """What is known of all events.

    Attributes:
        lines: lines, or stored events, that were read; blank ones are not among them.
        size: their bytes.
        errors: lines that are neither a record nor a message, by reason; `faults` has the first of them.
    """

    events: dict[str, EventState] = field(default_factory=dict)
    lines: int = 0
    size: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def add(self, key: str, event: EventState) -> None:
        """Take what is known of events of a key; it is not to be used any more."""
        if key in self.events:
            self.events[key].merge(event)
        else:
            self.events[key] = event

    def merge(self, other: State) -> None:
        """Take what another state knows; it is not to be used any more."""
        for key, event in other.events.items():
            self.add(key, event)
        self.lines += other.lines
        self.size += other.size
        _add(self.errors, other.errors)
        self.faults = first_faults(self.faults, other.faults)

    def stamp(self, ts_of: Callable[[Place], int]) -> None:
        """Give each place its time: within a file, places are in the order of the lines until all of it is read."""
        for event in self.events.values():
            event.first, event.last = _stamped(event.first, ts_of), _stamped(event.last, ts_of)
            event.faults = [fault._replace(place=_sure(fault.place, ts_of)) for fault in event.faults]
            waiting = [event.data, event.others]
            while waiting:
                node = waiting.pop()
                node.first = {name: _sure(place, ts_of) for name, place in node.first.items()}
                node.last = _stamped(node.last, ts_of)
                waiting += (node.fields or {}).values()
                waiting += [each for each in (node.anything, node.items) if each is not None]

    def pack(self) -> bytes:
        """Return the state as bytes; equal states give equal bytes."""
        events = [(key, _packed(self.events[key])) for key in sorted(self.events)]
        whole = [VERSION, events, self.lines, self.size, sorted(self.errors.items()), self.faults]
        packed: bytes = msgpack.packb(whole, unicode_errors="surrogatepass")
        return packed

    @classmethod
    def unpack(cls, packed: bytes) -> State:
        """Return the state that was packed.

        Raises:
            ValueError: if it is of another version.
        """
        version, *rest = msgpack.unpackb(packed, unicode_errors="surrogatepass", strict_map_key=False, use_list=True)
        if version != VERSION:
            raise ValueError(f"a state of version {version}, not {VERSION}")
        events, lines, size, errors, faults = rest
        known = {key: _unpacked(event) for key, event in events}
        return cls(known, lines, size, dict(errors), [_fault(each) for each in faults])


def first_faults(*faults: list[Fault]) -> list[Fault]:
    """Return the first faults of several lists."""
    return sorted(fault for each in faults for fault in each)[:MOST_PLACES]


def _packed(event: EventState) -> list[Any]:
    return [
        event.count, event.private, event.traced, event.sent, event.first, event.last,
        pack(event.data), pack(event.others), sorted(event.not_json.items()), event.faults,
    ]  # fmt: skip


def _unpacked(packed: list[Any]) -> EventState:
    count, private, traced, sent, first, last, data, others, not_json, faults = packed
    begin, end = (None if place is None else Place(*place) for place in (first, last))
    known = [_fault(each) for each in faults]
    return EventState(count, private, traced, sent, begin, end, unpack(data), unpack(others), dict(not_json), known)


def _fault(packed: list[Any]) -> Fault:
    place, reason = packed
    return Fault(Place(*place), reason)


def _add(counts: dict[str, int], more: dict[str, int]) -> None:
    for key, count in more.items():
        counts[key] = counts.get(key, 0) + count


def _least(one: Place | None, other: Place | None) -> Place | None:
    return min((each for each in (one, other) if each is not None), default=None)


def _greatest(one: Place | None, other: Place | None) -> Place | None:
    return max((each for each in (one, other) if each is not None), default=None)


def _stamped(place: Place | None, ts_of: Callable[[Place], int]) -> Place | None:
    return None if place is None else _sure(place, ts_of)


def _sure(place: Place, ts_of: Callable[[Place], int]) -> Place:
    return place._replace(ts=ts_of(place))
