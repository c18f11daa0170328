"""What files of meanings promise: a user's goes before the project's, and a wrong one is one error with its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_core.errors import RugsError
from rugs_discovery.meanings import OBSERVED, Meaning
from rugs_discovery.notes_file import NotesError, load_meanings, parse_notes, shipped_meanings
from rugs_discovery.paths import split

NOTES = """\
events:
  state: {meaning: The state., status: observed, note: Seen.}
  on: {meaning: "no"}
fields:
  data.price:
    - {meaning: A price., unit: SOL, status: contradicted, note: Or not., events: [state, trade]}
    - meaning: >
        Another
        price.
  data.one: {meaning: One.}
maps: [data.x, "state:data.y"]
objects:
"""


def test_a_file_is_read_with_all_that_it_says() -> None:
    read = parse_notes(NOTES, "notes.yaml")
    assert read.events["state"] == Meaning("The state.", "notes.yaml", OBSERVED, note="Seen.")
    assert read.events["on"].text == "no", "a scalar is text, whatever YAML makes of it"
    first, second = read.fields["data.price"]
    assert first == Meaning("A price.", "notes.yaml", "contradicted", "SOL", "Or not.", ("state", "trade"))
    assert second == Meaning("Another price.", "notes.yaml")
    assert [each.text for each in read.fields["data.one"]] == ["One."], "one line needs no list"
    assert (set(read.pins.maps), set(read.pins.objects)) == ({"data.x", "state:data.y"}, set())


@pytest.mark.parametrize("text", ["", "# nothing\n", "events:\nfields:\nmaps:\nobjects: []\n", "events: {}"])
def test_a_file_may_say_nothing(text: str) -> None:
    read = parse_notes(text, "notes.yaml")
    assert (dict(read.events), dict(read.fields), read.pins.of("state", "data.x")) == ({}, {}, None)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: [", 2, "not YAML"),
        ("events:\n  state: {meaning: x\n", 3, "not YAML"),
        ("\x00", None, "not YAML"),
        ("[" * 5000, 1, "nest"),
        ("- a\n", 1, "must be a mapping"),
        ("event: {}\n", 1, "cannot have 'event'; use events, fields, maps, objects"),
        ("events: [state]\n", 1, "events must be a mapping"),
        ("events:\n  state: {}\n", 2, "event 'state' has no meaning"),
        ("events:\n  state:\n", 2, "event 'state' has no meaning"),
        ("events:\n  state: {meaning: ''}\n", 2, "is empty"),
        ("events:\n  state: {meaning: x, unit: SOL}\n", 2, "cannot have 'unit'; use meaning, status, note"),
        ("events:\n  state: {meaning: x, status: seen}\n", 2, "use one of observed, documented, contradicted"),
        ("events:\n  a: {meaning: x}\n  b: {meaning: x}\n  a: {meaning: y}\n", 4, "has 'a' twice"),
        ("fields:\n  data.a:\n    - {meaning: x, meening: y}\n", 3, "cannot have 'meening'"),
        ("fields:\n  data.a:\n    - x\n", 3, "must be a mapping"),
        ("fields:\n  data..a: [{meaning: x}]\n", 2, "no field path: 'data..a'"),
        ("fields:\n  data.a: [{meaning: [x]}]\n", 2, "must be text"),
        ("fields:\n  data.a: [{meaning: x, events: state}]\n", 2, "must be a list"),
        ("? [a]\n: b\n", 1, "must be text"),
        ("maps: data.x\n", 1, "maps must be a list"),
        ("maps: [data.x]\nobjects: [data.x]\n", 1, "'data.x' is in maps and in objects"),
    ],
)
def test_a_wrong_file_is_one_error_with_its_line(text: str, line: int | None, says: str) -> None:
    with pytest.raises(NotesError) as caught:
        parse_notes(text, "notes.yaml")
    message = str(caught.value)
    assert message.startswith("notes.yaml" if line is None else f"notes.yaml, line {line}: ")
    assert says in message
    assert "\n" not in message
    assert isinstance(caught.value, RugsError)


@given(st.text())
def test_whatever_a_file_holds_it_is_read_or_one_error(text: str) -> None:
    message = ""
    try:
        parse_notes(text, "notes.yaml")
    except NotesError as error:
        message = str(error)
    assert "\n" not in message


def test_a_users_file_goes_before_the_projects_and_may_be_missing(tmp_path: Path) -> None:
    notes = tmp_path / "discovery.yaml"
    assert load_meanings() is load_meanings(notes) is shipped_meanings()
    notes.write_bytes(
        b"\xef\xbb\xbfevents: {gameStateUpdate: {meaning: Mine.}}\nfields: {data.mine: {meaning: Mine.}}\n"
    )
    read = load_meanings(notes)
    assert read.events["gameStateUpdate"] == Meaning("Mine.", str(notes))
    assert read.fields.keys() == {"data.mine", *shipped_meanings().fields}


@pytest.mark.parametrize(("content", "says"), [(b"\xff\xfe", "not UTF-8 at byte 0"), (None, "cannot be read")])
def test_a_users_file_that_cannot_be_read_is_one_error(tmp_path: Path, content: bytes | None, says: str) -> None:
    notes = tmp_path / "discovery.yaml"
    notes.mkdir() if content is None else notes.write_bytes(content)
    with pytest.raises(NotesError, match=says):
        load_meanings(notes)


def test_the_projects_own_file_says_of_each_line_how_it_is_known_in_one_sentence() -> None:
    meanings = shipped_meanings()
    lines = [*meanings.events.values(), *(line for each in meanings.fields.values() for line in each)]
    assert len(lines) > 400
    assert all(len(line.text) <= 200 and line.text.isprintable() for line in lines)
    assert all(split(path) for path in meanings.fields)
    assert {line.status for line in lines} == {"observed", "documented", "contradicted"}
    assert all(line.note for line in lines if line.status == "contradicted")
