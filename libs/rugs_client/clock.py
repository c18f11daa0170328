"""The wall clock, compared with a clock that nobody sets.

Events carry the wall clock's time, which somebody may set: NTP at the start of a machine, a person, a
hypervisor. `Clock` finds each such step, so that it can be recorded; `spans` gives the true length of a
period in which a step happened. The clock that nobody sets is CLOCK_BOOTTIME: unlike CLOCK_MONOTONIC it
goes on while the machine is suspended, so a suspend is no step.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import RLock
from time import clock_gettime_ns, monotonic_ns, time_ns
from typing import Final, NamedTuple

from rugs_core.time import now_us

STEP_US: Final = 500_000
"""Microseconds by which the wall clock must be off before that is a step."""
_STEP_NS: Final = STEP_US * 1000
_SLEW: Final = 10
"""One part in so many of the time that passed is slewing (NTP, at most 8.3% with chrony), and no step."""
_TIGHT_NS: Final = 2_000_000
"""Nanoseconds within which all clocks must be read, or they are read again: the process may stand still in between."""
_TRIES: Final = 10
_BOOTTIME: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_us() -> int:
    """Return the microseconds since the machine started, also those that it was suspended."""
    return clock_gettime_ns(_BOOTTIME) // 1000


def boot_id() -> str:
    """Return what names this start of the machine; empty where the system does not know it."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


class Moment(NamedTuple):
    """A point in time on both clocks, in microseconds: since the Unix epoch, and since the machine started."""

    wall: int
    boot: int

    def earlier(self, micros: int) -> Moment:
        """Return the moment so many microseconds before."""
        return Moment(self.wall - micros, self.boot - micros)

    def later(self, micros: int) -> Moment:
        """Return the moment so many microseconds after."""
        return self.earlier(-micros)

    def wall_at(self, now: Moment) -> int:
        """Return when it was, as the wall clock of `now` counts: other than `wall` if somebody has set it since."""
        return self.wall + slip(self, now)


def moment() -> Moment:
    """Return the present moment."""
    return Moment(now_us(), boot_us())


def slip(since: Moment, until: Moment) -> int:
    """Return by how many microseconds the wall clock was set ahead (or, below 0, back) between two moments.

    Returns 0 for what may be slewing: see `STEP_US`.
    """
    passed = max(0, until.boot - since.boot)
    off = until.wall - since.wall - passed
    return off if abs(off) > STEP_US + passed // _SLEW else 0


def spans(since: int, until: int, slipped: int) -> list[tuple[int, int]]:
    """Return a period in microseconds of wall time: twice if the clock was set by `slipped` within it.

    The first span is as the old clock would have shown it, the second as the new one would.
    """
    if not slipped:
        return [(min(since, until), until)]
    return [(min(since, until - slipped), until - slipped), (min(since + slipped, until), until)]


class Step(NamedTuple):
    """The wall clock was set: at `boot` it showed `new`, where it would have shown `old`. Microseconds."""

    old: int
    new: int
    boot: int


class Suspension(NamedTuple):
    """The machine was suspended between two times. Microseconds since the Unix epoch, UTC."""

    since: int
    until: int


Change = Step | Suspension


class Reading(NamedTuple):
    """What all clocks show at one moment, in microseconds. `running` does not count suspension."""

    wall: int
    boot: int
    running: int


def read_clocks() -> Reading | None:
    """Read all clocks at one moment; None if the process does not run long enough at a stretch."""
    for _ in range(_TRIES):
        running = monotonic_ns()
        wall, boot = time_ns(), clock_gettime_ns(_BOOTTIME)
        if monotonic_ns() - running < _TIGHT_NS:
            return Reading(wall // 1000, boot // 1000, running // 1000)
    return None


class Clock:
    """Tells when the wall clock was set, and when the machine was suspended. Safe to use from any thread.

    The reference follows the wall clock as fast as a clock is slewed, so drift and slewing never add
    up to a step, and many small steps do. Each change is handed to `tell` before anybody gets a later time, so
    that whoever queues changes and events in one queue has them in order.
    """

    def __init__(self, tell: Callable[[Change], None], read: Callable[[], Reading | None] = read_clocks) -> None:
        self._tell = tell
        self._read = read
        # Reentrant: a destructor or a signal handler may publish in the middle of a look.
        self._lock = RLock()
        self._looking = False
        self._last = read() or Reading(now_us(), boot_us(), monotonic_ns() // 1000)
        self._offset = self._last.wall - self._last.boot
        """What the wall clock is expected to be ahead of the other, microseconds."""
        self._apart_ns = (self._last.wall - self._last.running) * 1000

    def now(self) -> int:
        """Return the time, microseconds since the Unix epoch, UTC, after a look at what has changed."""
        wall = time_ns()
        if abs(wall - monotonic_ns() - self._apart_ns) > _STEP_NS:  # cheap; a look decides
            self.look()
        return wall // 1000

    def look(self) -> None:
        """Compare the clocks, and tell what has happened since the last look."""
        with self._lock:
            if self._looking:
                return
            self._looking = True
            try:
                self._compare()
            finally:
                self._looking = False

    def _compare(self) -> None:
        if (found := self._read()) is None:
            return
        last, passed = self._last, max(0, found.boot - self._last.boot)
        if passed - (found.running - last.running) > STEP_US:
            self._tell(Suspension(last.wall, last.wall + passed))
        off, most = found.wall - found.boot - self._offset, passed // _SLEW
        if abs(off) > STEP_US + most:
            self._tell(Step(found.boot + self._offset, found.wall, found.boot))
            self._offset += off
        else:
            self._offset += max(-most, min(off, most))
        self._last, self._apart_ns = found, (found.wall - found.running) * 1000
