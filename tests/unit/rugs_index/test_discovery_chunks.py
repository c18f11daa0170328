"""The chunks of discovery: what an event is, each of its fields, an example; they change when the feed does."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rugs_discovery.batch import take
from rugs_discovery.meanings import Meanings
from rugs_discovery.messages import read_stored
from rugs_discovery.nodes import Place
from rugs_discovery.notes_file import parse_notes, shipped_meanings
from rugs_discovery.state import State
from rugs_discovery.summary import Summary, summarise
from rugs_index.chunk import Chunk
from rugs_index.chunkers.field import ANY_EVENT
from rugs_index.chunkers.presence import PRESENCES, presence_of, range_of
from rugs_index.discovery import discovery_chunks
from tests.support.jsons import JSON, TEXT

NOTES = """
events:
  state:
    meaning: The server says how the game stands.
    status: observed
  never:
    meaning: Documents name this event.
    status: documented
fields:
  data.price:
    - meaning: The current price of the game.
      unit: multiple of the start price
      status: observed
      events: [state]
    - meaning: The price at which somebody sold.
      status: contradicted
      note: A document says something else.
      events: [sold, never]
  data.lost[].depth:
    - meaning: Nobody has seen this.
      status: documented
"""
MEANINGS = parse_notes(NOTES, "notes.yaml")
STATE = {"price": 1.5, "phase": "A", "players": [{"username": "alice", "pnl": 1.25}], "at": 1_780_315_200_000}


def summary_of(*messages: tuple[str, Any], owned: Iterable[bool] = (), sent: Iterable[str] = ()) -> Summary:
    """Return what discovery says of events with their payloads."""
    texts = [f"42{json.dumps([name, payload])}".encode() for name, payload in messages]
    state: State = take(
        texts, lambda index: Place(index, f"e{index}"), lambda key, is_sent: True, read_stored,
        owned=[*owned] or [False] * len(texts),
    )  # fmt: skip
    return summarise(state)


def chunks_of(summary: Summary, meanings: Meanings = MEANINGS) -> dict[str, list[Chunk]]:
    return dict(discovery_chunks(summary, meanings))


def field(chunks: dict[str, list[Chunk]], event: str, path: str) -> Chunk:
    """Return the chunk of a field."""
    (found,) = [each for each in chunks[f"discovery:{event}"] if each.metadata.get("field_path") == path]
    return found


def test_what_is_the_price_field_in_state() -> None:
    found = field(chunks_of(summary_of(*[("state", STATE)] * 3)), "state", "data.price")
    assert found.text.splitlines() == [
        "The current price of the game. Unit: multiple of the start price.",
        "Field price in state: data.price.",
        "Type number; values always 1.5 so far; present: always.",
    ]
    assert dict(found.metadata) == {
        "source": "discovery/state", "kind": "field", "doc_type": "field", "field_path": "data.price",
        "status": "observed", "event_type": "state", "types": ["number"], "unit": "multiple of the start price",
    }  # fmt: skip
    assert found.search_text.startswith("data price")
    assert found.scope_key == "discovery:state"
    assert found.owner is None


def test_identifiers_are_said_in_words() -> None:
    found = chunks_of(summary_of(("gameStateUpdate", {"maxPnl": {"top": 1}})))
    line = field(found, "gameStateUpdate", "data.maxPnl.top").text.splitlines()[1]
    assert line == "Field top in gameStateUpdate (game state update): data.maxPnl.top (max pnl top)."
    assert field(found, "gameStateUpdate", "data.maxPnl").search_text.startswith("data max pnl game state update")


def test_a_path_of_two_events_is_two_fields_with_their_own_meanings() -> None:
    found = chunks_of(summary_of(("state", STATE), ("sold", {"price": 2})))
    assert field(found, "sold", "data.price").text.startswith(
        "The price at which somebody sold. Contradicted: A document says something else.\nField price in sold"
    )
    assert field(found, "sold", "data.price").metadata["status"] == "contradicted"
    assert field(found, "state", "data.price").text.startswith("The current price")


def test_an_event_says_what_it_means_who_sends_it_and_which_fields_it_has() -> None:
    found = chunks_of(summary_of(("state", STATE), ("state", {"price": 2})))
    (event,) = [each for each in found["discovery:state"] if each.metadata["kind"] == "event"]
    assert event.text.splitlines() == [
        "state: The server says how the game stands.",
        "Event state: the server sends it to everyone (public broadcast).",
        "Fields: price, at, phase, players.",
    ]
    assert (event.metadata["doc_type"], event.metadata["event_type"]) == ("overview", "state")


def test_what_only_documents_name_is_marked_as_never_seen() -> None:
    found = chunks_of(summary_of(("state", STATE)))
    (event,) = [each for each in found["discovery:never"] if each.metadata["kind"] == "event"]
    assert "Documented, and never seen: no recording here has it." in event.text
    assert event.metadata["status"] == "documented"
    assert "never seen" in field(found, "never", "data.price").text
    anywhere = field(found, ANY_EVENT, "data.lost[].depth")
    assert "event_type" not in anywhere.metadata
    assert anywhere.text.splitlines()[1] == "Field depth: data.lost[].depth (lost depth)."


def test_an_example_has_masked_values_of_public_rows() -> None:
    found = chunks_of(summary_of(("state", STATE)))
    (example,) = [each for each in found["discovery:state"] if each.metadata["kind"] == "example"]
    assert example.metadata["doc_type"] == "schema"
    payload = json.loads(example.text.splitlines()[1])
    assert payload["players"] == [{"pnl": 1.25, "username": "<name>"}]
    assert "alice" not in json.dumps([each.text for each in found["discovery:state"]])


def test_values_of_private_rows_are_nowhere() -> None:
    found = chunks_of(summary_of(("state", {**STATE, "price": 777.25, "phase": "SECRET"}), owned=[True]))
    said = json.dumps([[each.text, dict(each.metadata), each.search_text] for each in found["discovery:state"]])
    assert "777" not in said
    assert "SECRET" not in said
    assert "the server sends it to one player alone (private)" in said


def test_a_lost_payload_has_no_example() -> None:
    found = chunks_of(summary_of(("traced", [{"__trace": True, "traceparent": "00-1"}]), ("nothing", None)))
    assert [each.metadata["kind"] for each in found["discovery:nothing"]] == ["event", "field"]


def test_values_are_said_in_words_that_stay() -> None:
    many = [
        ("state", {**STATE, "price": 0.3 + n / 7, "phase": "AB"[n % 2], "list": list(range(n % 6))}) for n in range(60)
    ]
    found = chunks_of(summary_of(*many))
    assert "values 0.1 to 10" in field(found, "state", "data.price").text
    assert 'one of "A", "B"' in field(found, "state", "data.phase").text
    assert "up to 8 elements" in field(found, "state", "data.list").text
    assert "a time in milliseconds since 1970" in field(found, "state", "data.at").text
    assert "personal data" in field(found, "state", "data.players[].username").text


def test_more_of_the_same_changes_nothing() -> None:
    events = [("state", {**STATE, "price": 0.3 + n / 7}) for n in range(20)]
    once, again = chunks_of(summary_of(*events)), chunks_of(summary_of(*events * 5))
    assert {key: [(each.text, each.metadata) for each in found] for key, found in once.items()} == {
        key: [(each.text, each.metadata) for each in found] for key, found in again.items()
    }


@given(st.lists(st.tuples(TEXT, JSON), max_size=6))
def test_no_feed_makes_it_fail(messages: list[tuple[str, Any]]) -> None:
    summary = summary_of(*messages)
    found = chunks_of(summary, Meanings())
    assert set(found) == {f"discovery:{key}" for key in summary.events}
    for key, chunks in found.items():
        assert len({each.id for each in chunks}) == len(chunks)
        for each in chunks:
            json.dumps(dict(each.metadata))
            assert each.scope_key == key
            assert len(each.text.splitlines()) <= 3


@given(st.floats(), st.floats())
def test_a_range_holds_what_lies_in_it(one: float, other: float) -> None:
    assert range_of(min(one, other), max(one, other))


def test_a_range_ends_with_powers_of_ten() -> None:
    ranges = [(0.3, 8.7), (-0.07, 5.0), (0.0, 100.0), (-20.0, -3.0), (1e-300, 1e300)]
    said = ["0.1 to 10", "-0.1 to 10", "0 to 100", "-100 to -1", "1e-300 to 1e+300"]
    assert [range_of(*each) for each in ranges] == said


def test_shares_are_words() -> None:
    assert [presence_of(share, 100) for share in (100, 99, 60, 20, 0)] == [*PRESENCES]


def test_shipped_meanings_all_have_their_chunk() -> None:
    meanings = shipped_meanings()
    found = [each for chunks in chunks_of(Summary({}, 0, 0), meanings).values() for each in chunks]
    assert {each.metadata["event_type"] for each in found if each.metadata["kind"] == "event"} == set(meanings.events)
    assert {each.metadata["field_path"] for each in found if each.metadata["kind"] == "field"} == set(meanings.fields)
