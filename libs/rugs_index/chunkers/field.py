"""One chunk for each field of each event: its meaning in the words a person would ask with, path, type, unit, values.

A path that several events have gets a chunk for each: its event and its path are exact, all chunks of an event are one
scope, and of 461 pairs of the captures only 130 share their path with another event. Nothing in a chunk counts events:
it changes when the feed changes, and not with each event.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from rugs_discovery.formats import TEXT
from rugs_discovery.meanings import Meaning
from rugs_discovery.paths import split
from rugs_discovery.summary import DATA, Field
from rugs_discovery.wording import literal, merged_types, name_text, number_text, printable
from rugs_index import kinds
from rugs_index.chunk import Chunk
from rugs_index.chunkers import phrases, synonyms
from rugs_index.chunkers.event import SOURCE, in_words, said, scope_of, searched, status_of
from rugs_index.chunkers.presence import presence_of, range_of

KIND: Final = kinds.FIELD
ANY_EVENT: Final = "(any event)"
"""Stands for the event of a path that documents name without an event, and that no event has."""
_NULL: Final = "null"
_SHOWN: Final = 3


def field_chunk(event_key: str, path: str, field: Field | None, meaning: Meaning | None) -> Chunk:
    """Return the chunk of a field of an event.

    Args:
        event_key: `ANY_EVENT` if documents name none.
        field: what discovery knows of it; None: only documents know it.
        meaning: what it means; None: nobody has said so.
    """
    types = [] if field is None else types_of(field)
    metadata: dict[str, Any] = {
        "source": f"{SOURCE}/{event_key}",
        "kind": KIND,
        "doc_type": KIND,
        "field_path": path,
        "status": status_of(meaning, is_seen=field is not None),
        **({} if event_key == ANY_EVENT else {"event_type": event_key}),
        **({"types": types} if types else {}),
        **({"unit": meaning.unit} if meaning is not None and meaning.unit else {}),
        **({} if meaning is not None else {kinds.UNDESCRIBED: True}),
    }
    text = "\n".join(_lines(event_key, path, field, meaning))
    words = searched(f"{path} {event_key}", synonyms.of_field(event_key, _keys(path)))
    return Chunk(text, metadata, scope_of(event_key), None, words)


def types_of(field: Field) -> list[str]:
    """Return the JSON types of a field by name, null last; `number` stands for whole and other numbers."""
    return sorted(merged_types(field.types), key=lambda name: (name == _NULL, name))


def _lines(event_key: str, path: str, field: Field | None, meaning: Meaning | None) -> Iterator[str]:
    keys = _keys(path)
    name = name_text(keys[-1]) if keys else printable(path)
    begin = said(meaning, is_seen=field is not None)
    yield begin or f"Field {name}: nobody has described what it means."
    of = "" if event_key == ANY_EVENT else f" in {name_text(event_key)}{in_words([event_key])}"
    yield f"Field {name}{of}: {printable(path)}{in_words([key for key in keys if key != DATA], name)}."
    if field is not None:
        facts = "; ".join(part for part in _facts(field) if part)
        yield f"{facts[0].upper()}{facts[1:]}."


def _keys(path: str) -> list[str]:
    return [step for step in split(path) if isinstance(step, str)]


def _facts(field: Field) -> Iterator[str]:
    yield f"type {phrases.either(types_of(field))}"
    if field.map_evidence is not None:
        yield "an object whose keys are data" + _such_as([literal(key) for key in field.keys])
    if field.low is not None and field.high is not None:
        yield f"values {range_of(field.low, field.high)}"
    if field.enum is not None:
        yield f"one of {', '.join(map(literal, field.enum))}"
    elif formats := [name for name in field.formats if name != TEXT]:
        yield f"format {phrases.either(formats)}"
    if field.lengths is not None:
        yield f"up to {number_text(_round_up(field.lengths[1]))} elements"
    if field.is_personal:
        yield "personal data"
    if field.parents:
        yield f"present: {presence_of(field.count, field.parents)}"


def _such_as(shown: list[str]) -> str:
    return f" such as {', '.join(shown[:_SHOWN])}" if shown else ""


def _round_up(count: int) -> int:
    """Return the next power of two, so that it seldom changes."""
    return 1 << max(count - 1, 0).bit_length()
