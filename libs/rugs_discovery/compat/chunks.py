"""Chunks of text for search: of event schemas and of the field index."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from rugs_discovery.compat.results import UNKNOWN
from rugs_discovery.paths import ITEM, escape

MOST_CHARACTERS: Final = 500
"""Of a chunk's text."""


@dataclass
class EventChunk:
    """One chunk.

    Attributes:
        source: the document that it is of, and behind `#` the path: `schemas/EVENT.json#data.price`.
        event_type: the event's name; several are joined with a comma.
        chunk_type: `schema` for an overview of an event, `field` for a field.
        field_path: None for an overview.
    """

    text: str
    source: str
    event_type: str
    chunk_type: str
    field_path: str | None = None


def chunk_event_schema(schema: Mapping[str, Any], max_chunk_size: int = MOST_CHARACTERS) -> list[EventChunk]:
    """Return an overview of an event, and a chunk for each property of its schema, however deeply nested.

    Args:
        schema: as `generate_event_schema` returns it.
        max_chunk_size: characters of a chunk's text; longer ones are cut, and `...` follows.
    """
    event = str(schema.get("title") or UNKNOWN)
    source = f"schemas/{event}.json"
    fields = dict(_properties(schema, ""))
    frequency = schema.get("x-frequency")
    lines = [f"Event: {event}", *_said("Frequency", frequency), f"Fields: {len(fields)}"]
    lines += (f"- {path}: {_types(each)}" for path, each in fields.items())
    chunks = [EventChunk(_cut("\n".join(lines), max_chunk_size), source, event, "schema")]
    for path, each in fields.items():
        said = (("Frequency", each.get("x-frequency")), ("Description", each.get("description")))
        lines = [f"Field: {path}", f"Event: {event}", f"Type: {_types(each)}"]
        lines += (line for label, value in said for line in _said(label, value))
        lines += _said("Samples", _samples(each.get("examples")))
        chunks.append(EventChunk(_cut("\n".join(lines), max_chunk_size), f"{source}#{path}", event, "field", path))
    return chunks


def chunk_field_index(index: Mapping[str, Mapping[str, Any]]) -> list[EventChunk]:
    """Return a chunk for each path of a field index, as `generate_field_index` returns it."""
    chunks = []
    for path, entry in index.items():
        told = entry.get("event", UNKNOWN)
        event = told if isinstance(told, str) else ", ".join(map(str, told))
        lines = [f"Field: {path}", f"Type: {entry.get('type', UNKNOWN)}", f"Events: {event}"]
        lines += _said("Frequency", entry.get("frequency"))
        lines += _said("Samples", _samples(entry.get("samples")))
        chunks.append(EventChunk("\n".join(lines), f"field_index.json#{path}", event, "field", path))
    return chunks


def _properties(schema: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give the properties of a schema and those nested in it, with their paths."""
    for key, each in (schema.get("properties") or {}).items():
        inner = f"{path}.{escape(key)}" if path else escape(key)
        property_schema = each if isinstance(each, Mapping) else {}  # true and false are schemas, too
        yield inner, property_schema
        yield from _properties(property_schema, inner)
    if isinstance(items := schema.get("items"), Mapping):
        yield from _properties(items, path + ITEM.value)


def _types(schema: Mapping[str, Any]) -> str:
    told = schema.get("type", UNKNOWN)
    return told if isinstance(told, str) else ", ".join(map(str, told))


def _samples(values: Any) -> str | None:
    return ", ".join(json.dumps(each, ensure_ascii=False, default=str) for each in values) if values else None


def _said(label: str, value: Any) -> list[str]:
    return [] if value is None else [f"{label}: {value}"]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: max(0, most - 3)] + "..."
