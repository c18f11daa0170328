"""What of the browser we are attached to: pages, frames with a process of their own, workers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from rugs_capture.cdp.patterns import UrlPatterns
from rugs_capture.cdp.urls import bare

OF_BROWSER: Final = ("page", "service_worker", "shared_worker")
"""Kinds of targets that are asked of the browser itself: workers in the last two outlive pages."""
OF_TARGET: Final = ("iframe", "worker")
"""Kinds that belong to another target, and are asked of that."""
WITH_DOCUMENT: Final = ("page", "iframe")


class TargetInfo(msgspec.Struct):
    """What Chrome says of a target."""

    id: str = msgspec.field(name="targetId")
    kind: str = msgspec.field(name="type")
    url: str = ""


class Target(msgspec.Struct):
    """A target, and the session in which we are attached to it. `parent` is the session of the one it belongs to.

    `document` is the address of its document, without query and fragment, and `documents` how many it has had: one
    that is loaded again is the same.
    """

    session: str
    id: str
    kind: str
    url: str
    parent: str
    fits: bool
    document: str | None = None
    documents: int = 0

    @property
    def place(self) -> str:
        """What names the page, or the worker that pages share, for as long as the user stays there."""
        return f"{self.id} {self.documents}"


class Targets:
    """The targets that we are attached to, by session."""

    def __init__(self, pages: UrlPatterns) -> None:
        self._pages = pages
        self._by_session: dict[str, Target] = {}

    def attached(self, session: str, info: TargetInfo, parent: str) -> Target:
        """Add a target, and return it."""
        target = Target(session, info.id, info.kind, info.url, parent, self._fits(info.url), bare(info.url))
        self._by_session[session] = target
        return target

    def detached(self, session: str) -> list[Target]:
        """Remove a target, and those that belong to it; return them."""
        gone = [target for target in self._by_session.values() if session in self._line(target.session)]
        for target in gone:
            del self._by_session[target.session]
        return gone

    def moved(self, target_id: str, url: str) -> None:
        """Take note of the URL at which a target now is."""
        for target in self._by_session.values():
            if target.id == target_id and target.url != url:
                target.url, target.fits = url, self._fits(url)

    def loaded(self, session: str, target_id: str, url: str) -> str | None:
        """Take note of the document that a page has loaded; return the place that is gone by that, if one is."""
        target = self._by_session.get(session)
        if target is None or target.id != target_id:
            return None
        self.moved(target_id, url)
        before, place = target.document, target.place
        target.document = bare(url)
        if before == target.document:
            return None
        target.documents += 1
        return place

    def renamed(self, session: str, target_id: str, url: str) -> None:
        """Take note that a page's own script has changed its address: the document stays."""
        target = self._by_session.get(session)
        if target is not None and target.id == target_id:
            self.moved(target_id, url)
            target.document = bare(url)

    def get(self, session: str) -> Target | None:
        """Return the target of a session."""
        return self._by_session.get(session)

    def followed(self, session: str) -> bool:
        """Return whether the URL fits that a target is at, or that of one that it belongs to."""
        return any(self._by_session[each].fits for each in self._line(session))

    def page(self, session: str) -> str:
        """Return the URL of the page that a target belongs to; its own, if it is that of nobody else."""
        *_, last = self._line(session)
        return self._by_session[last].url

    def place(self, session: str) -> str:
        """Return the place of the page that a target belongs to."""
        *_, last = self._line(session)
        return self._by_session[last].place

    def exists(self, place: str) -> bool:
        """Return whether a place is still there."""
        return any(target.place == place for target in self._by_session.values())

    def _fits(self, url: str) -> bool:
        return self._pages.fit(url.removeprefix("blob:"))  # a worker may have been made from a script's own text

    def _line(self, session: str) -> Iterator[str]:
        """Yield a session, that of the target which its own belongs to, and so on."""
        while (target := self._by_session.get(session)) is not None:
            yield session
            session = target.parent
