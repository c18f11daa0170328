"""Time as the whole project counts it: whole microseconds since the Unix epoch, UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from time import time_ns
from typing import Final

SECOND_US: Final = 1_000_000
DAY_US: Final = 86_400 * SECOND_US
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_DAY: Final = EPOCH.date()
_MICROSECOND: Final = timedelta(microseconds=1)


def now_us() -> int:
    """Return the present time in microseconds."""
    return time_ns() // 1000


def to_us(moment: datetime) -> int:
    """Return an aware time in microseconds, exactly; what is finer is cut off."""
    return (moment - EPOCH) // _MICROSECOND


def from_us(micros: int) -> datetime:
    """Return a time in microseconds as an aware datetime, UTC.

    Raises:
        OverflowError: if it is outside the years 1 to 9999.
    """
    return EPOCH + timedelta(microseconds=micros)


def date_of(micros: int) -> date:
    """Return the UTC day of a time in microseconds.

    Raises:
        OverflowError: if it is outside the years 1 to 9999.
    """
    return from_us(micros).date()
