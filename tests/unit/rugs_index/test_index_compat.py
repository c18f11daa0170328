"""The retrieval contract as functions: what claude-flow's tools call."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rugs_discovery.compat.chunks import EventChunk
from rugs_index import compat
from rugs_index.brought import brought_scopes
from rugs_index.chunk import chunk_id
from rugs_index.embedders import MissingModelError
from rugs_index.search.search import IndexSearch, SearchError
from rugs_index.table.errors import IndexIncompatibleError
from rugs_index.table.store import IndexStore
from tests.support.embedkit import HashEmbedder
from tests.support.searchkit import EMBEDDER, document, make_index, world

KEYS = {"id", "text", "source", "line_start", "line_end", "headers", "score"}
CHUNKS = [
    EventChunk("Event: stateA\nFields: 1", "schemas/stateA.json", "stateA", "schema"),
    EventChunk("Field: data.a\nType: number", "schemas/stateA.json#data.a", "stateA", "field", "data.a"),
    EventChunk("Field: data.a\nEvents: stateA", "field_index.json#data.a", "stateA", "field", "data.a"),
]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RUGS_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(compat, "choose", lambda setting: EMBEDDER)
    return tmp_path


@pytest.fixture
def backend(root: Path) -> Iterator[IndexSearch]:
    make_index(root).close()
    with IndexSearch(root, EMBEDDER) as search:
        yield search


def test_results_have_the_keys_of_the_contract(backend: IndexSearch, capfd: pytest.CaptureFixture[str]) -> None:
    found = compat.search("how to back up the data folder", backend=backend)
    assert len(found) == 5
    assert all(each.keys() == KEYS for each in found)
    assert found[0] == {
        "id": chunk_id("docs/backup.md", document().text),
        "text": document().text,
        "source": "docs/backup.md",
        "line_start": 3,
        "line_end": 5,
        "headers": ["Backup", "a|b"],
        "score": pytest.approx(found[0]["score"]),
    }
    assert found[0]["score"] == max(each["score"] for each in found)
    others = [each for each in found if each["source"].startswith("discovery/")]
    assert [(each["line_start"], each["line_end"], each["headers"]) for each in others] == [(0, 0, [])] * len(others)
    assert capfd.readouterr() == ("", "")


def test_collections(backend: IndexSearch) -> None:
    def sources(collection: str | None) -> set[str]:
        found = compat.search("how to back up the data folder", 100, backend=backend, collection=collection)
        return {each["source"] for each in found}

    assert "docs/backup.md" in sources(None) == sources("claude_flow_knowledge")
    assert sources(None) - sources("rugs_events") == {"docs/backup.md"}
    with pytest.raises(SearchError, match="no such collection: other"):
        compat.search("price", backend=backend, collection="other")


def test_a_part_of_the_source(backend: IndexSearch) -> None:
    found = compat.search_with_filter("price", "newTrade", 10, backend=backend)
    assert {each["source"] for each in found} == {"discovery/standard/newTrade"}
    assert compat.search_with_filter("price", "nowhere", backend=backend) == []
    assert len(compat.search_with_filter("price", None, 3, backend=backend)) == 3


def test_more_than_there_is_less_than_one_and_private_chunks(backend: IndexSearch) -> None:
    found = compat.search("secret plan about servers", 10_000, backend=backend)
    assert len(found) == len(world()) - 1
    assert not any("secret plan" in each["text"] for each in found)
    assert compat.search("price", 0, backend=backend) == compat.search("price", -1, backend=backend) == []


def test_without_an_index_nothing_is_found(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert compat.search("price") == compat.search_with_filter("price", "a") == []
    make_index(root, []).close()
    with IndexSearch(root, EMBEDDER) as empty:
        assert compat.search("price", backend=empty) == []
    assert capfd.readouterr() == ("", "")


def test_without_a_model_scores_are_zero(backend: IndexSearch, root: Path) -> None:
    with IndexSearch(root, None) as words:
        assert {each["score"] for each in compat.search("price of the game", backend=words)} == {0.0}


def test_chunks_are_embedded_and_found(backend: IndexSearch, root: Path) -> None:
    assert compat.embed_chunks(CHUNKS) == 3
    with IndexStore.open(root) as store:
        scopes = dict(brought_scopes(store))
    assert sorted(scopes) == ["brought:field_index.json", "brought:schemas/stateA.json"]
    assert [chunk.metadata for chunk in scopes["brought:field_index.json"]] == [
        {"source": "field_index.json#data.a", "kind": "field", "doc_type": "field", "event_type": "stateA",
         "field_path": "data.a"}
    ]  # fmt: skip
    found = compat.search("stateA data.a", 2, backend=backend, collection="rugs_events")
    assert {each["source"] for each in found} == {"schemas/stateA.json#data.a", "field_index.json#data.a"}


def test_the_chunks_of_a_document_are_replaced_together(backend: IndexSearch, root: Path) -> None:
    compat.embed_chunks(CHUNKS)
    assert compat.embed_chunks([EventChunk("Event: stateA\nFields: 0", "schemas/stateA.json", "stateA", "schema")]) == 1
    with IndexStore.open(root) as store:
        counts = {key: len(chunks) for key, chunks in brought_scopes(store)}
    assert counts == {"brought:field_index.json": 1, "brought:schemas/stateA.json": 1}


def test_no_chunks(backend: IndexSearch) -> None:
    assert compat.embed_chunks([]) == 0


def test_an_index_is_made_where_there_is_none(root: Path) -> None:
    assert compat.embed_chunks(CHUNKS) == 3
    with IndexSearch(root, EMBEDDER) as search:
        assert len(compat.search("stateA", 10, backend=search)) == 3


def test_chunks_need_a_model_that_is_that_of_the_index(backend: IndexSearch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compat, "choose", lambda setting: None)
    monkeypatch.setenv("RUGS_EMBEDDER", "none")
    with pytest.raises(MissingModelError, match="RUGS_EMBEDDER is none"):
        compat.embed_chunks(CHUNKS)
    monkeypatch.setattr(compat, "choose", lambda setting: HashEmbedder())
    with pytest.raises(IndexIncompatibleError, match="rugs index rebuild"):
        compat.embed_chunks(CHUNKS)
