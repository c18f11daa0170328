"""The chunks about events and fields, in memory: there are hundreds of them, and most questions are about them.

All of them are compared with a question at once: by vector, by words (BM25 over these chunks alone) and by name.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from rugs_discovery.paths import split
from rugs_discovery.words import words
from rugs_index import kinds
from rugs_index.search.filters import PUBLIC, Filters, Owners
from rugs_index.table import schema
from rugs_index.table.row import Vector

COLUMNS: Final = ("id", "scope_key", "owner", "text", "metadata", schema.SEARCHED)
"""What is read of a chunk, beside its vector."""

_SATURATION: Final = 1.2
_LENGTH: Final = 0.4
"""Constants of BM25."""
_EXACT, _SAME, _END, _KEY = 1.0, 0.9, 0.8, 0.6
"""How alike a path is that is asked for: the same, but for capitals and elements, or at its end; and a single key."""
_PAYLOAD: Final = "data"
_FLAG: Final = re.compile(r"^(?:is|has|get)(?=[A-Z_])_?")
_ANY: Final = re.compile(r"\[\d*\]|\{\*\}")

Scores = npt.NDArray[np.float32]
Places = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Entry:
    """A chunk of the catalog; `searched`: what it is found by."""

    id: str
    scope_key: str
    owner: str | None
    text: str
    metadata: Mapping[str, Any]
    searched: str

    @property
    def kind(self) -> str:
        """The kind of the chunk."""
        return str(self.metadata.get("kind"))

    @property
    def event(self) -> str:
        """The key of its event; empty if it has none."""
        return str(self.metadata.get("event_type") or "")

    @property
    def path(self) -> str:
        """The path of its field; empty if it is about no field."""
        return str(self.metadata.get("field_path") or "")

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The keys of its path: see `keys_of`."""
        return keys_of(self.path)


class Names(NamedTuple):
    """How well each entry has one of the names in a question, from 0 to 1, and the events that it names."""

    scores: Scores
    events: frozenset[str]


class Catalog:
    """All chunks about events and fields of a table, at one time.

    Args:
        vectors: of the entries, zero where there is none; None where the table has none.
    """

    def __init__(self, entries: Sequence[Entry], vectors: Vector | None) -> None:
        self.entries = entries
        self._vectors = vectors
        self._postings = _postings([_stems(entry.searched) for entry in entries])
        self._events = {entry.event.lower(): entry.event for entry in entries if entry.event}
        self._are_public = all(entry.owner is None for entry in entries)
        self._by_key = _places(entry.keys[-1:] for entry in entries)
        self._by_event = _places(entry.event for entry in entries)
        self._ways = {entry.event: str(entry.metadata.get("way")) for entry in entries if entry.kind == kinds.EVENT}

    def cosines(self, vector: Vector | None) -> Scores | None:
        """Return the similarity of each entry to the vector of a question; None where there is no vector."""
        if vector is None or self._vectors is None:
            return None
        return np.asarray(self._vectors @ vector, np.float32)

    def word_scores(self, stems: Iterable[str]) -> Scores:
        """Return how well each entry has the words of a question, given by their stems: BM25; 0: not at all."""
        total = np.zeros(len(self.entries), np.float32)
        for stem in stems:
            if (found := self._postings.get(stem)) is not None:
                total[found[0]] += found[1]
        return total

    def knows(self, stem: str) -> bool:
        """Return whether an entry has a word, given by its stem."""
        return stem in self._postings

    def way_of(self, event_key: str) -> str:
        """Return who sends an event to whom: see `rugs_index.kinds.Way`; empty where that is not known."""
        return self._ways.get(event_key, "")

    def names(self, identifiers: Iterable[str]) -> Names:
        """Return which entries have the names in a question: paths, ends of paths, events, or both as `event:path`."""
        asked = list(dict.fromkeys(each for name in identifiers for each in self._asked(name)))
        scores = np.zeros(len(self.entries), np.float32)
        for each in asked:
            for place in self._by_event.get(each.event, ()) if not each.path else self._by_key.get(each.keys[-1:], ()):
                scores[place] = max(scores[place], _alike(self.entries[place], each))
        events = {each.event for each in asked if each.event}
        return Names(scores, frozenset(events))

    def keyed(self, plain: Iterable[str]) -> npt.NDArray[np.bool_]:
        """Return which entries are fields whose last key is one of some words: `price`."""
        wanted = {word.lower() for word in plain}
        found = np.zeros(len(self.entries), bool)
        for word in wanted:
            found[self._by_key.get((word,), [])] = True
        return found

    def _asked(self, name: str) -> Iterator[_Asked]:
        """Give what a name may mean: an event, a path, or a path behind an event."""
        if (key := self._events.get(name.lower())) is not None:
            yield _Asked("", (), key)
        yield _Asked(name, keys_of(name))
        if (inner := _FLAG.sub("", name)) != name:
            yield _Asked(inner, keys_of(inner))
        for mark in (":", "."):
            before, _, rest = name.partition(mark)
            if rest and (key := self._events.get(before.lower())) is not None:
                yield _Asked(rest, keys_of(rest), key)

    def admitted(self, filters: Filters) -> npt.NDArray[np.bool_]:
        """Return which entries filters let through."""
        if replace(filters, owner=None) == PUBLIC and self._are_public:
            return np.ones(len(self.entries), bool)
        return np.fromiter((admits(filters, entry) for entry in self.entries), bool, len(self.entries))


