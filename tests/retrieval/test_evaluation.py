"""The evaluation: what it measures, when it fails, and what it tells of the held-out half."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.retrieval import eval as program
from tests.retrieval.corpus import facts
from tests.retrieval.evaluation import ALL, evaluate, worse_than_a_leg
from tests.retrieval.matching import Matcher
from tests.retrieval.meanings_searcher import MeaningsSearcher
from tests.retrieval.questions import HELD_OUT, TUNED, Question, Target, questions_of
from tests.retrieval.searcher import AUTO, TEXT, VECTOR, Found, Hit

MATCHER = Matcher(facts())
QUESTIONS = [
    Question("one", "event", "first", ((Target("event", "ping"),),)),
    Question("two", "event", "second", ((Target("event", "ack"),),)),
    Question("three", "field", "third", ((Target("field", "data.a"),),)),
    Question("none", "unanswerable", "fourth"),
]


class Scripted:
    """Finds on each leg what it is told to: the names of events by question."""

    def __init__(self, answers: Mapping[str, Mapping[str, list[str]]]) -> None:
        self._answers = answers

    def search(self, query: str, k: int, mode: str) -> Found:
        names = self._answers[mode].get(query, [])[:k]
        return Found([Hit(name, 0.5, {"kind": "event", "event_type": name}, name) for name in names], bool(names))


def test_a_leg_is_measured_by_kind_and_over_all() -> None:
    searcher = Scripted({TEXT: {"first": ["ping"], "second": ["x", "ack"], "fourth": ["y"]}})
    (leg,) = evaluate(searcher, QUESTIONS, [TEXT], MATCHER)
    assert set(leg.quality) == {"event", "field", ALL}
    assert (leg.quality["event"].hit_1, leg.quality["event"].mrr_10) == (0.5, 0.75)
    assert (leg.quality["field"].hit_5, leg.quality[ALL].questions) == (0, 3)
    assert [asked.rank for asked in leg.asked] == [1, 2, None, None]
    assert (leg.abstention.declined, leg.abstention.wrongly) == (0, 1 / 3)
    assert leg.as_dict()["quality"]["event"]["hit_1"] == 0.5


def test_auto_must_not_be_worse_than_its_best_leg_on_any_kind() -> None:
    good, bad = {"first": ["ping"], "second": ["ack"]}, {"first": ["ping"], "second": ["x", "ack"]}
    for auto, faults in ((good, 0), (bad, 1)):
        searcher = Scripted({VECTOR: bad, TEXT: good, AUTO: auto})
        found = worse_than_a_leg(evaluate(searcher, QUESTIONS, [VECTOR, TEXT, AUTO], MATCHER))
        assert len(found) == faults
    assert found == ["event: mrr_10 of auto is 0.750, of text 1.000"]


def test_without_auto_or_a_single_leg_there_is_nothing_to_compare() -> None:
    searcher = Scripted({TEXT: {"first": ["ping"]}, AUTO: {}})
    assert worse_than_a_leg(evaluate(searcher, QUESTIONS, [TEXT], MATCHER)) == []
    assert worse_than_a_leg(evaluate(searcher, QUESTIONS, [AUTO], MATCHER)) == []


def test_a_plain_search_over_the_meanings_finds_some_fields() -> None:
    (leg,) = evaluate(MeaningsSearcher(), questions_of(TUNED)[:60], [TEXT], MATCHER)
    assert 0.2 < leg.quality["field"].hit_5 < 0.9
    assert not any(asked.rank for asked in leg.asked if asked.question.kind == "game")


@pytest.mark.slow
def test_the_program_prints_tables_and_tells_nothing_of_held_out_questions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    searcher = "tests.retrieval.meanings_searcher:open_searcher"
    options = ["--cache", str(tmp_path), "--searcher", searcher, "--held-out", "--failures"]
    legs = ["--leg", TEXT, "--leg", AUTO]
    assert program.main([*options, *legs]) == 0
    printed = capsys.readouterr().out
    assert "tuned half" in printed
    assert "held-out half" in printed
    assert all(leg in printed for leg in (TEXT, AUTO))
    questions = questions_of(HELD_OUT)
    assert not [question.text for question in questions if json.dumps(question.text) in printed]
    assert program.main([*options, "--json", "--leg", TEXT]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["held_out"]["legs"][0]["quality"][ALL]["questions"] == sum(each.answerable for each in questions)
    assert set(told["held_out"]["failures"][TEXT][0]) == {"id", "rank", "answerable"}
    folder, *_ = tmp_path.iterdir()
    assert (folder / "data" / "events_parquet").is_dir()
