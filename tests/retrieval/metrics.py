"""Measures of rankings and of declining. Pure.

A ranking is given by the gains of its hits, best hit first: 1 for a hit that is right and was not found before, else 0.
`wanted` says how many right answers there are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Gains = Sequence[float]


def hit_at(gains: Gains, k: int) -> float:
    """Return 1 if one of the first `k` hits is right, else 0."""
    return float(any(gains[:k]))


def reciprocal_rank(gains: Gains, k: int) -> float:
    """Return 1 / rank of the first right hit, 0 if none of the first `k` is right."""
    return next((1 / rank for rank, gain in enumerate(gains[:k], 1) if gain), 0.0)


def ndcg(gains: Gains, wanted: int, k: int) -> float:
    """Return the discounted gain of the first `k` hits, as a share of the greatest that is possible.

    Raises:
        ValueError: if nothing is wanted, or more was found than is wanted.
    """
    if wanted < 1 or sum(gains) > wanted:
        raise ValueError(f"{sum(gains)} right hits of {wanted}")
    ideal = _discounted([1.0] * min(wanted, k))
    return _discounted(gains[:k]) / ideal


def _discounted(gains: Gains) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))


@dataclass(frozen=True)
class Quality:
    """Means over questions that have answers, each between 0 and 1."""

    hit_1: float
    hit_5: float
    mrr_10: float
    ndcg_10: float
    questions: int


def quality(rankings: Iterable[tuple[Gains, int]]) -> Quality:
    """Return the means over rankings, each with how many answers are wanted; all 0 where there is none."""
    known = list(rankings)
    count = len(known)

    def mean(values: Iterable[float]) -> float:
        return math.fsum(values) / count if count else 0.0

    return Quality(
        mean(hit_at(gains, 1) for gains, _ in known),
        mean(hit_at(gains, 5) for gains, _ in known),
        mean(reciprocal_rank(gains, 10) for gains, _ in known),
        mean(ndcg(gains, wanted, 10) for gains, wanted in known),
        count,
    )


@dataclass(frozen=True)
class Abstention:
    """How well a search says that nothing answers a question, each between 0 and 1.

    Attributes:
        declined: the share of unanswerable questions that it declines.
        wrongly: the share of answerable questions that it declines.
    """

    declined: float
    wrongly: float


def abstention(answers: Iterable[tuple[bool, bool]]) -> Abstention:
    """Return the shares over questions, each as (is answerable, was called answerable); 0 where there are none."""
    known = list(answers)

    def declined(which: bool) -> float:
        of_these = [called for answerable, called in known if answerable is which]
        return of_these.count(False) / len(of_these) if of_these else 0.0

    return Abstention(declined(which=False), declined(which=True))
