"""What discovery says: events and their fields, as documents, schemas and look-ups need them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from rugs_discovery.formats import format_of
from rugs_discovery.maps import NO_PINS, Pins, evidence
from rugs_discovery.messages import PACKET, RECORD
from rugs_discovery.nodes import Node, Place, pack, unpack
from rugs_discovery.paths import ANY, ITEM, Step, join
from rugs_discovery.personal import is_personal, masked
from rugs_discovery.sample import LONGEST, Scalar
from rugs_discovery.state import EventState, Fault, State

DATA: Final = "data"
ARGUMENTS: Final = "arguments"
MOST_ENUM: Final = 16
"""Distinct strings that are listed as all that a field can be."""
_SAMPLES: Final = 5
_FREE: Final = frozenset({"text"})


@dataclass(frozen=True)
class Field:
    """What is known of one field path of one event.

    Attributes:
        parents: objects that could have had it, or arrays whose element it is; `count` of them had it, for a key.
        types: values by JSON type, the most frequent first.
        low, high: of numbers; None where there is none, or none is public.
        formats: what a few of its strings look like.
        enum: all its strings, where they are few; None where they are not.
        samples: a few values, long ones cut, personal ones masked.
        is_personal: whether values name or quote people.
        first: the first event with a value of each type.
        lengths: of arrays, the shortest and the longest.
        keys: of a map, a few of its keys, personal ones masked.
        map_evidence: why it is a map; None if it is none.
        truncated: objects and arrays too deep to be entered.
        trues, falses: booleans.
    """

    event: str
    path: str
    steps: tuple[Step, ...]
    count: int
    parents: int
    types: Mapping[str, int]
    low: float | None
    high: float | None
    formats: tuple[str, ...]
    enum: tuple[str, ...] | None
    samples: tuple[Scalar, ...]
    is_personal: bool
    first: Mapping[str, Place]
    last: Place
    lengths: tuple[int, int] | None = None
    keys: tuple[str, ...] = ()
    map_evidence: str | None = None
    truncated: int = 0
    trues: int = 0
    falses: int = 0

    @property
    def presence(self) -> float:
        """In what share of the objects that could have it the key is; 1 for elements of arrays and maps."""
        return self.count / self.parents if self.parents else 1.0

    @property
    def type(self) -> str:
        """The most frequent JSON type."""
        return next(iter(self.types))

    @property
    def first_seen(self) -> Place:
        """The first event that has it."""
        return min(self.first.values())


@dataclass(frozen=True)
class Event:
    """What is known of the events of one key.

    Attributes:
        fields: of the payload, by path, in the order of the tree; paths begin with `data`, those of a record do not.
        arguments: of further arguments, by path.
        private: events of which neither samples nor ranges are kept.
        not_json: events that JSON Schema cannot check, by reason.
    """

    key: str
    count: int
    private: int
    traced: int
    sent: int
    first: Place
    last: Place
    fields: Mapping[str, Field]
    arguments: Mapping[str, Field]
    not_json: Mapping[str, int]
    faults: tuple[Fault, ...]

    @property
    def kind(self) -> str:
        """`event`, `packet` or `record`."""
        return next((kind[:-1] for kind in (PACKET, RECORD) if self.key.startswith(kind)), "event")

    @property
    def all_fields(self) -> Iterator[Field]:
        """The fields of payload and further arguments."""
        yield from self.fields.values()
        yield from self.arguments.values()


@dataclass(frozen=True)
class Summary:
    """What is known of all events.

    Attributes:
        events: by key, the most frequent first.
    """

    events: Mapping[str, Event]
    lines: int
    size: int
    errors: Mapping[str, int] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()

    @cached_property
    def count(self) -> int:
        """Events."""
        return sum(event.count for event in self.events.values())

    @cached_property
    def fields(self) -> int:
        """Pairs of event and path."""
        return sum(len(event.fields) for event in self.events.values())

    @cached_property
    def paths(self) -> int:
        """Distinct paths."""
        return len({path for event in self.events.values() for path in event.fields})

    @cached_property
    def truncated(self) -> int:
        """Objects and arrays too deep to be entered."""
        return sum(each.truncated for event in self.events.values() for each in event.all_fields)


def summarise(state: State, pins: Pins = NO_PINS, *, show_personal: bool = False) -> Summary:
    """Return what a state says; the state stays as it is.

    Args:
        show_personal: whether personal values are shown as they are.
    """
    ranked = sorted(state.events.items(), key=lambda item: (-item[1].count, item[0]))
    events = {key: _event(key, known, pins, show_personal) for key, known in ranked if known.first is not None}
    return Summary(events, state.lines, state.size, dict(sorted(state.errors.items())), tuple(state.faults))


def _event(key: str, state: EventState, pins: Pins, show: bool) -> Event:
    assert state.first is not None  # noqa: S101
    assert state.last is not None  # noqa: S101
    walk = _Walk(key, pins, show, is_public=not state.private)
    root = () if key.startswith(RECORD) else (DATA,)
    fields = walk.fields(unpack(pack(state.data)), root, state.count)
    arguments = walk.fields(unpack(pack(state.others)), (ARGUMENTS,), 0) if state.others.types else {}
    return Event(
        key, state.count, state.private, state.traced, state.sent, state.first, state.last, fields, arguments,
        dict(sorted(state.not_json.items())), tuple(state.faults),
    )  # fmt: skip


def _key(item: tuple[str, Node]) -> str:
    return item[0]


class _Walk:
    """Reads the tree of one event; the tree is folded where an object is a map."""

    def __init__(self, event: str, pins: Pins, show: bool, *, is_public: bool) -> None:
        self._is_public = is_public
        self._event = event
        self._pins = pins
        self._show = show

    def fields(self, root: Node, steps: tuple[Step, ...], parents: int) -> dict[str, Field]:
        found: dict[str, Field] = {}
        waiting = [(root, steps, parents)]
        while waiting:
            node, at, could = waiting.pop()
            if not node.types:
                continue
            why = evidence(node, self._pins.of(self._event, join(at))) if node.fields != {} else None
            if why is not None:
                node.fold()
            if at:
                found[join(at)] = self._field(node, at, could, why)
            objects = node.types.get("object", 0)
            children: list[tuple[Node, tuple[Step, ...], int]] = []
            children += ((child, (*at, key), objects) for key, child in sorted((node.fields or {}).items(), key=_key))
            if node.anything is not None:
                children.append((node.anything, (*at, ANY), 0))
            if node.items is not None:
                children.append((node.items, (*at, ITEM), 0))
            waiting += reversed(children)
        return found

    def _field(self, node: Node, steps: tuple[Step, ...], parents: int, why: str | None) -> Field:
        strings = [value for _, value in sorted(node.sample.values.items()) if isinstance(value, str)]
        formats = tuple(sorted(set(map(format_of, strings))))
        personal = is_personal(steps, formats)
        hide = personal and not self._show
        values = [value for _, value in sorted(node.sample.values.items())][:_SAMPLES]
        samples = dict.fromkeys(masked(value, steps) if hide else value for value in values)
        enum = None
        count = node.types.get("string", 0)
        is_all = self._is_public and node.sample.is_whole and not any(len(each) > LONGEST for each in strings)
        if not personal and is_all and set(formats) == _FREE and 0 < 2 * len(strings) <= count:
            enum = tuple(sorted(strings)) if len(strings) <= MOST_ENUM else None
        assert node.last is not None  # noqa: S101
        keys: tuple[str, ...] = ()
        if why is not None:
            shown = [str(key) for _, key in sorted(node.keys.values.items())][:_SAMPLES]
            keys = tuple(dict.fromkeys(shown if self._show else (str(masked(key, (*steps, ANY))) for key in shown)))
        return Field(
            self._event, join(steps), steps, node.count, parents,
            dict(sorted(node.types.items(), key=lambda item: (-item[1], item[0]))),
            node.low, node.high, formats, enum, tuple(samples), personal, node.first, node.last,
            None if node.longest < 0 else (node.shortest, node.longest), keys, why, node.truncated,
            node.trues, node.falses,
        )  # fmt: skip
