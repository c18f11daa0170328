"""The chunks of discovery, event by event: what an event is, each of its fields, and an example."""

from __future__ import annotations

from collections.abc import Iterator

from rugs_discovery.meanings import Meaning, Meanings, unseen
from rugs_discovery.summary import Summary
from rugs_index.chunk import Chunk, once_each
from rugs_index.chunkers.event import event_chunk, scope_of
from rugs_index.chunkers.example import example_chunk
from rugs_index.chunkers.field import ANY_EVENT, field_chunk


def discovery_chunks(summary: Summary, meanings: Meanings) -> Iterator[tuple[str, list[Chunk]]]:
    """Give the scope of each event, seen or only documented, with all its chunks.

    Args:
        summary: with personal values masked, as `summarise` makes it by default.
    """
    documented = _documented_fields(summary, meanings)
    for key in sorted({*summary.events, *meanings.events, *documented}):
        yield scope_of(key), list(once_each(_chunks(key, summary, meanings, documented.get(key, {}))))


def _chunks(key: str, summary: Summary, meanings: Meanings, documented: dict[str, Meaning]) -> Iterator[Chunk]:
    event, meaning = summary.events.get(key), meanings.of_event(key)
    if event is not None or meaning is not None:
        yield event_chunk(key, event, meaning)
    if event is not None:
        for field in event.all_fields:
            yield field_chunk(key, field.path, field, meanings.of_field(key, field.path))
        example = example_chunk(event, meaning)
        if example is not None:
            yield example
    for path, line in documented.items():
        yield field_chunk(key, path, None, line)


def _documented_fields(summary: Summary, meanings: Meanings) -> dict[str, dict[str, Meaning]]:
    """Return the fields that only documents know, by event and path."""
    found: dict[str, dict[str, Meaning]] = {}
    for line in unseen(meanings, summary):
        if line.section == "fields":
            key = ANY_EVENT if line.event is None else line.event
            meaning = next((each for each in meanings.fields[line.name] if line.event is None or each.is_of(key)), None)
            if meaning is not None:
                found.setdefault(key, {}).setdefault(line.name, meaning)
    return found
