"""Keeping sources running: each for itself, tried again when it ends, with growing pauses."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any, Final, Literal, NamedTuple

import structlog

from rugs_capture.source import LOST_PAUSE, Source, SourceError
from rugs_capture.tap import STOPPED, Tap
from rugs_core.secrets import mask_secrets

State = Literal["connecting", "live", "waiting", "stopped"]

FIRST_PAUSE: Final = 0.5
STEADY_SECONDS: Final = 10.0
STEADY_FRAMES: Final = 20
"""A source that was live and lived so long, or brought more than a handshake, is tried again at once, about."""

log = structlog.get_logger(__name__)


class Supervised:
    """One source, kept running until its task is cancelled."""

    def __init__(self, source: Source, tap: Tap) -> None:
        self.source = source
        self.tap = tap
        self.attempts = 0
        """How often it was begun."""
        self.error: str | None = None
        """Why it last ended; None from when it is live again."""
        self._running = False
        self._again_at: float | None = None

    async def keep(self) -> None:
        """Run the source again and again. Nothing that happens in it gets out."""
        failures, kind = 0, LOST_PAUSE
        said: str | None = None  # what was told of already: a feed that is away for days must not fill the log
        while True:
            began, frames = time.monotonic(), self.tap.frames
            self._running = True
            self.attempts += 1
            try:
                end = await self._live_once()
            finally:
                self._running = False
            lived, brought = time.monotonic() - began, self.tap.frames - frames
            steady = end.was_live and (lived > STEADY_SECONDS or brought > STEADY_FRAMES)
            failures = 0 if steady else 1 if end.longest_pause != kind else failures + 1
            kind = end.longest_pause
            reason, pause = end.reason, next_pause(failures, random.random(), end.longest_pause)  # noqa: S311
            if end.retry_after is not None:
                pause = max(pause, end.retry_after + next_pause(0, random.random()))  # noqa: S311 - not all at once
            tell = log.warning if reason != said else log.debug
            tell("source ended: trying again", source=self.source.name, reason=reason, pause=round(pause, 1))
            said = None if failures == 0 else reason
            self._again_at = time.monotonic() + pause
            await asyncio.sleep(pause)
            self._again_at = None

    async def _live_once(self) -> _End:
        end = _End(STOPPED)
        try:
            await self.source.run(self.tap)
            end = _End("ended")
        except SourceError as error:
            end = _End(str(error), error.longest_pause, error.retry_after)
        except Exception as error:  # a fault of ours must not end the capture
            log.exception("source failed", source=self.source.name)
            end = _End(f"failed: {error!r}")
        finally:  # also when the gateway stops
            was_live = self.tap.live
            self.error = reason = mask_secrets(end.reason)
            self.tap.end_all(reason)
        return end._replace(reason=reason, was_live=was_live)

    @property
    def state(self) -> State:
        """Where it stands."""
        if self._running:
            return "live" if self.tap.live else "connecting"
        return "waiting" if self._again_at is not None else "stopped"

    def status(self) -> dict[str, Any]:
        """Return what `rugs sources` shows. Times are microseconds, UTC; counts are since the gateway began."""
        tap, stats = self.tap, self.tap.publisher.stats
        again_at = self._again_at
        return {
            "name": self.source.name,
            "source": tap.source,
            "url": self.source.url,
            "state": self.state,
            "error": None if self.state == "live" else self.error,
            "warning": tap.warn(),
            "retry_seconds": None if again_at is None else max(0.0, round(again_at - time.monotonic(), 1)),
            "attempts": self.attempts,
            "connections": tap.connections,
            "sessions": list(tap.sessions),
            "frames": tap.frames,
            "bytes": tap.bytes,
            "gaps": tap.gaps,
            "last_at": tap.last_at,
            "last_event": tap.last_event,
            "game": tap.seen._asdict() if tap.seen else None,
            "bus": stats._asdict(),
        }


class _End(NamedTuple):
    """How a source ended; see `SourceError`."""

    reason: str
    longest_pause: float = LOST_PAUSE
    retry_after: float | None = None
    was_live: bool = False


def next_pause(failures: int, chance: float, longest: float = LOST_PAUSE) -> float:
    """Return the seconds to wait after so many failures in a row, `longest` at most; `chance` is from 0 to 1."""
    grown: float = min(longest, FIRST_PAUSE * 2 ** min(failures, 16))
    return grown * (0.5 + 0.5 * chance)
