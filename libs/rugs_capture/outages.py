"""Outages that go on: which connection each one follows, and which event ends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from rugs_client.clock import Moment


class Outage(NamedTuple):
    """A period, still going on, in which something is not recorded.

    Attributes:
        session_id: the session under whose name the next process tells of the outage, should this one crash.
        place: where the connection was, such as a page; None where only the source as a whole is known.
        url: what it was connected to.
        page: the address of the page that it belonged to.
        follows: whether that session was a real one, whose end began the outage.
    """

    since: Moment
    cause: str
    session_id: str | None
    place: str | None = None
    url: str | None = None
    page: str | None = None
    follows: bool = False

    def ends_with(self, place: str, url: str | None) -> bool:
        """Return whether a new connection at a place ends it. A URL that is not known fits any."""
        return self.place is None or (self.place == place and (url is None or self.url is None or self.url == url))


class Outages:
    """All outages of a source that go on, the earliest first."""

    def __init__(self) -> None:
        self._open: list[Outage] = []

    def add(self, outage: Outage) -> None:
        """Add one that has begun."""
        self._open.append(outage)

    def take(self, which: Callable[[Outage], bool]) -> list[Outage]:
        """Remove those that have ended, and return them."""
        taken = [outage for outage in self._open if which(outage)]
        self._open = [outage for outage in self._open if outage not in taken]
        return taken

    def widen(self, place: str | None = None) -> None:
        """Say that no connection at a place, or at any, has a successor: those outages are now the source's."""
        self._open = [
            outage._replace(place=None) if place is None or outage.place == place else outage for outage in self._open
        ]
