"""Days that a question names: `21 December 2025`, `2025-12-21`, `mid december`, `new year's eve`, `yesterday`. Pure."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from rugs_core.time import from_us
from rugs_index.search.numerals import ORDINALS

Moment = Callable[[], int]
"""Returns a moment, in microseconds since the Unix epoch."""

_NAMES: Final = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
                 "november", "december")  # fmt: skip
_MONTHS: Final = {
    **{name: number for number, name in enumerate(_NAMES, 1)},
    **{name[:3]: number for number, name in enumerate(_NAMES, 1)},
    "sept": 9,
}
_MONTH: Final = "|".join(sorted(_MONTHS, key=len, reverse=True))
_ALONE: Final = "|".join(name for name in _NAMES if name not in ("march", "may"))
"""Months whose names mean nothing else."""
_YEAR: Final = r"(?:,? (20\d\d)\b(?!:))?"
_HOLIDAYS: Final = {
    r"new year'?s'? eve": (12, 31),
    r"new year'?s'?(?: day)?(?! eve)": (1, 1),
    r"(?:st\.? )?valentine'?s'?(?: day)?": (2, 14),
    r"(?:st\.?|saint) patrick'?s'?(?: day)?": (3, 17),
    r"independence day|fourth of july": (7, 4),
    r"hallowe'?en": (10, 31),
    r"christmas eve": (12, 24),
    r"christmas(?: day)?(?! eve)": (12, 25),
}
"""Month and day."""
_RELATIVE: Final = {"today": 0, "yesterday": 1}
"""Days ago."""
_MIDDLE: Final = 10
_END: Final = 20
"""Days of a month at which its middle and its last part begin."""


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_ISO: Final = _compiled(r"(?<![\w-])(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?=T\d|\b)(?!-)")
_NUMERIC: Final = _compiled(r"(?<![\w./-])(\d{1,2})([./-])(\d{1,2})\2(\d{4})(?![\w-])")
_DAY_MONTH: Final = _compiled(rf"\b(\d{{1,2}})(?:st|nd|rd|th)?(?: of)?[ -]({_MONTH})\b\.?{_YEAR}")
_ORDINAL: Final = _compiled(rf"\b({'|'.join(ORDINALS)}) of ({_MONTH})\b{_YEAR}")
_MONTH_DAY: Final = _compiled(rf"\b({_MONTH})\b\.? (\d{{1,2}})(?:st|nd|rd|th)?\b(?![:.]\d){_YEAR}")
_MONTH_YEAR: Final = _compiled(rf"\b(?:(early|mid|late)[ -])?({_MONTH})\b\.?,? (20\d\d)\b")
_MONTH_ALONE: Final = _compiled(rf"\b(?:(early|mid|late)[ -]({_MONTH})|(?:in|of|during) ({_MONTH})|({_ALONE}))\b")
_YEAR_ALONE: Final = _compiled(r"\b(?:in|of|during|year|since|before|after|until) (20\d\d)\b(?![-/.:]\d)")
_HOLIDAY: Final = [(_compiled(rf"\b(?:{words}){_YEAR}(?!\w)"), month, day) for words, (month, day) in _HOLIDAYS.items()]
_RELATIVE_DAY: Final = _compiled(rf"\b({'|'.join(_RELATIVE)})\b")


class Days(NamedTuple):
    """Days from `first` up to and without `last`, and the place in the question that names them.

    Attributes:
        is_eve: the night at its end belongs to it, as that of New Year's Eve.
    """

    start: int
    end: int
    first: dt.date
    last: dt.date
    is_eve: bool = False


def days_of(question: str, newest: Moment, now: Moment) -> Iterator[Days]:
    """Give the days that a question names, the surest ways of naming them first; they may overlap.

    Args:
        newest: returns the newest moment that the index knows of: a day without a year is the latest one before it.
        now: returns the present time.

    Raises:
        OverflowError, ValueError: if a day is beyond the calendar.
    """
    for found in _ISO.finditer(question):
        yield from _day(found, int(found[1]), int(found[3]), int(found[4]))
    for found in _NUMERIC.finditer(question):
        first, second = int(found[1]), int(found[3])
        day, month = (second, first) if second > len(_NAMES) else (first, second)
        yield from _day(found, int(found[4]), month, day)
    for pattern, month_place, day_place in ((_DAY_MONTH, 2, 1), (_ORDINAL, 2, 1), (_MONTH_DAY, 1, 2)):
        for found in pattern.finditer(question):
            told = found[day_place].lower()
            yield from _day(found, found[3], _month(found[month_place]), ORDINALS.get(told) or int(told), newest)
    for pattern, month, day in _HOLIDAY:
        for found in pattern.finditer(question):
            yield from _day(found, found[1], month, day, newest)
    yield from _longer(question, newest)
    for found in _RELATIVE_DAY.finditer(question):
        that = from_us(now()).date() - dt.timedelta(days=_RELATIVE[found[1].lower()])
        yield Days(found.start(), found.end(), that, that + dt.timedelta(days=1))


def _longer(question: str, newest: Moment) -> Iterator[Days]:
    """Give the months and years that a question names."""
    for found in _MONTH_YEAR.finditer(question):
        yield _part(found, int(found[3]), _month(found[2]), found[1])
    for found in _MONTH_ALONE.finditer(question):
        month = _month(found[2] or found[3] or found[4])
        latest = from_us(newest())
        yield _part(found, latest.year - (month > latest.month), month, found[1])
    for found in _YEAR_ALONE.finditer(question):
        year = int(found[1])
        yield Days(found.start(1), found.end(), dt.date(year, 1, 1), dt.date(year + 1, 1, 1))


def _month(name: str) -> int:
    return _MONTHS[name.lower()]


def _day(
    found: re.Match[str], year: str | int | None, month: int, day: int, newest: Moment = lambda: 0
) -> Iterator[Days]:
    """Give a day, if there is one such."""
    try:
        if year is not None:
            first = dt.date(int(year), month, day)
        else:
            latest = from_us(newest()).date()
            is_before = (month, day) <= (latest.month, latest.day)
            first = dt.date(latest.year if is_before else latest.year - 1, month, day)
    except ValueError:
        return
    is_eve = found[0].lower().rstrip("0123456789, ").endswith(" eve")
    yield Days(found.start(), found.end(), first, first + dt.timedelta(days=1), is_eve)


def _part(found: re.Match[str], year: int, month: int, part: str | None) -> Days:
    """Return a month, or its early, middle or late part."""
    begin = dt.date(year, month, 1)
    after = dt.date(year + month // len(_NAMES), month % len(_NAMES) + 1, 1)
    part = (part or "").lower()
    first = begin.replace(day={"mid": _MIDDLE, "late": _END}.get(part, 1))
    last = begin.replace(day={"early": _MIDDLE + 1, "mid": _END + 1}[part]) if part in ("early", "mid") else after
    return Days(found.start(), found.end(), first, last)
