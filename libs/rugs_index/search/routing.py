"""What a question asks for: which kinds of chunks, names, players, games and times. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from rugs_index.search.conditions import NO_CONDITIONS, Conditions, conditions_of
from rugs_index.search.cues import Cue, cues_of
from rugs_index.search.dates import Moment
from rugs_index.search.numerals import in_digits
from rugs_index.search.times import Span, span_of

LONGEST: Final = 2_000
"""Characters of a question that are looked at."""
_FEW_WORDS: Final = 6
"""Words of a question that may as well be the words of one identifier."""

_CALL: Final = re.compile(r"\s*\w+\((.*)\)\s*", re.DOTALL)
_ARGUMENT: Final = re.compile(r"(\w+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([-\w.]+))")
_QUOTED: Final = re.compile(r"\s*(?:\"([^\"]*)\"|'([^']*)')")
_TEXTS: Final = ("query", "query_text", "topic", "game_id")
"""Arguments of a call whose values are searched for."""

_TOKEN: Final = re.compile(r"[^\s,;!?\"'`()<>=]+")
_IDENTIFIER: Final = re.compile(r"[a-z][A-Z]|[A-Za-z]_+[A-Za-z]|\w\.[A-Za-z_]|[a-z]/[A-Za-z]|\[\]|\{\*\}|^__|^\w+:\w")
_GAME_ID: Final = re.compile(r"\b\d{8}-[0-9a-f]{16}\b")
_PLAYER_ID: Final = re.compile(r"\bdid:\w+:\w+")
_SESSION_ID: Final = re.compile(r"\b\d{8}T\d{6}\.\d+Z-[0-9a-f]+\b")
_DIGITS: Final = re.compile(r"\b(?=[0-9a-f]*\d)(?=\d*[a-f])[0-9a-f]{6,64}\b")
_DECIMAL: Final = re.compile(r"(?<![\w.:])\d+\.\d+(?![\w.:])")


class Form(StrEnum):
    """The form of a question: an identifier, words, or words with identifiers."""

    IDENTIFIER = "identifier"
    PROSE = "prose"
    MIXED = "mixed"


@dataclass(frozen=True)
class Question:
    """A question, understood as far as its form says.

    Attributes:
        text: what is searched by words and by meaning.
        names: identifiers in it, such as paths and events, and the whole of it where it may be the words of one.
        games, sessions, players: their ids.
        digits: hexadecimal digits: ids of chunks, or ends of ids.
        decimals: numbers with a decimal point, as they are written.
        span: the time that it names.
        conditions: on games.
    """

    text: str
    form: Form
    names: tuple[str, ...] = ()
    games: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    players: tuple[str, ...] = ()
    digits: tuple[str, ...] = ()
    decimals: tuple[str, ...] = ()
    cues: frozenset[Cue] = frozenset()
    span: Span | None = None
    conditions: Conditions = NO_CONDITIONS

    @property
    def ids(self) -> tuple[str, ...]:
        """All ids in it."""
        return (*self.games, *self.sessions, *self.players, *self.digits)

    def has(self, *cues: Cue) -> bool:
        """Return whether words of it point to one of these."""
        return not self.cues.isdisjoint(cues)


def question_of(query: str, newest: Moment, now: Moment) -> Question:
    """Return what a query asks for.

    Args:
        query: a question, an identifier, or a call such as `search_events(query="...", min_multiplier=10)`.
        newest: returns the newest moment that the index knows of.
        now: returns the present time.
    """
    text = prose_of(query[:LONGEST])
    rest, games = _taken(text, _GAME_ID)
    rest, sessions = _taken(rest, _SESSION_ID)
    rest, players = _taken(rest, _PLAYER_ID)
    rest, digits = _taken(rest, _DIGITS)
    tokens = [token.strip(".:") for token in _TOKEN.findall(rest)]
    names = [token for token in tokens if _IDENTIFIER.search(token)]
    plain = [token for token in tokens if token and token not in names]
    plain_numbers = in_digits(text)
    has_names = bool(names or games or sessions or players or digits)
    whole = [rest.strip()] if plain and not has_names and len(plain) <= _FEW_WORDS else []
    return Question(
        text=text,
        form=Form.PROSE if not has_names else Form.MIXED if plain else Form.IDENTIFIER,
        names=tuple(dict.fromkeys([*names, *whole])),
        games=games,
        sessions=sessions,
        players=players,
        digits=digits,
        decimals=tuple(dict.fromkeys(_DECIMAL.findall(text))),
        cues=cues_of(text),
        span=span_of(plain_numbers, newest, now),
        conditions=conditions_of(plain_numbers),
    )


def prose_of(query: str) -> str:
    """Return a query as prose: of a call, the texts that it asks for, and its limits in words; else the query."""
    called = _CALL.fullmatch(query)
    if called is None:
        return query
    arguments = {found[1]: found[2] or found[3] or found[4] for found in _ARGUMENT.finditer(called[1])}
    first = _QUOTED.match(called[1])
    parts = [] if first is None else [first[1] or first[2]]
    parts += [arguments.get(name, "") for name in _TEXTS]
    low, high = arguments.get("min_multiplier"), arguments.get("max_multiplier")
    if low and high:
        parts.append(f"game between {low}x and {high}x")
    elif low or high:
        parts.append(f"game above {low}x" if low else f"game below {high}x")
    return ", ".join(part for part in parts if part) or query


def _taken(text: str, pattern: re.Pattern[str]) -> tuple[str, tuple[str, ...]]:
    """Return a text without what a pattern finds, and that, each once."""
    return pattern.sub(" ", text), tuple(dict.fromkeys(pattern.findall(text)))
