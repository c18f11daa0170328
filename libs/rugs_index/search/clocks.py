"""Times of day that a question names: `18:05`, `6pm`, `0.25 past 3 pm`, `noon`, `small hours`. Pure.

Numbers are in digits: see `rugs_index.search.numerals`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from rugs_index.search.numerals import NUMBER, number

_HOUR_S: Final = 3600
_MINUTE_S: Final = 60
_SPOKEN_S: Final = 5 * _MINUTE_S
"""How inexact a time in words is."""

_HALF: Final = r"(?: ?([ap])\.?m\b| in the (morning|afternoon|evening)| at (night))"
_BESIDE: Final = re.compile(rf"\b({NUMBER}) (past|to) (\d{{1,2}}){_HALF}?(?![\w:])", re.I)
_DIGITS: Final = re.compile(
    r"(?<![\d:.])(?:(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?(?: ?([ap])\.?m\b)?|(\d{1,2}) ?([ap])\.?m\b)(?![:\d])", re.I
)
_OF_HOUR: Final = re.compile(rf"\b(\d{{1,2}})(?: o'?clock{_HALF}?|{_HALF})(?!\w)", re.I)
_HALVES: Final = {"a": "a", "p": "p", "morning": "a", "afternoon": "p", "evening": "p", "night": "p"}
_MIDNIGHT: Final = re.compile(r"\b(?:midnight|(?:struck|strikes|stroke of) 12)\b", re.I)
_PARTS: Final = {
    r"small hours|dead of (?:the )?night|middle of the night": (0, 5),
    r"early morning|dawn|sunrise": (4, 10),
    r"(?<!early )morning": (5, 12),
    r"noon|midday|lunch(?: ?time)?": (11.5, 13.5),
    r"afternoon": (12, 18),
    r"evening": (17, 22),
    r"late(?= on\b)|late at night": (18, 24),
}
"""Hours from and until."""
_PART: Final = [(re.compile(rf"\b(?:{words})\b", re.I), hours) for words, hours in _PARTS.items()]


class Clock(NamedTuple):
    """A window within a day, in seconds of the day, and the place in the question that names it.

    Attributes:
        is_part: it is a part of the day, such as the morning, and not a time.
    """

    start: int
    end: int
    since: int
    until: int
    is_part: bool = False


def clocks_of(question: str) -> Iterator[Clock]:
    """Give the times of day that a question names, the surest ways of naming them first; they may overlap."""
    for found in _BESIDE.finditer(question):
        yield from _beside(found)
    for found in _DIGITS.finditer(question):
        hour = _hour(int(found[1] or found[5]), found[4] or found[6])
        minute, second = int(found[2] or 0), int(found[3] or 0)
        if hour is not None and minute < 60 and second < 60:
            since = hour * _HOUR_S + minute * _MINUTE_S + second
            long = 1 if found[3] else _MINUTE_S if found[2] else _HOUR_S
            yield Clock(found.start(), found.end(), since, since + long)
    for found in _OF_HOUR.finditer(question):
        hour = _hour(int(found[1]), _half(found.groups()[1:]))
        if hour is not None:
            yield Clock(found.start(), found.end(), hour * _HOUR_S, (hour + 1) * _HOUR_S)
    for found in _MIDNIGHT.finditer(question):
        yield Clock(found.start(), found.end(), 0, _MINUTE_S)
    for pattern, (begin, end) in _PART:
        for found in pattern.finditer(question):
            yield Clock(found.start(), found.end(), int(begin * _HOUR_S), int(end * _HOUR_S), is_part=True)


def _beside(found: re.Match[str]) -> Iterator[Clock]:
    """Give a time before or after an hour: `10 to 6`, `0.5 past 6`."""
    half, minutes = _half(found.groups()[3:]), number(found[1])
    hour = _hour(int(found[3]), half)
    is_range = found[2].lower() == "to" and half is None and minutes >= 1  # `2 to 5 ticks`
    minutes *= 60 if minutes < 1 else 1
    if hour is None or minutes >= 60 or is_range:
        return
    since = hour * _HOUR_S + round(minutes) * (-_MINUTE_S if found[2].lower() == "to" else _MINUTE_S)
    if since >= 0:
        yield Clock(found.start(), found.end(), max(0, since - _SPOKEN_S), since + _SPOKEN_S)


def _half(told: Sequence[str | None]) -> str | None:
    """Return which half of the day is said: `a` or `p`; None if none is."""
    return next((_HALVES[each.lower()] for each in told if each), None)


def _hour(hour: int, half: str | None) -> int | None:
    """Return the hour of the day; None if there is none such."""
    if half is None:
        return hour if hour < 24 else None
    return hour % 12 + (12 if half.lower() == "p" else 0) if 1 <= hour <= 12 else None
