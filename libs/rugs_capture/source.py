"""What a source of events is: one vantage point, connected to for as long as it lasts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rugs_capture.tap import Tap


class SourceError(Exception):
    """A source cannot go on: one line that says why, and what to do. It is tried again."""


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
