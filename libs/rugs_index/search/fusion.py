"""One order out of what several legs found: by their ranks, or by all that speaks for each chunk. Pure.

The weights are round numbers that the tuned half of the golden set bears out; it hardly changes with half or twice of
any of them. The cosine of a right answer is 0.3 to 0.6, so 0.1 decides between chunks that are about as similar.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from rugs_core.time import DAY_US, SECOND_US
from rugs_index import kinds
from rugs_index.kinds import Way
from rugs_index.search.cues import Cue
from rugs_index.search.legs import Hit
from rugs_index.search.routing import Form, Question

_RANKS: Final = 60
"""The constant of reciprocal rank fusion."""
_MOST_WORDS: Final = 30.0
_WORDS: Final = {True: 0.03, False: 0.022}
"""What a point of BM25 counts for a chunk about the protocol, and for another one; and how many points count."""
_NAME: Final = 2.0
"""What an exact name counts: more than all else together."""
_ABOUT_DATA: Final = 0.15
"""Where a question names a time, a player or a game: what chunks of what was recorded gain, and all others lose."""
_ABOUT_NOTHING: Final = -0.05
"""What chunks of what was recorded lose where it names none of these."""

_MAIN: Final = "gameStateUpdate"
_MAIN_EVENT: Final = 0.04
_MAIN_NAMED: Final = 0.3
_KEYED: Final = {True: 0.1, False: 0.05}
_DEPTH: Final = -0.005
_OLD_RECORDERS: Final = -0.1
_EVENT_NAMED: Final = 0.15
_OWN: Final = 0.02
_UNDESCRIBED: Final = -0.1
_EVENT_ASKED: Final = 0.2
_WAY_ASKED: Final = 0.1
_EXAMPLE: Final = -0.2
_PAYLOAD: Final = "data"
_WHOLE_PAYLOAD: Final = -0.15
"""The field `data` says again what its event says."""
_TRUTH: Final = 0.05
_REPEATED: Final = -0.05

_WHO: Final = 0.2
_MENTIONED: Final = 0.15
_DECIMAL: Final = 0.15
_PART_OF_DAY: Final = 0.1
_CUED: Final = 0.12
_DONE: Final = 0.3
_TRADED: Final = 0.06
_SESSION: Final = {True: 0.25, False: -0.15}
"""For a session: where a question asks for one, and where not."""
_WHICH_GAME: Final = 0.3
_GAME: Final = 0.12
_NO_OTHER: Final = 0.1
"""For a game: where a question asks which, where it is about games, and where it points to nothing else."""
_FULFILS: Final = 0.5
_FULFILS_WORD: Final = 0.2
"""For a game that fulfils the conditions of a question, and where only a word such as `instarug` says them."""
_FIRST: Final = 0.6
_BEST: Final = 0.2
"""For the first of all games, where a question asks for that; for the first action, and the game that fulfils best."""
_NOT_GAMES: Final = (Cue.CHAT, Cue.ACTION, Cue.TRADE, Cue.NOTICE, Cue.SESSION)
_OF: Final = {"newChatMessage": (Cue.CHAT, _CUED), "standard/newTrade": (Cue.TRADE, _TRADED),
              "gameNotification": (Cue.NOTICE, _CUED)}  # fmt: skip
"""What single events are cued by."""
_SUBJECT: Final = r"\b(?:about|regarding|concerning|mention\w*|towards?) (?:{})\b"


@dataclass
class Candidate:
    """A chunk that may answer, and what speaks for it.

    Attributes:
        words: BM25 of its words.
        name: how well it has a name in the question, from 0 to 1.
        is_keyed: its last key is a word of the question.
        match: how well it fulfils the conditions on games, from 0 to 1; None: it is no such game.
        place: its place, from 0, among the games that fulfil the conditions, or among actions.
        legs: what it scores for what; the sum decides its place.
    """

    hit: Hit
    words: float = 0.0
    name: float = 0.0
    is_keyed: bool = False
    match: float | None = None
    place: int | None = None
    legs: dict[str, float] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The kind of its chunk."""
        return str(self.hit.metadata.get("kind"))

    @property
    def event(self) -> str:
        """The event of its chunk; empty if it has none."""
        return str(self.hit.metadata.get("event_type") or "")

    @property
    def total(self) -> float:
        """What it scores in all."""
        return sum(self.legs.values())