class _Asked(NamedTuple):
    """What a name may mean; without a path an event."""

    path: str
    keys: tuple[str, ...]
    event: str = ""


def catalog_of(rows: Iterable[Mapping[str, Any]]) -> Catalog:
    """Return the catalog of rows of a table, with the columns `COLUMNS` and, where the table has one, its vector."""
    found = sorted(rows, key=lambda row: (row["scope_key"], row["id"], row["owner"]))
    entries = [
        Entry(
            row["id"],
            row["scope_key"],
            row["owner"] or None,
            row["text"],
            json.loads(row["metadata"]),
            row[schema.SEARCHED],
        )
        for row in found
    ]
    told = [row.get(schema.VECTOR) for row in found]
    size = next((len(vector) for vector in told if vector is not None), None)
    if size is None:
        return Catalog(entries, None)
    vectors = np.zeros((len(found), size), np.float32)
    for place, vector in enumerate(told):
        if vector is not None:
            vectors[place] = vector
    return Catalog(entries, vectors)


def admits(filters: Filters, entry: Entry) -> bool:
    """Return whether filters let an entry through, as they do in the table; an entry is about no time and no game."""
    about = (filters.since, filters.until, filters.game_id, filters.session_id, filters.player)
    limits = [limit for name in schema.NUMBERS for limit in getattr(filters, name)]
    if any(each is not None for each in (*about, *limits)):
        return False
    metadata = entry.metadata
    return (
        (isinstance(filters.owner, Owners) or entry.owner in (None, filters.owner))
        and (not filters.kinds or entry.kind in filters.kinds)
        and (not filters.doc_types or metadata.get("doc_type") in filters.doc_types)
        and (not filters.events or entry.event in filters.events)
        and filters.field_path in (None, entry.path)
        and (filters.source or "") in str(metadata.get("source", ""))
    )


def _places(values: Iterable[Any]) -> dict[Any, list[int]]:
    """Return the places of each value."""
    found: defaultdict[Any, list[int]] = defaultdict(list)
    for place, value in enumerate(values):
        found[value].append(place)
    return dict(found)


def keys_of(path: str) -> tuple[str, ...]:
    """Return the keys of a path in small letters, without elements, underscores and the payload that it is in.

    Words are one key: `god candle 50x` is `godcandle50x`. What is no path has none.
    """
    try:
        steps = [step for step in split(_ANY.sub("", path)) if isinstance(step, str)]
    except ValueError:
        return ()
    keys = tuple(re.sub(r"[_\s]", "", step.lower()) for step in steps)
    return keys[1:] if len(keys) > 1 and keys[0] == _PAYLOAD else keys


def _stems(text: str) -> list[str]:
    """Return the stems of a text's words: `words`, which looks at each token again."""
    return [stem for token in text.split() for stem in _stems_of(token)]


@lru_cache(maxsize=1 << 15)
def _stems_of(token: str) -> tuple[str, ...]:
    return tuple(words(token))


def _alike(entry: Entry, asked: _Asked) -> float:
    """Return how well an entry has a name."""
    if asked.event and entry.event != asked.event:
        return 0.0
    if not asked.path:
        return _EXACT if entry.kind == kinds.EVENT else 0.0
    if entry.kind != kinds.FIELD or not asked.keys:
        return 0.0
    if entry.path == asked.path:
        return _EXACT
    if entry.keys == asked.keys:
        return _SAME
    if entry.keys[-len(asked.keys) :] != asked.keys:
        return 0.0
    return _END if len(asked.keys) > 1 or asked.event else _KEY


def _postings(texts: Sequence[Sequence[str]]) -> dict[str, tuple[Places, Scores]]:
    """Return for each word the places of the texts that have it, and what it counts in each."""
    numbers: dict[str, int] = {}
    told = [
        (numbers.setdefault(word, len(numbers)), place, count)
        for place, text in enumerate(texts)
        for word, count in Counter(text).items()
    ]
    if not told:
        return {}
    which, where, often = np.array(sorted(told), np.int32).T
    begins = np.searchsorted(which, np.arange(len(numbers) + 1))
    found_in = np.diff(begins)[which]
    lengths = np.array([len(text) for text in texts], np.float32)
    rarity = np.log(1 + (len(texts) - found_in + 0.5) / (found_in + 0.5))
    dampened = often + _SATURATION * (1 - _LENGTH + _LENGTH * lengths[where] / lengths.mean())
    scores = np.asarray(rarity * (_SATURATION + 1) * often / dampened, np.float32)
    return {
        word: (where[begins[number] : begins[number + 1]], scores[begins[number] : begins[number + 1]])
        for word, number in numbers.items()
    }
