"""The golden set: well-formed, balanced, split for good, and asked in other words than those of the chunks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from rugs_discovery.meanings import Meaning
from rugs_discovery.notes_file import shipped_meanings
from tests.retrieval.content_words import MOST_SHARED, content_words, shared
from tests.retrieval.corpus import facts
from tests.retrieval.plain_texts import text_of_game, text_of_happened
from tests.retrieval.plan import CAPTURES
from tests.retrieval.questions import (
    FOLDER,
    HALVES,
    IDENTIFIER,
    KINDS,
    TUNED,
    Question,
    QuestionError,
    Target,
    all_questions,
    half_of,
    load,
    questions_of,
)

LEAST = {"field": 60, "event": 40, "identifier": 20, "game": 35, "when": 25, "unanswerable": 20}


def too_alike(questions: list[Question], texts: Mapping[Target, str]) -> list[tuple[str, Target, float]]:
    """Return the questions that share too many content words with a chunk they expect, as (id, target, share).

    Args:
        texts: of the chunks that were made, by what they are about.
    """
    return [
        (question.id, target, share)
        for question in questions
        if question.kind != IDENTIFIER
        for target in question.targets
        if target in texts and (share := shared(question.text, texts[target])) > MOST_SHARED
    ]


def plain_texts() -> dict[Target, str]:
    """Return a text for each chunk that is expected: what the shipped meanings, or the facts of the corpus, say."""
    meanings = shipped_meanings()
    texts = {}
    for target in {target for question in all_questions() for target in question.targets}:
        if target.kind == "field":
            said = (each for each in meanings.fields[target.name] if target.event is None or each.is_of(target.event))
            texts[target] = _said(next(said))
        elif target.kind == "event":
            texts[target] = _said(meanings.events[target.name])
        elif target.kind == "game":
            texts[target] = text_of_game(facts().games[target.name])
        elif target.kind != "session":
            happened = facts().happened[target.name]
            texts[target] = text_of_happened(happened, facts().games[happened.game])
    return texts


def _said(meaning: Meaning) -> str:
    return f"{meaning.text} {meaning.unit or ''} {meaning.note or ''}"


def test_there_are_enough_questions_of_each_kind() -> None:
    counts = Counter(question.kind for question in all_questions())
    assert all(counts[kind] >= least for kind, least in LEAST.items()), counts
    assert set(counts) == set(KINDS)


def test_no_question_is_asked_twice() -> None:
    counts = Counter(" ".join(sorted(content_words(question.text))) for question in all_questions())
    assert [words for words, count in counts.items() if count > 1] == []


def test_the_halves_are_about_equally_large() -> None:
    for kind in KINDS:
        tuned = [question.half == TUNED for question in all_questions() if question.kind == kind]
        assert 0.4 <= sum(tuned) / len(tuned) <= 0.6, kind


def test_every_question_is_in_the_file_of_its_half() -> None:
    for half in HALVES:
        for kind in KINDS:
            assert {question.half for question in load(FOLDER / half / f"{kind}.yaml", kind)} == {half}
        assert {question.id for question in questions_of(half)} == {
            question.id for question in all_questions() if question.half == half
        }


def test_the_half_of_a_question_never_changes() -> None:
    tuned = [number for number in range(12) if half_of(f"question-{number}") == TUNED]
    assert tuned == [1, 4, 6, 7, 9]


def test_what_is_expected_exists_in_the_plan() -> None:
    names = {
        "game": set(facts().games),
        "moment": set(facts().happened),
        "action": {name for name, each in facts().happened.items() if each.event == "player_action"},
        "session": {capture.name for capture in CAPTURES},
    }
    for question in all_questions():
        for target in question.targets:
            if target.kind in names:
                assert target.name in names[target.kind], question.id


def test_no_question_has_more_than_half_of_its_content_words_from_what_it_expects() -> None:
    texts = plain_texts()
    assert too_alike(list(all_questions()), texts) == []


def test_a_question_in_the_words_of_its_chunk_is_noticed() -> None:
    target = Target("event", "e")
    question = Question("q", "event", "players pay money early", ((target,),))
    assert too_alike([question], {target: "The player pays some money"}) == [("q", target, 0.75)]
    assert too_alike([question], {target: "The player pays late"}) == []
    assert too_alike([Question("q", IDENTIFIER, "e", ((target,),))], {target: "e"}) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("What is the price of it?", {"pric"}),
        ("prices, priced; PRICE", {"pric"}),
        ("data.leaderboard[].pnl", {"data.leaderboard[].pnl"}),
        ("Is gameStateUpdate like game state?", {"gamestateupdate", "gam", "stat"}),
        ("avg_cost standard/newTrade nocturne9", {"avg_cost", "standard/newtrade", "nocturne9"}),
        ("On 2025-12-06 at 18:02 it was 57.94x", {"2025-12-06", "18:02", "57.94x"}),
        ("wait... why? (who)", {"wait"}),
        ("", set()),
    ],
)
def test_content_words(text: str, words: set[str]) -> None:
    assert content_words(text) == words


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("q: {field: data.a}", "q: no ask"),
        ("q: {ask: hello}", "q: no answer in kind field"),
        ("q: {ask: hello, fields: data.a}", "q: unknown keys"),
    ],
)
def test_a_question_that_is_not_well_formed_is_refused(tmp_path: Path, entry: str, why: str) -> None:
    path = tmp_path / "field.yaml"
    path.write_text(entry)
    with pytest.raises(QuestionError, match=why):
        load(path, "field")


def test_a_question_may_have_several_answers_and_other_forms_of_each(tmp_path: Path) -> None:
    path = tmp_path / "field.yaml"
    path.write_text(
        "a: {ask: x, field: [data.a, data.b], event: e, or: [{event: f}]}\n"
        "b: {ask: y, games: [one, two], or: [{moment: m}]}\n"
    )
    fields, games = load(path, "field")
    assert fields.answers == ((Target("field", "data.a", "e"), Target("field", "data.b", "e"), Target("event", "f")),)
    assert games.answers == (
        (Target("game", "one"), Target("moment", "m")),
        (Target("game", "two"), Target("moment", "m")),
    )
