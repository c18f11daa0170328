"""The golden set: questions with the answers they expect, and its two halves.

A question is in `questions/HALF/KIND.yaml`. Its half follows from its id alone and never changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import yaml

FOLDER: Final = Path(__file__).parent / "questions"
KINDS: Final = ("field", "event", "identifier", "game", "when", "unanswerable")
UNANSWERABLE: Final = "unanswerable"
IDENTIFIER: Final = "identifier"
"""Asks by an exact path, name or id: such a question may share all its words with the chunk."""
TUNED: Final = "tuned"
HELD_OUT: Final = "held_out"
HALVES: Final = (TUNED, HELD_OUT)
_SALT: Final = "rugbus golden set 3"
"""Chosen so that the halves of every kind are about equally large."""


class QuestionError(ValueError):
    """A question of the golden set is not well-formed; the message says which and why."""


@dataclass(frozen=True)
class Target:
    """One chunk that is right, by what it is about.

    Attributes:
        kind: `field`, `event`, `game`, `moment` (a single event), `action` or `session`.
        name: a field's path, an event's name, or what the corpus calls it.
        event: of a field: its event; None: whichever has it.
    """

    kind: str
    name: str
    event: str | None = None


Answer = tuple[Target, ...]
"""An answer, and others that are as good."""


@dataclass(frozen=True)
class Question:
    """A question.

    Attributes:
        answers: of a question with several right answers, each; none for one that nothing answers.
        where: the condition that makes games right (see `game_conditions`); None where the games are named only.
    """

    id: str
    kind: str
    text: str
    answers: tuple[Answer, ...] = ()
    where: Mapping[str, Any] | None = field(default=None, compare=False)

    @property
    def half(self) -> str:
        """The half it belongs to."""
        return half_of(self.id)

    @property
    def answerable(self) -> bool:
        """Whether something answers it."""
        return bool(self.answers)

    @property
    def targets(self) -> list[Target]:
        """All chunks that are right."""
        return [target for answer in self.answers for target in answer]


def half_of(question_id: str) -> str:
    """Return the half that a question belongs to."""
    return HALVES[sha256(f"{_SALT}:{question_id}".encode()).digest()[0] & 1]


@cache
def all_questions() -> tuple[Question, ...]:
    """Return the questions of both halves.

    Raises:
        QuestionError: if one is not well-formed.
    """
    found = [question for half in HALVES for kind in KINDS for question in load(FOLDER / half / f"{kind}.yaml", kind)]
    twice = [name for name, count in Counter(question.id for question in found).items() if count > 1]
    if twice:
        raise QuestionError(f"ids that occur twice: {', '.join(twice)}")
    return tuple(found)


def questions_of(half: str) -> list[Question]:
    """Return the questions of a half."""
    return [question for question in all_questions() if question.half == half]


def load(path: Path, kind: str) -> list[Question]:
    """Read the questions of a file.

    Raises:
        QuestionError: if one is not well-formed.
    """
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [_question(question_id, kind, entry) for question_id, entry in entries.items()]


def _question(question_id: str, kind: str, entry: Mapping[str, Any]) -> Question:
    unknown = set(entry) - {"ask", "where", "field", "event", "games", "moment", "action", "session", "or"}
    if unknown or not isinstance(entry.get("ask"), str):
        raise QuestionError(f"{question_id}: {'no ask' if not unknown else f'unknown keys {sorted(unknown)}'}")
    first = _targets(entry)
    others = tuple(target for each in entry.get("or", ()) for target in _targets(each))
    if "games" in entry:
        answers: tuple[Answer, ...] = tuple((target, *others) for target in first)
    else:
        answers = ((*first, *others),) if first else ()
    if bool(answers) == (kind == UNANSWERABLE):
        raise QuestionError(f"{question_id}: {'an answer' if answers else 'no answer'} in kind {kind}")
    return Question(question_id, kind, entry["ask"], answers, entry.get("where"))


def _targets(entry: Mapping[str, Any]) -> tuple[Target, ...]:
    """Return the chunks that an entry names; a moment in a game may as well be found in the game's summary."""
    if "field" in entry:
        events: Sequence[str | None] = _many(entry.get("event")) or (None,)
        return tuple(Target("field", path, event) for path in _many(entry["field"]) for event in events)
    if "event" in entry:
        return tuple(Target("event", name) for name in _many(entry["event"]))
    if "games" in entry:
        return tuple(Target("game", name) for name in _many(entry["games"]))
    kinds: Iterable[str] = (kind for kind in ("moment", "action", "session") if kind in entry)
    return tuple(Target(kind, name) for kind in kinds for name in _many(entry[kind]))


def _many(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)
