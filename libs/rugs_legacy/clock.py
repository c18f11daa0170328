"""Old timestamps to microseconds since the Unix epoch, fast.

Whether a format writes local times without a zone, or aware ones, is a fact about the
format that its reader knows; the look of a string decides nothing. A recorder writes its times in order: of
a local time that occurred twice, because clocks were changed, the occurrence is meant that does not lie before
the time read last. The name of the zone that is returned beside the time says which one was taken.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from rugs_core.time import SECOND_US, to_us
from rugs_legacy.errors import UnreadableError
from rugs_proto.envelope import TS_END_US, TS_MIN_US

_ISO: Final = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d):(\d\d)(?:\.(\d{3}|\d{6}))?(Z|[+-]\d\d:\d\d)?", re.ASCII
).fullmatch
_MINUTE_US: Final = 60_000_000
_CACHED_MINUTES: Final = 4096
_OUT_OF_ORDER_US: Final = 60_000_000
"""How far a recorder's times may step back without a change of clocks: several writers share a file."""


def zone(name: str) -> tzinfo:
    """Return a time zone by its IANA name.

    Raises:
        ValueError: if there is no such zone.
    """
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:  # a folder's name is an OSError, a missing one a KeyError
        raise ValueError(f"no such time zone: {name!r} (use a name such as America/New_York)") from error


class Clock:
    """Converts the timestamps of one file, in the file's order.

    `aware` says that the format writes UTC offsets; where one is missing there, the
    time is local, as it is for every timestamp of a format that is not aware.
    """

    def __init__(self, timezone: str, *, aware: bool) -> None:
        self._zone_name = timezone
        self._zone = zone(timezone)
        self._aware = aware
        self._minutes: dict[str, tuple[int, str]] = {}
        self._latest: int | None = None
        """The time that was read last."""

    def read(self, text: str) -> tuple[int, str]:
        """Return the time in microseconds, UTC, and the zone that was assumed.

        The zone is "" where the text carries its offset; `NAME;fold=0` or `NAME;fold=1` where the local
        time occurred twice and the first, or the second, is taken; `NAME;gap` where it never occurred
        and the offset before the change is taken.

        Raises:
            UnreadableError: if it is no timestamp of this format, or outside 2000 to 2200.
        """
        # All timestamps of a minute share the conversion: `2025-10-30T15:06:58.066931+00:00`.
        minute = self._minutes.get(text[:17] + text[26:])
        digits = text[17:19] + text[20:26]
        if minute is None or len(digits) != 8 or text[19] != "." or not (digits.isdigit() and digits.isascii()):
            return self._read_whole(text)
        micros = int(digits)
        if micros >= _MINUTE_US:
            raise UnreadableError(f"timestamp is no time: {text!r}")
        self._latest = minute[0] + micros
        return self._latest, minute[1]

    def _read_whole(self, text: str) -> tuple[int, str]:
        parts = _ISO(text)
        if parts is None:
            raise UnreadableError(f"timestamp is not as this format writes it: {text[:40]!r}")
        minute, seconds, fraction, offset = parts.groups()
        if offset is not None and not self._aware:
            raise UnreadableError(f"timestamp carries an offset, which this format never writes: {text!r}")
        micros = int(seconds) * SECOND_US + int((fraction or "").ljust(6, "0"))
        if micros >= _MINUTE_US:
            raise UnreadableError(f"timestamp is no time: {text!r}")
        try:
            minutes = self._candidates(datetime.fromisoformat(minute), offset)
        except (ValueError, OverflowError) as error:
            raise UnreadableError(f"timestamp is no time: {text!r}") from error
        base, assumed = minutes[0]
        if len(minutes) > 1 and self._is_second(minutes[0][0] + micros, minutes[1][0] + micros):
            base, assumed = minutes[1]
        if not TS_MIN_US <= base + micros < TS_END_US:
            raise UnreadableError(f"timestamp is outside 2000 to 2200: {text!r}")
        if len(minutes) == 1:
            if len(self._minutes) >= _CACHED_MINUTES:
                self._minutes.clear()
            # A whole minute lies within the range or outside of it: both ends are whole minutes.
            self._minutes[f"{minute}:{offset or ''}"] = base, assumed
        self._latest = base + micros
        return self._latest, assumed

    def _is_second(self, first: int, second: int) -> bool:
        """Whether a local time that occurred twice is the second: the first lies before the time read last."""
        if self._latest is None:
            return False
        earliest = self._latest - _OUT_OF_ORDER_US
        return first < earliest <= second

    def _candidates(self, local: datetime, offset: str | None) -> list[tuple[int, str]]:
        """Return the minutes that a local one may be: each one's first microsecond, UTC, and the zone assumed."""
        if offset is not None:
            aware = datetime.fromisoformat(local.isoformat() + offset)
            return [(to_us(aware), "")]
        first, second = (local.replace(tzinfo=self._zone, fold=fold) for fold in (0, 1))
        begins = [to_us(moment) for moment in (first, second)]
        if begins[0] == begins[1]:
            return [(begins[0], self._zone_name)]
        if first.astimezone(UTC).astimezone(self._zone).replace(tzinfo=None) != local:
            return [(begins[0], f"{self._zone_name};gap")]
        return [(begin, f"{self._zone_name};fold={fold}") for fold, begin in enumerate(begins)]
