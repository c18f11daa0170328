"""Patience with what passes: a broker that is away, a disk that is full, a lake that cannot be read now."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from rugs_core.errors import RugsError
from rugs_core.reasons import one_line

_T = TypeVar("_T")

log = logging.getLogger(__name__)


class GivenUpError(RugsError):
    """Told to stop while something was in the way: what was to be done is not done."""


class Patience:
    """Tries again every so many `seconds`, as long as what goes wrong is one of `passing`, until told to stop."""

    def __init__(self, stop: asyncio.Event, passing: tuple[type[Exception], ...], seconds: float) -> None:
        self._stop = stop
        self._passing = passing
        self._seconds = seconds
        self._troubles: dict[str, str] = {}

    @property
    def trouble(self) -> str | None:
        """What is in the way now; it is tried again."""
        return next(iter(self._troubles.values()), None)

    async def until_done(self, trouble: str, attempt: Callable[[], Awaitable[_T]]) -> _T:
        """Try until it works. While it does not, say why: once in the log, and in `trouble`.

        Raises:
            GivenUpError: if told to stop meanwhile.
        """
        while True:
            try:
                done = await attempt()
            except self._passing as error:
                reason = f"{trouble}: {one_line(error)}; nothing is lost, trying again every {self._seconds:g} s"
            else:
                if self._troubles.pop(trouble, None):
                    log.info("going on after: %s", trouble)
                return done
            if self._troubles.get(trouble) != reason:
                log.error(reason)
            self._troubles[trouble] = reason
            if await stopped_within(self._stop, self._seconds):
                raise GivenUpError(reason)


async def stopped_within(stop: asyncio.Event, seconds: float) -> bool:
    """Wait so long; return True, at once, when told to stop."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
    return stop.is_set()
