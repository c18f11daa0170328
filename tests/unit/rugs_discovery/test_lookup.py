"""What the look-up promises: the field that was meant comes first, with all that is known of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_core.errors import RugsError
from rugs_discovery.answers import FieldAnswer, answer_json, answers_text
from rugs_discovery.lookup import FieldIndex, UnknownFieldError, field_lookup
from rugs_discovery.meanings import DOCUMENTED, OBSERVED, Meaning, Meanings
from rugs_discovery.notes_file import shipped_meanings
from rugs_discovery.paths import join
from rugs_discovery.words import question_words, stem, words
from tests.support.documentkit import HOSTILE, hostile_summary, summary_of

STATE = {
    "price": 1.5,
    "connectedPlayers": 200,
    "gameId": "20251215-0229cacf684f458c",
    "leaderboard": [{"id": "did:privy:abc", "pnl": 0.5, "username": "someone"}, {"id": "did:privy:abd", "pnl": None}],
    "partialPrices": {"values": {"1": 1.5, "2": 2}},
}
SUMMARY = summary_of(
    ("state", STATE),
    ("state", {**STATE, "price": 2}),
    ("trade", {"price": 1.25, "gameId": "20251215-0229cacf684f458c", "type": "buy"}),
    ("trade", {"price": 0.5, "type": "sell", "playerId": "did:privy:abc"}),
    ("trade", {"price": 0.5, "type": "sell"}),
    ("trade", {"price": 0.5, "type": "buy"}),
)
MEANINGS = Meanings(
    fields={
        "data.price": [
            Meaning("What a trade was made at.", "m", OBSERVED, events=("trade",)),
            Meaning("The current multiplier of the game.", "m", "contradicted", unit="x", note="A document differs."),
        ],
        "data.connectedPlayers": [Meaning("How many people are online.", "m", OBSERVED)],
        "data.gameId": [Meaning("The id of the game.", "m", OBSERVED)],
        "data.amount": [Meaning("How much the player buys for.", "m", DOCUMENTED, "SOL", events=("buyOrder", "trade"))],
        "data.leaderboard[].pnl": [Meaning("Profit or loss.", "m", OBSERVED)],
    }
)

INDEX = FieldIndex(SUMMARY, MEANINGS)
HOSTILE_INDEX = FieldIndex(hostile_summary(), Meanings())


def paths(query: str) -> list[str]:
    return [answer.path for answer in field_lookup(SUMMARY, MEANINGS, query)]


def only(query: str) -> FieldAnswer:
    (answer,) = field_lookup(SUMMARY, MEANINGS, query)
    return answer


def first(query: str) -> FieldAnswer:
    return field_lookup(SUMMARY, MEANINGS, query)[0]


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("data.connectedPlayers", "data.connectedPlayers"),
        ("  data.connectedplayers ", "data.connectedPlayers"),
        ("data.leaderboard[].pnl", "data.leaderboard[].pnl"),
        ("data.leaderboard[0].pnl", "data.leaderboard[].pnl"),
        ("data.leaderboard.pnl", "data.leaderboard[].pnl"),
        ("leaderboard[].pnl", "data.leaderboard[].pnl"),
        ("leaderboard pnl", "data.leaderboard[].pnl"),
        ("pnl leaderboard", "data.leaderboard[].pnl"),
        ("pnl", "data.leaderboard[].pnl"),
        ("PnL", "data.leaderboard[].pnl"),
        ("player id", "data.playerId"),
        ("connected players", "data.connectedPlayers"),
        ("what is data.connectedPlayers?", "data.connectedPlayers"),
        ("how many people are online?", "data.connectedPlayers"),
        ("the game's current multiplier", "data.price"),
        ("data.partialPrices.values", "data.partialPrices.values"),
        ("data.partialPrices.values.17", "data.partialPrices.values"),
        ("data.partialPrices.values{*}", "data.partialPrices.values{*}"),
        ("trade:data.type", "data.type"),
        ("trade.data.type", "data.type"),
        ("TRADE.type", "data.type"),
        ("buyOrder:data.amount", "data.amount"),
    ],
)
def test_the_first_answer_is_the_field_that_was_asked_for(query: str, path: str) -> None:
    assert paths(query)[0] == path


def test_a_whole_path_is_answered_alone_and_an_end_with_all_that_end_so() -> None:
    assert set(paths("data.leaderboard[].id")) == {"data.leaderboard[].id"}
    assert [answer.match for answer in field_lookup(SUMMARY, MEANINGS, "data.gameId")] == ["path"]
    assert paths("id")[0] == "data.leaderboard[].id"
    assert {answer.match for answer in field_lookup(SUMMARY, MEANINGS, "pnl")} == {"key"}
    assert field_lookup(SUMMARY, MEANINGS, "people online")[0].match == "words"


def test_events_in_which_a_path_means_the_same_are_one_answer_and_others_are_another() -> None:
    assert list(only("data.gameId").events) == ["state", "trade"]
    state, trade = sorted(field_lookup(SUMMARY, MEANINGS, "data.price"), key=lambda answer: list(answer.events))
    assert (list(state.events), list(trade.events)) == (["state"], ["trade"])
    assert state.meaning != trade.meaning


def test_an_event_before_a_path_asks_of_this_event_alone() -> None:
    answer = only("trade:data.gameId")
    assert (answer.events, answer.count, [field.event for field in answer.fields]) == ({"trade": 4}, 1, ["trade"])
    with pytest.raises(UnknownFieldError):
        field_lookup(SUMMARY, MEANINGS, "trade:data.connectedPlayers")


def test_an_answer_has_what_is_known_of_all_its_events() -> None:
    answer = only("data.gameId")
    assert (answer.count, answer.types, answer.formats) == (3, {"string": 3}, ("game-id",))
    assert answer.first is not None
    assert answer.last is not None
    assert (answer.first.line, answer.last.line) == (1, 3)
    price = field_lookup(SUMMARY, Meanings(), "data.price")[0]
    assert (price.range, price.types, price.count) == ((0.5, 2), {"number": 5, "integer": 1}, 6)
    assert only("trade:data.type").enum == ("buy", "sell")
    assert first("data.leaderboard").lengths == (2, 2)
    assert only("data.leaderboard[].username").samples == ("<name>",)
    folded = first("data.partialPrices.values")
    assert (sorted(folded.keys), folded.map_evidence) == (["1", "2"], "all 2 keys are whole numbers")


def test_what_only_documents_know_is_found_behind_what_was_seen() -> None:
    answer = only("data.amount")
    assert (answer.fields, answer.events, answer.count, answer.first) == ((), {"buyOrder": 0, "trade": 4}, 0, None)
    assert answer_json(answer)["events"] == [
        {"event": "buyOrder", "events": 0, "count": 0},
        {"event": "trade", "events": 4, "count": 0},
    ]
    assert "buyOrder: never seen" in answers_text([answer])


def test_json_has_everything_and_leaves_out_what_is_not_known() -> None:
    said = answer_json(only("trade:data.price"))
    assert said == {
        "path": "data.price",
        "match": "path",
        "meaning": {
            "text": "What a trade was made at.",
            "source": "m",
            "status": "observed",
            "unit": None,
            "note": None,
            "events": ("trade",),
        },
        "count": 4,
        "types": {"number": 4},
        "range": [0.5, 1.25],
        "samples": said["samples"],
        "first": {"at": "2025-12-06T05:46:42Z", "file": "capture.jsonl", "line": 3},
        "last": {"at": "2025-12-06T05:46:45Z", "file": "capture.jsonl", "line": 6},
        "events": [
            {
                "event": "trade",
                "events": 4,
                "count": 4,
                "presence": 1.0,
                "types": {"number": 4},
                "first": {"at": "2025-12-06T05:46:42Z", "file": "capture.jsonl", "line": 3},
                "last": {"at": "2025-12-06T05:46:45Z", "file": "capture.jsonl", "line": 6},
            }
        ],
    }
    assert sorted(said["samples"]) == [0.5, 1.25]
    json.dumps(said)


def test_a_terminal_shows_an_answer_in_eighty_columns_and_others_in_a_line_each() -> None:
    assert answers_text([only("state:data.price")]) == (
        "data.price\n"
        "The current multiplier of the game.\n"
        "\n"
        "  type      number\n"
        "  range     1.5 to 2\n"
        "  unit      x\n"
        "  samples   2, 1.5\n"
        "  status    contradicted: A document differs.\n"
        "  events    state (2 events): 2 values, 100% of data\n"
        "  first     2025-12-06T05:46:40Z, capture.jsonl:1\n"
        "  last      2025-12-06T05:46:41Z, capture.jsonl:2\n"
    )
    text = answers_text(field_lookup(SUMMARY, MEANINGS, "how many people are online in the game"))
    assert text.startswith("data.connectedPlayers\nHow many people are online.\n\n  type      integer\n")
    assert "\nSee also:\n  data." in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_question_that_nothing_matches_is_an_error_that_names_the_nearest_paths() -> None:
    with pytest.raises(UnknownFieldError, match=r'^no field matches "data.prize"; the nearest: data.price, '):
        field_lookup(SUMMARY, MEANINGS, "data.prize")
    with pytest.raises(RugsError, match="no field matches"):
        field_lookup(SUMMARY, MEANINGS, "")
    with pytest.raises(UnknownFieldError, match="no field is known; run `rugs discovery build`"):
        field_lookup(summary_of(), Meanings(), "data.price")


def test_the_number_of_answers_is_bounded() -> None:
    assert len(HOSTILE_INDEX.lookup("text", 2)) == 2
    assert len(HOSTILE_INDEX.lookup("text list map")) == 10


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_found_and_shown_harmlessly(name: str) -> None:
    (answer,) = HOSTILE_INDEX.lookup(join(("data", name, "text")), 1)
    text = answers_text([answer])
    assert answer.path == join(("data", name, "text"))
    assert all(line.isprintable() and len(line) <= 80 for line in text.splitlines())
    json.dumps(answer_json(answer))


@given(st.text(max_size=40))
def test_whatever_is_asked_there_is_an_answer_or_one_error(query: str) -> None:
    message, answers = "", []
    try:
        answers = INDEX.lookup(query)
    except UnknownFieldError as error:
        message = str(error)
    assert len(answers) <= 10
    assert bool(answers) != bool(message)
    assert message.isprintable()


@given(st.sampled_from(["price", "leaderboard pnl", "who plays the game", "data"]))
def test_the_same_question_has_the_same_answers(query: str) -> None:
    assert field_lookup(SUMMARY, MEANINGS, query) == INDEX.lookup(query)


def test_words_are_split_and_their_endings_do_not_matter() -> None:
    assert words("data.pnlPercent") == [stem("data"), "pnl", stem("percent"), stem("pnlpercent")]
    assert stem("prices") == stem("price") == stem("Priced")
    assert stem("betting") == stem("bets") == stem("bet")
    assert question_words("What is the price?") == [stem("price")]
    assert question_words("what is it") == ["what", "is", "it"], "all of them, if none says anything"


def test_the_projects_meanings_answer_questions_in_plain_words() -> None:
    payload: dict[str, Any] = {
        "price": 1.5, "connectedPlayers": 200, "cooldownTimer": 0, "tradeCount": 3, "rugged": False, "gameId": "x",
        "highestToday": 5, "provablyFair": {"serverSeedHash": "ab"}, "rugpool": {"rugpoolAmount": 1.5},
    }  # fmt: skip
    index = FieldIndex(summary_of(("gameStateUpdate", payload)), shipped_meanings())
    for question, path in (
        ("how many people are online", "data.connectedPlayers"),
        ("what is the current price", "data.price"),
        ("when does the next round start", "data.cooldownTimer"),
        ("how many trades were made", "data.tradeCount"),
        ("highest multiplier today", "data.highestToday"),
        ("rug pool size", "data.rugpool.rugpoolAmount"),
    ):
        assert index.lookup(question)[0].path == path, question
