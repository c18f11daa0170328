"""Decides whether a hit is right, by its metadata alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.retrieval.corpus import Facts
from tests.retrieval.questions import Question, Target
from tests.retrieval.searcher import Hit

_TOLERANCE_US: Final = 1_000_000
"""How far the time of a chunk may be from that of what it describes: recorders round, and note times late."""
_PACKET: Final = "packet:"
_ABOUT_EVENTS: Final = ("event", "example")


@dataclass(frozen=True)
class Matcher:
    """Knows what the names of targets stand for in one lake.

    Attributes:
        sessions: session ids by the name of a recording.
    """

    facts: Facts
    sessions: Mapping[str, str] = field(default_factory=dict)

    def gains(self, question: Question, hits: Sequence[Hit]) -> list[float]:
        """Return 1 for each hit that gives a right answer for the first time, else 0."""
        left = list(question.answers)
        gains = []
        for hit in hits:
            found = next((answer for answer in left if any(self.is_right(target, hit) for target in answer)), None)
            if found is not None:
                left.remove(found)
            gains.append(float(found is not None))
        return gains

    def is_right(self, target: Target, hit: Hit) -> bool:
        """Return whether a hit is the chunk that a target means."""
        metadata = hit.metadata
        kind = metadata.get("kind")
        if target.kind == "field":
            is_path = kind == "field" and metadata.get("field_path") == target.name
            return is_path and target.event in (None, _event_of(metadata))
        if target.kind == "event":
            return kind in _ABOUT_EVENTS and _event_of(metadata) == target.name
        if target.kind == "game":
            return kind == "game" and metadata.get("game_id") == self.facts.games[target.name].id
        if target.kind == "session":
            return kind == "session" and metadata.get("session_id") == self.sessions.get(target.name, target.name)
        return self._is_what_happened(target, metadata)

    def _is_what_happened(self, target: Target, metadata: Mapping[str, Any]) -> bool:
        """Return whether a chunk is of the event, or of the group of actions, in which something happened."""
        happened = self.facts.happened[target.name]
        if metadata.get("kind") != ("player_action" if target.kind == "action" else "ws_event"):
            return False
        if target.kind == "moment" and _event_of(metadata) != happened.event:
            return False
        if metadata.get("username") not in (None, "", happened.player) and happened.player:
            return False
        first = metadata.get("ts")
        last = metadata.get("until") or first
        return (
            isinstance(first, int)
            and isinstance(last, int)
            and first - _TOLERANCE_US <= happened.at <= last + _TOLERANCE_US
        )


def _event_of(metadata: Mapping[str, Any]) -> str:
    return str(metadata.get("event_type") or "").removeprefix(_PACKET)
