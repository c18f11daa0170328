"""Identifiers are found as they are written and by the words inside them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_index import identifiers

WORDS = st.lists(st.from_regex(r"[a-z]{2,8}", fullmatch=True), min_size=1, max_size=5)


@pytest.mark.parametrize(
    ("identifier", "words"),
    [
        ("gameStateUpdate", "game state update"),
        ("data.leaderboard[].pnl", "data leaderboard pnl"),
        ("data.partialPrices.values{*}", "data partial prices values"),
        ("standard/newTrade", "standard new trade"),
        ("record:game_tick", "record game tick"),
        ("active-event-id", "active event id"),
        ("cumulativePnL", "cumulative pnl"),
        ("xPayout", "x payout"),
        ("count10x", "count 10x"),
        ("godCandle2xMassiveJump", "god candle 2x massive jump"),
        ("HTTPServerURL", "http server url"),
        ("__trace", "trace"),
        ("20251212-25dcb17086a24ad7", "20251212 25dcb17086a24ad7"),
        ("did:privy:cmaibr7rt0094jp0mc2mbpfu4", "did privy cmaibr7rt0094jp0mc2mbpfu4"),
        ("größeÄnderung", "größeänderung"),
        ("日本.price", "日本 price"),
        ("price", "price"),
        ("", ""),
        ("[].{*}", ""),
    ],
)
def test_split(identifier: str, words: str) -> None:
    assert identifiers.split(identifier) == words.split()


@given(WORDS, st.sampled_from([".", "_", "-", "/", ":", "[].", " "]))
def test_words_come_back_out_of_every_way_to_join_them(words: list[str], separator: str) -> None:
    assert identifiers.split(separator.join(words)) == words
    camel = words[0] + "".join(word.capitalize() for word in words[1:])
    assert identifiers.split(camel) == words


@given(st.text(max_size=40))
def test_no_letter_and_no_digit_is_lost_or_added(text: str) -> None:
    letters = "".join(re.findall(r"[^\W_]+", text)).lower()
    assert "".join(identifiers.split(text)) == letters


@given(st.text(alphabet="aBx0 9._-/é", max_size=30))
def test_splitting_again_changes_nothing(text: str) -> None:
    words = identifiers.split(text)
    assert identifiers.split(" ".join(words)) == words


def test_a_query_keeps_its_wording_and_gains_the_words_inside_its_identifiers() -> None:
    assert identifiers.expanded("what is data.gameStateUpdate.price?") == (
        "what is data.gameStateUpdate.price? data game state update price"
    )
    assert identifiers.expanded("price of the game at 12:30, 1.25 SOL") == "price of the game at 12:30, 1.25 SOL"
    assert identifiers.expanded("") == ""


def test_an_identifier_begins_at_no_digit() -> None:
    assert identifiers.forms("1fooBar 25dcbFoo-8 2x10x4x8yZ") == ""


def test_forms_are_there_once_each() -> None:
    assert identifiers.forms("gameStateUpdate gameState game") == "game state update"
    assert identifiers.forms("only plain words, and 20251212-25dcb17086a24ad7") == ""


@given(st.text(max_size=60))
def test_forms_are_words_of_the_text(text: str) -> None:
    assert set(identifiers.forms(text).split()) <= set(identifiers.split(text))
