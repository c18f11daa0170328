"""Numbers, times and names in the words of summaries. English, whatever the locale; one line, whatever the value."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import Final

from rugs_core.time import from_us
from rugs_discovery.wording import counted as counted
from rugs_discovery.wording import printable, shortened

_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_LONGEST_NAME: Final = 60


def moment(micros: int) -> str:
    """Return a time in words: `Thursday 30 October 2025 at 19:06 UTC`."""
    at = from_us(micros)
    return f"{_WEEKDAYS[at.weekday()]} {at.day} {_MONTHS[at.month - 1]} {at.year} at {at:%H:%M} UTC"


def iso(micros: int) -> str:
    """Return a time as ISO 8601 text, UTC, to the microsecond."""
    return from_us(micros).isoformat(timespec="microseconds")


def clock(micros: int) -> str:
    """Return the time of day, UTC: `19:06:58`."""
    return f"{from_us(micros):%H:%M:%S}"


def duration(seconds: float) -> str:
    """Return a duration: `41.5 s`, `4 min 4 s`, `2 h 5 min`, `3 d 2 h`."""
    if seconds < 60:
        return f"{round(seconds, 1):g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def multiplier(price: float) -> str:
    """Return a price as a multiple of the start price: `4.41x`, `0.0047x`, `163x`."""
    if not isfinite(price):
        return "an impossible price"
    if abs(price) >= 100_000:
        return f"{price:.3g}x"
    if abs(price) >= 100:
        return f"{price:.0f}x"
    return f"{price:.1f}x" if abs(price) >= 10 else f"{price:.2f}x" if abs(price) >= 0.1 else f"{price:.2g}x"


def sol(amount: float, *, sign: bool = False) -> str:
    """Return an amount of SOL to three significant digits: `0.25 SOL`, with `sign` also `+0.25 SOL`."""
    return f"{amount:+.3g} SOL" if sign else f"{amount:.3g} SOL"


def shown(text: str) -> str:
    """Return a text of the feed on one line, a long one cut."""
    return printable(shortened(text, _LONGEST_NAME))


def name(player: str) -> str:
    """Return the name of a player as it is shown."""
    return shown(player)


def listed(parts: Iterable[str]) -> str:
    """Return an enumeration: `a`, `a and b`, `a, b and c`."""
    found = list(parts)
    return found[0] if len(found) == 1 else f"{', '.join(found[:-1])} and {found[-1]}" if found else ""


def either(parts: Iterable[str]) -> str:
    """Return a choice: `number or null`."""
    return " or ".join(parts)
