"""What meanings promise: the line that counts for a field, what has none, and which lines are about nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rugs_discovery.maps import Pins
from rugs_discovery.meanings import CONTRADICTED, DOCUMENTED, OBSERVED, Meaning, Meanings, Unseen, undescribed, unseen
from tests.support.documentkit import summary_of

PRICE = Meaning("The price.", "ours", OBSERVED, unit="SOL")
OF_A_TRADE = Meaning("The price of a trade.", "ours", OBSERVED, events=("trade",))


def test_the_first_line_that_holds_for_an_event_is_its_meaning() -> None:
    meanings = Meanings(fields={"data.price": [OF_A_TRADE, PRICE]})
    assert meanings.of_field("trade", "data.price") == OF_A_TRADE
    assert meanings.of_field("state", "data.price") == PRICE
    assert meanings.of_field("state", "data.prices") is None
    assert Meanings(fields={"data.price": [OF_A_TRADE]}).of_field("state", "data.price") is None


def test_the_whole_payload_means_what_its_event_means() -> None:
    event = Meaning("The state.", "ours")
    meanings = Meanings({"state": event})
    assert meanings.of_event("state") == meanings.of_field("state", "data") == event
    assert meanings.of_event("trade") is meanings.of_field("trade", "data") is None


def test_any_key_of_a_path_stands_for_each_key_but_a_line_of_its_own_goes_first() -> None:
    any_prize, first, nested = (Meaning(text, "ours") for text in ("a prize", "the first prize", "nested"))
    meanings = Meanings(fields={"data.prizes{*}": [any_prize], "data.prizes.1": [first], "data{*}{*}": [nested]})
    assert meanings.of_field("any", "data.prizes.1") == first
    assert meanings.of_field("any", "data.prizes.2") == meanings.of_field("any", "data.prizes{*}") == any_prize
    assert meanings.of_field("any", "data.other.x") == nested
    assert meanings.of_field("any", "data.prizes[]") is meanings.of_field("any", "data.prizes.1.2") is None


def test_lines_of_one_file_go_before_those_of_another_and_the_rest_stays() -> None:
    own = Meaning("My price.", "mine")
    mine = Meanings({"state": own}, {"data.price": [own]}, Pins(maps={"data.x"}))
    theirs = Meanings({"state": PRICE, "trade": PRICE}, {"data.price": [OF_A_TRADE], "data.qty": [PRICE]})
    both = mine.over(theirs)
    assert both.events == {"state": own, "trade": PRICE}
    assert both.of_field("trade", "data.price") == own, "a line for all events goes before one for this event"
    assert both.of_field("trade", "data.qty") == PRICE
    assert both.pins.of("state", "data.x") is True
    assert (mine.events, theirs.events) == ({"state": own}, {"state": PRICE, "trade": PRICE})


def test_fields_without_a_meaning_are_listed() -> None:
    summary = summary_of(("state", {"price": 1, "prizes": {"1": 5}}), ("trade", None))
    meanings = Meanings({"state": PRICE}, {"data.price": [OF_A_TRADE], "data.prizes": [PRICE]})
    assert undescribed(summary, meanings) == [("state", "data.price"), ("state", "data.prizes{*}"), ("trade", "data")]


def test_lines_about_what_was_not_seen_are_listed_with_the_event_that_lacks_it() -> None:
    summary = summary_of(("state", {"price": 1, "prizes": {"a": 5}}), ("trade", {"qty": 1}))
    meanings = Meanings(
        {"state": PRICE, "gone": Meaning("x", "theirs", CONTRADICTED)},
        {
            "data.price": [OF_A_TRADE, PRICE],
            "data.qty": [PRICE],
            "data.old": [Meaning("x", "mine")],
            "data.prizes{*}": [PRICE],
            "data.lost{*}": [PRICE],
        },
        Pins(maps={"data.prizes", "state:data.prizes"}, objects={"trade:data.prizes", "data.gone"}),
    )
    assert unseen(meanings, summary) == [
        Unseen("events", "gone", None, CONTRADICTED, "theirs"),
        Unseen("fields", "data.price", "trade", OBSERVED, "ours"),
        Unseen("fields", "data.old", None, DOCUMENTED, "mine"),
        Unseen("fields", "data.lost{*}", None, OBSERVED, "ours"),
        Unseen("objects", "data.gone"),
        Unseen("objects", "trade:data.prizes"),
    ]


@given(st.dictionaries(st.text(max_size=6), st.integers(), max_size=4), st.text(max_size=4))
def test_what_was_seen_is_never_listed_as_unseen_and_what_has_a_line_is_never_undescribed(
    payload: dict[str, int], name: str
) -> None:
    summary = summary_of((name, payload))
    lines = {field.path: [PRICE] for event in summary.events.values() for field in event.all_fields}
    meanings = Meanings(dict.fromkeys(summary.events, PRICE), lines)
    assert unseen(meanings, summary) == []
    assert undescribed(summary, meanings) == []
    assert len(undescribed(summary, Meanings())) == len(lines)
