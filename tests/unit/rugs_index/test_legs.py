"""Searching by vector, by words and by names: the order of each, and a score that is always cosine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from rugs_index.search.filters import EVERYONE, PUBLIC, Filters
from rugs_index.search.legs import Hit, exact_leg, text_leg, vector_leg
from rugs_index.table.rebuild import create
from rugs_index.table.row import Row, Vector
from rugs_index.table.store import IndexStore
from tests.support.tablekit import DIMENSION, identity, row, vectors

EMBEDDED: Final = vectors(40)
QUERIES: Final = (
    *("", " ", "?!", "☕", "the of a", "\0", "\ud800", '"', "AND OR NOT", "field:* ~2 ^3 (", "a" * 1_000_000),
    " ".join(f"word{n}" for n in range(20_000)),
)
TEXTS: Final = (
    "gameStateUpdate says how a game goes",
    "The field data.leaderboard[].pnl of gameStateUpdate is a profit",
    "The field data.leaderboard[].position",
    "a new trade, standard/newTrade, of PnL and HTTPServer",
    "café ☕ 日本",
    "of the field state game",
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[IndexStore]:
    """A table of texts with vectors; the last one has none."""
    with create(tmp_path, identity()) as store:
        store.upsert(row(text, "doc:a", EMBEDDED[place]) for place, text in enumerate(TEXTS[:-1]))
        store.upsert([row(TEXTS[-1], "doc:a")])
        yield store


def texts(hits: list[Hit]) -> list[str]:
    return [hit.text for hit in hits]


def cosine(one: Vector, other: Vector) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def test_vectors_are_found_by_similarity(store: IndexStore) -> None:
    for scale in (1.0, 3.0):
        query = (EMBEDDED[30] * scale).astype(np.float32)
        hits = vector_leg(store, query, 3)
        ordered = sorted(range(5), key=lambda place: -cosine(query, EMBEDDED[place]))
        assert texts(hits) == [TEXTS[place] for place in ordered[:3]]
        assert [hit.score for hit in hits] == pytest.approx([cosine(query, EMBEDDED[n]) for n in ordered[:3]], abs=1e-5)
        assert [hit.rank_score for hit in hits] == [hit.score for hit in hits]


def test_scores_reach_from_minus_one_to_one(store: IndexStore) -> None:
    (best, *_) = vector_leg(store, EMBEDDED[2], 1)
    assert best.score == pytest.approx(1)
    (*_, worst) = vector_leg(store, -EMBEDDED[2], 5)
    assert worst.score == pytest.approx(-1)
    assert all(-1 <= (hit.score or 0) <= 1 for hit in vector_leg(store, EMBEDDED[2], 5))


def test_a_hit_has_what_the_contract_asks_for(store: IndexStore) -> None:
    store.upsert([row("told", "doc:b", EMBEDDED[9], "me", headers=["a | b", "c"], line_start=3, line_end=9)])
    (hit,) = vector_leg(store, EMBEDDED[9], 1, Filters(owner="me"))
    assert (hit.id, hit.text, hit.owner, hit.scope_key) == (row("told").id, "told", "me", "doc:b")
    assert hit.metadata == {
        "source": "a.md", "kind": "document", "doc_type": "document",
        "headers": ["a | b", "c"], "line_start": 3, "line_end": 9,
    }  # fmt: skip
    assert vector_leg(store, EMBEDDED[9], 1)[0].id != hit.id


def test_more_than_there_is_returns_all(store: IndexStore) -> None:
    for k in (5, 6, 1_000, 10**12):
        assert {*texts(vector_leg(store, EMBEDDED[0], k))} == {*TEXTS[:-1]}
        assert {*texts(exact_leg(store, k, PUBLIC))} == {*TEXTS[: min(k, 6)]} or k == 5
        assert len(text_leg(store, "gameStateUpdate", k)) == 3
    for k in (0, -1):
        assert vector_leg(store, EMBEDDED[0], k) == text_leg(store, "game", k) == exact_leg(store, k, PUBLIC) == []


def test_an_empty_table_finds_nothing_and_says_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with create(tmp_path, identity()) as store:
        assert vector_leg(store, EMBEDDED[0], 5) == []
        assert text_leg(store, "game", 5, vector=EMBEDDED[0]) == []
        assert exact_leg(store, 5, PUBLIC, id="0" * 16) == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("gameStateUpdate", 0), ("game state update", 0), ("GAMESTATEUPDATE", 0), ("update", 0),
        ("data.leaderboard[].pnl", 1), ("leaderboard pnl", 1), ("data.leaderboard[].position", 2),
        ("newTrade", 3), ("standard/newTrade", 3), ("http server", 3), ("cafe", 4), ("日本", 4),
    ],
)  # fmt: skip
def test_identifiers_are_found_as_written_and_as_words(store: IndexStore, query: str, first: int) -> None:
    assert text_leg(store, query, 5)[0].text == TEXTS[first]


def test_words_that_are_not_shown_are_found(store: IndexStore) -> None:
    made = row("short", "doc:b").chunk
    store.upsert([Row(replace(made, search_text="instarug moonshot"))])
    assert texts(text_leg(store, "moonshots", 5)) == ["short"]


@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
def test_any_query_is_only_words(store: IndexStore, query: str) -> None:
    assert len(text_leg(store, query, 5)) <= 5


def test_hits_of_words_have_cosine_scores_too(store: IndexStore) -> None:
    hits = text_leg(store, "the field of a game state", 10, vector=EMBEDDED[1])
    assert {hit.text: hit.score for hit in hits} == {
        TEXTS[0]: pytest.approx(cosine(EMBEDDED[0], EMBEDDED[1]), abs=1e-5),
        TEXTS[1]: pytest.approx(1),
        TEXTS[2]: pytest.approx(cosine(EMBEDDED[2], EMBEDDED[1]), abs=1e-5),
        TEXTS[5]: None,
    }
    ranks = [hit.rank_score or 0 for hit in hits]
    assert ranks == sorted(ranks, reverse=True)
    assert {hit.score for hit in text_leg(store, "the field", 10)} == {None}


def test_names_are_found_exactly(store: IndexStore) -> None:
    game = {"game_id": "g-1"}
    about: list[dict[str, Any]] = [
        {"field_path": "data.price"}, {"field_path": "data.prices"}, {**game, "ts": 5}, {**game, "ts": 4},
    ]  # fmt: skip
    store.upsert(row(f"exact {n}", "doc:b", EMBEDDED[n], **each) for n, each in enumerate(about))
    assert texts(exact_leg(store, 5, Filters(field_path="data.price"))) == ["exact 0"]
    assert texts(exact_leg(store, 5, Filters(game_id="g-1"))) == ["exact 3", "exact 2"], "by time"
    assert texts(exact_leg(store, 5, PUBLIC, id=row("exact 1").id)) == ["exact 1"]
    (hit,) = exact_leg(store, 1, Filters(game_id="g-1"), vector=EMBEDDED[2])
    assert hit.score == pytest.approx(cosine(EMBEDDED[3], EMBEDDED[2]), abs=1e-5)
    assert hit.rank_score is None


def test_an_id_of_several_scopes_is_found_once(store: IndexStore) -> None:
    store.upsert(row("twin", f"scope:{n}", EMBEDDED[20], None if n else "me") for n in range(30))
    everyone = Filters(owner=EVERYONE)
    for hits in (
        vector_leg(store, EMBEDDED[20], 4, everyone),
        text_leg(store, "twin", 4, everyone),
        exact_leg(store, 4, everyone, id=row("twin").id),
    ):
        assert texts(hits).count("twin") == 1
    assert len(vector_leg(store, EMBEDDED[20], 4)) == 4, "there are others behind them"


def test_a_vector_of_another_length_is_refused(store: IndexStore) -> None:
    with pytest.raises(ValueError, match="shape"):
        vector_leg(store, vectors(1, DIMENSION + 1)[0], 5)


def test_without_a_model_words_and_names_are_found(tmp_path: Path) -> None:
    with create(tmp_path, identity(None)) as store:
        store.upsert([row("words of a chunk", "a")])
        assert vector_leg(store, EMBEDDED[0], 5) == []
        assert [hit.score for hit in text_leg(store, "words", 5, vector=EMBEDDED[0])] == [None]
        assert len(exact_leg(store, 5, PUBLIC, vector=EMBEDDED[0])) == 1
