"""How much may come: from one sender a second, and from all of them at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from rugs_capture.ingest.terms import RequestError

BURST_SECONDS: Final = 2.0
"""Seconds for which the rate may be sent at once after a rest."""
_LONGEST_WAIT: Final = 60.0
_ROOM_AGAIN: Final = 1.0


class Allowance:
    """A bucket of so many units that fills at `rate` a second.

    A sender may go into debt, once: how much a request costs is known only when it has been
    read. It then waits until the debt is paid, so over time no more than the rate comes.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._level = self._most = rate * BURST_SECONDS
        self._at = clock()

    def spend(self, units: float) -> None:
        """Take units out, whatever there is."""
        self._fill()
        self._level -= units

    @property
    def wait(self) -> float:
        """Seconds until more may come; 0 if it may now."""
        self._fill()
        return 0.0 if self._level > 0 else min(_LONGEST_WAIT, (1 - self._level) / self._rate)

    def _fill(self) -> None:
        now = self._clock()
        self._level = min(self._most, self._level + (now - self._at) * self._rate)
        self._at = now


class Sender:
    """One who sends, with what he may bring: so many events, and so many bytes, a second."""

    def __init__(self, events_per_second: float, bytes_per_second: float) -> None:
        self._events = Allowance(events_per_second)
        self._bytes = Allowance(bytes_per_second)

    @property
    def wait(self) -> float:
        """Seconds until he may bring more; 0 if he may now."""
        return max(self._events.wait, self._bytes.wait)

    def check(self) -> None:
        """Refuse what comes too early.

        Raises:
            RequestError: saying when to come again.
        """
        if wait := self.wait:
            raise RequestError(429, "more comes than this sender may bring", wait)

    def spend(self, events: int, size: int) -> None:
        """Count what he has brought."""
        self._events.spend(events)
        self._bytes.spend(size)


class Room:
    """Bytes of bodies that may be held in memory at once, by all requests together."""

    def __init__(self, most: int) -> None:
        self.held = 0
        self.most = most

    def guest(self) -> Guest:
        """Return a place for one request: `with room.guest() as place: place.add(n)`."""
        return Guest(self)


class Guest:
    """What one request holds, given back at its end."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._mine = 0

    def add(self, size: int) -> None:
        """Hold more.

        Raises:
            RequestError: if there is no room for it; one alone always has room.
        """
        if self._room.held > self._mine and self._room.held + size > self._room.most:
            raise RequestError(429, "too much comes at once", _ROOM_AGAIN)
        self._mine += size
        self._room.held += size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._room.held -= self._mine
        self._mine = 0
