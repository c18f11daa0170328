"""One small example of each event: sampled values, personal ones masked, none of them of a private row.

There is none of an event of which recorders kept only the tracing header.
"""

from __future__ import annotations

import json
from typing import Any, Final

from rugs_discovery.example import example_of
from rugs_discovery.meanings import Meaning
from rugs_discovery.messages import RECORD
from rugs_discovery.summary import Event
from rugs_discovery.wording import name_text, printable, shortened
from rugs_index import kinds
from rugs_index.chunk import Chunk
from rugs_index.chunkers import synonyms
from rugs_index.chunkers.event import SOURCE, in_words, scope_of, searched

KIND: Final = kinds.EXAMPLE
DOC_TYPE: Final = "schema"
LONGEST: Final = 900
"""Characters of the example: about as much as the model reads."""
_LONGEST_TEXT: Final = 40
_DEEPEST: Final = 4
_MOST_KEYS: Final = 40
_LEFT_OUT: Final = "..."
_TRACE: Final = frozenset({"__trace", "traceparent"})


def example_chunk(event: Event, meaning: Meaning | None) -> Chunk | None:
    """Return the chunk of an example of an event; None where nothing is known of its payload."""
    payload = example_of(event)
    if payload is None or payload in ({}, []) or _is_lost(payload):
        return None
    name = name_text(event.key)
    what = "" if meaning is None else f" {printable(meaning.text)}"
    text = json.dumps(_cut(payload, 1), ensure_ascii=False)
    line = f"Example of {name}{in_words([event.key])}, {_place(event.key)}.{what}"
    metadata: dict[str, Any] = {
        "source": f"{SOURCE}/{event.key}",
        "kind": KIND,
        "doc_type": DOC_TYPE,
        "event_type": event.key,
    }
    content = f"{line}\n{printable(shortened(text, LONGEST))}"
    words = searched(" ".join([event.key, *_keys(payload)]), synonyms.of_event(event.key))
    return Chunk(content, metadata, scope_of(event.key), None, words)


def _is_lost(payload: Any) -> bool:
    """Return whether recorders kept only the tracing header in place of the payload."""
    return isinstance(payload, dict) and payload.keys() <= _TRACE


def _keys(payload: Any) -> list[str]:
    """Return the outer keys of an example."""
    return list(payload)[:_MOST_KEYS] if isinstance(payload, dict) else []


def _place(key: str) -> str:
    return "a record with sampled values" if key.startswith(RECORD) else "a payload with sampled values"


def _cut(value: Any, level: int) -> Any:
    """Return a value with its outer levels, its first keys and the beginnings of its texts."""
    if isinstance(value, dict):
        if level > _DEEPEST:
            return {_LEFT_OUT: _LEFT_OUT} if value else {}
        return {shortened(key, _LONGEST_TEXT): _cut(value[key], level + 1) for key in list(value)[:_MOST_KEYS]}
    if isinstance(value, list):
        return [_cut(each, level + 1) for each in value]
    if isinstance(value, float):
        return float(f"{value:.4g}")
    return shortened(value, _LONGEST_TEXT) if isinstance(value, str) else value
