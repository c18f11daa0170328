"""What events and fields mean, one line each, and which of these lines discovery knows nothing of.

In a path of these lines `{*}` stands for any key: `data.prizes{*}` is the meaning of `data.prizes.1`, too, unless that
path has a line of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NamedTuple

from rugs_discovery.maps import NO_PINS, Pins
from rugs_discovery.paths import ANY, Step, split
from rugs_discovery.summary import DATA, Summary

OBSERVED: Final = "observed"
DOCUMENTED: Final = "documented"
CONTRADICTED: Final = "contradicted"
STATUSES: Final = (OBSERVED, DOCUMENTED, CONTRADICTED)
"""Captures show it; only documents say it; documents and captures disagree."""


@dataclass(frozen=True)
class Meaning:
    """What an event or a field means.

    Attributes:
        source: the file that says so.
        status: one of `STATUSES`.
        unit: of numbers.
        events: the events whose field it is; empty: of all that have the path.
    """

    text: str
    source: str
    status: str = DOCUMENTED
    unit: str | None = None
    note: str | None = None
    events: tuple[str, ...] = ()

    def is_of(self, event: str) -> bool:
        """Return whether it holds for an event."""
        return not self.events or event in self.events


@dataclass(frozen=True)
class Meanings:
    """Meanings of events by key and of fields by path, and the maps and objects that a file pins.

    Attributes:
        fields: of several meanings of a path, the first that holds for an event counts.
    """

    events: Mapping[str, Meaning] = field(default_factory=dict)
    fields: Mapping[str, Sequence[Meaning]] = field(default_factory=dict)
    pins: Pins = NO_PINS

    def of_event(self, key: str) -> Meaning | None:
        """Return what an event means; None if nothing says so."""
        return self.events.get(key)

    def of_field(self, event: str, path: str) -> Meaning | None:
        """Return what a field means; None if nothing says so. The whole payload means what its event does."""
        found = next((each for each in self._fitting(path) if each.is_of(event)), None)
        return self.of_event(event) if found is None and path == DATA else found

    def over(self, other: Meanings) -> Meanings:
        """Return these meanings and other ones; where both say something, these count."""
        fields: dict[str, Sequence[Meaning]] = dict(other.fields)
        for path, meanings in self.fields.items():
            fields[path] = [*meanings, *other.fields.get(path, ())]
        pins = Pins({*self.pins.maps, *other.pins.maps}, {*self.pins.objects, *other.pins.objects})
        return Meanings({**other.events, **self.events}, fields, pins)

    @cached_property
    def _patterns(self) -> list[tuple[str, tuple[Step, ...]]]:
        patterns = ((path, split(path)) for path in self.fields if ANY.value in path)
        return sorted(patterns, key=lambda pattern: (pattern[1].count(ANY), pattern[0]))

    def _fitting(self, path: str) -> Iterator[Meaning]:
        """Give the meanings of a path, and then those of paths with `{*}` where it has a key."""
        yield from self.fields.get(path, ())
        steps = split(path) if self._patterns else ()
        for name, pattern in self._patterns:
            if name != path and _is_like(steps, pattern):
                yield from self.fields[name]


class Unseen(NamedTuple):
    """A line about something that discovery does not know.

    Attributes:
        section: `events`, `fields`, `maps` or `objects`.
        name: the event's key, or the path.
        event: the event that does not have the path; None: no event has it.
        source: the file that has the line; None: for pins, the user's.
    """

    section: str
    name: str
    event: str | None = None
    status: str | None = None
    source: str | None = None


def unseen(meanings: Meanings, summary: Summary) -> list[Unseen]:
    """Return the lines whose event or path discovery does not know, or no more: those of documents only, too."""
    events_by_path: dict[str, set[str]] = {}
    for event in summary.events.values():
        for each in event.all_fields:
            events_by_path.setdefault(each.path, set()).add(event.key)
    found = [
        Unseen("events", key, None, meaning.status, meaning.source)
        for key, meaning in meanings.events.items()
        if key not in summary.events
    ]
    for path, lines in meanings.fields.items():
        known = _events_with(path, events_by_path)
        for line in lines:
            missing = [event for event in line.events if event not in known] if line.events else [None] * (not known)
            found += [Unseen("fields", path, event, line.status, line.source) for event in missing]
    pinned = {path: known | {""} for path, known in events_by_path.items()}
    pairs = {f"{event}:{path}" if event else path for path, known in pinned.items() for event in known}
    for section, names in (("maps", meanings.pins.maps), ("objects", meanings.pins.objects)):
        found += [Unseen(section, name) for name in sorted(set(names) - pairs)]
    return found


def undescribed(summary: Summary, meanings: Meanings) -> list[tuple[str, str]]:
    """Return the fields that have no meaning, as (event, path)."""
    return [
        (event.key, each.path)
        for event in summary.events.values()
        for each in event.all_fields
        if meanings.of_field(event.key, each.path) is None
    ]


def _events_with(path: str, events_by_path: Mapping[str, set[str]]) -> set[str]:
    """Return the events that have a path, or one like it if it has `{*}`."""
    known = set(events_by_path.get(path, ()))
    if ANY.value in path:
        pattern = split(path)
        for each, events in events_by_path.items():
            if _is_like(split(each), pattern):
                known |= events
    return known


def _is_like(steps: Sequence[Step], pattern: Sequence[Step]) -> bool:
    """Return whether the steps of a path are those of a pattern, in which `{*}` stands for any key."""
    return len(steps) == len(pattern) and all(
        each == wanted or (wanted is ANY and isinstance(each, str)) for each, wanted in zip(steps, pattern, strict=True)
    )
