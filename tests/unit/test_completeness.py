"""Which ticks of a game are there: counted from any part of them, in any order."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rugs_feed.ticks import MAX_TICK
from tests.completeness import Completeness, completeness, spans

DIRECT = Completeness().add(0).add(1).add(4)


def row(tick: int, **fields: Any) -> dict[str, Any]:
    return {"doc_type": "game_tick", "game_id": "g", "fields": {"tick": tick, **fields}}


def test_what_is_there_filled_and_missing() -> None:
    known = DIRECT.add(3, filled=True)
    assert (known.direct_ticks, known.filled, known.missing) == (3, [(3, 3)], [(2, 2)])
    assert (known.last_tick, known.ended, known.complete) == (4, False, False)


def test_a_game_that_goes_on_is_not_complete_and_one_that_ended_without_a_hole_is() -> None:
    whole = Completeness().add(0).add(1, filled=True)
    assert not whole.complete
    assert whole.add(2, rugged=True).complete
    assert not whole.end(3).complete
    assert whole.end(3).missing == [(2, 3)]


def test_ticks_counted_on_after_the_rug_are_none_of_the_game() -> None:
    known = DIRECT.add(2).add(3).add(4, rugged=True).add(7, rugged=True)
    assert (known.last_tick, known.missing, known.direct_ticks, known.complete) == (4, [], 5, True)


def test_a_tick_that_is_both_filled_and_direct_is_direct() -> None:
    assert DIRECT.add(4, filled=True) == DIRECT
    assert DIRECT.add(3, filled=True).add(3).filled_ticks == 0


def test_nothing_known_is_nothing_missing() -> None:
    nothing = Completeness()
    assert (nothing.last_tick, nothing.missing, nothing.complete, nothing.direct_ticks) == (None, [], False, 0)


def test_a_tick_that_no_game_can_have_is_left_out() -> None:
    assert Completeness().add(MAX_TICK + 1).add(-1).end(2**62) == Completeness()


def test_rows_are_told_apart_by_their_game_and_what_is_no_tick_says_nothing() -> None:
    rows = [
        row(0),
        row(1, filled=True),
        row(2, rugged=True),
        row(0, is_filler=True) | {"game_id": "made up"},
        row(5) | {"game_id": None},
        row(5) | {"doc_type": "ws_event"},
        {"doc_type": "game", "game_id": "g", "fields": {"last_tick": 2}},
        {"doc_type": "game", "game_id": "h", "fields": {}},
    ]
    known = completeness(rows)
    assert list(known) == ["g"]
    assert (known["g"].complete, known["g"].last, known["g"].filled_ticks) == (True, 2, 1)


TICKS = st.lists(st.tuples(st.integers(-2, 200), st.booleans(), st.integers(0, 20).map(lambda chance: chance == 0)))


def build(told: list[tuple[int, bool, bool]]) -> Completeness:
    known = Completeness()
    for tick, filled, rugged in told:
        known = known.add(tick, filled=filled, rugged=rugged)
    return known


@given(TICKS, st.integers(-1, 200), st.data())
def test_parts_in_any_order_merge_to_the_whole(told: list[Any], last: int, data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(told))
    cut = data.draw(st.integers(0, len(told)))
    one, other = build(shuffled[:cut]), build(shuffled[cut:]).end(last)
    assert one.merge(other) == other.merge(one) == build(told).end(last)
    assert one.merge(one) == one


@given(TICKS)
def test_every_tick_up_to_the_last_is_direct_filled_or_missing(told: list[Any]) -> None:
    known = build(told)
    direct = {tick for tick, filled, _ in told if not filled and tick >= 0}
    anyhow = {tick for tick, _, _ in told if tick >= 0}
    rugs = [tick for tick, _, rugged in told if rugged and tick >= 0]
    last = min(rugs) if rugs else max(anyhow, default=-1)
    whole = set(range(last + 1))
    assert known.direct_ticks == len(direct & whole)
    assert known.filled_ticks == len((anyhow - direct) & whole)
    assert {tick for first, end in known.missing for tick in range(first, end + 1)} == whole - anyhow
    assert known.missing_ticks == len(whole - anyhow)


@given(st.sets(st.integers(0, 300)))
def test_spans_are_the_runs_of_what_is_set(ticks: set[int]) -> None:
    found = spans(sum(1 << tick for tick in ticks))
    assert {tick for first, last in found for tick in range(first, last + 1)} == ticks
    assert all(last + 1 < first for (_, last), (first, _) in pairwise(found))
