"""The cache of vectors: no text is embedded twice, no damage is fatal, and no failure is silent."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rugs_index.embedders import EmbeddingError
from rugs_index.embedders.cache import CachedEmbedder, cache_path
from rugs_index.embedders.cache_store import CacheError
from tests.support.embedkit import DIMENSION, HashEmbedder, hash_vector
from tests.support.examples import examples

TEXTS = st.lists(st.text(max_size=12), max_size=30)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return cache_path(tmp_path / "state", HashEmbedder.identity)


@pytest.fixture
def embedder() -> HashEmbedder:
    return HashEmbedder()


@pytest.fixture
def cached(embedder: HashEmbedder, path: Path) -> Iterator[CachedEmbedder]:
    with CachedEmbedder(embedder, path) as found:
        yield found


def expected(texts: list[str]) -> np.ndarray:
    return np.array([hash_vector(text) for text in texts], dtype=np.float32).reshape(len(texts), DIMENSION)


@settings(max_examples=examples(40))
@given(st.lists(st.tuples(TEXTS, st.booleans()), max_size=6))
def test_no_text_is_embedded_twice(
    tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[list[str], bool]]
) -> None:
    path = tmp_path_factory.mktemp("cache") / "cache.sqlite"
    embedder = HashEmbedder()
    cached = CachedEmbedder(embedder, path)
    for texts, opens_anew in calls:
        if opens_anew:  # a rebuild, or another process
            cached.close()
            cached = CachedEmbedder(embedder, path)
        np.testing.assert_array_equal(cached.embed(texts), expected(texts))
    cached.close()
    assert set(embedder.asked.values()) <= {1}
    assert set(embedder.asked) == {text for texts, _ in calls for text in texts}


@settings(max_examples=examples(40))
@given(TEXTS, st.sets(st.text(max_size=12), max_size=6), st.integers(0, 100))
def test_a_text_that_is_refused_is_skipped_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], refused: set[str], size: int
) -> None:
    texts = [*texts, *sorted(refused)[:2], *(f"more {number}" for number in range(size))]
    refused = set(sorted(refused)[:2])
    embedder = HashEmbedder(lambda text: "too hot" if text in refused else None)
    with CachedEmbedder(embedder, tmp_path_factory.mktemp("cache") / "cache.sqlite") as cached:
        embedded = cached.embed_each(texts)
    assert embedded.skipped == {index: "too hot" for index, text in enumerate(texts) if text in refused}
    for index, text in enumerate(texts):
        want = np.full(DIMENSION, np.nan) if text in refused else hash_vector(text)
        np.testing.assert_array_equal(embedded.vectors[index], want)
    assert max(embedder.asked.values(), default=0) <= 1


def test_hits_and_misses_are_counted(cached: CachedEmbedder) -> None:
    first = cached.embed_each(["a", "b", "a"])
    assert (first.hits, first.misses) == (0, 2)
    second = cached.embed_each(["a", "c", "a", "b"])
    assert (second.hits, second.misses) == (2, 1)
    assert (cached.hits, cached.misses) == (2, 3)


def test_a_skipped_text_is_tried_again(cached: CachedEmbedder, embedder: HashEmbedder) -> None:
    embedder.refuses = lambda text: "away" if text == "b" else None
    assert cached.embed_each(["a", "b"]).skipped == {1: "away"}
    embedder.refuses = lambda _: None
    np.testing.assert_array_equal(cached.embed(["a", "b"]), expected(["a", "b"]))


def test_embedding_all_or_nothing_names_what_fails(cached: CachedEmbedder, embedder: HashEmbedder) -> None:
    embedder.refuses = lambda text: "away" if text == "b" else None
    with pytest.raises(EmbeddingError, match="text 2 of 2 cannot be embedded: away"):
        cached.embed(["a", "b"])


def test_an_embedder_that_is_away_is_not_asked_for_every_text(cached: CachedEmbedder, embedder: HashEmbedder) -> None:
    embedder.refuses = lambda _: "away"
    texts = [f"text {number}" for number in range(1000)]
    embedded = cached.embed_each(texts)
    assert embedded.skipped == dict.fromkeys(range(1000), "away")
    assert np.isnan(embedded.vectors).all()
    assert embedder.calls <= 8


def test_short_texts_are_embedded_before_long_ones_fail(cached: CachedEmbedder, embedder: HashEmbedder) -> None:
    embedder.refuses = lambda text: "too long" if len(text) > 100 else None
    texts = ["x" * (101 + number) for number in range(50)] + [f"short {number}" for number in range(200)]
    embedded = cached.embed_each(texts)
    assert sorted(embedded.skipped) == list(range(50))


def test_progress_is_told_up_to_the_last(embedder: HashEmbedder, path: Path) -> None:
    told: list[tuple[int, int]] = []
    with CachedEmbedder(embedder, path, lambda done, missing: told.append((done, missing))) as cached:
        cached.embed([f"text {number}" for number in range(150)])
        cached.embed([f"text {number}" for number in range(150)])
    assert told == [(64, 150), (128, 150), (150, 150)]


def test_texts_of_one_length_are_embedded_together(cached: CachedEmbedder, embedder: HashEmbedder) -> None:
    cached.embed([character * size for size in (3, 1, 2) for character in "abcd"])
    assert [len(text) for text in embedder.asked] == sorted(len(text) for text in embedder.asked)


def test_what_was_done_before_a_crash_is_kept(embedder: HashEmbedder, path: Path) -> None:
    class CrashError(Exception):
        pass

    def crash(done: int, _: int) -> None:
        if done > 64:
            raise CrashError

    texts = [f"text {number:03}" for number in range(200)]
    with CachedEmbedder(embedder, path, crash) as cached, pytest.raises(CrashError):
        cached.embed(texts)
    with CachedEmbedder(embedder, path) as cached:
        assert cached.embed_each(texts).hits == 128


def test_nothing_is_embedded_without_texts(cached: CachedEmbedder, embedder: HashEmbedder) -> None:
    assert cached.embed([]).shape == (0, DIMENSION)
    assert embedder.calls == 0


def test_questions_are_not_kept(cached: CachedEmbedder, path: Path) -> None:
    np.testing.assert_array_equal(cached.embed_query("a"), hash_vector("a"))
    assert cached.embed_each(["a"]).hits == 0


def test_only_the_owner_may_read_it(cached: CachedEmbedder, path: Path) -> None:
    cached.embed(["a"])
    for file in (path, path.with_name(f"{path.name}-wal")):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def _garbage(path: Path) -> None:
    path.write_bytes(b"no database at all" * 100)


def _torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _overwritten(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[16_384:] = b"\xa5" * (len(content) - 16_384)
    path.write_bytes(content)


def _other_tables(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE embedding (something TEXT)")
    connection.close()


@pytest.mark.parametrize("damage", [_garbage, _torn, _overwritten, _other_tables])
def test_a_damaged_cache_is_set_aside_and_made_anew(
    path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    texts = [f"text {number}" for number in range(300)]
    with CachedEmbedder(HashEmbedder(), path) as cached:
        cached.embed(texts)
    damage(path)
    embedder = HashEmbedder()
    with caplog.at_level(logging.WARNING), CachedEmbedder(embedder, path) as cached:
        np.testing.assert_array_equal(cached.embed(texts), expected(texts))
        np.testing.assert_array_equal(cached.embed(texts), expected(texts))
    assert "is damaged" in caplog.text
    assert list(path.parent.glob("*.damaged-*"))
    assert max(embedder.asked.values()) == 1


@pytest.mark.parametrize("content", [b"", b"\x00" * 4 * DIMENSION, b"\xff" * 4 * DIMENSION, b"x" * 7])
def test_a_damaged_vector_is_embedded_again(
    cached: CachedEmbedder, embedder: HashEmbedder, path: Path, content: bytes
) -> None:
    cached.embed(["a", "b"])
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE embedding SET vector = ? WHERE rowid = 1", (content,))
    connection.close()
    np.testing.assert_array_equal(cached.embed(["a", "b"]), expected(["a", "b"]))
    assert sorted(embedder.asked.values()) == [1, 2]
    assert cached.embed_each(["a", "b"]).hits == 2


def test_a_cache_that_is_deleted_under_its_feet_is_made_anew(
    cached: CachedEmbedder, embedder: HashEmbedder, path: Path
) -> None:
    cached.embed(["a"])
    shutil.rmtree(path.parent)
    np.testing.assert_array_equal(cached.embed(["a", "b"]), expected(["a", "b"]))
    np.testing.assert_array_equal(cached.embed(["a", "b"]), expected(["a", "b"]))
    with CachedEmbedder(embedder, path) as another:
        assert another.embed_each(["b"]).hits == 1


def test_threads_and_connections_may_work_at_once(path: Path) -> None:
    texts = [f"text {number}" for number in range(400)]
    start = threading.Barrier(4)

    def work(number: int) -> np.ndarray:
        with CachedEmbedder(HashEmbedder(), path) as cached:
            start.wait()
            mine = texts[number * 50 :] + texts[: number * 50]
            cached.embed(mine)
            return cached.embed(texts)

    with ThreadPoolExecutor(4) as pool:
        for vectors in pool.map(work, range(4)):
            np.testing.assert_array_equal(vectors, expected(texts))


def test_a_cache_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path, embedder: HashEmbedder) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match=r"the embedding cache .*cache\.sqlite cannot be used"):
        CachedEmbedder(embedder, tmp_path / "file" / "cache.sqlite")


def test_each_identity_has_a_cache_of_its_own(tmp_path: Path) -> None:
    identity = HashEmbedder.identity
    others = [
        type(identity)(**{**identity.as_json(), name: value})  # type: ignore[arg-type]
        for name, value in [("model", "b/c"), ("dimension", 9), ("library", "x"), ("precision", ""), ("weights", "1")]
    ]
    paths = {cache_path(tmp_path, each) for each in [identity, *others]}
    assert len(paths) == 6
    assert {path.parent for path in paths} == {tmp_path / "embeddings"}
