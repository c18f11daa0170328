"""The bounded queue in memory between whoever publishes and the background thread."""

from __future__ import annotations

from collections import deque
from threading import RLock
from typing import Final

from rugs_client.clock import Change
from rugs_client.events import Ending, Entry, Loss
from rugs_client.records import Record

_MOST_LOSSES: Final = 1000
"""Sessions whose losses are kept apart; those of any further one count in their source's own session."""
_ENTRY: Final = 512
"""Bytes that an entry needs beside its body, about."""


Item = Record | Entry | Loss | Ending | Change


class Intake:
    """Takes events from any thread in no time, in order; drops the newest when full.

    Each run of dropped records of a session is a `Loss` in the queue, where they would have
    stood. Whoever hands over an entry hears that it was dropped, and tells its sender.
    """

    def __init__(self, max_events: int, max_bytes: int) -> None:
        self.accepted = 0
        self.dropped = 0
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._bytes = 0
        self._queue: deque[tuple[Item, int]] = deque()
        """Each with the bytes that it counts."""
        self._losses: dict[tuple[str, str | None], Loss] = {}
        self._closed = False
        # Reentrant: a destructor or a signal handler may publish in the middle of `put`.
        self._lock = RLock()

    def put(self, item: Record | Entry) -> bool:
        """Queue an event; return False if it had to be dropped."""
        size = item.size if isinstance(item, Record) else item.size + _ENTRY
        with self._lock:
            if self._closed or len(self._queue) >= self._max_events or self._bytes + size > self._max_bytes:
                self.dropped += 1
                if isinstance(item, Record):
                    reason = "closed" if self._closed else "queue full"
                    self._lose(Loss(item.source, 1, item.recv_ts, item.recv_ts, reason, item.session))
                return False
            if self._losses and isinstance(item, Record):
                self._tell_loss(item.source, item.session)
            self._queue.append((item, size))
            self._bytes += size
            self.accepted += 1
            return True

    def drop(self, loss: Loss) -> None:
        """Count an event that cannot be queued; its run is queued with what follows."""
        with self._lock:
            self.dropped += 1
            self._lose(loss)

    def end(self, ending: Ending) -> None:
        """Queue the end of a session."""
        with self._lock:
            self._tell_loss(ending.source, ending.session)
            self._queue.append((ending, 0))

    def change(self, change: Change) -> None:
        """Queue what has happened to the clocks."""
        with self._lock:
            for place in [*self._losses]:  # a run of losses ends here: its times are those of one clock
                self._tell_loss(*place)
            self._queue.append((change, 0))

    def take(self, max_events: int, max_bytes: int) -> list[Item]:
        """Return the oldest events and losses, at least one; a loss that goes on is told of when the queue is empty."""
        taken: list[Item] = []
        with self._lock:
            bytes_left = self._bytes - max_bytes
            while self._queue and len(taken) < max_events and (not taken or self._bytes > bytes_left):
                item, size = self._queue.popleft()
                self._bytes -= size
                taken.append(item)
            if not self._queue:
                taken += self._losses.values()
                self._losses.clear()
            return taken

    def close(self) -> None:
        """Drop whatever comes from now on."""
        with self._lock:
            self._closed = True

    def _tell_loss(self, source: str, session: str | None) -> None:
        if (loss := self._losses.pop((source, session), None)) is not None:
            self._queue.append((loss, 0))

    def _lose(self, lost: Loss) -> None:
        place = lost.source, lost.session
        if place not in self._losses and len(self._losses) >= _MOST_LOSSES:
            place, lost = (lost.source, None), lost._replace(session=None)
        before = self._losses.get(place)
        if before is not None:
            lost = before._replace(lost=before.lost + lost.lost, until=lost.until)
        self._losses[place] = lost
