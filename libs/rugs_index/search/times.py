"""The time that a question names: `on 21 December 2025 around 18:05`, `between 14:00 and 15:00`, `mid december`. Pure.

All times are UTC. A day without a year is the latest one that the index knows something of or after.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from rugs_core.time import DAY_US, SECOND_US, from_us, to_us
from rugs_index.search.clocks import Clock, clocks_of
from rugs_index.search.dates import Days, Moment, days_of
from rugs_index.search.numerals import NUMBER, number

_AGO: Final = re.compile(rf"\b(?:last|past) ((?:{NUMBER}) ?)?(minute|hour|day|week)s?\b", re.IGNORECASE)
_UNITS_S: Final = {"minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
_ABOUT: Final = re.compile(
    r"(?:\b(?:around|about|circa|ca\.?|roughly|approximately|near|close to)(?: at)?|~)\s*$", re.IGNORECASE
)
_AFTER: Final = re.compile(r"\b(?:since|after|from|later than|starting)(?: at| on)?(?: the)?\s*$", re.IGNORECASE)
_BEFORE: Final = re.compile(r"\b(?:before|until|till|up to|earlier than|by)(?: at| on)?(?: the)?\s*$", re.IGNORECASE)
_TO: Final = re.compile(r"\s*(?:and|to|until|till|-|through)(?: at| on)?(?: the)?\s*", re.IGNORECASE)
_AROUND_S: Final = 600
_AROUND_SECOND_S: Final = 60
"""What `around` adds on both sides of a time of day, and of one with seconds."""
_T = TypeVar("_T", Days, Clock)


@dataclass(frozen=True)
class Span:
    """A time that a question names.

    Attributes:
        since, until: microseconds since the Unix epoch, `until` not included; None: no limit.
        daily: seconds of the day from and until, where a part of the day is named for more than one day.
    """

    since: int | None = None
    until: int | None = None
    daily: tuple[int, int] | None = None


def span_of(question: str, newest: Moment, now: Moment) -> Span | None:
    """Return the time that a question names; None if it names none.

    Args:
        newest: returns the newest moment that the index knows of; asked where a day has no year, or a time no day.
        now: returns the present time; asked for `yesterday`, `the last 2 hours` and such.
    """
    try:
        days = _apart(days_of(question, newest, now))
        clocks = [clock for clock in _apart(clocks_of(question)) if not any(_overlap(clock, each) for each in days)]
        return _span(question, days, clocks, newest) if days or clocks else _ago(question, now)
    except (OverflowError, ValueError):  # beyond the calendar
        return None


def _span(question: str, days: list[Days], clocks: list[Clock], newest: Moment) -> Span:
    if not days:
        clock = next((clock for clock in clocks if not clock.is_part), None)
        if clock is None:
            return Span(daily=(clocks[0].since, clocks[0].until))
        return _of_day(question, _latest_day(clock, newest()), clocks)
    if len(days) > 1 and _TO.fullmatch(question, days[0].end, days[1].start):
        return Span(_begin(days[0].first), _begin(days[1].last))
    day = days[0]
    since, until = _begin(day.first), _begin(day.last)
    if clocks and until - since == DAY_US:
        return _of_day(question, day, clocks)
    daily = (clocks[0].since, clocks[0].until) if clocks else None
    if _AFTER.search(question, 0, day.start):
        return Span(since, None, daily)
    if _BEFORE.search(question, 0, day.start):
        return Span(None, since, daily)
    wide = DAY_US if _ABOUT.search(question, 0, day.start) else 0
    return Span(since - wide, until + wide, daily)


def _of_day(question: str, day: Days, clocks: Sequence[Clock]) -> Span:
    """Return the span of a day that the times of day beside it leave."""
    begin = _begin(day.first)
    since, until = _window(question, clocks)
    if day.is_eve and (since, until) == (0, 60):  # midnight is at its end
        begin += DAY_US
    return Span(begin + (since or 0) * SECOND_US, begin + DAY_US if until is None else begin + until * SECOND_US)


def _window(question: str, clocks: Sequence[Clock]) -> tuple[int | None, int | None]:
    """Return from and until which second of the day; None: from its beginning, until its end."""
    clock = clocks[0]
    if len(clocks) > 1 and _TO.fullmatch(question, clock.end, clocks[1].start):
        return clock.since, clocks[1].until if clocks[1].is_part else clocks[1].since
    if clock.is_part:
        return clock.since, clock.until
    if _AFTER.search(question, 0, clock.start):
        return clock.since, None
    if _BEFORE.search(question, 0, clock.start):
        return None, clock.since
    if _ABOUT.search(question, 0, clock.start):
        wide = _AROUND_SECOND_S if clock.until - clock.since == 1 else _AROUND_S
        return max(0, clock.since - wide), clock.until + wide
    return clock.since, clock.until


def _latest_day(clock: Clock, newest: int) -> Days:
    """Return the latest day on which a time of day was reached."""
    day = from_us(newest).date()
    if _begin(day) + clock.since * SECOND_US > newest:
        day -= dt.timedelta(days=1)
    return Days(clock.start, clock.start, day, day + dt.timedelta(days=1))


def _ago(question: str, now: Moment) -> Span | None:
    found = _AGO.search(question)
    if found is None:
        return None
    count = number(found[1]) if found[1] else 1.0
    return Span(since=now() - round(count * _UNITS_S[found[2].lower()]) * SECOND_US)


def _apart(found: Iterable[_T]) -> list[_T]:
    """Return what is named, in the order of the question; of those that overlap, the first given."""
    kept: list[_T] = []
    for each in found:
        if not any(_overlap(each, other) for other in kept):
            kept.append(each)
    return sorted(kept, key=lambda each: each.start)


def _overlap(one: Days | Clock, other: Days | Clock) -> bool:
    return one.start < other.end and other.start < one.end


def _begin(day: dt.date) -> int:
    return to_us(dt.datetime.combine(day, dt.time(), dt.UTC))
