"""What has changed in the feed: a new event, field, type or value, and a field that has vanished.

A change is additive where a reader of what came before can still read what comes now: new events, new fields, a new
value of a field with few of them, a number that was whole before. A new type of a known field, or one that has
vanished, is breaking.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any, Final, NamedTuple

from rugs_core.time import date_of
from rugs_discovery.nodes import Place
from rugs_discovery.paths import Mark
from rugs_discovery.summary import Event, Field, Summary

ADDITIVE: Final = "additive"
BREAKING: Final = "breaking"

_NUMBERS: Final = {"integer", "number"}
_LATER_EVENTS: Final = 100
"""Events that came without a field, at the least, before it counts as vanished."""
_MISSED: Final = 20
"""How many of them would have had it, by how often it was there before."""


class Drift(NamedTuple):
    """One change.

    Attributes:
        kind: `event`, `field`, `type`, `value` or `vanished`.
        detail: the type, or the value; else empty.
        example: the first event that shows it; of a vanished field the last event that had it.
    """

    kind: str
    event: str
    path: str
    detail: str
    verdict: str
    example: Place

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What makes it this change."""
        return self.kind, self.event, self.path, self.detail

    @property
    def text(self) -> str:
        """What it says, in one line."""
        at = f"{self.event}: {self.path}" if self.path else self.event
        return {
            "event": f"new event {at}",
            "field": f"new field {at}",
            "type": f"new type {self.detail} of {at}",
            "value": f"new value {self.detail!r} of {at}",
            "vanished": f"{at} has vanished",
        }[self.kind]


def changes_of(summary: Summary, later: Mapping[str, Mapping[date, int]] | None = None) -> list[Drift]:
    """Return everything that was once new, and what has vanished since.

    Args:
        later: events of each key by day (UTC): without it, no field is known to have vanished.
    """
    return [drift for event in summary.events.values() for drift in _of_event(event, (later or {}).get(event.key, {}))]


def compare(before: Mapping[str, Any], after: Summary) -> list[Drift]:
    """Return what is new against an earlier `fields.json`, and which fields of it are gone."""
    known = set(_keys_of(before))
    found = [drift for drift in changes_of(after) if drift.key not in known]
    new_events = {drift.event for drift in found if drift.kind == "event"}
    new_fields = {(drift.event, drift.path) for drift in found if drift.kind == "field"}
    found = [drift for drift in found if drift.kind == "event" or drift.event not in new_events]
    found = [d for d in found if d.kind in ("event", "field") or (d.event, d.path) not in new_fields]
    for key, event in before["events"].items():
        there = after.events.get(key)
        gone = [path for path in event["fields"] if there is None or path not in there.fields]
        found += (Drift("vanished", key, path, "", BREAKING, Place(0, "")) for path in _topmost(gone))
    return found


def _of_event(event: Event, by_day: Mapping[date, int]) -> Iterator[Drift]:
    yield Drift("event", event.key, "", "", ADDITIVE, event.first)
    for field in event.all_fields:
        yield Drift("field", event.key, field.path, "", ADDITIVE, field.first_seen)
        yield from _of_field(field)
    gone = {field.path: field for field in event.fields.values() if _has_vanished(field, event, by_day)}
    for path in _topmost(gone):
        yield Drift("vanished", event.key, path, "", BREAKING, gone[path].last)


def _of_field(field: Field) -> Iterator[Drift]:
    first_type = min(field.first, key=lambda name: (field.first[name], name))
    for name, place in field.first.items():
        is_same = name == first_type or {name, first_type} <= _NUMBERS
        yield Drift("type", field.event, field.path, name, ADDITIVE if is_same else BREAKING, place)
    for value in field.enum or ():
        yield Drift("value", field.event, field.path, value, ADDITIVE, field.first_seen)


def _has_vanished(field: Field, event: Event, by_day: Mapping[date, int]) -> bool:
    if not field.steps or isinstance(field.steps[-1], Mark):
        return False
    last = date_of(field.last.ts)
    later = sum(count for day, count in by_day.items() if day > last)
    share = field.count / max(1, event.count - later)
    return later >= _LATER_EVENTS and later * min(1.0, share) >= _MISSED


def _topmost(paths: Iterable[str]) -> list[str]:
    """Return the paths that are below no other of them."""
    found: list[str] = []
    for path in sorted(paths):
        if not any(path.startswith(above) and path[len(above)] in ".[{" for above in found):
            found.append(path)
    return found


def _keys_of(document: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for key, event in document["events"].items():
        yield "event", key, "", ""
        for path, field in (event["fields"] | event.get("arguments", {})).items():
            yield "field", key, path, ""
            yield from (("type", key, path, name) for name in field["types"])
            yield from (("value", key, path, value) for value in field.get("enum", ()))
