"""`fields.json`: everything that discovery says, for programs; the other documents are made of the same summary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rugs_core.time import from_us
from rugs_discovery.nodes import Place
from rugs_discovery.summary import Event, Field, Summary

FORMAT_VERSION: Final = 1


def as_document(summary: Summary) -> dict[str, Any]:
    """Return a summary as JSON: `events` by key, each with its `fields` by path."""
    return {
        "version": FORMAT_VERSION,
        "lines": summary.lines,
        "bytes": summary.size,
        "fields": summary.fields,
        "paths": summary.paths,
        "truncated": summary.truncated,
        "errors": dict(summary.errors),
        "faults": [{**place_of(fault.place), "reason": fault.reason} for fault in summary.faults],
        "events": {key: _event(event) for key, event in summary.events.items()},
    }


def _event(event: Event) -> dict[str, Any]:
    found: dict[str, Any] = {
        "kind": event.kind,
        "count": event.count,
        "private": event.private,
        "traced": event.traced,
        "sent": event.sent,
        "first": place_of(event.first),
        "last": place_of(event.last),
        "not_json": dict(event.not_json),
        "faults": [{**place_of(fault.place), "reason": fault.reason} for fault in event.faults],
        "fields": {path: as_json(each) for path, each in event.fields.items()},
    }
    if event.arguments:
        found["arguments"] = {path: as_json(each) for path, each in event.arguments.items()}
    return found


def as_json(field: Field) -> dict[str, Any]:
    """Return a field as JSON; what is not known of it is left out."""
    said: dict[str, Any] = {
        "count": field.count,
        "parents": field.parents or None,
        "presence": round(field.presence, 6),
        "types": dict(field.types),
        "low": field.low,
        "high": field.high,
        "formats": list(field.formats) or None,
        "enum": None if field.enum is None else list(field.enum),
        "samples": list(field.samples) or None,
        "personal": field.is_personal or None,
        "first": {name: place_of(place) for name, place in sorted(field.first.items())},
        "last": place_of(field.last),
        "lengths": None if field.lengths is None else list(field.lengths),
        "map": field.map_evidence,
        "keys": list(field.keys) or None,
        "true": field.trues if "boolean" in field.types else None,
        "truncated": field.truncated or None,
    }
    return {name: value for name, value in said.items() if value is not None}


def place_of(place: Place) -> dict[str, Any]:
    """Return where an event is: `at` and its `id`, or the `file` and the `line`."""
    at: Mapping[str, Any] = {"at": time_text(place.ts)} if place.ts else {}
    return {**at, "file": place.name, "line": place.line} if place.line else {**at, "id": place.name}


def time_text(ts: int) -> str:
    """Return a time (µs since the Unix epoch) as ISO 8601, UTC."""
    return from_us(ts).isoformat().replace("+00:00", "Z")
