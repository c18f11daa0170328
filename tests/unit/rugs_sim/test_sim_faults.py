"""What goes wrong on the simulator's connections: as often as asked for, and the same again by the same seed."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_sim import Faults
from rugs_sim.faults import Action, Damage, Drop, Send, Stall

EVENTS = [f'42["e",{number}]' for number in range(2_000)]


def harmed(faults: Faults, messages: list[str | bytes], connection: int = 1) -> list[Action]:
    damage = Damage(faults, connection)
    return [*(action for message in messages for action in damage.take(message)), *damage.rest()]


def sent(actions: list[Action]) -> list[str | bytes]:
    return [action.message for action in actions if isinstance(action, Send)]


def test_without_faults_everything_passes() -> None:
    assert harmed(Faults(), [*EVENTS]) == [Send(message) for message in EVENTS]


ALL = Faults(seed=5, drop=100, duplicate=50, reorder=40, junk=30, stall=200, stall_seconds=2)


def test_the_same_seed_and_connection_does_the_same_harm() -> None:
    assert harmed(ALL, [*EVENTS]) == harmed(ALL, [*EVENTS])
    assert harmed(ALL, [*EVENTS], 2) != harmed(ALL, [*EVENTS])


@pytest.mark.parametrize(("fault", "kinds"), [("duplicate", ["duplicate"]), ("junk", ["junk", "torn"])])
def test_what_is_added_is_marked_and_nothing_is_lost(fault: str, kinds: list[str]) -> None:
    actions = harmed(Faults(**{fault: 20}), [*EVENTS])
    assert [action.message for action in actions if isinstance(action, Send) and not action.fault] == EVENTS
    added = Counter(action.fault for action in actions if isinstance(action, Send) and action.fault)
    assert set(added) == set(kinds)
    assert 80 < added.total() < 125


def test_what_is_reordered_comes_after_the_next_one() -> None:
    actions = harmed(Faults(reorder=20), [*EVENTS])
    late = [place for place, action in enumerate(actions) if isinstance(action, Send) and action.fault]
    assert 80 < len(late) < 125
    messages = sent(actions)
    for place in late:
        messages[place - 1], messages[place] = messages[place], messages[place - 1]
    assert messages == EVENTS


def test_a_message_that_is_held_back_comes_at_the_end() -> None:
    assert sent(harmed(Faults(reorder=1), ["42[1]"])) == ["42[1]"]
    damage = Damage(Faults(reorder=1), 1)
    list(damage.take("42[1]"))
    assert [*damage.rest()] == [Send("42[1]", "reordered")]
    assert [*damage.rest()] == []


def test_a_connection_is_dropped_cleanly_and_not() -> None:
    drops = [action for action in harmed(Faults(drop=20), [*EVENTS]) if isinstance(action, Drop)]
    assert 80 < len(drops) < 125
    assert {drop.clean for drop in drops} == {True, False}


def test_a_stall_says_how_long() -> None:
    stalls = [action for action in harmed(Faults(stall=500, stall_seconds=1.5), [*EVENTS]) if isinstance(action, Stall)]
    assert set(stalls) == {Stall(1.5)}
    assert 2 < len(stalls) < 8


@given(st.lists(st.sampled_from(["0{}", "40", "2", "3", "430[]", '451-["e",{"_placeholder":true,"num":0}]', b"1"])))
def test_what_belongs_to_the_connection_or_has_attachments_is_never_harmed(messages: list[str | bytes]) -> None:
    every = Faults(drop=1, duplicate=1, reorder=1, junk=1, stall=1)
    assert harmed(every, messages) == [Send(message) for message in messages]


@given(st.integers(0, 99), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_whatever_goes_wrong_every_event_is_sent_once_in_place(seed: int, twice: int, late: int, junk: int) -> None:
    faults = Faults(seed=seed, duplicate=twice, reorder=late, junk=junk)
    actions = harmed(faults, [*EVENTS[:200]])
    own = [action for action in actions if isinstance(action, Send) and action.fault in ("", "reordered")]
    assert Counter(action.message for action in own) == Counter(EVENTS[:200])
    assert [action.message for action in own if not action.fault] == sorted(
        (action.message for action in own if not action.fault), key=lambda message: EVENTS.index(str(message))
    )
