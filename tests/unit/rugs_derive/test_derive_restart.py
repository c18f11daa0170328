"""A deriver made anew, that has read the unfinished games again, goes on as the one before would have."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rugs_derive.position import Position, read_headers
from rugs_derive.rereading import joined
from rugs_feed import derive
from rugs_feed.derive import Deriver, Heard
from tests.support.examples import examples
from tests.support.feedkit import entry, heard, playing, waiting

PRICES = [1 + tick / 10 for tick in range(12)]
PLACES = st.tuples(
    st.sampled_from(["cdp", "public_ws", "import"]), st.integers(0, 4), st.integers(0, 11), st.booleans(), st.booleans()
)


def event(place: int, told: tuple[str, int, int, bool, bool]) -> Heard:
    source, game, tick, is_countdown, has_history = told
    state = waiting(100, game=f"g{game}") if is_countdown else playing(PRICES, tick, game=f"g{game}")
    if has_history:
        state["gameHistory"] = [entry(PRICES[: game + 2], game=f"past-{game}")]
    return heard(place, state, source=source)


def rows(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A completed game may be told once more: its id is the same."""
    return [row for row in found if row["doc_type"] != "game"]


@settings(max_examples=examples(60))
@given(st.lists(PLACES, max_size=60), st.lists(st.integers(0, 60), max_size=3))
def test_what_comes_after_a_restart_is_what_would_have_come(
    told: list[tuple[str, int, int, bool, bool]], cuts: list[int]
) -> None:
    """Two games a source are remembered here, of five that come in any order."""
    events = [event(place, each) for place, each in enumerate(told, 1)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(derive, "KEPT_GAMES", 2)
        whole, broken = Deriver(), Deriver()
        for place, each in enumerate(events, 1):
            if place - 1 in cuts:
                spans = broken.kept_spans
                broken = Deriver()
                for earlier, again in enumerate(events[: place - 1], 1):
                    first, last = spans.get(again.source, (1, 0))
                    if first <= earlier <= last:
                        broken.feed(again, earlier)
                assert broken.kept_spans == spans
                assert set(broken.kept_games) == set(whole.kept_games)
            assert rows(broken.feed(each, place)) == rows(whole.feed(each, place))


@given(st.dictionaries(st.sampled_from(["cdp", "ui", "bot"]), st.tuples(st.integers(0, 30), st.integers(0, 30))))
def test_spans_are_read_once_each_and_none_is_left_out(spans: dict[str, tuple[int, int]]) -> None:
    read = [place for first, last in joined(spans.values()) for place in range(first, last + 1)]
    wanted = {place for first, last in spans.values() for place in range(max(first, 1), last + 1)}
    assert read == sorted(wanted)


@given(st.dictionaries(st.sampled_from(["cdp", "ui"]), st.tuples(st.integers(0, 9), st.integers(9, 20))))
def test_a_position_is_read_as_it_was_told(spans: dict[str, tuple[int, int]]) -> None:
    told = Position(20, 1_800_000_000_000_000, "a" * 32, spans)
    assert read_headers(told.headers) == told


@pytest.mark.parametrize(
    ("seq", "state"),
    [
        ("", "{}"),
        ("-1", "{}"),
        ("1e3", "{}"),
        ("5", ""),
        ("5", "[]"),
        ("5", '{"time":1,"incarnation":null}'),
        ("5", '{"time":1,"incarnation":null,"games":{"No Body":[1,2]}}'),
        ("5", '{"time":1,"incarnation":null,"games":{"cdp":[3,2]}}'),
        ("5", '{"time":1,"incarnation":null,"games":{"cdp":[1,6]}}'),
        ("5", '{"time":1,"incarnation":null,"games":{"cdp":[1]}}'),
        ("5", '{"time":1,"incarnation":null,"games":[["cdp",1]]}'),
    ],
)
def test_headers_that_make_no_sense_say_nothing(seq: str, state: str) -> None:
    assert read_headers({"Rugs-Cause-Seq": seq, "Rugs-Cause-State": state}) is None
