"""The bounded queue in memory between whoever publishes and the background thread."""

from __future__ import annotations

from collections import deque
from threading import RLock
from typing import Final

from rugs_client.events import Loss, Record

_EVENT: Final = 500
"""Bytes that an event counts beside `raw`, about."""


class Intake:
    """Takes events from any thread in no time, in order; drops the newest when full.

    Each run of dropped events of a source is a `Loss` in the queue, where they would have stood.
    """

    def __init__(self, max_events: int, max_bytes: int) -> None:
        self.accepted = 0
        self.dropped = 0
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._bytes = 0
        self._queue: deque[Record | Loss] = deque()
        self._losses: dict[str, Loss] = {}
        self._closed = False
        # Reentrant: a destructor or a signal handler may publish in the middle of `put`.
        self._lock = RLock()

    def put(self, record: Record) -> bool:
        """Queue an event; return False if it had to be dropped."""
        size = _size(record)
        with self._lock:
            if self._closed or len(self._queue) >= self._max_events or self._bytes + size > self._max_bytes:
                self.dropped += 1
                self._lose(record)
                return False
            if self._losses and (loss := self._losses.pop(record.source, None)) is not None:
                self._queue.append(loss)
            self._queue.append(record)
            self._bytes += size
            self.accepted += 1
            return True

    def take(self, max_events: int) -> list[Record | Loss]:
        """Return the oldest events and losses; a loss that goes on is told of when the queue is empty."""
        with self._lock:
            taken = [self._queue.popleft() for _ in range(min(max_events, len(self._queue)))]
            self._bytes -= sum(_size(item) for item in taken if isinstance(item, Record))
            if not self._queue:
                taken += self._losses.values()
                self._losses.clear()
            return taken

    def close(self) -> None:
        """Drop whatever comes from now on."""
        with self._lock:
            self._closed = True

    def _lose(self, record: Record) -> None:
        loss = self._losses.get(record.source)
        when = record.recv_ts
        if loss is None:
            loss = Loss(record.source, 0, when, when, "closed" if self._closed else "queue full")
        self._losses[record.source] = loss._replace(lost=loss.lost + 1, until=when)


def _size(record: Record) -> int:
    return _EVENT + (len(record.raw) if record.raw is not None else 0)
