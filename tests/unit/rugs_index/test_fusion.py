"""One order out of several legs: by their ranks, and by all that speaks for each chunk."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_index.search.fusion import Candidate, Known, by_question, by_ranks
from rugs_index.search.legs import Hit
from rugs_index.search.routing import Question, question_of

NOTHING = Known()


def hit(id_: str, score: float | None = 0.4, text: str = "", **metadata: Any) -> Hit:
    return Hit(id_, text or id_, {"kind": "document", "source": "a", **metadata}, score, None, "scope", None)


def asked(query: str) -> Question:
    return question_of(query, lambda: 1_783_178_400_000_000, lambda: 1_783_178_400_000_000)


def order(query: str, *candidates: Candidate, known: Known = NOTHING) -> list[str]:
    return [each.hit.id for each in by_question(candidates, asked(query), known)]


def field(id_: str, path: str = "data.a", event: str = "stateA", score: float = 0.4) -> Candidate:
    return Candidate(hit(id_, score, kind="field", field_path=path, event_type=event))


def event(id_: str, key: str = "stateA") -> Candidate:
    return Candidate(hit(id_, kind="event", event_type=key))


def test_what_several_legs_found_goes_before_what_one_found() -> None:
    found = by_ranks({"vector": [hit("a"), hit("b")], "text": [hit("c"), hit("b")]})
    assert [each.hit.id for each in found] == ["b", "a", "c"]
    assert found[0].legs == {"vector": pytest.approx(1 / 62), "text": pytest.approx(1 / 62)}


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), unique=True), max_size=4))
def test_ranks_keep_every_hit_once_and_the_order_of_a_single_leg(legs: list[list[str]]) -> None:
    found = by_ranks({str(number): [hit(id_) for id_ in leg] for number, leg in enumerate(legs)})
    ids = [each.hit.id for each in found]
    assert sorted(ids) == sorted({id_ for leg in legs for id_ in leg})
    totals = [each.total for each in found]
    assert totals == sorted(totals, reverse=True)
    if len(legs) == 1:
        assert ids == legs[0]


def test_an_exact_name_goes_before_everything() -> None:
    named = field("named")
    named.name = 1.0
    alike = field("alike", "data.b", score=0.9)
    alike.words = 30
    assert order("data.a", alike, named) == ["named", "alike"]


def test_the_name_of_an_event_among_words_asks_for_its_fields() -> None:
    of_event, itself, other = field("field"), event("event"), field("other", event="stateB")
    itself.name = 1.0
    known = Known(events=frozenset({"stateA"}))
    assert order("which value is in stateA", itself, of_event, other, known=known)[-1] == "other"
    assert by_question([itself], asked("which value is in stateA"), known)[0].legs.get("exact") is None
    assert by_question([itself], asked("stateA"), known)[0].legs["exact"] == 2


def test_words_point_to_events_and_to_who_sends_them() -> None:
    sent, answer, value = event("sent", "ask"), event("reply", "told"), field("field", score=0.45)
    known = Known(ways={"ask": "sent", "told": "private"})
    assert order("which message is it", value, answer)[0] == "reply"
    assert order("how many are there", value, answer)[0] == "field"
    assert order("request it", sent, answer, known=known)[0] == "sent"
    assert order("the reply with it", sent, answer, known=known)[0] == "reply"


def test_a_time_a_player_or_a_game_asks_for_what_was_recorded() -> None:
    said, value = Candidate(hit("said", kind="ws_event", username="Ada", ts=0)), field("value")
    assert order("why is it slow", said, value) == ["value", "said"]
    assert order("why was it slow on 21 december", said, value) == ["said", "value"]
    assert order("why is Ada slow", said, value, known=Known(players=frozenset({"ada"}))) == ["said", "value"]
    assert order("peak above 50x", said, value) == ["said", "value"]


def test_who_says_something_and_about_whom() -> None:
    by = Candidate(hit("by", kind="ws_event", username="Ada"))
    about = Candidate(hit("about", text="see Ada", kind="ws_event"))
    known = Known(players=frozenset({"ada"}))
    assert order("Ada is angry", by, about, known=known) == ["by", "about"]
    assert order("gossip about Ada", by, about, known=known) == ["about", "by"]


def test_sessions_are_for_those_who_ask_for_sessions() -> None:
    session, said = Candidate(hit("session", kind="session")), Candidate(hit("said", kind="ws_event"))
    assert order("which recording was it on 21 december", session, said) == ["session", "said"]
    assert order("what was it on 21 december", session, said) == ["said", "session"]


def test_games_that_fulfil_conditions_and_the_first_of_all() -> None:
    half, whole = Candidate(hit("half", kind="game"), match=0.5), Candidate(hit("whole", kind="game"), match=1.0)
    assert order("games above 50x", half, whole) == ["whole", "half"]
    first, second = Candidate(hit("z", kind="game"), place=0), Candidate(hit("a", kind="game"), place=1)
    assert order("longest game", second, first) == ["z", "a"]


def test_a_part_of_the_day() -> None:
    hour = 3_600_000_000
    early, late = Candidate(hit("early", kind="game", ts=5 * hour)), Candidate(hit("late", kind="game", ts=20 * hour))
    assert order("early morning", late, early) == ["early", "late"]


def test_a_meaning_that_several_fields_have_is_said_once_before_the_others() -> None:
    same = [Candidate(hit(id_, 0.5, "The same.\nField", kind="field", field_path="data.a.b")) for id_ in "ab"]
    other = Candidate(hit("c", 0.48, "Another.\nField", kind="field", field_path="data.a.b"))
    assert order("what is it", *same, other) == ["a", "c", "b"]


def test_the_legs_are_what_the_rank_is_made_of() -> None:
    (only,) = by_question([field("a")], asked("what is it"), NOTHING)
    assert only.total == pytest.approx(sum(only.legs.values()))
    assert all(only.legs.values())


def test_without_a_model_words_decide() -> None:
    few, many = Candidate(hit("few", None), words=2.0), Candidate(hit("many", None), words=9.0)
    assert order("what is it", few, many) == ["many", "few"]
