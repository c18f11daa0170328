"""What is read out of an event's payload, and that nothing is ever made up."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_feed.extract import PAYLOAD_KEYS, RULES, extract

TRACE = {"__trace": True, "traceparent": "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"}


def test_an_active_game_state_says_price_tick_and_flags() -> None:
    state = {"gameId": "g", "price": 1.25, "tickCount": 7, "active": True, "rugged": False, "cooldownTimer": 0}
    said = extract("gameStateUpdate", {**state, "tradeCount": 3, "leaderboard": []})
    assert said.game_id == "g"
    assert said.fields == {
        "price": 1.25,
        "tick": 7,
        "active": True,
        "rugged": False,
        "cooldown_timer": 0,
        "trade_count": 3,
        "phase": "ACTIVE_GAMEPLAY",
    }


def test_a_cooldown_game_state_has_no_price_tick_or_active() -> None:
    said = extract("gameStateUpdate", {"gameId": "g", "cooldownTimer": 14900, "allowPreRoundBuys": False})
    assert said.game_id == "g"
    assert said.fields == {"cooldown_timer": 14900, "allow_pre_round_buys": False, "phase": "COOLDOWN"}


@pytest.mark.parametrize("price", [1, 1.0])
def test_a_price_keeps_the_type_it_was_sent_with(price: float) -> None:
    kept = extract("gameStateUpdate", {"price": price}).fields["price"]
    assert (kept, type(kept)) == (price, type(price))


def test_a_count_may_be_sent_as_a_float() -> None:
    tick = extract("gameStateUpdate", {"tickCount": 5.0}).fields["tick"]
    assert (tick, type(tick)) == (5, int)


def test_the_payload_of_a_traced_event_is_its_last_argument() -> None:
    trade = {"gameId": "g", "playerId": "p", "username": None, "type": "buy", "price": 1, "amount": 0.1, "qty": 2}
    said = extract("standard/newTrade", [TRACE, trade])
    assert (said.game_id, said.player_id, said.username) == ("g", "p", None)
    assert said.fields == {"action": "buy", "price": 1, "amount": 0.1, "qty": 2}


def test_a_payload_that_the_old_recorder_lost_says_nothing() -> None:
    assert extract("standard/newTrade", TRACE) == (None, None, None, {})


def test_a_value_deeper_in_the_payload_is_found() -> None:
    said = extract("gameStatePlayerUpdate", {"gameId": "g", "leaderboardEntry": {"id": "p", "positionQty": 2}})
    assert (said.game_id, said.player_id, said.fields) == ("g", "p", {"position_qty": 2})
    assert extract("gameStatePlayerUpdate", {"gameId": "g", "leaderboardEntry": "?"}).player_id is None


def test_a_player_state_without_a_player_still_says_what_the_pool_holds() -> None:
    said = extract("gameStatePlayerUpdate", {"gameId": "g", "rugpool": {"rugpoolAmount": 2.5, "instarugCount": 4}})
    assert said == ("g", None, None, {"rugpool_amount": 2.5, "instarug_count": 4})


def test_an_acknowledgement_says_whether_it_worked() -> None:
    assert extract("ack", {"success": True, "executedPrice": 1.5}).fields == {"success": True, "price": 1.5}


def test_why_a_connection_ended_or_never_was() -> None:
    assert extract("disconnect", {"reason": "transport close"}).fields == {"reason": "transport close"}
    assert extract("connect_error", {"message": "no"}).fields == {"reason": "no"}
    assert extract("connect_error", {"error": "no"}).fields == {"reason": "no"}


def test_an_event_that_no_rule_names_still_says_whose_it_is() -> None:
    assert extract("newChatMessage", {"playerId": "p", "username": "u", "message": "hi"}) == (None, "p", "u", {})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("price", "1.5"),
        ("price", True),
        ("price", float("nan")),
        ("price", float("inf")),
        ("price", 10**30),
        ("tickCount", 1.5),
        ("tickCount", 2**63),
        ("active", 1),
        ("gameId", 7),
        ("gameId", "x" * 513),
        ("gameId", "\ud83d"),
    ],
)
def test_a_value_of_another_kind_is_left_out(key: str, value: object) -> None:
    assert extract("gameStateUpdate", {key: value}) == (None, None, None, {})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(PAYLOAD_KEYS), inner, max_size=4),
    max_leaves=8,
)


@given(st.sampled_from([*RULES, "other"]), JSON)
def test_whatever_comes_an_extract_can_be_sent(event: str, data: Any) -> None:
    said = extract(event, data)
    assert msgpack.unpackb(msgpack.packb(said)) == list(said)
    assert None not in said.fields.values()
