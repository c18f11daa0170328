"""The line of all events that the broker does not have yet, oldest first: in memory, in the spool, or both.

Its head is in memory. While all is well that is the whole line, and the spool is not touched.
What has to be kept safe is put into the spool too; what comes while the spool holds more than
memory does queues there only. So what is in memory alone is always the line's end.
"""

from __future__ import annotations

import sqlite3
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import structlog

from rugs_client.events import Entry
from rugs_client.spool import Spool
from rugs_proto.subjects import TARGET_BODY

_WINDOW: Final = 4 * 1024 * 1024
"""Bytes that may be held in memory."""
_READ: Final = 2 * TARGET_BODY
"""Bytes that are read from the spool at a time."""
_REST: Final = 0.25
"""Seconds that a failing spool is left alone."""

_T = TypeVar("_T")

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class Held:
    """An entry in memory since `since` (monotonic); `position` is where the spool has it too, 0 if it does not."""

    entry: Entry
    since: float
    position: int = 0


class Line:
    """Events on their way to the broker. Never fails: a broken spool is told of in `trouble`.

    Without a spool (None) the line is bounded by memory, and nothing survives the process.
    """

    def __init__(self, spool: Spool | None) -> None:
        self.done = 0
        self.trouble: str | None = None
        self._spool = spool
        self._held: deque[Held] = deque()
        self._unsaved: deque[Held] = deque()
        """The end of `_held`: what is in memory only."""
        self._bytes = 0
        self._loaded = 0
        """The last position of the spool that is, or was, held in memory too."""
        self._sent = self._removed = 0
        """The last positions that the broker has, and that have left the spool."""
        self._rest_until = 0.0

    def __len__(self) -> int:
        return len(self._unsaved) + self.spooled

    @property
    def spooled(self) -> int:
        """Events on disk."""
        return self._spool.count if self._spool is not None else 0

    @property
    def unsaved(self) -> int:
        """Events in memory only."""
        return len(self._unsaved)

    @property
    def age(self) -> float:
        """Seconds that the oldest event has been in memory only."""
        return time.monotonic() - self._unsaved[0].since if self._unsaved else 0.0

    def add(self, entries: Sequence[Entry], *, hold: bool) -> bool:
        """Put events at the end; return False if there is no place for them now.

        With `hold` they may be in memory only; else they go to disk, if that works.
        What a full spool refuses counts as placed: a gap stands for it.
        """
        if not hold or self._has_more_on_disk or self._bytes > _WINDOW:
            if self.save() and self._on_disk(lambda spool: spool.append(entries)) is not None:
                return True
            if self._has_more_on_disk or self._bytes > _WINDOW:
                return False
        now = time.monotonic()
        held = [Held(entry, now) for entry in entries]
        self._hold(held)
        self._unsaved.extend(held)
        return True

    def save(self) -> bool:
        """Put what is in memory only on disk, whatever the spool's bound; return whether that is done."""
        if not self._unsaved:
            return True
        entries = [held.entry for held in self._unsaved]
        if self._spool is None or self._on_disk(lambda spool: spool.append(entries, force=True)) is None:
            return False
        self._loaded = self._spool.end
        for position, held in enumerate(self._unsaved, self._loaded - len(entries) + 1):
            held.position = position
        self._unsaved.clear()
        return True

    def head(self) -> list[Held]:
        """Return the first events, as far as they may share a message: empty if there are none, or the disk fails."""
        if not self._held:
            self._clear()
        if not self._held and self._has_more_on_disk:
            rows = self._on_disk(lambda spool: spool.read(self._loaded, _READ))
            if rows is not None and self._spool is not None:
                now = time.monotonic()
                self._hold([Held(row.entry, now, row.position) for row in rows])
                self._loaded = rows[-1].position if rows else self._spool.end
        return _batch(self._held)

    def remove(self, batch: Sequence[Held]) -> None:
        """Take the first events out of the line: the broker has them."""
        for held in batch:
            self._held.popleft()
            self._bytes -= held.entry.size
            if not held.position:
                self._unsaved.popleft()
        self.done += len(batch)
        self._sent = max(self._sent, *(held.position for held in batch))
        self._clear()

    def _clear(self) -> None:
        """Delete from the spool what the broker has; a process that dies before sends it again, known by its ids."""
        if self._sent > self._removed and self._on_disk(lambda spool: spool.remove(self._sent)) is not None:
            self._removed = self._sent

    @property
    def _has_more_on_disk(self) -> bool:
        return self._spool is not None and self._spool.end > self._loaded

    def _hold(self, held: Sequence[Held]) -> None:
        self._held.extend(held)
        self._bytes += sum(one.entry.size for one in held)

    def _on_disk(self, work: Callable[[Spool], _T]) -> _T | None:
        """Return what the work returns; None if the spool fails, or has just failed."""
        if self._spool is None or time.monotonic() < self._rest_until:
            return None
        refused = self._spool.refused
        try:
            result = work(self._spool)
        except (sqlite3.Error, OSError) as error:
            self._rest_until = time.monotonic() + _REST
            self._set_trouble(f"the spool fails: {error}")
            return None
        self._set_trouble("the spool is full" if self._spool.refused > refused else None)
        return result

    def _set_trouble(self, trouble: str | None) -> None:
        if trouble is not None and trouble != self.trouble:
            log.warning("spool in trouble", reason=trouble)
        self.trouble = trouble


def _batch(line: deque[Held]) -> list[Held]:
    batch: list[Held] = []
    size = 0
    for held in line:
        entry = held.entry
        size += len(entry.body)
        if batch:
            first = batch[0].entry
            alone = entry.large is not None or first.large is not None
            if alone or size > TARGET_BODY or entry.group != first.group:
                break
        batch.append(held)
    return batch
