"""The end of a service that follows the stream: what the stream holds when it is told to stop, it takes first."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

import structlog

from rugs_bus import BusError

_LOOK_SECONDS: Final = 0.05
_ANSWER_SECONDS: Final = 3.0
"""How long a broker may take to say what it holds; one that is paused or gone does not."""

log = structlog.get_logger(__name__)


class Follower(Protocol):
    """Who follows the stream."""

    @property
    def taken(self) -> int:
        """The last sequence that was read."""
        ...

    @property
    def trouble(self) -> str | None:
        """What is in the way of reading on, if anything is."""
        ...

    async def last(self) -> int:
        """Return the last sequence that there is to read. Raises BusError where the broker cannot be asked."""
        ...


async def finish(follower: Follower, stop: asyncio.Event, finished: asyncio.Event, seconds: float) -> None:
    """Wait until told to stop, and then until all is taken that the stream holds at that moment; set `finished`.

    For `seconds` at the most, and not while there is trouble: that something was not taken then is told. It stays
    in the stream, for the next start.
    """
    await stop.wait()
    upto: int | None = None
    reason: str | None = None
    try:
        if (reason := follower.trouble) is None:
            async with asyncio.timeout(_ANSWER_SECONDS):
                upto = await follower.last()
            async with asyncio.timeout(seconds):
                while follower.taken < upto and (reason := follower.trouble) is None:  # noqa: ASYNC110 - seen from outside
                    await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError:
        reason = "the broker does not answer" if upto is None else f"not done in {seconds:g} s"
    except BusError as error:
        reason = str(error)
    finally:
        finished.set()
    if reason is not None:
        log.warning("not at the end of the stream, which keeps the rest", reason=reason, at=follower.taken, last=upto)
