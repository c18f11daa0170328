"""The bounded queue in memory between whoever publishes and the background thread."""

from __future__ import annotations

from collections import deque
from threading import RLock
from typing import Final

from rugs_client.clock import Change
from rugs_client.events import Ending, Entry, Loss, Record

_EVENT: Final = 500
"""Bytes that an event counts beside `raw`, about."""


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
        self._queue: deque[Item] = deque()
        self._losses: dict[tuple[str, str | None], Loss] = {}
        self._closed = False
        # Reentrant: a destructor or a signal handler may publish in the middle of `put`.
        self._lock = RLock()

    def put(self, item: Record | Entry) -> bool:
        """Queue an event; return False if it had to be dropped."""
        size = _size(item)
        with self._lock:
            if self._closed or len(self._queue) >= self._max_events or self._bytes + size > self._max_bytes:
                self.dropped += 1
                if isinstance(item, Record):
                    self._lose(item)
                return False
            if self._losses and isinstance(item, Record):
                self._tell_loss(item.source, item.session)
            self._queue.append(item)
            self._bytes += size
            self.accepted += 1
            return True

    def end(self, ending: Ending) -> None:
        """Queue the end of a session."""
        with self._lock:
            self._tell_loss(ending.source, ending.session)
            self._queue.append(ending)

    def change(self, change: Change) -> None:
        """Queue what has happened to the clocks."""
        with self._lock:
            for place in [*self._losses]:  # a run of losses ends here: its times are those of one clock
                self._tell_loss(*place)
            self._queue.append(change)

    def take(self, max_events: int) -> list[Item]:
        """Return the oldest events and losses; a loss that goes on is told of when the queue is empty."""
        with self._lock:
            taken = [self._queue.popleft() for _ in range(min(max_events, len(self._queue)))]
            self._bytes -= sum(_size(item) for item in taken if isinstance(item, Record | Entry))
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
            self._queue.append(loss)

    def _lose(self, record: Record) -> None:
        place, when = (record.source, record.session), record.recv_ts
        loss = self._losses.get(place)
        if loss is None:
            reason = "closed" if self._closed else "queue full"
            loss = Loss(record.source, 0, when, when, reason, record.session)
        self._losses[place] = loss._replace(lost=loss.lost + 1, until=when)


def _size(item: Record | Entry) -> int:
    if isinstance(item, Entry):
        return item.size
    return _EVENT + (len(item.raw) if item.raw is not None else 0)
