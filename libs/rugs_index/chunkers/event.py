"""One chunk for each event of the feed: what it means, who sends it to whom, and which fields it has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from rugs_discovery.main_fields import reach
from rugs_discovery.meanings import CONTRADICTED, DOCUMENTED, OBSERVED, Meaning
from rugs_discovery.messages import PACKET, RECORD
from rugs_discovery.summary import Event, Field
from rugs_discovery.wording import meaning_text, name_text
from rugs_index import kinds
from rugs_index.chunk import Chunk
from rugs_index.chunkers import synonyms
from rugs_index.chunkers.presence import PRESENCES, presence_of
from rugs_index.identifiers import forms, split
from rugs_index.kinds import Way

KIND: Final = kinds.EVENT
DOC_TYPE: Final = "overview"
SOURCE: Final = "discovery"
_MOST_FIELDS: Final = 24
_WAYS: Final = {
    Way.RECORD: "a record of an old recorder, which is no message of the feed",
    Way.PACKET: "a packet of the transport (Engine.IO or Socket.IO), which is no event with a name",
    Way.DOCUMENTED: "an event that documents describe",
    Way.SENT: "the client (the player's page or a bot) sends it to the server",
    Way.PRIVATE: "the server sends it to one player alone (private)",
    Way.PUBLIC: "the server sends it to everyone (public broadcast)",
}


def scope_of(event_key: str) -> str:
    """Return the scope of all chunks of an event."""
    return f"{SOURCE}:{event_key}"


def event_chunk(key: str, event: Event | None, meaning: Meaning | None) -> Chunk:
    """Return the chunk of an event.

    Args:
        event: what discovery knows of it; None: only documents know it.
        meaning: what it means; None: nobody has said so.
    """
    metadata: dict[str, Any] = {
        "source": f"{SOURCE}/{key}",
        "kind": KIND,
        "doc_type": DOC_TYPE,
        "event_type": key,
        "status": status_of(meaning, is_seen=event is not None),
        "way": str(way_of(key, event)),
        **({} if meaning is not None else {kinds.UNDESCRIBED: True}),
    }
    text = "\n".join(_lines(key, event, meaning))
    return Chunk(text, metadata, scope_of(key), None, searched(key, synonyms.of_event(key, way_of(key, event))))


def status_of(meaning: Meaning | None, *, is_seen: bool) -> str:
    """Return `documented` for what was never seen, `contradicted` where documents are wrong, else `observed`."""
    if not is_seen:
        return DOCUMENTED
    return CONTRADICTED if meaning is not None and meaning.status == CONTRADICTED else OBSERVED


def said(meaning: Meaning | None, *, is_seen: bool) -> str:
    """Return a meaning with its unit and note, and whether it was never seen; empty where nothing is to be said."""
    if meaning is None:
        return ""
    if is_seen:
        return meaning_text(meaning)
    return f"{meaning_text(replace(meaning, status=OBSERVED))} Documented, and never seen: no recording here has it."


def searched(names: str, others: str) -> str:
    """Return what a chunk is found by beside its text: the words inside identifiers, and other words for them."""
    return " ".join(part for part in (forms(names), others) if part)


def in_words(names: Sequence[str], known: str | None = None) -> str:
    """Return the words of identifiers in parentheses: ` (game state update)`; nothing where they say nothing new.

    Args:
        known: what was said before; by default the only name.
    """
    words = " ".join(word for name in names for word in split(name))
    return "" if not words or words == (known or names[0]) else f" ({words})"


def _lines(key: str, event: Event | None, meaning: Meaning | None) -> Iterator[str]:
    begin = said(meaning, is_seen=event is not None) or "Nobody has described what this event means."
    yield f"{name_text(key)}: {begin}"
    yield f"Event {name_text(key)}{in_words([key])}: {_WAYS[way_of(key, event)]}."
    if event is None:
        return
    names = list(dict.fromkeys(name_text(str(field.steps[-1])) for field in _outer_fields(event)))
    if names:
        more = " and others" if len(names) > _MOST_FIELDS else ""
        yield f"Fields: {', '.join(names[:_MOST_FIELDS])}{more}."
    elif event.traced:
        yield "Recorders kept only its tracing header: its fields are unknown."
    else:
        yield "It has no fields."


def way_of(key: str, event: Event | None) -> Way:
    """Return who sends an event to whom."""
    if key.startswith(RECORD):
        return Way.RECORD
    if key.startswith(PACKET):
        return Way.PACKET
    if event is None:
        return Way.DOCUMENTED
    if event.sent:
        return Way.SENT
    return Way.PRIVATE if event.private else Way.PUBLIC


def _outer_fields(event: Event) -> list[Field]:
    """Return the outer fields, those first that more events have."""
    reached = reach(event)

    def rank(field: Field) -> tuple[int, str]:
        return PRESENCES.index(presence_of(reached[field.path], event.count)), field.path

    steps = 1 if event.key.startswith(RECORD) else 2
    outer = [field for field in event.fields.values() if len(field.steps) == steps]
    return sorted((field for field in outer if isinstance(field.steps[-1], str)), key=rank)
