"""Everything that may answer a question: the catalog's best, what the legs find, games that fulfil its conditions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any, Final

import numpy as np

from rugs_discovery.words import question_words
from rugs_index import kinds
from rugs_index.search.catalog import Catalog, Entry, Scores
from rugs_index.search.conditions import BEGIN, Conditions
from rugs_index.search.cues import Cue
from rugs_index.search.filters import Filters, Range
from rugs_index.search.fusion import Candidate, Known
from rugs_index.search.legs import Hit, exact_leg, text_leg, vector_leg
from rugs_index.search.routing import Question
from rugs_index.search.thesaurus import alike
from rugs_index.table import schema
from rugs_index.table.row import Vector
from rugs_index.table.store import IndexStore

_DEPTH: Final = 30
"""Hits of each leg that are considered, at least."""
_BEST: Final = 80
"""Entries of the catalog that are considered, at least."""
_WORDS_WEIGHT: Final = 0.025
_ALIKE: Final = 0.4
"""What a word counts that means about the same as one of the question."""
_KEYED_WEIGHT: Final = 0.1
"""About what words and keys count in the end: see `rugs_index.search.fusion`."""
_GAMES: Final = 30
"""Games that fulfil the conditions that are considered, in each order."""
_NEXT: Final = 20
"""Games that are considered for each condition where no game fulfils all."""
_WITH_ID: Final = 30
"""Chunks that are considered for each id."""
_ABOUT_IT: Final = 1.0
_PART_OF_IT: Final = 0.5
"""How well a chunk has an id in a question: it is about that game, session or player, or about something in it."""
_MAIN_KIND: Final = {"game_id": kinds.GAME, "session_id": kinds.SESSION, "player": kinds.PLAYER_ACTION}
_WORD: Final = re.compile(r"\w+")


@dataclass
class Gathered:
    """What may answer a question.

    Attributes:
        candidates: by their id.
        known: what the index knows of the names in the question.
        is_time_known: whether something was recorded at the time that the question names.
        is_fulfilled: whether a game fulfils all conditions of the question.
        missing: ids in the question that no chunk has.
    """

    candidates: dict[str, Candidate] = field(default_factory=dict)
    known: Known = field(default_factory=Known)
    is_time_known: bool = True
    is_fulfilled: bool = True
    missing: list[str] = field(default_factory=list)

    def add(self, hit: Hit) -> Candidate:
        """Return the candidate of a hit, which may have been found before."""
        return self.candidates.setdefault(hit.id, Candidate(hit))

    def add_with_id(self, hits: Iterable[Hit], name: str) -> bool:
        """Add hits that have an id in the question, of a game, a session or a player; return whether there are any."""
        is_known = False
        for hit in hits:
            is_main = hit.metadata.get("kind") == _MAIN_KIND[name]
            self.add(hit).name = _ABOUT_IT if is_main else _PART_OF_IT
            is_known = True
        return is_known


@dataclass(frozen=True)
class Gathering:
    """Gathers what may answer a question.

    Attributes:
        vector: of the question; None where there is no model.
        where: which chunks may be found.
        least: candidates that are wanted.
        threads: runs a leg beside another.
    """

    store: IndexStore
    catalog: Catalog
    question: Question
    vector: Vector | None
    where: Filters
    least: int
    threads: Executor

    def gathered(self) -> Gathered:
        """Ask the catalog and all legs."""
        found = Gathered()
        recorded = tuple(kind for kind in kinds.RECORDED if not self.where.kinds or kind in self.where.kinds)
        if recorded:
            self._recorded(replace(self.where, kinds=recorded), found)
        names = self.catalog.names(self.question.names)
        self._protocol(names.scores, found)
        players = _names_of_players(found.candidates.values(), self.question.text)
        ways = {each.event: self.catalog.way_of(each.event) for each in found.candidates.values()}
        found.known = Known(names.events, players, ways)
        return found

    def _protocol(self, names: Scores, found: Gathered) -> None:
        """Add the best entries of the catalog."""
        cosines = self.catalog.cosines(self.vector)
        asked = question_words(self.question.text)
        words = self.catalog.word_scores(asked) + _ALIKE * self.catalog.word_scores(alike(asked))
        keyed = self.catalog.keyed(_WORD.findall(self.question.text))
        rough = names + _WORDS_WEIGHT * words + _KEYED_WEIGHT * keyed + (0 if cosines is None else cosines)
        rough[~self.catalog.admitted(self.where)] = -np.inf
        for place in np.argsort(-rough, kind="stable")[: max(_BEST, self.least)]:
            if rough[place] == -np.inf:
                break
            candidate = found.add(_hit(self.catalog.entries[place], None if cosines is None else cosines[place]))
            candidate.words, candidate.name = float(words[place]), float(names[place])
            candidate.is_keyed = bool(keyed[place])

    def _recorded(self, where: Filters, found: Gathered) -> None:
        """Add chunks of what was recorded: at the time that the question names, or at any if nothing was then."""
        for narrowed in self._narrowed(where):
            self._legs(narrowed, found)
            if self.question.conditions:
                self._games(replace(narrowed, kinds=(kinds.GAME,)), found)
            if found.candidates:
                break
            found.is_time_known = False
        if self.question.ids:
            self._ids(where, found)

    def _narrowed(self, where: Filters) -> Iterator[Filters]:
        span = self.question.span
        is_narrower = span is not None and (span.since, span.until) != (None, None)
        if span is not None and is_narrower and (where.since, where.until) == (None, None):
            yield replace(where, since=span.since, until=span.until)
        yield where

    def _legs(self, where: Filters, found: Gathered) -> None:
        depth = max(_DEPTH, self.least)
        by_words = self.threads.submit(text_leg, self.store, self.question.text, depth, where, vector=self.vector)
        if self.vector is not None:
            for hit in vector_leg(self.store, self.vector, depth, where):
                found.add(hit)
        for hit in by_words.result():
            found.add(hit).words = hit.rank_score or 0.0
        order = self.question.conditions.order
        if order is not None and order.by == BEGIN and self.question.has(Cue.ACTION):
            actions = [each for each in found.candidates.values() if each.kind == kinds.PLAYER_ACTION]
            actions.sort(key=lambda each: each.hit.metadata.get("ts") or 0, reverse=order.descending)
            for place, each in enumerate(actions):
                each.place = place

    def _games(self, where: Filters, found: Gathered) -> None:
        """Add games that fulfil the conditions, or some of them if none fulfils all."""
        conditions = self.question.conditions
        hits = self._fulfilling(conditions, where, _GAMES)
        if not hits and conditions.numbers:
            found.is_fulfilled = False
            for name, wanted in conditions.numbers.items():
                hits += self._fulfilling(Conditions({name: wanted}), where, _NEXT)
        for place, hit in enumerate(hits):
            candidate = found.add(hit)
            if conditions.numbers:
                candidate.match = conditions.match(hit.metadata)
            if found.is_fulfilled:
                candidate.place = place

    def _fulfilling(self, conditions: Conditions, where: Filters, most: int) -> list[Hit]:
        """Return games that fulfil conditions, those first that do so best."""
        wanted = {name: each.range for name, each in conditions.numbers.items()}
        found = []
        for order in conditions.orders():
            # Games of which the number is not known are not the first ones.
            known = {order.by: Range(least=0)} if order.by in schema.NUMBERS else {}
            limits: dict[str, Any] = {**known, **wanted, **order.limits}
            limited = replace(where, **limits)
            by, descending = order.by, order.descending
            found.append(exact_leg(self.store, most, limited, vector=self.vector, by=by, descending=descending))
        hits = [hit for alike in zip_longest(*found) for hit in alike if hit is not None]
        if conditions.order is None or conditions.order.by != BEGIN or where.since is None:
            return hits
        # A game that began before the time that is named is not the first one of that time.
        return [hit for hit in hits if hit.metadata.get("ts", 0) >= where.since]

    def _ids(self, where: Filters, found: Gathered) -> None:
        """Add chunks with the ids in the question."""
        question = self.question
        asked = [("game_id", each) for each in question.games]
        asked += [("session_id", each) for each in question.sessions]
        asked += [("player", each) for each in question.players]
        for name, value in asked:
            if not self._with_id(where, found, name, value):
                found.missing.append(value)
        for digits in question.digits:
            chunks = exact_leg(self.store, 1, self.where, id=digits, vector=self.vector)
            for hit in chunks:
                found.add(hit).name = _ABOUT_IT
            games = exact_leg(self.store, _WITH_ID, where, game_part=digits, vector=self.vector)
            is_known = found.add_with_id(games, "game_id") or bool(chunks)
            if not self._with_id(where, found, "session_id", digits) and not is_known:
                found.missing.append(digits)

    def _with_id(self, where: Filters, found: Gathered, name: str, value: str) -> bool:
        """Add chunks that have an id; return whether there are any."""
        only: dict[str, Any] = {name: value}
        hits = exact_leg(self.store, _WITH_ID, replace(where, **only), vector=self.vector)
        return found.add_with_id(hits, name)


def _hit(entry: Entry, cosine: float | None) -> Hit:
    score = None if cosine is None else float(cosine)
    return Hit(entry.id, entry.text, entry.metadata, score, None, entry.scope_key, entry.owner)


def _names_of_players(candidates: Iterable[Candidate], question: str) -> frozenset[str]:
    """Return the words of a question that are names of players of candidates, in small letters."""
    asked = frozenset(word.lower() for word in _WORD.findall(question))
    return asked & {str(each.hit.metadata.get("username") or "").lower() for each in candidates}
