"""The chunks about events and fields, in memory: found by name, by words and by vector."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_discovery.words import question_words, scores, weighted
from rugs_index import kinds
from rugs_index.search.catalog import Catalog, admits, catalog_of, keys_of
from rugs_index.search.filters import EVERYONE, PUBLIC, Filters, Range
from rugs_index.table.row import Row
from tests.support.searchkit import EMBEDDER, protocol


def rows(**changed: Any) -> list[dict[str, Any]]:
    found = []
    for chunk in protocol():
        row = Row(chunk, EMBEDDER.embed_query(chunk.text))
        told = {"id": row.id, "scope_key": row.scope_key, "owner": row.owner, "text": row.text}
        more = {"metadata": row.metadata, "search_text": row.searched, "vector": row.vector}
        found.append({**told, **more, **changed})
    return found


CATALOG = catalog_of(rows())


def named(*names: str, catalog: Catalog = CATALOG) -> list[tuple[float, str, str]]:
    """Return what has a name, best first: how well, the event and the path."""
    found = [
        (round(float(score), 2), entry.event, entry.path)
        for score, entry in zip(catalog.names(names).scores, catalog.entries, strict=True)
        if score
    ]
    return sorted(found, reverse=True)


@pytest.mark.parametrize(
    ("name", "best"),
    [
        ("data.leaderboard[].pnl", (1.0, "gameStateUpdate", "data.leaderboard[].pnl")),
        ("leaderboard.pnl", (0.9, "gameStateUpdate", "data.leaderboard[].pnl")),
        ("leaderboard[3].pnl", (0.9, "gameStateUpdate", "data.leaderboard[].pnl")),
        ("pnl", (0.6, "gameStateUpdate", "data.leaderboard[].pnl")),
        ("gameStateUpdate:data.price", (1.0, "gameStateUpdate", "data.price")),
        ("gamestateupdate.price", (0.9, "gameStateUpdate", "data.price")),
        ("standard/newTrade.price", (0.9, "standard/newTrade", "data.price")),
        ("gameStateUpdate", (1.0, "gameStateUpdate", "")),
        ("connected_players", (0.9, "gameStateUpdate", "data.connectedPlayers")),
        ("connected players", (0.9, "gameStateUpdate", "data.connectedPlayers")),
        ("isRugged", (0.9, "gameStateUpdate", "data.rugged")),
    ],
)
def test_names(name: str, best: tuple[float, str, str]) -> None:
    assert named(name)[0] == best


def test_a_path_of_several_events_has_all_of_them_and_no_other() -> None:
    assert named("data.price") == [(1.0, "standard/newTrade", "data.price"), (1.0, "gameStateUpdate", "data.price")]
    assert named("data.nothing", "", "[", "a b c") == []


def test_the_events_that_are_named() -> None:
    assert CATALOG.names(["GameStateUpdate", "nothing"]).events == {"gameStateUpdate"}


def test_words_count_as_in_the_search_of_fields() -> None:
    stems = question_words("the profit of the player in the current game")
    expected = scores(stems, [weighted([(entry.searched, 1.0)]) for entry in CATALOG.entries])
    assert CATALOG.word_scores(stems) == pytest.approx(expected, rel=1e-4)
    assert CATALOG.knows(stems[0])
    assert not CATALOG.knows("zebra")


def test_vectors() -> None:
    entry = CATALOG.entries[3]
    cosines = CATALOG.cosines(EMBEDDER.embed_query(entry.text))
    assert cosines is not None
    assert int(np.argmax(cosines)) == 3
    assert cosines[3] == pytest.approx(1, abs=1e-5)
    assert CATALOG.cosines(None) is None
    assert catalog_of(rows(vector=None)).cosines(EMBEDDER.embed_query("price")) is None


def test_keys_that_are_words() -> None:
    found = CATALOG.keyed(["Price", "of"])
    assert {entry.path for entry, is_it in zip(CATALOG.entries, found, strict=True) if is_it} == {"data.price"}


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        (PUBLIC, 9),
        (Filters(owner=EVERYONE), 9),
        (Filters(kinds=("event",)), 2),
        (Filters(doc_types=["overview"]), 2),
        (Filters(events=["standard/newTrade"]), 2),
        (Filters(field_path="data.price"), 2),
        (Filters(source="newTrade"), 2),
        (Filters(game_id="1"), 0),
        (Filters(since=0), 0),
        (Filters(player="alice"), 0),
        (Filters(peak=Range(least=1)), 0),
    ],
)
def test_filters(filters: Filters, count: int) -> None:
    assert CATALOG.admitted(filters).sum() == count
    assert sum(admits(filters, entry) for entry in CATALOG.entries) == count


def test_private_entries_are_their_owners() -> None:
    private = catalog_of(rows(owner="did:1"))
    assert private.admitted(PUBLIC).sum() == 0
    assert private.admitted(Filters(owner="did:1")).all()
    assert private.admitted(Filters(owner="did:2")).sum() == 0
    assert private.admitted(Filters(owner=EVERYONE)).all()


def test_who_sends_an_event() -> None:
    assert CATALOG.way_of("gameStateUpdate") == kinds.Way.DOCUMENTED
    assert CATALOG.way_of("nothing") == ""


def test_an_empty_catalog() -> None:
    empty = catalog_of([])
    assert empty.names(["data.price"]).scores.size == 0
    assert empty.word_scores(["price"]).size == empty.admitted(PUBLIC).size == empty.keyed(["a"]).size == 0


@given(st.text(max_size=40))
def test_no_name_makes_it_fail(name: str) -> None:
    keys_of(name)
    assert ((CATALOG.names([name]).scores >= 0) & (CATALOG.names([name]).scores <= 1)).all()