@dataclass(frozen=True)
class Known:
    """What the index knows of the names in a question.

    Attributes:
        events: that it names.
        players: that it names, in small letters.
        ways: who sends an event to whom, by its key.
    """

    events: frozenset[str] = frozenset()
    players: frozenset[str] = frozenset()
    ways: Mapping[str, str] = field(default_factory=dict)


def by_ranks(legs: Mapping[str, Sequence[Hit]]) -> list[Candidate]:
    """Return what legs found, those first that several have among their first: reciprocal rank fusion."""
    found: dict[str, Candidate] = {}
    for leg, hits in legs.items():
        for rank, hit in enumerate(hits, 1):
            found.setdefault(hit.id, Candidate(hit)).legs[leg] = 1 / (_RANKS + rank)
    return _ordered(found.values())


def by_question(candidates: Iterable[Candidate], question: Question, known: Known) -> list[Candidate]:
    """Return candidates, those first for which most speaks, given what the question asks for.

    Of fields with the same meaning, such as the user name of all rankings, the best one goes before the others.
    """
    judged = []
    is_about = is_about_data(question, known)
    for candidate in candidates:
        candidate.legs = {name: value for name, value in _legs(candidate, question, known, is_about) if value}
        judged.append(candidate)
    ranked = _ordered(judged)
    seen: set[str] = set()
    for candidate in ranked:
        meaning = candidate.hit.text.partition("\n")[0] if candidate.kind == kinds.FIELD else candidate.hit.id
        if meaning in seen:
            candidate.legs["repeated"] = _REPEATED
        seen.add(meaning)
    return _ordered(ranked)


def is_about_data(question: Question, known: Known) -> bool:
    """Return whether a question is about what was recorded, and not about the protocol."""
    conditions = question.conditions
    counts_games = question.has(Cue.FIELD) and not question.has(Cue.WHICH_GAME)  # `how many games are above 50x`
    return (
        question.span is not None
        or bool(known.players or question.ids or question.decimals)
        or (conditions.is_explicit and not counts_games)
        or (conditions.order is not None and question.has(Cue.GAME, Cue.EVER))
    )


