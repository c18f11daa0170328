"""What holds of derivation whatever comes: lost, doubled, reordered and hostile frames, and a deriver made anew."""

from __future__ import annotations

import json
from itertools import chain
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rugs_feed.derive import EVENTS, KEPT_GAMES, Derived, Deriver, Heard
from rugs_feed.extract import PAYLOAD_KEYS
from rugs_proto.envelope import Envelope
from tests.support.completeness import completeness
from tests.support.examples import examples
from tests.support.feedkit import GAME, State, a_game, derive, entry, heard, stream, waiting

PRICE = st.floats(0.01, 1000)
PRICES = st.lists(PRICE, min_size=2, max_size=12).map(lambda prices: [1, *prices])


@st.composite
def feeds(draw: st.DrawFn) -> list[State]:
    """Several games one after the other; the end of each may be told again when the next has begun."""
    states: list[State] = []
    late: list[State] = []
    for number in range(draw(st.integers(1, 4))):
        prices, game = draw(PRICES), f"game-{number}"
        *told, echo = a_game(prices, game=game, echo=draw(st.integers(0, 3)))
        states += [*told[:2], *late, *told[2:]]
        late = [echo]
        if draw(st.booleans()):
            states.append(waiting(15_000, game=f"game-{number + 1}", gameHistory=[entry(prices, game=game)]))
    return [*states, *late]


def unique(rows: list[Derived]) -> dict[str, Derived]:
    """What the lake keeps: of each id the first."""
    kept: dict[str, Derived] = {}
    for row in rows:
        kept.setdefault(row["id"], row)
    return kept


def direct(rows: list[Derived]) -> set[str]:
    return {row["id"] for row in rows if row["doc_type"] == "game_tick" and "filled" not in row["fields"]}


@given(feeds())
def test_a_whole_feed_gives_every_row_once(states: list[State]) -> None:
    deriver = Deriver()
    rows = derive(stream(states), deriver)
    assert len(unique(rows)) == len(rows)
    assert all(game.complete for game in completeness(rows).values() if game.ended)
    assert not any(row["fields"].get("filled") for row in rows)
    assert deriver.tally.failures == {}


@given(feeds())
def test_deriving_again_gives_nothing_new(states: list[State]) -> None:
    events = stream(states)
    deriver = Deriver()
    once = derive(events, deriver)
    assert derive(events, deriver) == []
    assert derive(events) == once


@given(feeds(), st.data())
def test_in_whatever_order_frames_come_the_exact_ticks_are_the_same(states: list[State], data: st.DataObject) -> None:
    events = stream(states)
    shuffled = data.draw(st.permutations(events))
    rows, others = derive(events), derive(shuffled)
    assert direct(others) == direct(rows)
    assert len(unique(others)) == len(others)
    shared = unique(rows)
    assert all(shared[row["id"]]["fields"] == row["fields"] for row in others if row["id"] in shared)


@given(feeds(), st.data())
def test_every_price_that_any_frame_tells_is_a_tick(states: list[State], data: st.DataObject) -> None:
    kept = [state for state in states if data.draw(st.integers(0, 3))]
    rows = derive(stream(kept))
    told = {
        (state["gameId"], int(tick))
        for state in kept
        if state.get("active")
        for tick in state["partialPrices"]["values"]
    }
    derived = {(row["game_id"], row["fields"]["tick"]) for row in rows if row["doc_type"] == "game_tick"}
    assert told <= derived
    prices = {
        (row["game_id"], row["fields"]["tick"]): row["fields"]["price"] for row in rows if "tick" in row["fields"]
    }
    for state in kept:
        if state.get("active"):
            for tick, price in state["partialPrices"]["values"].items():
                assert prices[state["gameId"], int(tick)] == price


def restart(events: list[Heard], cut: int) -> list[Derived]:
    """Derive up to a cut, then with a new deriver from the first frame of the games that the old one kept."""
    old = Deriver()
    rows = derive(events[:cut], old)
    kept = set(old.kept_games)
    first = next(
        (place for place, event in enumerate(events) if (event.source, game_of(event)) in kept),
        cut,
    )
    return rows + derive(events[first:])


def game_of(event: Heard) -> str:
    return str(json.loads(str(event.raw)[2:])[1].get("gameId"))


@given(feeds(), st.data())
def test_a_deriver_made_anew_gives_what_the_old_one_would_have(states: list[State], data: st.DataObject) -> None:
    lossy = [state for state in states if data.draw(st.integers(0, 4))]
    events = stream(lossy)
    sources = data.draw(st.lists(st.sampled_from(["cdp", "public_ws"]), min_size=len(events), max_size=len(events)))
    events = [event._replace(source=source) for event, source in zip(events, sources, strict=True)]
    assert unique(restart(events, data.draw(st.integers(0, len(events))))) == unique(derive(events))


@given(st.data())
def test_also_when_more_games_go_on_than_are_kept(data: st.DataObject) -> None:
    games = [f"g{number}" for number in range(KEPT_GAMES + 3)]
    prices = [1, 1.5, 2, 2.5, 3, 3.5, 4]
    by_game = {game: a_game(prices, game=game) for game in games}
    order = data.draw(st.lists(st.sampled_from(games), max_size=60))
    states = [by_game[game].pop(0) for game in order if by_game[game]]
    events = stream(states)
    cut = data.draw(st.integers(0, len(events)))
    assert unique(restart(events, cut)) == unique(derive(events))


KEYS = [
    *PAYLOAD_KEYS,
    "partialPrices",
    "prices",
    "gameHistory",
    "values",
    "provablyFair",
    "serverSeed",
    "timestamp",
    "1",
]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(st.characters(), max_size=5)
    | st.sampled_from([GAME, 0, 1, 5, 10**9]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=25,
)
STATES = st.fixed_dictionaries(
    {},
    optional={
        "gameId": st.just(GAME) | JSON,
        "price": PRICE | JSON,
        "tickCount": st.integers(0, 9) | JSON,
        "active": st.booleans() | JSON,
        "rugged": st.booleans() | JSON,
        "partialPrices": st.fixed_dictionaries(
            {"values": st.dictionaries(st.integers(0, 9).map(str) | st.text(), JSON)}
        )
        | JSON,
        "prices": st.lists(JSON) | JSON,
        "gameHistory": st.lists(
            st.fixed_dictionaries(
                {"id": st.just(GAME) | JSON}, optional={"prices": st.lists(JSON), "globalTrades": JSON}
            )
        )
        | JSON,
        "provablyFair": JSON,
    },
)


@pytest.mark.slow
@settings(max_examples=examples(50))  # each draws much
@given(st.lists(st.tuples(st.sampled_from(sorted(EVENTS)), STATES | JSON), max_size=6))
def test_whatever_comes_is_digested_or_counted_and_what_is_derived_can_be_stored(told: list[tuple[str, Any]]) -> None:
    deriver = Deriver()
    rows = list(chain.from_iterable(deriver.feed(heard(seq, said, event)) for seq, (event, said) in enumerate(told, 1)))
    for row in rows:
        assert Envelope.model_validate(row).id == row["id"]
        assert row["doc_type"] != "ws_event"
    assert not [name for name in deriver.tally.counts if name.endswith("Error")]
