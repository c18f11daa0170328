"""What a follower knows of its stream without asking anybody: is it the same, and what of it did not come."""

from __future__ import annotations

from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_bus import StreamState
from rugs_follow.continuity import Checkpoint, Gap, Match, parts, recognise
from rugs_follow.lake_reader import windows
from rugs_proto.message import Message

LIFE = "a" * 32


def message(seq: int) -> Message:
    return Message(seq, seq * 1_000, "rugs.events.ws_event.public_ws.x", {}, b"")


def divided(seqs: list[int], after: int, purged_below: int | None) -> list[list[int] | Gap]:
    found = parts([message(seq) for seq in seqs], after, purged_below)
    return [part if isinstance(part, Gap) else [each.seq for each in part] for part in found]


@pytest.mark.parametrize(
    ("seqs", "after", "purged_below", "expected"),
    [
        ([], 5, 9, []),
        ([6, 7], 5, None, [[6, 7]]),
        ([4, 5, 6], 5, None, [[6]]),
        ([4, 5], 5, None, []),
        ([7, 8, 11], 5, None, [Gap(6, 6), [7, 8], Gap(9, 10), [11]]),
        ([7, 8, 11], 5, 6, [[7, 8, 11]]),  # what is missing has another subject
        ([7, 8, 11], 5, 7, [Gap(6, 6), [7, 8, 11]]),
        ([7, 8, 11], 5, 10, [Gap(6, 6), [7, 8], Gap(9, 9), [11]]),
        ([7, 8, 11], 5, 99, [Gap(6, 6), [7, 8], Gap(9, 10), [11]]),  # more may be on its way
    ],
)
def test_what_came_is_divided_at_what_is_gone(
    seqs: list[int], after: int, purged_below: int | None, expected: list[Any]
) -> None:
    assert divided(seqs, after, purged_below) == expected


@given(st.sets(st.integers(1, 40)), st.integers(0, 40), st.none() | st.integers(1, 45))
def test_everything_that_came_is_given_once_and_everything_purged_before_it_is_a_gap(
    came: set[int], after: int, purged_below: int | None
) -> None:
    new = sorted(seq for seq in came if seq > after)
    found = divided(sorted(came), after, purged_below)
    assert [*chain.from_iterable(part for part in found if isinstance(part, list))] == new
    gone = {seq for part in found if isinstance(part, Gap) for seq in range(part.first, part.last + 1)}
    last = max(new, default=after)
    assert gone == {
        seq for seq in range(after + 1, last) if seq not in came and (purged_below is None or seq < purged_below)
    }
    starts = [part.first if isinstance(part, Gap) else part[0] for part in found]
    assert starts == sorted(starts)


@pytest.mark.parametrize(
    ("known", "life", "last_seq", "time_us", "expected"),
    [
        (Checkpoint(), LIFE, 9, None, Match.NOTHING_KNOWN),
        (Checkpoint(LIFE, 5, 5_000), LIFE, 9, 5_000, Match.SAME),
        (Checkpoint(LIFE, 5, 5_000), LIFE, 9, None, Match.SAME),  # purged
        (Checkpoint(LIFE, 5, None), LIFE, 9, 5_000, Match.SAME),  # read from the lake
        (Checkpoint(LIFE, 0), LIFE, 0, None, Match.SAME),
        (Checkpoint(LIFE, 5, 5_000), LIFE, 9, 5_001, Match.DOUBTFUL),
        (Checkpoint(LIFE, 5, 5_000), LIFE, 4, None, Match.DOUBTFUL),
        (Checkpoint(LIFE, 5, 5_000), "b" * 32, 9, 5_000, Match.OTHER),
        (Checkpoint(LIFE, 5, 5_000), None, 9, 5_000, Match.OTHER),
    ],
)
def test_a_stream_is_known_by_its_incarnation_and_the_message_at_the_checkpoint(
    known: Checkpoint, life: str | None, last_seq: int, time_us: int | None, expected: Match
) -> None:
    state = StreamState(life, 1, last_seq, last_seq, 0, 0)
    at = None if time_us is None else message(known.seq)._replace(time_us=time_us)
    assert recognise(known, state, at) is expected


@given(st.lists(st.integers(1, 60), max_size=80), st.integers(1, 60), st.integers(0, 60), st.integers(1, 9))
def test_windows_hold_each_event_once_and_no_more_than_they_may(
    events: list[int], first: int, last: int, most: int
) -> None:
    def count(start: int, end: int) -> int:
        return sum(start <= seq <= end for seq in events)

    found = [*windows(count, first, last, most)]
    assert found == sorted(found)
    covered = [seq for start, end in found for seq in range(start, end + 1)]
    assert len(covered) == len({*covered})
    assert {seq for seq in events if first <= seq <= last} <= {*covered} <= {*range(first, last + 1)}
    assert all(count(start, end) > 0 and (count(start, end) <= most or start == end) for start, end in found)


def test_windows_cross_a_long_empty_stretch_in_few_questions() -> None:
    asked = 0

    def count(start: int, end: int) -> int:
        nonlocal asked
        asked += 1
        return int(start <= 1 << 50 <= end)

    assert len([*windows(count, 1, 1 << 51, 500)]) == 1
    assert asked < 50
