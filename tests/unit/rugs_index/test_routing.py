"""What a question asks for: its form, the names and ids in it, and what its words point to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_index.search.cues import Cue, cues_of
from rugs_index.search.routing import Form, Question, prose_of, question_of

GAME = "20251221-0938d0ef41be7cd2"


def asked(query: str) -> Question:
    return question_of(query, lambda: 1_783_178_400_000_000, lambda: 1_783_178_400_000_000)


@pytest.mark.parametrize(
    ("query", "form", "names"),
    [
        ("data.leaderboard[].pnl", Form.IDENTIFIER, ["data.leaderboard[].pnl"]),
        ("gameStateUpdate", Form.IDENTIFIER, ["gameStateUpdate"]),
        ("standard/newTrade", Form.IDENTIFIER, ["standard/newTrade"]),
        ("avg_cost", Form.IDENTIFIER, ["avg_cost"]),
        ("__trace", Form.IDENTIFIER, ["__trace"]),
        ("goldenHourDrawing:data.winnerIndex", Form.IDENTIFIER, ["goldenHourDrawing:data.winnerIndex"]),
        ("goldenHourDrawing entries[].entryCount", Form.IDENTIFIER, ["goldenHourDrawing", "entries[].entryCount"]),
        ("what is data.price?", Form.MIXED, ["data.price"]),
        ("what is the price field in gameStateUpdate?", Form.MIXED, ["gameStateUpdate"]),
        ("god candle 50x massive jump", Form.PROSE, ["god candle 50x massive jump"]),
        ("who is winning, and how do I see it in the feed of the game", Form.PROSE, []),
        ("", Form.PROSE, []),
    ],
)
def test_forms_and_names(query: str, form: Form, names: list[str]) -> None:
    found = asked(query)
    assert (found.form, list(found.names)) == (form, names)


def test_ids() -> None:
    assert asked(f"game {GAME}").games == (GAME,)
    assert asked("did:privy:abc123 what").players == ("did:privy:abc123",)
    assert asked("20260704T150000.000000Z-aaaaaaaaaaaa").sessions == ("20260704T150000.000000Z-aaaaaaaaaaaa",)
    assert asked("game ending in 248266e0").digits == ("248266e0",)
    assert asked("9a6daf778a53c6e5").form is Form.IDENTIFIER
    assert asked("the facade was added 1234567 times").ids == ()


def test_decimals_that_are_no_multiples() -> None:
    assert asked("bought 1.25 after 2.5x at 10.5").decimals == ("1.25", "10.5")


@pytest.mark.parametrize(
    ("query", "prose"),
    [
        ('search_events(query="spike", min_multiplier=10, max_multiplier=12)', "spike, game between 10x and 12x"),
        ('search_events(query="spike", min_multiplier=10)', "spike, game above 10x"),
        ("search_events('spike', max_multiplier=2)", "spike, game below 2x"),
        ('search_knowledge("what was recorded", top_k=3)', "what was recorded"),
        ('search_by_topic(topic="muted users", source_filter="docs")', "muted users"),
        ("get_recent_events(limit=5)", "get_recent_events(limit=5)"),
        ("what is this (and that)?", "what is this (and that)?"),
    ],
)
def test_a_call_is_read_as_what_it_asks_for(query: str, prose: str) -> None:
    assert prose_of(query) == prose
    assert asked(query).text == prose


@pytest.mark.parametrize(
    ("query", "cues"),
    [
        ("which message does the client send", {Cue.EVENT, Cue.CHAT, Cue.ACTION, Cue.SENT}),
        ("which field is a boolean", {Cue.FIELD, Cue.TRUTH}),
        ("my balance", {Cue.OWN}),
        ("which games rugged", {Cue.GAME, Cue.WHICH_GAME}),
        ("what did the player do before the crash?", {Cue.ACTION, Cue.DONE}),
        ("congratulations", {Cue.CHAT}),
        ("recordings with outages", {Cue.SESSION}),
        ("price", set()),
    ],
)
def test_cues(query: str, cues: set[Cue]) -> None:
    assert cues_of(query) >= cues
    assert cues or not cues_of(query)


def test_a_question_has_its_time_and_its_conditions() -> None:
    found = asked("which game on 21 December 2025 rugged within five ticks")
    assert found.span is not None
    assert set(found.conditions.numbers) == {"rug_tick"}
    assert found.has(Cue.WHICH_GAME)


@given(st.text(max_size=200))
def test_no_text_makes_it_fail(text: str) -> None:
    found = asked(text)
    assert found.form in Form
    assert len(found.text) <= max(len(text), 1) or "(" in text


def test_a_text_of_a_megabyte_is_cut() -> None:
    assert len(asked("price " * 200_000).text) < 10_000
