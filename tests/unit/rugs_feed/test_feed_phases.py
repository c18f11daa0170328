"""One definition of a game's phase, over what the feed really sends."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_feed.extract import extract
from rugs_feed.phases import IN_PLAY, PHASES, allows_pre_round_buys, phase_of

COUNTDOWN: dict[str, Any] = {"active": None, "rugged": None, "tick": None}
PLAYING: dict[str, Any] = {"active": True, "rugged": False, "cooldown_timer": 0}


@pytest.mark.parametrize(
    ("said", "phase"),
    [
        ({**COUNTDOWN, "cooldown_timer": 15_000}, "COOLDOWN"),
        ({**COUNTDOWN, "cooldown_timer": 10_100}, "COOLDOWN"),
        ({**COUNTDOWN, "cooldown_timer": 10_000}, "PRESALE"),
        ({**COUNTDOWN, "cooldown_timer": 100}, "PRESALE"),
        ({**COUNTDOWN, "cooldown_timer": 99}, "COOLDOWN"),
        ({**COUNTDOWN, "cooldown_timer": 0}, None),
        ({**COUNTDOWN, "cooldown_timer": None}, None),
        ({"active": False, "rugged": False, "tick": 0, "cooldown_timer": 15_000}, "COOLDOWN"),
        ({"active": False, "rugged": False, "tick": 0, "cooldown_timer": 10_000}, "PRESALE"),
        ({**PLAYING, "tick": 0}, "GAME_ACTIVATION"),
        ({**PLAYING, "tick": 1}, "ACTIVE_GAMEPLAY"),
        ({**PLAYING, "tick": None}, "ACTIVE_GAMEPLAY"),
        ({**PLAYING, "tick": 99, "rugged": True}, "RUGGED"),
        ({"active": False, "rugged": False, "tick": 0, "cooldown_timer": 0}, None),
    ],
)
def test_a_phase_is_read_from_what_a_game_state_says(said: dict[str, Any], phase: str | None) -> None:
    assert phase_of(**said) == phase


@pytest.mark.parametrize("timer", range(0, 15_100, 100))
def test_presale_is_exactly_when_players_may_buy(timer: int) -> None:
    assert (phase_of(**COUNTDOWN, cooldown_timer=timer) == "PRESALE") is allows_pre_round_buys(timer)
    assert allows_pre_round_buys(timer) is (100 <= timer <= 10_000)


MAYBE = st.none() | st.booleans()
COUNT = st.none() | st.integers(-10, 20_000)


@given(MAYBE, MAYBE, COUNT, COUNT)
def test_the_flags_always_name_one_known_phase_or_none(
    active: bool | None, rugged: bool | None, timer: int | None, tick: int | None
) -> None:
    phase = phase_of(active=active, rugged=rugged, cooldown_timer=timer, tick=tick)
    assert phase is None or phase in PHASES
    assert phase not in IN_PLAY or active or rugged


def test_the_flags_stand_beside_the_phase() -> None:
    state = {"gameId": "g", "price": 0.02, "tickCount": 9, "active": True, "rugged": True, "cooldownTimer": 0}
    fields = extract("gameStateUpdate", {**state, "allowPreRoundBuys": False}).fields
    assert fields["phase"] == "RUGGED"
    assert (fields["active"], fields["rugged"], fields["cooldown_timer"]) == (True, True, 0)
    assert fields["allow_pre_round_buys"] is False
