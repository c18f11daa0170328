"""Reading the time that an item tells, where nobody can misunderstand it."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from rugs_core.time import to_us
from rugs_proto.rules import TS_END_US, TS_MIN_US

_UNITS: Final = (1_000_000, 1_000, 1)
"""Microseconds in a second, a millisecond, a microsecond: between 2000 and 2200 no number fits two of them."""
_NANOSECONDS: Final = 1_000
_LONGEST_DIGITS: Final = 19


def read_time(told: object) -> int | None:
    """Return a time in microseconds since the Unix epoch, UTC; None where it is not surely known.

    Taken are numbers since the epoch, in seconds, milliseconds, microseconds or nanoseconds (also
    as digits in text), ISO 8601 with a zone, and msgpack's timestamps. A time without a zone
    could be anywhere's. What lies outside 2000 to 2200 is no time.
    """
    if isinstance(told, str):
        told = _written(told)
    if isinstance(told, datetime):
        return _within(to_us(told)) if told.tzinfo is not None else None
    if type(told) is int:
        micros = next((us for unit in _UNITS if (us := _within(told * unit)) is not None), None)
        return _within(told // _NANOSECONDS) if micros is None else micros
    if type(told) is float and abs(told) < TS_END_US:  # neither NaN nor infinite
        return next((us for unit in _UNITS if (us := _within(round(told * unit))) is not None), None)
    return None


def _written(told: str) -> int | datetime | None:
    if told.isascii() and told.isdigit():
        return int(told) if len(told) <= _LONGEST_DIGITS else None
    try:
        return datetime.fromisoformat(told)
    except ValueError:
        return None


def _within(micros: int) -> int | None:
    return micros if TS_MIN_US <= micros < TS_END_US else None
