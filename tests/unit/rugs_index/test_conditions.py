"""The conditions on games that a question names, and how well games fulfil them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_index.search.conditions import NO_CONDITIONS, Conditions, Order, Wanted, conditions_of
from rugs_index.search.filters import Range
from rugs_index.search.numerals import in_digits

NUMBERS = st.integers(1, 9_999)


def asked(question: str) -> Conditions:
    return conditions_of(in_digits(question))


def limits(question: str) -> dict[str, tuple[float | None, float | None]]:
    """Return the limits of each number; of one that is only named, the number twice."""
    found = {}
    for name, each in asked(question).numbers.items():
        least, most = each.range
        found[name] = (least, most) if each.about is None else (each.about, each.about)
    return found


@pytest.mark.parametrize(
    ("question", "wanted"),
    [
        ("which games rugged before tick 20 after a 10x?", {"peak": (10, 10), "rug_tick": (None, 20)}),
        ("peak above 50x", {"peak": (50, None)}),
        ("rounds beyond a hundredfold", {"peak": (100, None)}),
        ("10x or more", {"peak": (10, None)}),
        ("20x+", {"peak": (20, None)}),
        ("never reached 2x", {"peak": (None, 2)}),
        ("below 1.5x", {"peak": (None, 1.5)}),
        ("between 10 and 20x", {"peak": (10, 20)}),
        ("from 20x to 10x", {"peak": (10, 20)}),
        ("something near 58x", {"peak": (58, 58)}),
        ("a five bagger", {"peak": (5, 5)}),
        ("longer than 500 ticks", {"ticks": (500, None)}),
        ("more than 1,000 ticks", {"ticks": (1000, None)}),
        ("games that lasted 300 ticks", {"ticks": (300, 300)}),
        ("between 100 and 200 ticks", {"ticks": (100, 200)}),
        ("dead within five ticks", {"rug_tick": (None, 5)}),
        ("which game died at tick 131", {"rug_tick": (131, 131)}),
        ("crashed after tick 900", {"rug_tick": (900, None)}),
        ("shorter than 30 seconds", {"duration_s": (None, 30)}),
        ("lasted about four minutes", {"duration_s": (240, 240)}),
        ("over 20x and under 100 ticks long", {"peak": (20, None), "ticks": (None, 100)}),
        ("an instarug", {"rug_tick": (None, 6)}),
        ("moonshots", {"peak": (10, None)}),
    ],
)
def test_numbers(question: str, wanted: dict[str, Any]) -> None:
    assert limits(question) == wanted


@pytest.mark.parametrize(
    "question",
    [
        "what is data.price",
        "fell below 0.5x",
        "god candle 50x massive jump",
        "count10x",
        "bought at tick 40",
        "the price at tick 50",
        "a giant jump in a single tick",
        "on 21 December 2025 around 18:05",
        "two games",
        "",
    ],
)
def test_what_is_no_condition(question: str) -> None:
    assert asked(question) == NO_CONDITIONS
    assert not asked(question)


@pytest.mark.parametrize(
    ("question", "by", "descending"),
    [
        ("longest game on 21 december", "ticks", True),
        ("shortest round", "rug_tick", False),
        ("highest multiplier ever recorded", "peak", True),
        ("the lowest peak", "peak", False),
        ("last game", "ts", True),
        ("most recent round", "ts", True),
        ("opening round of 2026", "ts", False),
    ],
)
def test_the_first_of_all_by_a_number(question: str, by: str, descending: bool) -> None:
    assert asked(question).order == Order(by, descending)
    assert asked(question).orders() == [Order(by, descending)]


def test_a_word_implies_a_number_and_a_number_says_it() -> None:
    assert not asked("instarugs").is_explicit
    assert asked("instarugs within 5 ticks").is_explicit


def test_games_far_above_a_limit_are_looked_for_first_and_those_near_a_number() -> None:
    assert asked("above 50x").orders() == [Order("peak", descending=True)]
    assert asked("below 2x").orders() == [Order("peak", descending=False)]
    above, below = asked("near 58x").orders()
    assert (above.descending, above.limits["peak"].least) == (False, 58)
    assert (below.descending, below.limits["peak"].most) == (True, 58)


def test_how_well_a_game_fulfils_conditions() -> None:
    both = asked("rugged before tick 20, above 10x")
    assert both.match({"peak": 12.0, "rug_tick": 15}) == 1
    assert both.match({"peak": 12.0, "rug_tick": 30}) == 0.5
    assert both.match({"peak": 12.0}) == 0.5
    assert NO_CONDITIONS.match({"peak": 12.0}) == 0
    near = asked("near 58x")
    assert near.match({"peak": 58}) == 1 > near.match({"peak": 57.9}) > near.match({"peak": 55}) > 0


@given(NUMBERS, st.sampled_from([("above", True), ("at least", True), ("below", False), ("at most", False)]))
def test_a_limit_is_the_number_that_is_written(count: int, way: tuple[str, bool]) -> None:
    words, is_least = way
    wanted = Range(least=count) if is_least else Range(most=count)
    assert asked(f"games {words} {count}x").numbers == {"peak": Wanted(wanted)}


@given(NUMBERS, NUMBERS)
def test_between_is_from_the_smaller_to_the_greater(one: int, other: int) -> None:
    wanted = Wanted(Range(min(one, other), max(one, other)))
    assert asked(f"games between {one}x and {other}x").numbers == {"peak": wanted}


@given(st.floats(0.001, 1e6), st.floats(0.001, 1e6), st.floats(0.001, 1e6))
def test_the_nearer_a_number_the_better_the_match(about: float, one: float, other: float) -> None:
    wanted = Wanted(about=about)
    near, far = sorted((one, other), key=lambda value: max(value / about, about / value))
    assert 0 <= wanted.match(far) <= wanted.match(near) <= 1


@given(st.text(max_size=80))
def test_no_text_makes_it_fail(text: str) -> None:
    asked(text)


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("a hundred ticks", "100 ticks"),
        ("twenty-five games", "25 games"),
        ("two thousand", "2000"),
        ("half past six", "0.5 past 6"),
        ("a dozen and two", "12 and 2"),
        ("tenfold", "10fold"),
        ("someone often", "someone often"),
        ("may one person at one pm", "may one person at 1 pm"),
    ],
)
def test_numbers_in_words(text: str, digits: str) -> None:
    assert in_digits(text) == digits
