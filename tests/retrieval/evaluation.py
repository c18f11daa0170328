"""Asks a search the questions of the golden set, on each leg, and measures the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from tests.retrieval.matching import Matcher
from tests.retrieval.metrics import Abstention, Quality, abstention, quality, reciprocal_rank
from tests.retrieval.questions import KINDS, UNANSWERABLE, Question
from tests.retrieval.searcher import AUTO, SINGLE_LEGS, Hit, Searcher

DEPTH: Final = 10
"""Hits that are asked for."""
ALL: Final = "all"
JUDGED: Final = ("hit_5", "mrr_10")
"""The measures in which `auto` must not be worse than a single leg."""
_EQUAL: Final = 1e-9


@dataclass(frozen=True)
class Asked:
    """The answer of a leg to a question."""

    question: Question
    hits: Sequence[Hit]
    answerable: bool
    gains: Sequence[float]

    @property
    def rank(self) -> int | None:
        """The rank of the first right hit; None: there is none."""
        reciprocal = reciprocal_rank(self.gains, DEPTH)
        return round(1 / reciprocal) if reciprocal else None


@dataclass(frozen=True)
class Leg:
    """The answers of a leg to the questions of a half, and how good they are, by kind and over all."""

    name: str
    asked: Sequence[Asked]
    quality: dict[str, Quality]
    abstention: Abstention

    def as_dict(self) -> dict[str, Any]:
        """Return the figures."""
        by_kind = {kind: asdict(measured) for kind, measured in self.quality.items()}
        return {"leg": self.name, "quality": by_kind, "abstention": asdict(self.abstention)}


def evaluate(searcher: Searcher, questions: Sequence[Question], legs: Sequence[str], matcher: Matcher) -> list[Leg]:
    """Ask all questions on each leg."""
    return [_measured(leg, [_ask(searcher, question, leg, matcher) for question in questions]) for leg in legs]


def worse_than_a_leg(legs: Sequence[Leg]) -> list[str]:
    """Return in what `auto` does worse than its best single leg: a line for each kind and measure."""
    by_name = {leg.name: leg for leg in legs}
    single = [by_name[name] for name in SINGLE_LEGS if name in by_name]
    if AUTO not in by_name or not single:
        return []
    found = []
    for kind, measured in by_name[AUTO].quality.items():
        for measure in JUDGED if kind != ALL else ():
            got = getattr(measured, measure)
            best = max(single, key=lambda leg: getattr(leg.quality[kind], measure))
            value = getattr(best.quality[kind], measure)
            if got < value - _EQUAL:
                found.append(f"{kind}: {measure} of auto is {got:.3f}, of {best.name} {value:.3f}")
    return found


def _ask(searcher: Searcher, question: Question, leg: str, matcher: Matcher) -> Asked:
    found = searcher.search(question.text, DEPTH, leg)
    return Asked(question, found.hits, found.answerable, matcher.gains(question, found.hits))


def _measured(name: str, asked: Sequence[Asked]) -> Leg:
    kinds = {kind: [each for each in asked if each.question.kind == kind] for kind in KINDS if kind != UNANSWERABLE} | {
        ALL: [each for each in asked if each.question.answerable]
    }
    measured = {
        kind: quality((each.gains, len(each.question.answers)) for each in of_kind)
        for kind, of_kind in kinds.items()
        if of_kind
    }
    return Leg(name, asked, measured, abstention((each.question.answerable, each.answerable) for each in asked))
