"""What is `data.price`? Find fields by a path, by a part of one, or by words."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from functools import cached_property
from typing import Final, NamedTuple

from rugs_core.errors import RugsError
from rugs_discovery.answers import BY_KEY, BY_PATH, BY_WORDS, FieldAnswer
from rugs_discovery.meanings import Meaning, Meanings
from rugs_discovery.paths import split
from rugs_discovery.summary import Field, Summary
from rugs_discovery.wording import printable, shortened
from rugs_discovery.words import question_words, scores, stem, weighted, words

MOST_ANSWERS: Final = 10

_LONGEST_QUESTION: Final = 400
_NEAREST: Final = 5
_PATH: Final = re.compile(r"[^\s,;!?\"'`]+[.:\[{][^\s,;!?\"'`]+")
_ELEMENT: Final = re.compile(r"\[\d*\]|\{\*\}|\.\*(?=\.|$)")
_KEY_WEIGHT: Final = 2.0
_PATH_WEIGHT: Final = 0.7
_MEANING_WEIGHT: Final = 1.0
_BESIDE_WEIGHT: Final = 0.4
"""What a word weighs in the last key, in the whole path, in the meaning, and in unit, note and events."""
_OFTEN: Final = 0.1
_NEVER_SEEN: Final = 0.7
"""What a field gains by being seen ten times as often, and what is left to one that was never seen."""

_ENDS_WITH_IT: Final = 2


class UnknownFieldError(RugsError):
    """No field matches a question; the message names the nearest paths."""


class _Asked(NamedTuple):
    """A path that a question may name; `event`: in this event alone."""

    path: str
    event: str | None = None


class _Entry:
    """A field that can be an answer, and what questions are compared with."""

    def __init__(self, answer: FieldAnswer) -> None:
        self.answer = answer
        self.keys = _keys(answer.path)
        self.words = frozenset(words(answer.path))
        last = next((step for step in reversed(split(answer.path)) if isinstance(step, str)), "")
        self.last_key = last
        self.last_words = frozenset(question_words(last))
        self.order = (not answer.fields, len(split(answer.path)), -answer.count, answer.path)
        """Of fields that match equally: seen ones first, then outer ones, then frequent ones."""
        self.likelihood = 1 + _OFTEN * math.log10(answer.count) if answer.count else _NEVER_SEEN

    @cached_property
    def weights(self) -> dict[str, float]:
        """The words of everything that is said of it, with their weights."""
        meaning = self.answer.meaning
        parts = [(self.last_key, _KEY_WEIGHT), (self.answer.path, _PATH_WEIGHT)]
        parts.append((" ".join(self.answer.events), _BESIDE_WEIGHT))
        if meaning is not None:
            parts.append((meaning.text, _MEANING_WEIGHT))
            parts.append((f"{meaning.unit or ''} {meaning.note or ''}", _BESIDE_WEIGHT))
        return weighted(parts)

    def answer_in(self, event: str | None, match: str) -> FieldAnswer:
        """Return the answer for one event; None: for all."""
        if event is None:
            return replace(self.answer, match=match)
        fields = tuple(field for field in self.answer.fields if field.event == event)
        return replace(self.answer, match=match, fields=fields, events={event: self.answer.events[event]})


def field_lookup(summary: Summary, meanings: Meanings, query: str, most: int = MOST_ANSWERS) -> list[FieldAnswer]:
    """Return the fields that a question asks for; for more questions than one, keep a `FieldIndex`.

    Raises:
        UnknownFieldError: if no field matches.
    """
    return FieldIndex(summary, meanings).lookup(query, most)


class FieldIndex:
    """All fields that can be an answer: those that were seen, and those that only documents name."""

    def __init__(self, summary: Summary, meanings: Meanings) -> None:
        self._entries = [_Entry(answer) for answer in _all_answers(summary, meanings)]
        events = {event for entry in self._entries for event in entry.answer.events}
        self._events = sorted(events, key=lambda event: (-len(event), event))

    def lookup(self, query: str, most: int = MOST_ANSWERS) -> list[FieldAnswer]:
        """Return the fields that a question asks for: by their path, by their last key, by words; the best first.

        Args:
            query: a path, a part of one, or words; an event and `:` or `.` may go before a path.
            most: answers.

        Raises:
            UnknownFieldError: if no field matches; the message names the nearest paths.
        """
        question = query.strip()[:_LONGEST_QUESTION]
        found: dict[_Entry, FieldAnswer] = {}

        def add(matches: Iterable[tuple[_Entry, FieldAnswer]]) -> None:
            for entry, answer in matches:
                found.setdefault(entry, answer)

        add(self._by_path(question))
        names_a_path = any(answer.match == BY_PATH for answer in found.values()) or _PATH.fullmatch(question)
        if not names_a_path:
            wanted = question_words(question)
            add(self._by_key(wanted))
            if len(wanted) > 1 or not found:
                add(self._by_words(wanted))
        if not found:
            raise UnknownFieldError(self._unknown(question))
        return list(found.values())[:most]

    def _by_path(self, question: str) -> Iterator[tuple[_Entry, FieldAnswer]]:
        """Give the fields that have a path which a question names, and those whose paths end with it."""
        asked = [(each, _keys(each.path)) for each in self._asked(question)]
        ranked = []
        for entry in self._entries:
            for each, keys in asked:
                rank = _rank(entry, each.path, keys)
                if rank is not None and (each.event is None or each.event in entry.answer.events):
                    ranked.append((rank, entry, each.event))
        ranked.sort(key=lambda match: (match[0], match[1].order))
        best = ranked[0][0] if ranked else 0
        for rank, entry, event in ranked:
            yield entry, entry.answer_in(event, BY_PATH if rank == best < _ENDS_WITH_IT else BY_KEY)

    def _asked(self, question: str) -> Iterator[_Asked]:
        """Give the paths that a question may name: the whole of it or a word with a dot, also without an event."""
        for text in dict.fromkeys([question, *(found.rstrip(".:") for found in _PATH.findall(question))]):
            yield _Asked(text)
            for event in self._events:
                begin, rest = text[: len(event)], text[len(event) :]
                if begin.lower() == event.lower() and rest[:1] in (":", ".") and len(rest) > 1:
                    yield _Asked(rest[1:], event)

    def _by_key(self, wanted: Sequence[str]) -> Iterator[tuple[_Entry, FieldAnswer]]:
        """Give the fields whose path has all words of a question, and whose last key has no other ones."""
        for entry in sorted(self._entries, key=lambda entry: entry.order):
            is_asked = entry.last_words.issubset(wanted) or stem(entry.last_key) in wanted
            if is_asked and entry.last_key and entry.words.issuperset(wanted):
                yield entry, entry.answer_in(None, BY_KEY)

    def _by_words(self, wanted: Sequence[str]) -> Iterator[tuple[_Entry, FieldAnswer]]:
        """Give the fields of which something is said in words of a question."""
        found = zip(scores(wanted, [entry.weights for entry in self._entries]), self._entries, strict=True)
        ranked = [(score * entry.likelihood, entry) for score, entry in found if score > 0]
        for _, entry in sorted(ranked, key=lambda match: (-match[0], match[1].order)):
            yield entry, entry.answer_in(None, BY_WORDS)

    def _unknown(self, question: str) -> str:
        """Return the message about a question that no field matches."""
        if not self._entries:
            return "no field is known; run `rugs discovery build` or `rugs discovery scan` first"
        matcher = SequenceMatcher(autojunk=False)
        matcher.set_seq2(question.lower())
        likeness: dict[str, float] = {}
        for entry in self._entries:
            for text in (entry.answer.path, entry.last_key):
                matcher.set_seq1(text.lower()[:_LONGEST_QUESTION])
                likeness[entry.answer.path] = max(likeness.get(entry.answer.path, 0.0), matcher.ratio())
        nearest = sorted(likeness, key=lambda path: (-likeness[path], path))[:_NEAREST]
        asked = printable(shortened(question, 80))
        return f'no field matches "{asked}"; the nearest: {", ".join(map(printable, nearest))}'


def _all_answers(summary: Summary, meanings: Meanings) -> Iterator[FieldAnswer]:
    by_meaning: defaultdict[tuple[str, Meaning | None], list[Field]] = defaultdict(list)
    for event in summary.events.values():
        for field in event.all_fields:
            by_meaning[field.path, meanings.of_field(event.key, field.path)].append(field)
    for (path, meaning), fields in by_meaning.items():
        fields.sort(key=lambda field: (-field.count, field.event))
        counts = {field.event: summary.events[field.event].count for field in fields}
        yield FieldAnswer(path, BY_PATH, meaning, tuple(fields), counts)
    seen = {path for path, _ in by_meaning}
    used = {meaning for _, meaning in by_meaning}
    for path, lines in meanings.fields.items():
        for line in lines:
            holds = any(meanings.of_field(event, path) is line for event in line.events or ("",))
            if line not in used and holds and (line.events or path not in seen):
                counts = {event: summary.events[event].count if event in summary.events else 0 for event in line.events}
                yield FieldAnswer(path, BY_PATH, line, (), counts)


def _keys(path: str) -> list[str]:
    """Return the keys of a path in small letters, without what stands for any element; none if it is no path."""
    try:
        steps = split(_ELEMENT.sub("", path))
    except ValueError:
        return []
    return [step.lower() for step in steps if isinstance(step, str) and not step.isdigit()]


def _rank(entry: _Entry, path: str, keys: list[str]) -> int | None:
    """Return how well a field has a path: exactly, but for capitals and elements, or at its end; None: it does not."""
    if entry.answer.path == path:
        return 0
    if not keys:
        return None
    if entry.keys == keys:
        return 1
    return _ENDS_WITH_IT if entry.keys[-len(keys) :] == keys else None
