"""The chunks of what players did: who, what, when, and how long before the rug."""

from __future__ import annotations

import json
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from rugs_index.chunk import Chunk
from rugs_index.chunkers.game_facts import facts_of
from rugs_index.chunkers.player_action import MOST_ACTIONS, PAUSE_US, action_chunks
from rugs_index.rows import StoredRow
from tests.support.indexkit import GAME, action, row, ticks
from tests.support.lakekit import NOON_US

PRICES = [1.0 + number / 10 for number in range(100)]
GAME_FACTS = facts_of(GAME, ticks([*PRICES, 0.01]))
"""A game that rugs at tick 100."""


def chunks(*rows: StoredRow) -> list[Chunk]:
    """Return the chunks of actions in the game."""
    return list(action_chunks(f"game:{GAME}", sorted(rows, key=lambda each: each.order), GAME_FACTS))


def test_a_player_of_whom_one_asks_what_was_done_before_the_crash() -> None:
    (chunk,) = chunks(
        action(5, tick=4, price=1.4, origin_file="demo.jsonl", origin_line=3),
        action(21, "SIDEBET", amount=0.1, origin_file="demo.jsonl", origin_line=4),
        action(91, "SELL", cash=2.5, position_qty=0.0, origin_file="demo.jsonl", origin_line=7),
    )
    assert chunk.text.splitlines() == [
        f"Player actions: alice (by the application) bought, placed a side bet and sold in game {GAME}, Monday 1 June"
        " 2026 at 12:00 UTC. The game rugged (crashed) at tick 100; the last action before the crash was 10 ticks"
        " before it.",
        "12:00:01 bought 0.25 SOL: tick 4, 1.40x, 96 ticks before the rug",
        "12:00:05 placed a side bet of 0.1 SOL: tick 20, 3.00x, 80 ticks before the rug",
        "12:00:22 sold 0.25 SOL: tick 90, 10.0x, 10 ticks before the rug",
        "Account: cash 2.5 SOL, position 0.",
    ]
    assert chunk.owner == "did:1"
    assert {**chunk.metadata, "event_ids": 3} == {
        "source": "demo.jsonl", "kind": "player_action", "doc_type": "player_action", "game_id": GAME,
        "timestamp": "2026-06-01T12:00:01.250000+00:00", "session_id": "session-1", "player": "did:1",
        "username": "alice", "ts": NOON_US + 1_250_000, "until": NOON_US + 22_750_000,
        "actions": ["BUY", "SIDEBET", "SELL"], "tick": 4, "last_tick": 90, "rug_tick": 100, "ticks_before_rug": 10,
        "line_start": 3, "line_end": 7, "event_ids": 3,
    }  # fmt: skip


def test_an_action_after_the_rug_says_so() -> None:
    (chunk,) = chunks(action(3, tick=2), action(400, tick=103))
    assert "3 ticks after the rug" in chunk.text
    assert "the last action before the crash was 98 ticks before it" in chunk.text


def test_without_a_game_there_is_no_rug() -> None:
    (chunk,) = action_chunks("hour:x", [action(1, "MAX", game_id=None, amount=None, source="bot")])
    assert chunk.text.splitlines() == [
        "Player actions: alice (by a bot) set the bet amount to the maximum, Monday 1 June 2026 at 12:00 UTC.",
        "12:00:00 set the bet amount to the maximum",
    ]
    assert "game_id" not in chunk.metadata
    assert chunk.metadata["source"] == "player_action/session-1"


def test_buttons_are_said_in_words() -> None:
    names = ["+0.01", "25%", "X", "1/2", "X2", "trade.buy", "dance\n"]
    (chunk,) = chunks(*(action(place, name, amount=None, tick=5) for place, name in enumerate(names, 1)))
    for words in ("raised the bet amount by 0.01", "chose to sell 25%", "cleared the bet amount", "halved", "doubled"):
        assert words in chunk.text
    assert " bought: tick 5" in chunk.text
    assert "did dance\\n" in chunk.text


def test_a_chunk_has_few_actions_and_ends_before_a_pause() -> None:
    many = [action(number, tick=number) for number in range(1, 2 * MOST_ACTIONS + 4)]
    late = action(1, ts=many[-1].ts + PAUSE_US + 1, tick=99)
    assert [len(chunk.metadata["actions"]) for chunk in chunks(*many, late)] == [MOST_ACTIONS, MOST_ACTIONS, 3, 1]


def test_players_and_owners_are_kept_apart() -> None:
    found = chunks(action(1), action(2, player_id="did:2", owner="did:2"), action(3, owner="did:3"), action(4))
    assert [(chunk.owner, len(chunk.metadata["actions"])) for chunk in found] == [
        ("did:1", 2),
        ("did:2", 1),
        ("did:3", 1),
    ]


actions = st.builds(
    action,
    st.integers(1, 60),
    st.sampled_from(["BUY", "SELL", "", "trade.x", "99%", "+", "\ud800"]),
    tick=st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
    price=st.one_of(st.none(), st.floats()),
    amount=st.one_of(st.none(), st.floats()),
    cash=st.one_of(st.none(), st.floats()),
    position_qty=st.one_of(st.none(), st.floats()),
    player_id=st.sampled_from([None, "", "did:1"]),
    username=st.one_of(st.none(), st.text(max_size=4)),
    owner=st.sampled_from(["did:1", "x"]),
    game_id=st.sampled_from([None, GAME]),
    action=st.sampled_from([None, "SELL"]),
)


@given(st.lists(actions, max_size=40), st.randoms(use_true_random=False))
def test_no_action_is_lost_or_doubled_whatever_the_order(rows: list[StoredRow], chance: Random) -> None:
    again = list(rows)
    chance.shuffle(again)
    found = chunks(*rows)
    assert [(chunk.text, dict(chunk.metadata)) for chunk in found] == [
        (chunk.text, dict(chunk.metadata)) for chunk in chunks(*again)
    ]
    assert sorted(each for chunk in found for each in chunk.metadata["event_ids"]) == sorted(each.id for each in rows)
    json.dumps([dict(chunk.metadata) for chunk in found], allow_nan=False)
    assert all(chunk.owner is not None for chunk in found)


def test_a_game_without_ticks_tells_of_no_tick() -> None:
    facts = facts_of(GAME, [row(1, game_id=GAME)])
    (chunk,) = action_chunks("game:x", [action(2)], facts)
    assert "tick" not in chunk.text
