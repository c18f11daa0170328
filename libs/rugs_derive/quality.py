"""What derivation counts and finds, kept for the status and told of once."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from rugs_feed.checks import Finding, Tally

_KEPT: Final = 10_000
"""Checks and games whose first failure is remembered."""
_WAITING: Final = 1000
"""Findings that wait to be told; more than these come only where the feed says nothing right any more."""
_SHOWN: Final = 20


class Quality(Tally):
    """A tally that knows what is new: the first failure of each check in each game; of a source's, each change."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._news: deque[Finding] = deque(maxlen=_WAITING)
        self._muted = False

    def saw_state(self, source: str, game_id: str | None, said: Mapping[str, Any], cause: str) -> None:
        """Check a game state, if it is not read again."""
        if not self._muted:
            super().saw_state(source, game_id, said, cause)

    def _report(self, found: Finding) -> None:
        """Count a finding, and keep it to be told of if it is new."""
        super()._report(found)
        if self._muted:
            return
        if found.source is None:
            place = (found.check, found.game_id)
            if place in self._seen:
                return
            self._seen[place] = None
            if len(self._seen) > _KEPT:
                self._seen.popitem(last=False)
        self._news.append(found)

    def news(self) -> list[dict[str, Any]]:
        """Return what was not told of yet, as it is published."""
        told = [{**found._asdict(), "failed": self.failures.get(found.check, 0)} for found in self._news]
        self._news.clear()
        return told

    @contextmanager
    def muted(self) -> Iterator[None]:
        """Count nothing while the body runs: it reads again what was counted before."""
        counts, findings = self.counts, self.findings
        self.counts, self.findings, self._muted = Counter(), deque(maxlen=findings.maxlen), True
        try:
            yield
        finally:
            self.counts, self.findings, self._muted = counts, findings, False

    @property
    def checks(self) -> dict[str, dict[str, int]]:
        """How often each check held and failed."""
        found: dict[str, dict[str, int]] = {}
        for name, count in sorted(self.counts.items()):
            if name.startswith("check."):
                check, _, outcome = name.removeprefix("check.").rpartition(".")
                found.setdefault(check, {"held": 0, "failed": 0})[outcome] = count
        return found

    @property
    def undigested(self) -> dict[str, int]:
        """What no rule could digest, by doc type and reason."""
        return {name: count for name, count in sorted(self.counts.items()) if _is_trouble(name)}

    @property
    def shown(self) -> list[dict[str, Any]]:
        """The last failures of checks, for people."""
        return [found._asdict() for found in list(self.findings)[-_SHOWN:]]


def _is_trouble(name: str) -> bool:
    return ".undigested." in name or name == "unreadable"
