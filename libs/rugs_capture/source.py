"""What a source of events is: one vantage point, connected to for as long as it lasts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from rugs_core.errors import RugsError

if TYPE_CHECKING:
    from rugs_capture.tap import Tap

LOST_PAUSE: Final = 5.0
"""Seconds, as all here: what a feed says while we wait is lost for good, so a lost connection is tried again soon."""
AWAY_PAUSE: Final = 30.0
"""For a server that says it is not able to serve now."""
REFUSED_PAUSE: Final = 300.0
"""For a server that does not want us: only time or a person changes that."""


class SourceError(RugsError):
    """A source cannot go on: one line that says why, and what to do. It is tried again.

    Attributes:
        longest_pause: seconds up to which the pauses before the next attempts grow.
        retry_after: seconds that the other side asks to be left alone for, or None.
    """

    def __init__(self, reason: str, *, longest_pause: float = LOST_PAUSE, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.longest_pause = longest_pause
        self.retry_after = retry_after


class Source(Protocol):
    """Something that events come from. `name` is how people call it."""

    name: str

    @property
    def url(self) -> str | None:
        """Where it listens, or what it connects to; None while that is not known."""

    async def run(self, tap: Tap) -> None:
        """Live once: connect, and pour whatever comes into the tap until the connection ends or the task is cancelled.

        Raises:
            SourceError: if there is no connection, or it was lost.
        """
