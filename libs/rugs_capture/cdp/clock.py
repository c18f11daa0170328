"""From Chrome's clock to the wall's."""

from __future__ import annotations


class Clock:
    """Maps the times of one browser's events, monotonic seconds, to microseconds since the Unix epoch, UTC.

    A handshake tells both times at once: from then on the error is that of Chrome's two
    readings, microseconds, for as long as nobody sets the wall clock; the next handshake knows of
    that. Before the first handshake, where all sockets were open before we came, an event is taken to
    have happened when it reached us; the one that was quickest to come counts, so times are late by
    as long as that one took: about a millisecond where Chrome is on the same machine.
    """

    def __init__(self) -> None:
        self._told: float | None = None
        self._seen: float | None = None

    def told(self, monotonic: float, wall: float) -> None:
        """Learn what both clocks showed at one moment, in seconds."""
        self._told = wall - monotonic

    def wall_us(self, monotonic: float, now_us: int) -> int:
        """Return the time of an event that has just come."""
        if self._told is not None:
            return round((monotonic + self._told) * 1e6)
        late = now_us / 1e6 - monotonic
        self._seen = late if self._seen is None else min(late, self._seen)
        return round((monotonic + self._seen) * 1e6)
