"""An answer of the look-up: what is known of one path, in all events where it means the same."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from rugs_discovery import wording
from rugs_discovery.documents import place_of
from rugs_discovery.formats import TEXT
from rugs_discovery.meanings import OBSERVED, Meaning
from rugs_discovery.nodes import Place
from rugs_discovery.sample import Scalar
from rugs_discovery.summary import MOST_ENUM, Field

BY_PATH: Final = "path"
BY_KEY: Final = "key"
BY_WORDS: Final = "words"

_MOST_SAMPLES: Final = 5
_MOST_EVENTS: Final = 8
_MOST_KEYS: Final = 5
_LABEL: Final = 10
"""Columns of the labels of a text."""


@dataclass(frozen=True)
class FieldAnswer:
    """What is known of one path, in all events where it means the same.

    Attributes:
        match: what of the question it matches: `path`, `key` or `words`.
        fields: the path in each event that has it, the most frequent one first; none: only documents know it.
        events: how many events there are of each event that has the path; 0 for those of documents only.
    """

    path: str
    match: str
    meaning: Meaning | None
    fields: tuple[Field, ...]
    events: dict[str, int]

    @property
    def count(self) -> int:
        """Values."""
        return sum(field.count for field in self.fields)

    @property
    def types(self) -> dict[str, int]:
        """Values by JSON type, the most frequent first."""
        found: Counter[str] = Counter()
        for field in self.fields:
            found.update(field.types)
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    @property
    def range(self) -> tuple[float, float] | None:
        """The least and the greatest number."""
        bounds = [(field.low, field.high) for field in self.fields if field.low is not None]
        return (min(low for low, _ in bounds), max(high for _, high in bounds if high is not None)) if bounds else None

    @property
    def lengths(self) -> tuple[int, int] | None:
        """The least and the greatest number of elements of an array."""
        known = [field.lengths for field in self.fields if field.lengths is not None]
        return (min(shortest for shortest, _ in known), max(longest for _, longest in known)) if known else None

    @property
    def formats(self) -> tuple[str, ...]:
        """What its strings look like."""
        return tuple(sorted({name for field in self.fields for name in field.formats}))

    @property
    def enum(self) -> tuple[str, ...] | None:
        """All its strings, where they are few."""
        having = [field.enum for field in self.fields if "string" in field.types]
        values = sorted({value for each in having if each is not None for value in each})
        return tuple(values) if having and None not in having and len(values) <= MOST_ENUM else None

    @property
    def samples(self) -> tuple[Scalar, ...]:
        """A few values; personal ones are masked."""
        return tuple(dict.fromkeys(value for field in self.fields for value in field.samples))[:_MOST_SAMPLES]

    @property
    def map_evidence(self) -> str | None:
        """Why it is a map; None if it is none."""
        return next((field.map_evidence for field in self.fields if field.map_evidence is not None), None)

    @property
    def keys(self) -> tuple[str, ...]:
        """Of a map, a few of its keys."""
        return tuple(dict.fromkeys(key for field in self.fields for key in field.keys))[:_MOST_KEYS]

    @property
    def first(self) -> Place | None:
        """The first event that has it."""
        return min((field.first_seen for field in self.fields), default=None)

    @property
    def last(self) -> Place | None:
        """The last event that has it."""
        return max((field.last for field in self.fields), default=None)


def answer_json(answer: FieldAnswer) -> dict[str, Any]:
    """Return an answer as JSON; what is not known is left out, except the meaning."""
    by_event = {field.event: field for field in answer.fields}
    said: dict[str, Any] = {
        "path": answer.path,
        "match": answer.match,
        "count": answer.count,
        "types": answer.types,
        "range": None if answer.range is None else list(answer.range),
        "lengths": None if answer.lengths is None else list(answer.lengths),
        "formats": list(answer.formats) or None,
        "enum": None if answer.enum is None else list(answer.enum),
        "samples": list(answer.samples) or None,
        "personal": any(field.is_personal for field in answer.fields) or None,
        "map": answer.map_evidence,
        "keys": list(answer.keys) or None,
        "first": None if answer.first is None else place_of(answer.first),
        "last": None if answer.last is None else place_of(answer.last),
        "events": [_event_as_json(event, count, by_event.get(event)) for event, count in answer.events.items()],
    }
    meaning = None if answer.meaning is None else asdict(answer.meaning)
    return {"meaning": meaning, **{name: value for name, value in said.items() if value is not None}}


def _event_as_json(event: str, events: int, field: Field | None) -> dict[str, Any]:
    if field is None:
        return {"event": event, "events": events, "count": 0}
    return {
        "event": event,
        "events": events,
        "count": field.count,
        "presence": round(field.presence, 6),
        "types": dict(field.types),
        "first": place_of(field.first_seen),
        "last": place_of(field.last),
    }


def answers_text(answers: Sequence[FieldAnswer], width: int = 80) -> str:
    """Return answers for a terminal: those that match the path in full, else the first one; of the others a line."""
    in_full = [answer for answer in answers if answer.match == BY_PATH] or list(answers[:1])
    others = answers[len(in_full) :]
    parts = ["\n".join(_lines(answer, width)) for answer in in_full]
    if others:
        parts.append("\n".join(["See also:", *(_short(answer, width) for answer in others)]))
    return "\n\n".join(parts) + "\n"


def _lines(answer: FieldAnswer, width: int) -> Iterator[str]:
    yield from _wrapped(wording.printable(answer.path), width)
    meaning = answer.meaning
    yield from _wrapped("No meaning is known." if meaning is None else wording.printable(meaning.text), width)
    yield ""
    for label, text in _facts(answer):
        yield from _wrapped(text, width, label)


def _facts(answer: FieldAnswer) -> Iterator[tuple[str, str]]:
    meaning = answer.meaning
    if answer.types:
        yield "type", wording.shares_text(answer.types)
    if answer.range is not None:
        yield "range", wording.range_text(*answer.range)
    if meaning is not None and meaning.unit:
        yield "unit", wording.printable(meaning.unit)
    if answer.lengths is not None:
        yield "length", wording.lengths_text(answer.lengths)
    if formats := [name for name in answer.formats if name != TEXT]:
        yield "format", ", ".join(formats)
    if answer.enum is not None:
        yield "values", ", ".join(map(wording.literal, answer.enum))
    elif answer.samples:
        yield "samples", ", ".join(map(wording.literal, answer.samples))
    if answer.map_evidence is not None:
        yield "map", f"{answer.map_evidence}; such as {', '.join(map(wording.literal, answer.keys))}"
    if meaning is not None and (meaning.note or meaning.status != OBSERVED):
        yield "status", wording.printable(f"{meaning.status}: {meaning.note}" if meaning.note else meaning.status)
    by_event = {field.event: field for field in answer.fields}
    for number, (event, count) in enumerate(answer.events.items()):
        if number == _MOST_EVENTS:
            yield "", f"and {len(answer.events) - number} more events"
            break
        yield "" if number else "events", _event_text(event, count, by_event.get(event))
    if answer.first is not None and answer.last is not None:
        yield "first", wording.seen_text(answer.first)
        yield "last", wording.seen_text(answer.last)


def _event_text(event: str, count: int, field: Field | None) -> str:
    name = wording.name_text(event)
    if field is not None:
        values = wording.counted(field.count, "value")
        return f"{name} ({wording.counted(count, 'event')}): {values}, {wording.presence_text(field)}"
    return f"{name} ({wording.counted(count, 'event')}): none has it" if count else f"{name}: never seen"


def _short(answer: FieldAnswer, width: int) -> str:
    meaning = "" if answer.meaning is None else f"  {wording.printable(answer.meaning.text)}"
    return wording.shortened(f"  {wording.printable(answer.path)}{meaning}", width)


def _wrapped(text: str, width: int, label: str | None = None) -> list[str]:
    begin = "" if label is None else f"  {label:<{_LABEL}}"
    after = " " * len(begin) if label is None else " " * (_LABEL + 2)
    return textwrap.wrap(begin + text, width, subsequent_indent=after, drop_whitespace=True) or [begin]
