"""Measures of rankings, against examples computed by hand and a second formula."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.retrieval.metrics import Abstention, Quality, abstention, hit_at, ndcg, quality, reciprocal_rank

GAINS = st.lists(st.sampled_from([0.0, 1.0]), max_size=7)


@pytest.mark.parametrize(
    ("gains", "hit_1", "hit_5", "reciprocal"),
    [
        ([], 0, 0, 0),
        ([0, 0, 0], 0, 0, 0),
        ([1], 1, 1, 1),
        ([0, 1, 1], 0, 1, 1 / 2),
        ([0, 0, 0, 0, 1], 0, 1, 1 / 5),
        ([0, 0, 0, 0, 0, 1], 0, 0, 1 / 6),
        ([0] * 9 + [1], 0, 0, 1 / 10),
        ([0] * 10 + [1], 0, 0, 0),
    ],
)
def test_hits_and_reciprocal_ranks(gains: list[float], hit_1: float, hit_5: float, reciprocal: float) -> None:
    assert (hit_at(gains, 1), hit_at(gains, 5), reciprocal_rank(gains, 10)) == (hit_1, hit_5, reciprocal)


@pytest.mark.parametrize(
    ("gains", "wanted", "expected"),
    [
        ([], 1, 0),
        ([1, 0], 1, 1),
        ([0, 1], 1, 0.6309297535714575),  # 1 / log2(3)
        ([0, 0, 1], 1, 0.5),  # 1 / log2(4)
        ([1, 0, 1], 2, 0.9197207891481876),  # (1 + 1/2) / (1 + 1/log2(3))
        ([1, 1], 3, 0.7653606369886217),  # (1 + 1/log2(3)) / (1 + 1/log2(3) + 1/2)
        ([0] * 10 + [1], 1, 0),
        ([1] * 10, 25, 1),
    ],
)
def test_ndcg_of_examples(gains: list[float], wanted: int, expected: float) -> None:
    assert ndcg(gains, wanted, 10) == pytest.approx(expected, abs=1e-15)


@given(st.lists(st.sampled_from([0.0, 1.0]), max_size=4), st.integers(0, 2), st.integers(1, 7))
def test_ndcg_is_the_gain_of_the_ranking_over_that_of_the_best_order(gains: list[float], missed: int, k: int) -> None:
    """A second formula: exponential gains, natural logarithms, and the best of all orders tried out."""
    wanted = int(sum(gains)) + missed
    if not wanted:
        with pytest.raises(ValueError, match="of 0"):
            ndcg(gains, wanted, k)
        return

    def gained(order: Sequence[float]) -> float:
        return math.fsum((2**gain - 1) * math.log(2) / math.log(place + 2) for place, gain in enumerate(order[:k]))

    best = max(map(gained, permutations([*gains, *[1.0] * missed])))
    assert ndcg(gains, wanted, k) == pytest.approx(gained(gains) / best)


@given(GAINS)
def test_a_right_hit_further_up_never_makes_a_measure_smaller(gains: list[float]) -> None:
    better = sorted(gains, reverse=True)
    wanted = max(1, int(sum(gains)))
    assert 0 <= ndcg(gains, wanted, 10) <= ndcg(better, wanted, 10) <= 1 + 1e-12
    assert 0 <= reciprocal_rank(gains, 10) <= reciprocal_rank(better, 10) <= 1


def test_more_right_hits_than_are_wanted_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"2.0 right hits of 1"):
        ndcg([1.0, 1.0], 1, 10)


def test_means_over_questions() -> None:
    rankings = [([1.0, 0.0], 1), ([0.0, 0.0, 1.0], 1), ([], 2), ([0.0] * 5 + [1.0], 1)]
    found = quality(rankings)
    assert (found.hit_1, found.hit_5, found.questions) == (0.25, 0.5, 4)
    assert found.mrr_10 == float(Fraction(1 + Fraction(1, 3) + 0 + Fraction(1, 6)) / 4)
    assert found.ndcg_10 == pytest.approx((1 + 0.5 + 0 + 1 / math.log2(7)) / 4)
    assert quality([]) == Quality(0, 0, 0, 0, 0)


def test_shares_of_declined_questions() -> None:
    said = [(False, False), (False, True), (False, False), (True, True), (True, False), (True, True), (True, True)]
    assert abstention(said) == Abstention(declined=2 / 3, wrongly=1 / 4)
    assert abstention([(True, True)]) == Abstention(declined=0, wrongly=0)
