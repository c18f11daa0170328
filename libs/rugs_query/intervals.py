"""Arithmetic of intervals in time: half open, `(start, end)` with the end outside, in microseconds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

Interval = tuple[int, int]


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """Return what any of the intervals covers: in order, without overlaps, none empty, neighbours joined."""
    found: list[Interval] = []
    for start, end in sorted(intervals):
        if start >= end:
            continue
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def subtract(intervals: Iterable[Interval], taken: Iterable[Interval]) -> list[Interval]:
    """Return what the intervals cover and `taken` does not."""
    return list(_left(union(intervals), union(taken)))


def _left(intervals: list[Interval], taken: list[Interval]) -> Iterator[Interval]:
    place = 0
    for start, end in intervals:
        while place < len(taken) and taken[place][1] <= start:
            place += 1
        at = start
        for hole_start, hole_end in taken[place:]:
            if hole_start >= end:
                break
            if at < hole_start:
                yield at, hole_start
            at = max(at, hole_end)
        if at < end:
            yield at, end


def clip(intervals: Iterable[Interval], start: int, end: int) -> list[Interval]:
    """Return what the intervals cover between two times."""
    return union((max(first, start), min(last, end)) for first, last in intervals)


def length(intervals: Iterable[Interval]) -> int:
    """Return how much time the intervals cover together."""
    return sum(end - start for start, end in union(intervals))


def overlap(one: Interval, other: Interval) -> int:
    """Return how long two intervals have in common; below 0 it is how far they are apart."""
    return min(one[1], other[1]) - max(one[0], other[0])
