"""The index policy: few chunks of what comes often, each of what is rare, and the same ones whatever comes twice."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_feed.phases import PHASES
from rugs_index.policy import DEFAULT, MULTIPLIERS, STATE, TRADE, Policy, PolicyError, Rule, Treatment, chosen, parse
from rugs_index.rows import StoredRow


def row(number: int, event: str = STATE, says: str = "", **changes: Any) -> StoredRow:
    made = StoredRow(f"{number:032x}", number, "ws_event", "public_ws", "s", number, "received", event, raw=says)
    return made._replace(**changes)


def says(row: StoredRow) -> str:
    return str(row.raw)


def numbers(rows: list[StoredRow], policy: Policy = DEFAULT) -> list[int]:
    return [each.seq for each in chosen(rows, policy, says)]


def state(number: int, phase: str | None, price: float | None = None, **changes: Any) -> StoredRow:
    return row(number, phase=phase, price=price, **changes)


def test_a_game_is_sampled_at_its_phases_and_at_its_multipliers() -> None:
    cooldown, presale, begins, runs, rugged = PHASES
    prices = [1.0, 1.5, 1.9, 2.0, 2.5, 1.2, 2.2, 12.0, 30.0, 0.5]
    game = [
        state(1, cooldown),
        state(2, cooldown),
        state(3, presale, 1.0),
        state(4, begins, 1.0),
        *(state(number, runs, price) for number, price in enumerate(prices, 5)),
        state(20, rugged, 0.02),
        state(21, rugged, 0.02),
    ]
    assert numbers(game) == [1, 3, 4, 5, 8, 12, 13, 20]  # 8: 2x, 12: 5x and 10x, 13: 20x


@given(st.lists(st.tuples(st.sampled_from([*PHASES, None]), st.none() | st.floats(-1, 1e9)), max_size=80))
def test_a_game_has_a_bounded_number_of_states(frames: list[tuple[str | None, float | None]]) -> None:
    assert len(numbers([state(number, *frame) for number, frame in enumerate(frames, 1)])) <= 24


FRAMES = st.lists(
    st.tuples(
        st.sampled_from([STATE, TRADE, "newChatMessage", "somethingNew", "tick"]),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(PHASES),
        st.sampled_from([0.5, 2.5, 7.0, 60.0]),
        st.sampled_from([None, "owner"]),
    ),
    max_size=30,
)
POLICY = parse(f"{TRADE}=sampled:2, newChatMessage=each:2, somethingNew=sampled")


def rows_of(frames: list[tuple[str, str, str, float, str | None]]) -> list[StoredRow]:
    return [
        row(number, event, content, phase=phase, price=price, amount=price, owner=owner)
        for number, (event, content, phase, price, owner) in enumerate(frames, 1)
    ]


@given(FRAMES, st.randoms(use_true_random=False))
def test_what_is_told_again_changes_nothing(
    frames: list[tuple[str, str, str, float, str | None]], chance: random.Random
) -> None:
    """A second source tells the same, each event some time after the first one."""
    rows = rows_of(frames)
    again = list(rows)
    for each in rows:
        place = chance.randrange(again.index(each) + 1, len(again) + 1)
        again.insert(place, each._replace(id=f"again {each.id}", source="cdp"))
    assert chosen(again, POLICY, says) == chosen(rows, POLICY, says)


@given(FRAMES)
def test_what_an_owner_has_changes_nothing_for_all(frames: list[tuple[str, str, str, float, str | None]]) -> None:
    rows = rows_of(frames)
    public = [each for each in rows if each.owner is None]
    kept = chosen(rows, POLICY, says)
    assert [each for each in kept if each.owner is None] == chosen(public, POLICY, says)
    assert [each.seq for each in kept] == sorted(each.seq for each in kept)


@given(FRAMES, st.integers(0, 30))
def test_what_comes_later_takes_no_event_away(frames: list[tuple[str, str, str, float, str | None]], cut: int) -> None:
    rows = [each for each in rows_of(frames) if each.event != TRADE]
    before = chosen(rows[:cut], POLICY, says)
    assert [each for each in chosen(rows, POLICY, says) if each in rows[:cut]] == before


def test_trades_are_the_largest_of_the_game() -> None:
    trades = [
        row(number, TRADE, str(number), amount=amount) for number, amount in enumerate([1, 5, 2, 5, None, 0.1], 1)
    ]
    assert numbers(trades, parse(f"{TRADE}=sampled:3")) == [2, 3, 4]
    assert len(numbers([row(number, TRADE, str(number), amount=1.0) for number in range(1, 500)])) == 8


def test_other_sampled_events_get_rarer() -> None:
    rows = [row(number, "x", str(number)) for number in range(1, 40)]
    assert numbers(rows, parse("x=sampled")) == [1, 2, 4, 8, 16, 32]


def test_each_is_bounded_and_asks_no_further() -> None:
    asked = []

    def content_of(row: StoredRow) -> int:
        asked.append(row.seq)
        return row.seq

    rows = [row(number, "x") for number in range(1, 5000)]
    assert len(chosen(rows, DEFAULT, content_of)) == 100
    assert len(asked) == 100
    assert not DEFAULT.needs_content(STATE)
    assert DEFAULT.needs_content(TRADE)
    assert not DEFAULT.needs_content("tick")


def test_states_are_chosen_by_their_columns_alone() -> None:
    def content_of(row: StoredRow) -> str:
        raise AssertionError(row)

    assert len(chosen([state(1, PHASES[0]), row(2, "ping"), row(3, "tick")], DEFAULT, content_of)) == 1


def test_the_default_table() -> None:
    of = {event: DEFAULT.rule_of(event).treatment.value for event in (STATE, TRADE, "gameStatePlayerUpdate", "tick")}
    assert of == {STATE: "sampled", TRADE: "sampled", "gameStatePlayerUpdate": "summarised", "tick": "summarised"}
    assert {DEFAULT.rule_of(event).treatment for event in ("ping", "pong")} == {Treatment.NONE}
    for event in ("goldenHourUpdate", "battleEventUpdate", "newChatMessage", "playerUpdate", "somethingNew", ""):
        assert DEFAULT.rule_of(event).treatment is Treatment.EACH
    assert all(low < high for low, high in pairwise(MULTIPLIERS))
    assert (MULTIPLIERS[0], MULTIPLIERS[-1]) == (2, 1_000_000)


@pytest.mark.parametrize(
    "setting",
    [
        "newChatMessage=none, golden*=each:5,\n x=y=sampled",
        {"newChatMessage": "none", "golden*": "each:5", "x=y": "sampled"},
    ],
)
def test_a_setting_goes_before_the_default(setting: str | dict[str, str]) -> None:
    policy = parse(setting)
    assert policy.rule_of("newChatMessage").treatment is Treatment.NONE
    assert policy.rule_of("goldenHourUpdate") == Rule("golden*", Treatment.EACH, 5)
    assert policy.rule_of("x=y").treatment is Treatment.SAMPLED
    assert policy.rule_of(STATE) == DEFAULT.rule_of(STATE)
    assert str(policy).startswith("newChatMessage=none, golden*=each:5, x=y=sampled, gameStateUpdate=sampled")


@pytest.mark.parametrize("setting", [None, "", {}, " , \n"])
def test_an_empty_setting_is_the_default(setting: str | dict[str, str] | None) -> None:
    assert parse(setting).rules == DEFAULT.rules


def test_the_default_is_written_as_a_setting() -> None:
    assert parse(str(DEFAULT)).rules[: len(DEFAULT.rules)] == DEFAULT.rules


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("newChatMessage", "rule 1: write EVENT=TREATMENT, not 'newChatMessage'; treatments: each, sampled"),
        ("a=each,=each", "rule 2: write EVENT=TREATMENT"),
        ("a=all", "rule 1: no such treatment: 'all'; there are each, sampled, summarised, none"),
        ("a=each:0", "a number from 1 on goes behind each or sampled"),
        ("a=each:-1", "a number from 1 on"),
        ("a=each:many", "a number from 1 on"),
        ("a=none:3", "a number from 1 on goes behind each or sampled, not 'a=none:3'"),
        ("a=each,a=none", "rule 2: a is there twice"),
    ],
)
def test_what_is_wrong_with_a_setting(setting: str, message: str) -> None:
    with pytest.raises(PolicyError, match="index policy, rule") as raised:
        parse(setting)
    assert message in str(raised.value)
