"""The conditions on games that a question names: `rugged before tick 20 after a 10x`, `longest`, `above 50x`. Pure.

Numbers are in digits: see `rugs_index.search.numerals`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import exp, log
from typing import Any, Final

from rugs_index.search.filters import ANY_NUMBER, Range
from rugs_index.search.numerals import NUMBER, number

PEAK, TICKS, RUG_TICK, DURATION, BEGIN = "peak", "ticks", "rug_tick", "duration_s", "ts"
"""What conditions are about, by the names that they have in the index."""
INSTARUG_TICKS: Final = 6
"""A game that rugs within so many ticks is an instarug: `rugpool.config.instarugThreshold` of the feed."""
MOONSHOT: Final = 10.0
"""A game that reaches so many times its start price is a moonshot."""
_NEAR: Final = 0.12
"""What share of a number may be missing, or too much, where a question says neither more nor less."""
_ROUNDED: Final = 0.03
"""What share of a number may be missing that was rounded."""
_SHARP: Final = 12.0
"""How fast a game matches worse the farther its number is from the one that is named."""


@dataclass(frozen=True)
class Wanted:
    """A number of a game that is asked for.

    Attributes:
        range: which numbers will do.
        about: the number that is named, where it is not a limit.
        is_implied: a word says it, such as `instarug`, and no number.
    """

    range: Range = ANY_NUMBER
    about: float | None = None
    is_implied: bool = False

    def match(self, value: float) -> float:
        """Return how well a number matches, from 0 (not at all) to 1."""
        if self.about is not None:
            return exp(-_SHARP * abs(log(max(value, 1e-9) / max(self.about, 1e-9))))
        least, most = self.range
        return float((least is None or value >= least) and (most is None or value <= most))


@dataclass(frozen=True)
class Order:
    """In which order to look for games.

    Attributes:
        by: one of the numbers, or `ts`, the time at which they began.
        descending: whether the greatest comes first.
        limits: what is asked for beside the conditions.
    """

    by: str
    descending: bool
    limits: Mapping[str, Range] = field(default_factory=dict)


@dataclass(frozen=True)
class Conditions:
    """What a question asks of games; with nothing said, it asks for no games.

    Attributes:
        numbers: that are asked for: the peak as a multiple of the start price, how many ticks there were, at which tick
            it rugged, how many seconds it lasted.
        order: by what the first of all games is asked for.
    """

    numbers: Mapping[str, Wanted] = field(default_factory=dict)
    order: Order | None = None

    def __bool__(self) -> bool:
        return bool(self.numbers) or self.order is not None

    @property
    def is_explicit(self) -> bool:
        """Whether numbers are named, and not only words that imply some."""
        return any(not wanted.is_implied for wanted in self.numbers.values())

    def match(self, told: Mapping[str, Any]) -> float:
        """Return how well a game fulfils the numbers, from 0 to 1.

        Args:
            told: metadata of the game.
        """
        values = [(wanted, told.get(name)) for name, wanted in self.numbers.items()]
        matches = [0.0 if value is None else wanted.match(float(value)) for wanted, value in values]
        return sum(matches) / len(matches) if matches else 0.0

    def orders(self) -> list[Order]:
        """Return in which orders to look for the games that fulfil the conditions best.

        Those above a limit are best far above it; around a number they are best near it, on both sides.
        """
        if self.order is not None:
            return [self.order]
        for name, wanted in self.numbers.items():
            least, most = wanted.range
            if wanted.about is None:
                return [Order(name, descending=least is not None)]
            above = Order(name, descending=False, limits={name: Range(wanted.about, most)})
            below = Order(name, descending=True, limits={name: Range(least, wanted.about)})
            return [above, below]
        return [Order(BEGIN, descending=False)]


NO_CONDITIONS: Final = Conditions()
"""Asks for no games."""


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_MORE: Final = (
    r"above|over|beyond|past|exceed(?:s|ed|ing)?|(?:more|greater|higher|longer|better|bigger) than|at least"
    r"|no (?:less|fewer) than|minimum(?: of)?|upwards? of|>=?"
)
_LESS: Final = (
    r"below|under|(?:less|lower|fewer|shorter|smaller|faster|sooner|earlier) than|at most|no more than|up to|within"
    r"|maximum(?: of)?|inside(?: of)?|in under|before|by|<=?"
    r"|(?:never|didn'?t|did not|not|without)(?: even)? (?:reach|reached|reaching|hit|hitting|get to|got to|above|over)"
)
_NEARLY: Final = r"about|around|roughly|near(?:ly)?|almost|approximately|approx\.?|close to|circa|some|~|exactly|just"
_REACHED: Final = (
    r"(?:reach|hit)(?:e[sd]|s|ing)?|got to|gets? to|made it to|climb(?:ed|s)? to|went to|up to"
    r"|after(?: reaching| hitting)?"
)
_HOW: Final = rf"(?:\b(?P<more>{_MORE})|\b(?P<less>{_LESS})|(?P<near>{_NEARLY}))(?: an?| the)? "
_HOW_HIGH: Final = rf"(?:\b(?P<reached>{_REACHED})(?: an?| the)? |{_HOW})?"
_OR: Final = (
    r"(?:(?: or| and) (?P<or>more|less|fewer|longer|higher|above|below|lower|under|over)\b(?! \d)|(?P<plus>\+))?"
)
_BETWEEN: Final = rf"\b(?:between|from) (?P<low>{NUMBER}) ?x? ?(?:and|to|-) ?(?P<high>{NUMBER}) ?"
_COUNT: Final = rf"(?<![\w.])(?P<count>{NUMBER})"
_TIMES: Final = r"(?:[x×]|times|fold|[ -]?baggers?)(?![a-z])"

_PEAK_BETWEEN: Final = _compiled(rf"{_BETWEEN}{_TIMES}")
_PEAK: Final = _compiled(rf"{_HOW_HIGH}{_COUNT} ?{_TIMES}{_OR}")
_TICKS_BETWEEN: Final = _compiled(rf"{_BETWEEN}ticks?\b")
_TICKS: Final = _compiled(rf"(?:{_HOW})?{_COUNT} ?ticks?\b{_OR}")
_AT_TICK: Final = _compiled(
    rf"(?:(?:\b(?P<more>after|past|later than|beyond)|\b(?P<less>before|by|until|within|earlier than)"
    rf"|(?P<near>\bat|\bon|{_NEARLY})) )?(?:the )?tick (?:number |#)?(?P<count>{NUMBER})"
)
_SECONDS: Final = _compiled(rf"(?:{_HOW})?{_COUNT} ?(?P<unit>s|secs?|seconds?|mins?|minutes?|hours?)\b")
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600}

_FALLS: Final = _compiled(r"\b(?:down|drop\w*|fell|falls?|dips?|dipped|sank|crash\w*|low|loss|lost) (?:\w+ )?$")
"""A price that a game falls to is not its peak."""
_NO_GAME: Final = _compiled(r"\b(?:candles?|leverage|payout|pays|xp|stake)\b[^.;,]{0,12}$|\bgod\b")
_OF_LENGTH: Final = _compiled(r"\b(?:last(?:s|ed|ing)?|long(?:er)?|short(?:er)?|took|duration|length|survived|ran)\b")
_RUGS: Final = _compiled(r"\b(?:rug\w*|crash\w*|di(?:e|ed|es)|dead|bust\w*|end(?:s|ed)?|over|gone|collaps\w+|blew)\b")
_ACTS: Final = _compiled(r"\b(?:bought|buy|sold|sell|bet|sidebet|side bet|entered|price at|traded?)\b")
"""A tick at which somebody acts is not that of the rug."""
_WORDS: Final = (
    (_compiled(r"\binsta(?:nt)?[ -]?rug(?:s|ged)?\b"), RUG_TICK, Range(most=INSTARUG_TICKS)),
    (_compiled(r"\bmoon ?shots?\b"), PEAK, Range(least=MOONSHOT)),
)
_GAME: Final = r"(?:\w+ )?(?:game|round|match)"
_ORDERS: Final = (
    (r"longest|most ticks|lasted the longest", TICKS, True),
    (r"shortest|fewest ticks|briefest|quickest|fastest|soonest", RUG_TICK, False),
    (
        r"(?:high|great|bigg|larg|b)est (?:peak|multipl\w+|game|round|price|x\b|run|pump|moon\w*)|highest|record"
        r"|topmost|peaked (?:the )?(?:most|highest)",
        PEAK,
        True,
    ),
    (r"(?:low|small|w?or)est (?:peak|multipl\w+|game|round|run)|lowest", PEAK, False),
    (rf"(?:last|latest|newest|most recent) {_GAME}|which (?:game|round) was (?:the )?last", BEGIN, True),
    (rf"(?:first|opening|earliest|oldest) {_GAME}|opener", BEGIN, False),
)
"""What asks for the first of all games, by which number, and whether the greatest is the first."""
_ORDER: Final = [(_compiled(rf"\b(?:{words})\b"), name, most) for words, name, most in _ORDERS]


def conditions_of(question: str) -> Conditions:
    """Return the conditions on games that a question names."""
    numbers: dict[str, Wanted] = {}
    for name, wanted in _numbers(question):
        numbers.setdefault(name, wanted)
    order = next((Order(name, most) for pattern, name, most in _ORDER if pattern.search(question)), None)
    return Conditions(numbers, order) if numbers or order else NO_CONDITIONS


def _numbers(question: str) -> Iterator[tuple[str, Wanted]]:
    """Give the numbers that are asked for, the surest ways of asking first."""
    for found in _PEAK_BETWEEN.finditer(question):
        yield PEAK, _between(found)
    for found in _PEAK.finditer(question):
        before = question[: found.start()]
        if not _FALLS.search(before) and not _NO_GAME.search(before):
            yield PEAK, _wanted(found)
    for found in _TICKS_BETWEEN.finditer(question):
        yield TICKS, _between(found)
    rugs = _RUGS.search(question) is not None
    if rugs or not _ACTS.search(question):
        yield from _ticks(question, rugs=rugs)
    yield from _durations(question, rugs=rugs)
    for pattern, name, limits in _WORDS:
        if pattern.search(question):
            yield name, Wanted(limits, is_implied=True)


def _ticks(question: str, *, rugs: bool) -> Iterator[tuple[str, Wanted]]:
    for found in _AT_TICK.finditer(question):
        yield RUG_TICK, _wanted(found)
    is_of_length = _OF_LENGTH.search(question) is not None
    for found in _TICKS.finditer(question):
        if number(found["count"]) > 1:  # else it is a step: `in one tick`
            yield RUG_TICK if rugs and not is_of_length and not found["more"] else TICKS, _wanted(found)


def _durations(question: str, *, rugs: bool) -> Iterator[tuple[str, Wanted]]:
    is_of_length = _OF_LENGTH.search(question) is not None
    for found in _SECONDS.finditer(question):
        if is_of_length or found["near"] or (rugs and not found["less"]):
            yield DURATION, _wanted(found, _UNITS_S[found["unit"][0].lower()])


def _between(found: re.Match[str]) -> Wanted:
    low, high = sorted((number(found["low"]), number(found["high"])))
    return Wanted(Range(low, high))


def _wanted(found: re.Match[str], unit: float = 1) -> Wanted:
    told = number(found["count"]) * unit
    parts = found.groupdict()
    if parts.get("less") or parts.get("or") in ("less", "fewer", "below", "lower", "under"):
        return Wanted(Range(most=told))
    if parts.get("more") or parts.get("or") or parts.get("plus"):
        return Wanted(Range(least=told))
    if parts.get("reached"):
        return Wanted(Range(least=told * (1 - _ROUNDED)), told)
    return Wanted(Range(told * (1 - _NEAR), told * (1 + _NEAR)), told)