def _ordered(candidates: Iterable[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=lambda each: (-each.total, each.hit.id))


def _legs(
    candidate: Candidate,
    question: Question,
    known: Known,
    is_about: bool,
) -> Iterator[tuple[str, float]]:
    """Give what speaks for a candidate."""
    is_protocol = candidate.kind in kinds.PROTOCOL
    yield "vector", candidate.hit.score or 0.0
    yield "text", _WORDS[is_protocol] * min(candidate.words, _MOST_WORDS)
    yield "exact", _NAME * _named(candidate, question)
    if is_protocol:
        yield "about", -_ABOUT_DATA if is_about else 0.0
        yield "kind", sum(_protocol(candidate, question, known))
    else:
        yield "about", _ABOUT_DATA if is_about else _ABOUT_NOTHING
        yield "kind", sum(_recorded(candidate, question, is_about))
        yield "player", _player(candidate.hit, question, known.players)
        yield "number", _DECIMAL * sum(decimal in candidate.hit.text for decimal in question.decimals)
        yield "time", _time(candidate.hit, question)
        yield "conditions", sum(_conditions(candidate, question))


def _named(candidate: Candidate, question: Question) -> float:
    """Return how well a candidate has a name that is asked for; beside others, that of an event asks for its fields."""
    is_alone = question.form is Form.IDENTIFIER and len(question.names) == 1
    return candidate.name if is_alone or candidate.kind != kinds.EVENT else 0.0


def _protocol(candidate: Candidate, question: Question, known: Known) -> Iterator[float]:
    """Give what speaks for a chunk about an event or a field."""
    event, metadata = candidate.event, candidate.hit.metadata
    way = known.ways.get(event, "")
    if event == _MAIN:
        yield _MAIN_NAMED if _named(candidate, question) else _MAIN_EVENT
    if way in (Way.RECORD, Way.PACKET):
        yield _OLD_RECORDERS
    if way in (Way.SENT, Way.PRIVATE):
        yield _OWN if question.has(Cue.OWN) else -_OWN
    if event in known.events:
        yield _EVENT_NAMED
    if metadata.get(kinds.UNDESCRIBED):
        yield _UNDESCRIBED
    if candidate.kind == kinds.EVENT:
        yield from _event(way, question)
    elif candidate.kind == kinds.EXAMPLE:
        yield 0.0 if question.has(Cue.EXAMPLE) else _EXAMPLE
    elif metadata.get("field_path") == _PAYLOAD:
        yield _WHOLE_PAYLOAD
    else:
        yield _DEPTH * str(metadata.get("field_path", "")).count(".")
        if candidate.is_keyed:
            yield _KEYED[question.has(Cue.FIELD)]
        if question.has(Cue.TRUTH) and "boolean" in metadata.get("types", ()):
            yield _TRUTH


def _event(way: str, question: Question) -> Iterator[float]:
    if question.has(Cue.EVENT) and not question.has(Cue.FIELD):
        yield _EVENT_ASKED
        if question.has(Cue.SENT) != question.has(Cue.ANSWER):
            yield _WAY_ASKED if (way == Way.SENT) == question.has(Cue.SENT) else -_WAY_ASKED


def _recorded(candidate: Candidate, question: Question, is_about: bool) -> Iterator[float]:
    """Give what speaks for a chunk of what was recorded, because of its kind."""
    if candidate.kind == kinds.SESSION:
        yield _SESSION[question.has(Cue.SESSION)]
    elif candidate.kind == kinds.PLAYER_ACTION:
        yield _DONE if question.has(Cue.DONE) else _CUED if question.has(Cue.ACTION) else 0.0
    elif candidate.kind == kinds.GAME:
        if question.has(Cue.WHICH_GAME):
            yield _WHICH_GAME
        elif question.has(Cue.GAME):
            yield _GAME
        elif is_about and not question.has(*_NOT_GAMES):
            yield _NO_OTHER
    elif candidate.event in _OF:
        cue, weight = _OF[candidate.event]
        yield weight if question.has(cue) else 0.0


def _player(hit: Hit, question: Question, players: frozenset[str]) -> float:
    """Return what speaks for a chunk because of the players that a question names."""
    if not players:
        return 0.0
    subject = _SUBJECT.format("|".join(map(re.escape, sorted(players))))
    is_subject = re.search(subject, question.text, re.IGNORECASE) is not None
    if str(hit.metadata.get("username") or "").lower() in players:
        return 0.0 if is_subject else _WHO
    text = hit.text.lower()
    return _MENTIONED * sum(player in text for player in players)


def _time(hit: Hit, question: Question) -> float:
    """Return what speaks for a chunk because of the part of the day that a question names."""
    at = hit.metadata.get("ts")
    if question.span is None or question.span.daily is None or not isinstance(at, int):
        return 0.0
    since, until = question.span.daily
    return _PART_OF_DAY if since * SECOND_US <= at % DAY_US < until * SECOND_US else -_PART_OF_DAY


def _conditions(candidate: Candidate, question: Question) -> Iterator[float]:
    if candidate.match is not None:
        yield (_FULFILS if question.conditions.is_explicit else _FULFILS_WORD) * candidate.match
    if candidate.place is not None and (question.conditions.order is not None or question.conditions.is_explicit):
        is_first = candidate.kind == kinds.GAME and question.conditions.order is not None
        yield (_FIRST if is_first else _BEST) / (1 + candidate.place)
