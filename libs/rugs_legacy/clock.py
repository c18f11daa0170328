"""Old timestamps to microseconds since the Unix epoch, fast.

Whether a format writes local times without a zone, or aware ones, is a fact about the
format that its reader knows; the look of a string decides nothing. A local time that
occurred twice, or never, because clocks were changed is converted by a fixed rule, and
the name of the zone that is returned beside it says so.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from rugs_legacy.errors import UnreadableError
from rugs_proto.envelope import TS_END_US, TS_MIN_US

_ISO: Final = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d):(\d\d)(?:\.(\d{3}|\d{6}))?(Z|[+-]\d\d:\d\d)?", re.ASCII
).fullmatch
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - naive on purpose: local times are subtracted from it
_MICROSECOND: Final = timedelta(microseconds=1)
_MINUTE_US: Final = 60_000_000
_CACHED_MINUTES: Final = 4096


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
    """Converts the timestamps of one file.

    `aware` says that the format writes UTC offsets; where one is missing there, the
    time is local, as it is for every timestamp of a format that is not aware.
    """

    def __init__(self, timezone: str, *, aware: bool) -> None:
        self._zone_name = timezone
        self._zone = zone(timezone)
        self._aware = aware
        self._minutes: dict[str, tuple[int, str]] = {}

    def read(self, text: str) -> tuple[int, str]:
        """Return the time in microseconds, UTC, and the zone that was assumed.

        The zone is "" where the text carries its offset; `NAME;fold=0` where the local
        time occurred twice and the first is taken; `NAME;gap` where it never occurred
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
        return minute[0] + micros, minute[1]

    def _read_whole(self, text: str) -> tuple[int, str]:
        parts = _ISO(text)
        if parts is None:
            raise UnreadableError(f"timestamp is not as this format writes it: {text[:40]!r}")
        minute, seconds, fraction, offset = parts.groups()
        if offset is not None and not self._aware:
            raise UnreadableError(f"timestamp carries an offset, which this format never writes: {text!r}")
        try:
            base, assumed = self._minute(datetime.fromisoformat(minute), offset)
        except (ValueError, OverflowError) as error:
            raise UnreadableError(f"timestamp is no time: {text!r}") from error
        micros = int(seconds) * 1_000_000 + int((fraction or "").ljust(6, "0"))
        if micros >= _MINUTE_US:
            raise UnreadableError(f"timestamp is no time: {text!r}")
        if not TS_MIN_US <= base + micros < TS_END_US:
            raise UnreadableError(f"timestamp is outside 2000 to 2200: {text!r}")
        if len(self._minutes) >= _CACHED_MINUTES:
            self._minutes.clear()
        # A whole minute lies within the range or outside of it: both ends are whole minutes.
        self._minutes[f"{minute}:{offset or ''}"] = base, assumed
        return base + micros, assumed

    def _minute(self, local: datetime, offset: str | None) -> tuple[int, str]:
        """Return a minute's first microsecond, UTC, and the zone that was assumed."""
        if offset is not None:
            aware = datetime.fromisoformat(local.isoformat() + offset)
            return (local - _EPOCH) // _MICROSECOND - _offset(aware) // _MICROSECOND, ""
        first, second = local.replace(tzinfo=self._zone, fold=0), local.replace(tzinfo=self._zone, fold=1)
        base = (local - _EPOCH) // _MICROSECOND - _offset(first) // _MICROSECOND
        if first.utcoffset() == second.utcoffset():
            return base, self._zone_name
        real = first.astimezone(UTC).astimezone(self._zone).replace(tzinfo=None) == local
        return base, f"{self._zone_name};{'fold=0' if real else 'gap'}"


def _offset(moment: datetime) -> timedelta:
    return moment.utcoffset() or timedelta()
