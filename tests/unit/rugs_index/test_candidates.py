"""Which rows of a scope are candidates: thinned ones are those that would have been chosen from all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rugs_index.candidates import LOOKED_AT, THINNED_AT, Candidates, content_of_columns
from rugs_index.policy import DEFAULT, chosen, parse
from rugs_index.rows import StoredRow
from tests.support.examples import examples
from tests.support.indexkit import GAME, row, trade

POLICY = parse("standard/newTrade=sampled:3, chat=each:2, tick=none")


def taken(rows: list[StoredRow]) -> Candidates:
    """Return candidates that took rows."""
    found = Candidates(POLICY)
    for each in rows:
        found.add(each)
    return found


@pytest.mark.slow
@settings(max_examples=examples(20))
@given(st.lists(st.tuples(st.sampled_from("ABC"), st.floats(0, 1e6)), max_size=40), st.integers(1, 9))
def test_thinned_game_states_and_trades_are_those_chosen_from_all(said: list[tuple[str, float]], times: int) -> None:
    length = THINNED_AT // max(len(said), 1) + times
    state, bought = row(), trade(1, "buy", 1.0)
    states, trades = [], []
    for number, (phase, value) in enumerate(said * length):
        place: dict[str, Any] = {"id": f"{number:032x}", "seq": number, "ts": number}
        states.append(state._replace(**place, phase=phase, price=value))
        trades.append(bought._replace(**place, amount=value, extra=f'{{"trade_id":"{number % 999}"}}'))
    for rows in (states, trades):
        found = taken(rows)
        assert len(found) <= THINNED_AT
        wanted = chosen(rows, POLICY, content_of_columns)
        assert found.chosen({}) == wanted
        found.settle()
        assert len(found) == len(wanted)
        assert found.chosen({}) == wanted


def test_of_an_event_that_repeats_itself_the_first_rows_are_looked_at() -> None:
    rows = [row(number, event="chat", game_id=GAME) for number in range(100)]
    found = taken([*rows, row(500, event="tick")])
    assert list(found.needing_content()) == rows[: 2 * LOOKED_AT]
    contents = {each.id: "the same" for each in rows[: 2 * LOOKED_AT - 1]}
    assert found.chosen(contents) == [rows[0], rows[2 * LOOKED_AT - 1]]


def test_a_trade_is_known_by_its_id_or_by_what_its_columns_say() -> None:
    one = trade(1, "buy", 1.0)
    assert content_of_columns(one) == content_of_columns(one._replace(id="x", amount=2.0))
    bare = one._replace(extra=None)
    assert content_of_columns(bare) == content_of_columns(bare._replace(id="x", source="cdp"))
    assert content_of_columns(bare) != content_of_columns(bare._replace(amount=2.0))
    lost = row(1, event="standard/newTrade")
    assert content_of_columns(lost) != content_of_columns(lost._replace(id="x"))


def test_the_default_policy_has_few_candidates_of_a_long_game() -> None:
    found, state = Candidates(DEFAULT), row()
    for number in range(20_000):
        found.add(state._replace(id=f"{number:032x}", phase=str(number % 2), price=float(number)))
    assert len(found) <= THINNED_AT
    assert len(found.chosen({})) < 30
