"""Filters let through exactly what the same conditions in plain Python do, whatever is in rows and in conditions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rugs_index.search.filters import EVERYONE, PUBLIC, Filters, Range, expression
from rugs_index.search.legs import exact_leg, text_leg, vector_leg
from rugs_index.table import indexes
from rugs_index.table.rebuild import create
from rugs_index.table.row import Row
from rugs_index.table.store import IndexStore
from tests.support.examples import examples
from tests.support.tablekit import identity, row, vectors

HOSTILE: Final = (
    *("a", "A", "o'brien", 'say "hi"', "100%", "a_b", "\\", "\\'", "a\0b", "--", "'; DROP TABLE chunks; --", "`id`"),
    *(
        "${id}",
        "{0}",
        "日本☕",
        "é",
        "e\u0301",
        "a\nb",
        " ",
        "NULL",
        "true",
        "owner",
        "x" * 100_000,
        "half \ud800 pair",
    ),
)
MOMENTS: Final = (0, -1, 1, 1_766_275_200_000_000, 1_766_275_200_000_001, -(1 << 70), 1 << 70)
NUMBERS: Final = (0, -1, 1, 1.5, 0.1 + 0.2, 1e308, 2**53 + 1, 10**400)
TEXT_KEYS: Final = ("kind", "doc_type", "event_type", "field_path", "game_id", "session_id", "player", "username")


def hostile_rows() -> list[Row]:
    """Return rows in whose metadata every hostile value occurs, and some with none."""
    made, embedded = [], vectors(80)
    for place in range(80):
        about: dict[str, Any] = {"source": HOSTILE[place % 24]}
        for offset, key in enumerate(TEXT_KEYS):
            value = HOSTILE[(place + 5 * offset) % 24]
            about[key] = value if place % 7 != offset else (None, 1, "", [])[place % 4]
        if place % 3:
            about["ts"] = MOMENTS[place % 7]
            about["until"] = MOMENTS[(place + 2) % 7]
        for offset, key in enumerate(("ticks", "peak", "rug_tick", "duration_s")):
            if (place + offset) % 3:
                about[key] = (*NUMBERS, True, "1", None, float(place))[(place + offset) % 12]
        owner = (None, "did:privy:1", "o'brien", "", "half \ud800 pair")[place % 5]
        made.append(row(f"word {place}", f"doc:{place % 10}", embedded[place] if place % 4 else None, owner, **about))
    return made


ROWS: Final = hostile_rows()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IndexStore]:
    """A table with indexes on every column that has one, and rows in none of them."""
    with pytest.MonkeyPatch.context() as patch, create(tmp_path_factory.mktemp("data"), identity()) as store:
        patch.setattr(indexes, "INDEX_ROWS", 1)
        store.upsert(ROWS[:60])
        indexes.keep_optimised(store, force=True)
        store.upsert(ROWS[60:])
        yield store


def is_let_through(each: Row, filters: Filters) -> bool:
    """Return what filters say of a row, in plain Python."""
    about, owner = each.chunk.metadata, each.chunk.owner
    start, end = (whole(about.get(key)) for key in ("ts", "until"))
    is_number = {name: number(about.get(name)) for name in ("ticks", "peak", "rug_tick", "duration_s")}
    conditions = [
        filters.owner is EVERYONE or (owner or None) in (None, filters.owner),
        filters.since is None or (start is not None and max(start, end or start) >= clamped(filters.since)),
        filters.until is None or (start is not None and start < clamped(filters.until)),
        not filters.kinds or told(about, "kind") in filters.kinds,
        not filters.doc_types or told(about, "doc_type") in filters.doc_types,
        not filters.events or told(about, "event_type") in filters.events,
        filters.player is None or filters.player in (told(about, "player"), told(about, "username")),
        not filters.source or filters.source in about["source"],
        *(getattr(filters, key) in (None, told(about, key)) for key in ("game_id", "session_id", "field_path")),
        *(within(value, getattr(filters, name)) for name, value in is_number.items()),
    ]
    return all(conditions)


def told(about: Any, key: str) -> str | None:
    """Return a text of metadata; there is none where it is empty."""
    return about.get(key) or None if isinstance(about.get(key), str) else None


def clamped(moment: int) -> int:
    """Return a moment as near as a calendar has it."""
    return max(-62_135_596_800_000_000, min(253_402_300_799_999_999, moment))


def whole(value: Any) -> int | None:
    """Return a moment, if it is in a calendar."""
    return value if type(value) is int and clamped(value) == value else None


def number(value: Any) -> float | None:
    """Return a number that fits."""
    return float(value) if type(value) in (int, float) and abs(value) < 1e309 and value != 10**400 else None


def within(value: float | None, limits: Range) -> bool:
    """Return whether a number is within limits; where there is a limit there must be a number."""
    if limits == Range():
        return True
    least, most = limits
    return value is not None and (least is None or value >= least) and (most is None or value <= most)


TEXTS: Final = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=5))
SOME: Final = st.one_of(st.just(()), st.lists(TEXTS, max_size=3))
ONE: Final = st.one_of(st.none(), TEXTS.filter(bool))
MOMENT: Final = st.one_of(st.none(), st.sampled_from(MOMENTS), st.integers())
LIMIT: Final = st.one_of(st.none(), st.sampled_from(NUMBERS[:-1]), st.floats(allow_nan=False))
FILTERS: Final[dict[str, st.SearchStrategy[Any]]] = {
    "owner": st.one_of(st.none(), st.just(EVERYONE), TEXTS),
    **dict.fromkeys(("since", "until"), MOMENT),
    **dict.fromkeys(("kinds", "doc_types", "events"), SOME),
    **dict.fromkeys(("game_id", "session_id", "field_path", "player"), ONE),
    "source": st.one_of(st.none(), TEXTS),
    **{name: st.builds(Range, LIMIT, LIMIT) for name in ("ticks", "peak", "rug_tick", "duration_s")},
}


@st.composite
def few_filters(draw: st.DrawFn) -> Filters:
    """Draw at most three conditions: with more, nothing is let through."""
    chosen = draw(st.lists(st.sampled_from(sorted(FILTERS)), max_size=3, unique=True))
    return Filters(**{"owner": EVERYONE, **{name: draw(FILTERS[name]) for name in chosen}})


@pytest.mark.slow
@settings(max_examples=examples(250))
@given(filters=few_filters())
def test_filters_are_what_they_are_in_plain_python(store: IndexStore, filters: Filters) -> None:
    expected = {each.text for each in ROWS if is_let_through(each, filters)}
    assert {hit.text for hit in exact_leg(store, 1000, filters)} == expected
    with_vector = {each.text for each in ROWS if each.vector is not None} & expected
    assert {hit.text for hit in vector_leg(store, vectors(1)[0], 1000, filters)} == with_vector
    assert {hit.text for hit in text_leg(store, "word", 1000, filters)} == expected


def test_every_condition_is_tested() -> None:
    assert {each.name for each in fields(Filters)} == FILTERS.keys()


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_finds_what_has_it(store: IndexStore, value: str) -> None:
    for filters in (
        Filters(EVERYONE, game_id=value), Filters(EVERYONE, player=value), Filters(EVERYONE, kinds=[value]),
    ):  # fmt: skip
        expected = {each.text for each in ROWS if is_let_through(each, filters)}
        assert expected
        assert {hit.text for hit in exact_leg(store, 1000, filters)} == expected


def test_whose_chunks_are_found(store: IndexStore) -> None:
    def owners(filters: Filters) -> set[str | None]:
        return {hit.owner for hit in exact_leg(store, 1000, filters)}

    assert owners(PUBLIC) == owners(Filters(owner="")) == owners(Filters(owner="nobody")) == {None}
    assert owners(Filters(owner="o'brien")) == {None, "o'brien"}
    assert {*owners(Filters(owner=EVERYONE))} == {None, "o'brien", "did:privy:1", "half \\ud800 pair"}


def test_filters_are_applied_before_the_limit(store: IndexStore) -> None:
    (only,) = exact_leg(store, 1, Filters(owner=EVERYONE, ticks=Range(least=1e307)))
    where = Filters(owner=EVERYONE, kinds=[HOSTILE[1]])
    for (hit,) in (vector_leg(store, vectors(1)[0], 1, where), text_leg(store, "word", 1, where)):
        assert hit.metadata["kind"] == HOSTILE[1]
    assert only.metadata["ticks"] == 1e308


def test_filters_that_let_everything_through_are_no_condition() -> None:
    assert expression(Filters(owner=EVERYONE, kinds=(), source="")) is None
