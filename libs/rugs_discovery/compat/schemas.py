"""JSON Schemas of events, and the index of all fields."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from rugs_discovery.compat.fields import FieldInfo
from rugs_discovery.compat.results import DiscoveryResult, EventInfo
from rugs_discovery.paths import ITEM, Step, split

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


def generate_event_schema(event_info: EventInfo) -> Schema:
    """Return the JSON Schema of an event's records: the types that occur at each path, and nothing required.

    `type` is a list where several types occur, the most frequent one first. `x-frequency` counts records, or values.
    """
    schema: Schema = {"$schema": DIALECT, "title": event_info.name, "type": "object", "x-frequency": event_info.count}
    schema["properties"] = {}
    for path, info in event_info.fields.items():
        place = schema
        for step in _steps(path):
            place = _inner(place, step)
        for name in (info.type, *sorted(info.types.keys() - {info.type})):
            _allow(place, name)
        place["x-frequency"] = info.count
        if info.sample_values:
            place["examples"] = list(info.sample_values)
        if info.truncated:
            place["x-truncated"] = info.truncated
    return schema


def generate_field_index(result: DiscoveryResult) -> dict[str, dict[str, Any]]:
    """Return all fields by path, those of several events together.

    Each has `event` (the event's name, or a list of the names of several), `type` (the most frequent one), `types`
    (values by type), `frequency` (values) and `samples`.
    """
    events: dict[str, list[str]] = {}
    fields: dict[str, FieldInfo] = {}
    for name, event in result.events.items():
        for path, info in event.fields.items():
            events.setdefault(path, []).append(name)
            fields.setdefault(path, FieldInfo(path, info.type, max_samples=info.max_samples)).merge(info)
    return {path: _entry(fields[path], events[path]) for path in sorted(fields)}


def _entry(info: FieldInfo, events: list[str]) -> dict[str, Any]:
    return {
        "event": events[0] if len(events) == 1 else events,
        "type": info.type,
        "types": info.types,
        "frequency": info.count,
        "samples": info.sample_values,
    }


def _steps(path: str) -> Iterable[Step]:
    """Return the steps of a path; between its dots, where a caller made one that is no path."""
    try:
        return split(path)
    except ValueError:
        return path.split(".")


def _inner(schema: Schema, step: Step) -> Schema:
    """Return the schema of what is one step inside; it is made where there is none."""
    if step is ITEM:
        _allow(schema, "array")
        found: Schema = schema.setdefault("items", {})
    else:
        _allow(schema, "object")
        key = step if isinstance(step, str) else step.value
        found = schema.setdefault("properties", {}).setdefault(key, {})
    return found


def _allow(schema: Schema, name: str) -> None:
    """Allow values of one more type."""
    allowed = schema.setdefault("type", name)
    if name not in ([allowed] if isinstance(allowed, str) else allowed):
        schema["type"] = [*([allowed] if isinstance(allowed, str) else allowed), name]
