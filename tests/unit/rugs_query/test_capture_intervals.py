"""Arithmetic of intervals, against sets of single moments."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from rugs_query.intervals import Interval, clip, length, overlap, subtract, union

MOMENTS = st.integers(0, 40)
INTERVALS = st.lists(st.tuples(MOMENTS, MOMENTS), max_size=8)


def moments(intervals: list[Interval]) -> set[int]:
    return {moment for start, end in intervals for moment in range(start, end)}


def is_tidy(intervals: list[Interval]) -> bool:
    return all(start < end for start, end in intervals) and all(one[1] < two[0] for one, two in pairwise(intervals))


@given(INTERVALS)
def test_a_union_covers_the_same_moments_once(intervals: list[Interval]) -> None:
    found = union(intervals)
    assert is_tidy(found)
    assert moments(found) == moments(intervals)
    assert length(intervals) == len(moments(intervals))
    assert union(found) == found


@given(INTERVALS, INTERVALS)
def test_what_is_taken_away_is_gone_and_nothing_else(intervals: list[Interval], taken: list[Interval]) -> None:
    found = subtract(intervals, taken)
    assert moments(found) == moments(intervals) - moments(taken)
    assert union(found) == found


@given(INTERVALS, MOMENTS, MOMENTS)
def test_a_period_and_its_rest_make_the_whole(intervals: list[Interval], start: int, end: int) -> None:
    inside = clip(intervals, start, end)
    assert moments(inside) == moments(intervals) & set(range(start, end))
    assert length(inside) + length(subtract([(start, end)], inside)) == max(end - start, 0)


@given(st.tuples(MOMENTS, MOMENTS), st.tuples(MOMENTS, MOMENTS))
def test_overlap(one: Interval, other: Interval) -> None:
    assert (
        max(overlap(one, other), 0) == len(moments([one]) & moments([other])) or one[0] > one[1] or other[0] > other[1]
    )
