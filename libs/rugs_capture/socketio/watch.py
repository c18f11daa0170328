"""A clock over a connection: it ends what has been silent for too long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

_LOOK: Final = 0.25
"""Seconds between two looks at most: a connection's due time can come nearer."""
_HELD_UP: Final = 1.0
"""Seconds; a look that comes so late shows that this process was paused, and messages may be waiting."""


class Watch:
    """Surrounds a connection from its first step to its end; raises TimeoutError in it when it is due.

    Args:
        due: tells from two times, when the connection began and when something last came, at which time it
            is given up. Times are those of the event loop's clock.
    """

    def __init__(self, due: Callable[[float, float], float]) -> None:
        self.expired = False
        self._due = due
        self._loop = asyncio.get_running_loop()
        self._began = self._heard = self._loop.time()
        self._limit = asyncio.timeout(None)
        self._spared = False
        self._timer: asyncio.TimerHandle | None = None

    def heard(self) -> None:
        """Note that something has come, whatever it was."""
        self._heard = self._loop.time()

    async def __aenter__(self) -> Self:
        await self._limit.__aenter__()
        self._plan()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self._limit.__aexit__(kind, error, trace)

    def _plan(self) -> None:
        now = self._loop.time()
        at = min(now + _LOOK, max(now, self._due(self._began, self._heard)))
        self._timer = self._loop.call_at(at, self._look, at)

    def _look(self, planned: float) -> None:
        now = self._loop.time()
        was_paused = now - planned > _HELD_UP
        if self._due(self._began, self._heard) > now:
            self._plan()
        elif was_paused and not self._spared:
            self._timer = self._loop.call_at(now + _LOOK, self._look, now + _LOOK)
        else:
            self.expired = True
            self._limit.reschedule(now)
        self._spared = was_paused
