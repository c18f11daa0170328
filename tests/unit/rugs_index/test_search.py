"""The search of an index: legs by kind of question, filters, owners, conditions, and whether anything answers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rugs_index.embedders import EmbeddingError
from rugs_index.search.answers import Item, SearchResult
from rugs_index.search.filters import EVERYONE, PUBLIC, Filters, Range
from rugs_index.search.search import AUTO, HYBRID, MODES, TEXT, VECTOR, IndexSearch, SearchError
from rugs_index.table.errors import IndexAbsentError, IndexIncompatibleError
from tests.support.embedkit import HashEmbedder
from tests.support.examples import examples
from tests.support.searchkit import (
    ALICE,
    EMBEDDER,
    GAME,
    IDENTITY,
    MINUTE,
    NOON,
    WordEmbedder,
    chat,
    document,
    game,
    make_index,
    world,
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    make_index(folder).close()
    return folder


@pytest.fixture(scope="module")
def search(root: Path) -> Iterator[IndexSearch]:
    with IndexSearch(root, EMBEDDER, now=lambda: NOON) as opened:
        yield opened


def about(item: Item) -> str:
    """Return what a hit is about, in a word."""
    metadata = item.metadata
    if metadata["kind"] in ("event", "field"):
        return ":".join(str(metadata[name]) for name in ("event_type", "field_path") if name in metadata)
    if metadata["kind"] == "game":
        return f"game {int(metadata['game_id'][-2:], 16)}"
    return f"{metadata['kind']} {metadata.get('username', '')}".strip()


def found(result: SearchResult) -> list[str]:
    return [about(item) for item in result.items]


def first(search: IndexSearch, query: str, filters: Filters = PUBLIC) -> str:
    return found(search.search(query, 1, filters=filters))[0]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("data.leaderboard[].pnl", "gameStateUpdate:data.leaderboard[].pnl"),
        ("leaderboard pnl", "gameStateUpdate:data.leaderboard[].pnl"),
        ("what is data.price?", "gameStateUpdate:data.price"),
        ("standard/newTrade data.price", "standard/newTrade:data.price"),
        ("what is the price field in gameStateUpdate?", "gameStateUpdate:data.price"),
        ("gameStateUpdate", "gameStateUpdate"),
        ("what does isRugged mean", "gameStateUpdate:data.rugged"),
        ("how many users are online", "gameStateUpdate:data.connectedPlayers"),
        ("which message says that a player buys or sells", "standard/newTrade"),
        (GAME.format(3), "game 3"),
        ("game ending in c0ffee04", "game 4"),
        ("which games rugged before tick 20 after a 10x?", "game 1"),
        ("games above 100x", "game 5"),
        ("something near 58x", "game 2"),
        ("longest game", "game 4"),
        ("shortest game", "game 3"),
        ("highest peak of all games", "game 5"),
        ("last game", "game 5"),
        ("first game on 21 december", "game 1"),
        ("which game ran on 21 december 2025 at 12:02:30", "game 2"),
        ("what did HeronBot do?", "player_action HeronBot"),
        ("MossyRook complains that servers are slow", "ws_event MossyRook"),
        ("gossip about MossyRook", "ws_event dr_lantern"),
        ("which recording session was it on 21 december", "session"),
        ("session-1", "session"),
        ("how do I back up the data folder", "document"),
    ],
)  # fmt: skip
def test_the_best_answer(search: IndexSearch, query: str, wanted: str) -> None:
    assert first(search, query) == wanted


def test_the_best_answer_comes_first_and_says_why(search: IndexSearch) -> None:
    result = search.search("data.price", 5, explain=True)
    assert found(result)[:2] == ["gameStateUpdate:data.price", "standard/newTrade:data.price"]
    assert result.items[0].legs is not None
    assert result.items[0].legs["exact"] > 0
    assert result.items[0].rank_score == pytest.approx(sum(result.items[0].legs.values()))
    ranks = [item.rank_score for item in result.items]
    assert ranks == sorted(ranks, reverse=True)
    assert search.search("data.price", 5).items[0].legs is None


@pytest.mark.parametrize("mode", MODES)
def test_the_score_is_the_cosine_whatever_the_mode(search: IndexSearch, mode: str) -> None:
    query = "the servers are slow tonight"
    result = search.search(query, 50, EVERYONE, mode=mode)
    assert result.mode == mode
    assert len(result.items) > 3
    for item in result.items:
        cosine = float(EMBEDDER.embed_query(item.text) @ EMBEDDER.embed_query(query))
        assert item.score == pytest.approx(cosine, abs=1e-4)


def test_a_single_leg_is_in_its_own_order(search: IndexSearch) -> None:
    scores = [item.score or 0 for item in search.search("price of the game", 50, mode=VECTOR).items]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == len(world()) - 1
    assert found(search.search("tonight", 50, mode=TEXT)) == ["ws_event MossyRook"]
    assert set(found(search.search("tonight", 50, mode=HYBRID))) >= {"ws_event MossyRook", "game 1"}


def test_private_chunks_are_their_owners(search: IndexSearch) -> None:
    query = "secret plan about servers"
    assert "ws_event alice" not in found(search.search(query, 50))
    assert "ws_event alice" not in found(search.search(query, 50, "did:privy:bob"))
    assert found(search.search(query, 50, ALICE))[0] == "ws_event alice"
    assert found(search.search(query, 50, EVERYONE))[0] == "ws_event alice"
    assert search.search(query, 1, ALICE).items[0].owner == ALICE


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        (Filters(kinds=("game",)), {"game 1", "game 2", "game 3", "game 4", "game 5"}),
        (Filters(events=["newChatMessage"]), {"ws_event MossyRook", "ws_event dr_lantern"}),
        (Filters(game_id=GAME.format(1)), {"game 1", "player_action HeronBot"}),
        (Filters(player="HeronBot"), {"player_action HeronBot"}),
        (Filters(player=ALICE), {"player_action HeronBot"}),
        (Filters(session_id="session-1"), {"session", "ws_event MossyRook", "ws_event dr_lantern"}),
        (Filters(source="backup"), {"document"}),
        (Filters(field_path="data.price"), {"gameStateUpdate:data.price", "standard/newTrade:data.price"}),
        (Filters(doc_types=["overview"]), {"gameStateUpdate", "standard/newTrade"}),
        (Filters(since=NOON + 5 * MINUTE, until=NOON + 6 * MINUTE, kinds=("game",)), {"game 4", "game 5"}),
        (Filters(peak=Range(least=50)), {"game 2", "game 5"}),
    ],
)
def test_filters(search: IndexSearch, filters: Filters, wanted: set[str], mode: str) -> None:
    asked = "game price servers HeronBot MossyRook session data player buys backup newChatMessage right"
    assert set(found(search.search(asked, 50, filters=filters, mode=mode))) == wanted


def test_filters_go_before_the_limit(search: IndexSearch) -> None:
    assert first(search, "the servers are slow", Filters(kinds=("document",))) == "document"


def test_more_than_there_is(search: IndexSearch) -> None:
    result = search.search("what is the price of the game", 10_000, EVERYONE)
    assert len(result.items) == len(world())
    assert len({item.id for item in result.items}) == len(world())


@pytest.mark.parametrize(
    ("query", "answerable"),
    [
        ("data.price", True),
        ("the current price of the game", True),
        ("MossyRook says that servers are slow", True),
        ("games above 100x", True),
        ("games above 9000x", False),
        ("how to boil an egg", False),
        ("what did GoldfishKing buy", False),
        ("20200101-0123456789abcdef", False),
        ("what happened on 5 may 2020", False),
        ("what is 🙂", False),
    ],
)  # fmt: skip
def test_whether_something_answers(search: IndexSearch, query: str, answerable: bool) -> None:
    result = search.search(query, 5)
    assert result.answerable is answerable
    assert len(result.items) == 5  # nothing is cut


def test_where_no_game_fulfils_all_conditions_the_nearest_are_shown(search: IndexSearch) -> None:
    result = search.search("games above 100x that rugged before tick 10", 2)
    assert not result.answerable
    assert set(found(result)) == {"game 3", "game 5"}


def test_games_are_in_the_order_of_how_well_they_fulfil_conditions(search: IndexSearch) -> None:
    assert found(search.search("games above 50x", 2)) == ["game 5", "game 2"]
    longer = found(search.search("games longer than 200 ticks", 3))
    assert (longer[0], set(longer)) == ("game 4", {"game 2", "game 4", "game 5"})


@pytest.mark.parametrize("query", ["", " ", "🙂🙂", "?", "'; drop", "a" * 5000, "price " * 20_000, "\ud800", "%_"])
@pytest.mark.parametrize("mode", MODES)
def test_any_query_is_answered(search: IndexSearch, query: str, mode: str) -> None:
    assert isinstance(search.search(query, 3, mode=mode), SearchResult)


@settings(max_examples=examples(30), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=60), st.integers(1, 30))
def test_no_query_makes_it_fail_and_none_finds_a_chunk_twice(search: IndexSearch, query: str, k: int) -> None:
    result = search.search(query, k)
    ids = [item.id for item in result.items]
    assert len(ids) == len(set(ids)) <= k
    assert all(item.owner is None for item in result.items)


def test_what_cannot_be_asked(search: IndexSearch) -> None:
    with pytest.raises(SearchError, match="no such mode: fuzzy; there are auto, vector, text, hybrid"):
        search.search("price", mode="fuzzy")
    with pytest.raises(SearchError, match="0 items cannot be asked for"):
        search.search("price", 0)


def test_without_a_model_words_are_searched(root: Path) -> None:
    with IndexSearch(root, None) as search:
        assert first(search, "how many users are online") == "gameStateUpdate:data.connectedPlayers"
        result = search.search("data.price", 3)
        assert (result.mode, result.answerable, result.items[0].score) == (AUTO, True, None)
        assert result.warnings == ("only words are searched: no model is installed; run `rugs index setup`",)
        assert search.search("servers", mode=VECTOR).mode == TEXT
        assert not search.search("how to boil an egg").answerable


def test_an_index_without_vectors(tmp_path: Path) -> None:
    make_index(tmp_path, identity=replace(IDENTITY, embedder=None)).close()
    with IndexSearch(tmp_path, EMBEDDER) as search:
        result = search.search("data.price", 1)
        assert found(result) == ["gameStateUpdate:data.price"]
        assert "built without a model" in result.warnings[0]


def test_an_embedder_that_fails_leaves_the_words(root: Path) -> None:
    class Fails(WordEmbedder):
        def embed_query(self, text: str) -> np.ndarray:
            raise EmbeddingError("the endpoint does not answer")

    with IndexSearch(root, Fails()) as search:
        result = search.search("tonight", mode=HYBRID)
        assert found(result) == ["ws_event MossyRook"]
        assert (result.mode, result.warnings) == (TEXT, ("only words are searched: the endpoint does not answer",))


def test_another_model_is_refused(root: Path) -> None:
    with IndexSearch(root, HashEmbedder()) as search, pytest.raises(IndexIncompatibleError, match="rugs index rebuild"):
        search.search("price")


def test_where_there_is_no_index(tmp_path: Path) -> None:
    with IndexSearch(tmp_path, EMBEDDER) as search, pytest.raises(IndexAbsentError, match="run `rugs index update`"):
        search.search("price")


def test_an_empty_index(tmp_path: Path) -> None:
    make_index(tmp_path, []).close()
    with IndexSearch(tmp_path, EMBEDDER) as search:
        for mode in MODES:
            result = search.search("what is data.price on 21 december", mode=mode)
            assert (result.items, result.answerable) == ([], False)


def test_changes_are_found_at_once(tmp_path: Path) -> None:
    with make_index(tmp_path) as store, IndexSearch(tmp_path, EMBEDDER) as search:
        assert first(search, "data.price") == "gameStateUpdate:data.price"
        store.replace_scopes({"discovery:gameStateUpdate": []})
        assert first(search, "data.price") == "standard/newTrade:data.price"
        make_index(tmp_path, [game(9, 2.0, 100), document(), chat("bob", "hello", NOON)]).close()
        assert first(search, "last game") == "game 9"


def test_a_day_without_a_year_is_that_of_the_newest_game(tmp_path: Path) -> None:
    year = 365 * 24 * 60 * MINUTE
    began = {1: NOON - year, 2: NOON, 3: NOON - year // 4}
    games = [game(number, 2.0, 100, at=at) for number, at in began.items()]
    make_index(tmp_path, games).close()
    with IndexSearch(tmp_path, EMBEDDER, now=lambda: NOON + 3 * year) as search:
        assert found(search.search("games on 21 december", 3))[0] == "game 2"
        assert found(search.search("games on 21 december 2024", 3))[0] == "game 1"


def test_several_threads_may_search(search: IndexSearch) -> None:
    queries = ["data.price", "servers are slow", "games above 50x", "last game"] * 5
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda query: found(search.search(query, 5)), queries))
    assert together == [found(search.search(query, 5)) for query in queries]
