"""That a feed whose game states the rules no longer understand is noticed: once, and again when it recovers."""

from __future__ import annotations

from typing import Any

import pytest

from rugs_derive.quality import Quality
from rugs_feed.checks import MOST_IN_ALL, MOST_IN_PLAY, Finding, Tally
from rugs_feed.derive import Deriver, Heard
from tests.support.feedkit import a_game, derive, heard, opening, playing, stream, waiting

PRICES = [1, *(1 + tick / 100 for tick in range(1, 40))]


def without(key: str, state: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in state.items() if name != key}


def fed(events: list[Heard], quality: Quality | None = None) -> Quality:
    quality = quality or Quality()
    derive(events, Deriver(quality))
    return quality


UNREADABLE: dict[str, tuple[object, set[str]]] = {
    "no tick": (without("tickCount", playing(PRICES, 3)), {"has_tick"}),
    "a tick of another kind": (playing(PRICES, 3, tickCount="3"), {"has_tick"}),
    "a negative tick": (playing(PRICES, 3, tickCount=-1), {"has_tick"}),
    "no price": (without("price", playing(PRICES, 3)), {"has_price"}),
    "a price of another kind": (playing(PRICES, 3, price={"value": 1.1}), {"has_price"}),
    "no game": (without("gameId", playing(PRICES, 3)), {"has_game_id"}),
    "wrapped": ({"state": playing(PRICES, 3)}, {"has_game_id", "has_tick", "has_price"}),
    "an array": ([[playing(PRICES, 3)]], {"has_game_id", "has_tick", "has_price"}),
    "null": (None, {"has_game_id", "has_tick", "has_price"}),
    "rugged without a tick": ({"gameId": "g", "rugged": True, "cooldownTimer": 0}, {"has_tick", "has_price"}),
}


@pytest.mark.parametrize("shape", UNREADABLE)
def test_states_that_no_tick_can_be_read_from_are_reported_once_and_again_when_they_can(shape: str) -> None:
    payload, checks = UNREADABLE[shape]
    states = [heard(seq, payload) for seq in range(1, 3 * MOST_IN_PLAY)]
    quality = fed(states[: MOST_IN_PLAY - 1])
    assert quality.news() == []
    assert quality.states.missing == {}

    fed(states[MOST_IN_PLAY - 1 :], quality)
    news = quality.news()
    assert {found["check"] for found in news} == checks
    assert len(news) == len(checks), "once, however long it goes on"
    for found in news:
        assert (found["source"], found["recovered"], found["failed"]) == ("public_ws", False, 1)
        assert found["cause"] == states[MOST_IN_PLAY - 1].id
        assert found["detail"] == f"not read from the last {MOST_IN_PLAY} game states"
    assert quality.states.missing == {"public_ws": {check.removeprefix("has_"): len(states) for check in checks}}
    assert quality.failures.keys() >= checks

    good = heard(900, playing(PRICES, 5))
    news = fed([good, heard(901, playing(PRICES, 6))], quality).news()
    assert {found["check"] for found in news} == checks
    assert {(found["recovered"], found["cause"]) for found in news} == {(True, good.id)}
    assert quality.states.missing == {}
    assert fed(states, quality).news(), "and it may fail again"


@pytest.mark.parametrize("raw", [None, "42[torn", b"\xff"])
def test_states_whose_bytes_cannot_be_read_are_reported_too(raw: str | bytes | None) -> None:
    events = [heard(seq, {})._replace(raw=raw) for seq in range(MOST_IN_PLAY)]
    assert set(fed(events).states.missing["public_ws"]) == {"game_id", "tick", "price"}


def test_whole_games_with_long_countdowns_are_understood() -> None:
    countdown = [waiting(timer) for timer in range(15_000, -1, -100)] + [waiting(0)] * 100
    quality = fed(stream([*countdown, *a_game(PRICES), *countdown, *a_game(PRICES, game="next")]))
    assert quality.states.missing == {}
    assert quality.news() == []


def test_a_countdown_that_never_ends_is_reported() -> None:
    quality = fed(stream([waiting(5_000)] * (MOST_IN_ALL - 1)))
    assert quality.states.missing == {}
    fed(stream([waiting(5_000)], first=MOST_IN_ALL), quality)
    assert quality.states.missing == {"public_ws": {"tick": MOST_IN_ALL, "price": MOST_IN_ALL}}
    assert [found["check"] for found in quality.news()] == ["has_tick", "has_price"]


def test_countdowns_between_do_not_hide_that_no_game_has_a_tick() -> None:
    """Nor does what is reported end with the next countdown, unless this says a tick and a price."""
    broken = {"gameId": "g", "active": True, "cooldownTimer": 0}
    quality = fed(stream([broken] * (MOST_IN_PLAY - 1) + [waiting(5_000)] * 50))
    assert quality.states.missing == {}
    fed(stream([broken, waiting(4_000)], first=200), quality)
    assert quality.states.missing["public_ws"] == {"tick": MOST_IN_PLAY + 51, "price": MOST_IN_PLAY + 51}
    fed(stream([opening(10_000)], first=300), quality)
    assert quality.states.missing == {}


def test_each_source_is_checked_for_itself() -> None:
    broken = [heard(seq, {"gameId": "g", "active": True}, source="cdp") for seq in range(1, MOST_IN_PLAY + 1)]
    good = stream(playing(PRICES, tick % 40) for tick in range(MOST_IN_PLAY))
    quality = fed([event for pair in zip(broken, good, strict=True) for event in pair])
    assert quality.states.missing == {"cdp": {"tick": MOST_IN_PLAY, "price": MOST_IN_PLAY}}


def test_what_is_read_again_is_not_checked_again() -> None:
    broken = stream([{"gameId": "g", "active": True}] * (2 * MOST_IN_PLAY))
    quality = fed(broken)
    quality.news()
    with quality.muted():
        fed([*broken, *stream([playing(PRICES, 1)], first=900)], quality)
    assert quality.news() == []
    assert quality.states.missing["public_ws"]["tick"] == 2 * MOST_IN_PLAY


def test_other_events_say_nothing_of_game_states() -> None:
    quality = fed([heard(seq, {"id": "p", "cash": 1}, "playerUpdate") for seq in range(100)])
    assert quality.states.missing == {}


def test_a_tally_remembers_the_failure_and_not_the_recovery() -> None:
    tally = Tally()
    for number in range(MOST_IN_PLAY):
        tally.saw_state("cdp", "g", {"price": 1.0, "active": True}, str(number))
    tally.saw_state("cdp", "g", {"price": 1.0, "active": True, "tick": 7}, "good")
    detail = f"not read from the last {MOST_IN_PLAY} game states"
    assert list(tally.findings) == [Finding("has_tick", "", str(MOST_IN_PLAY - 1), detail, "cdp")]
    assert tally.failures == {"has_tick": 1}
