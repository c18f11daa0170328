"""The index comes to what a rebuild makes, whatever happened to the lake, and whatever was killed when."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rugs_core.errors import RugsError
from rugs_index.brought import PREFIX
from rugs_index.chunk import Chunk
from rugs_index.chunkers.ws_event import Profile
from rugs_index.documents import FolderError
from rugs_index.embedders import EmbedderIdentity, EmbeddingError
from rugs_index.indexing import Indexing
from rugs_index.lake import Chunking
from rugs_index.policy import parse
from rugs_index.setup import discovery_of, indexing_of
from rugs_index.status import status
from rugs_index.table.errors import IndexAbsentError, IndexDamagedError, IndexIncompatibleError
from rugs_index.table.row import Row
from rugs_index.table.store import IndexStore
from rugs_index.vectors import Vectors
from rugs_lake import LakeAbsentError
from rugs_lake.maintain.change import remove
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.change_scope import ChangeScope
from rugs_lake.store.paths import LakePaths
from tests.support import histories, indexkit
from tests.support.examples import examples
from tests.support.lakekit import commit, envelope, message, open_writer, store

pytestmark = pytest.mark.slow

CHAT = '42["newChatMessage",{"username":"alice","message":"to the moon %d"}]'


def chat(number: int, **changes: Any) -> dict[str, Any]:
    return envelope(number, event="newChatMessage", raw=CHAT % number, **changes)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A lake with two messages of the chat, one of them in a game."""
    root = tmp_path / "data"
    store(root, message(1, chat(1), chat(2, game_id="g")))
    return root


def without_model(root: Path, **options: Any) -> Indexing:
    return indexing_of(root, embedder="none", **options)


def more(root: Path, *numbers: int) -> None:
    """Store more messages of the chat."""
    writer = open_writer(root, at_cursor=message(1))
    for number in numbers:
        commit(writer, message(number, chat(number)))
    writer.close()


def texts(root: Path) -> list[str]:
    with IndexStore.open(root) as table:
        return sorted(text for batch in table.batches(["text"]) for text in batch.column(0).to_pylist())


def said(root: Path, words: str) -> bool:
    return any(words in text for text in texts(root))


def test_one_update_builds_what_is_missing_and_the_next_one_adds_what_is_new(root: Path) -> None:
    first = without_model(root).update()
    assert first.rebuilt
    assert said(root, "to the moon 1")
    assert not said(root, "to the moon 7")
    more(root, 7)
    second = without_model(root).update()
    assert not second.rebuilt
    assert said(root, "to the moon 7")
    assert without_model(root).update().written == 0
    proof = without_model(root).verify()
    assert proof.ok
    assert proof.chunks == status(root)["chunks"] == len(texts(root))


def test_what_is_removed_from_the_lake_leaves_the_index(root: Path) -> None:
    without_model(root).update()
    with Catalog(LakePaths(root)) as catalog:
        remove(catalog, "removal", ChangeScope(game="g"), refuses=False)
    assert status(root)["is_behind"]
    without_model(root).update()
    assert not said(root, "to the moon 2")
    assert not status(root)["is_behind"]
    assert without_model(root).verify().ok


def test_verify_names_what_is_missing_and_what_is_too_much(root: Path) -> None:
    without_model(root).update()
    more(root, 7)
    with IndexStore.open(root) as table:
        table.replace_scopes({"game:g": []})
        extra = Chunk("nobody said this", {"source": "x", "kind": "game", "doc_type": "game"}, "game:other")
        table.upsert([Row(extra)])
    proof = without_model(root).verify()
    assert not proof.ok
    assert proof.difference is not None
    assert proof.difference.missing >= 1
    assert proof.difference.first_extra == [f"game:other {extra.id}"]
    without_model(root).rebuild()
    assert without_model(root).verify().ok


@pytest.mark.parametrize("lost", ["CURRENT", "db", ""])
def test_an_index_that_was_deleted_is_built_again_and_half_a_one_is_named(root: Path, lost: str) -> None:
    indexing = without_model(root)
    indexing.update()
    path = root / "vectors" / lost
    path.unlink() if path.is_file() else shutil.rmtree(path)
    more(root, 7)
    if lost == "db":
        with pytest.raises(IndexDamagedError, match="rugs index rebuild"):
            indexing.update()
        indexing.rebuild()
    indexing.update()
    assert said(root, "to the moon 7")
    assert indexing.verify().ok


def test_a_lake_that_is_not_there_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(LakeAbsentError):
        without_model(tmp_path).update()
    with pytest.raises(IndexAbsentError, match="rugs index update"):
        status(tmp_path)


def test_another_policy_or_profile_is_refused_until_the_index_is_rebuilt(root: Path) -> None:
    without_model(root).update()
    for options in ({"policy": "newChatMessage=none"}, {"profile": Profile.CLAUDE_FLOW_V1}):
        changed = without_model(root, **options)
        with pytest.raises(IndexIncompatibleError, match="rugs index rebuild"):
            changed.update()
    without_model(root, policy="newChatMessage=none").rebuild()
    assert not said(root, "to the moon")
    without_model(root, policy="newChatMessage=none").update()


def test_documents_come_change_and_go(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.md").write_text("# Rules\n\nA rug ends the game.\n")
    (folder / "b.md").write_text("# Bets\n\nA side bet pays five times.\n")
    (folder / "c.md").write_bytes(b"\xff\xfe")
    done = without_model(root, documents=[folder]).update()
    assert list(done.skipped_documents) == [f"{folder}/c.md"]
    assert said(root, "A rug ends the game.")
    (folder / "a.md").write_text("# Rules\n\nA rug ends the round.\n")
    (folder / "b.md").unlink()
    without_model(root).update()  # the folder is remembered
    assert said(root, "A rug ends the round.")
    assert not said(root, "A rug ends the game.")
    assert not said(root, "A side bet")
    assert without_model(root).verify().ok
    without_model(root).rebuild()
    assert said(root, "A rug ends the round.")
    assert status(root)["documents"] == [str(folder)]
    with pytest.raises(FolderError):
        without_model(root, documents=[tmp_path / "nothing"])


def test_what_callers_brought_survives_a_rebuild(root: Path) -> None:
    without_model(root).update()
    brought = Chunk("brought along", {"source": "x", "kind": "field", "doc_type": "field"}, f"{PREFIX}x", "did:1")
    with IndexStore.open(root) as table:
        table.upsert([Row(brought)])
    without_model(root).rebuild()
    assert said(root, "brought along")
    assert without_model(root).verify().ok


class Letters:
    """An embedder that is quick, and fails when it is told to; what real ones do is tested with them."""

    identity = EmbedderIdentity("letters", 32, "tests")

    def __init__(self, fails: Callable[[str], bool] = lambda text: False) -> None:
        self.fails = fails
        self.asked: list[str] = []

    def embed(self, asked: Any) -> np.ndarray:
        vectors = np.stack([self.embed_query(text) for text in asked])
        self.asked += asked
        return vectors

    def embed_query(self, text: str) -> np.ndarray:
        if self.fails(text):
            raise EmbeddingError("too long for me")
        counts = np.bincount([ord(letter) % 32 for letter in text] or [0], minlength=32).astype(np.float32)
        vector: np.ndarray = counts / np.linalg.norm(counts)
        return vector


def with_model(root: Path, model: Letters) -> Indexing:
    return Indexing(root, Vectors(model, root), lambda: discovery_of(root, build=True))


def test_no_text_is_embedded_twice_not_even_by_a_rebuild(root: Path) -> None:
    model = Letters()
    done = with_model(root, model).update()
    assert done.embedded == len(model.asked) == len(set(model.asked)) > 0
    again = with_model(root, model).rebuild()
    assert again.embedded == 0
    assert len(model.asked) == done.embedded
    assert with_model(root, model).verify().ok


def test_a_text_that_cannot_be_embedded_is_found_by_its_words_and_counted(root: Path) -> None:
    model = Letters(lambda text: "to the moon 2" in text)
    done = with_model(root, model).update()
    assert done.skipped == 1
    assert said(root, "to the moon 2")
    assert list(status(root)["skipped"].values()) == [1]
    assert "too long for me" in next(iter(status(root)["skipped"]))
    assert with_model(root, model).verify().ok, "it is no silent hole"


def test_an_embedder_that_does_not_work_leaves_no_hole(root: Path) -> None:
    model = Letters()
    with_model(root, model).update()
    more(root, 7)
    model.fails = lambda text: True
    with pytest.raises(EmbeddingError):
        with_model(root, model).update()
    assert status(root)["is_behind"]
    model.fails = lambda text: False
    with_model(root, model).update()
    assert said(root, "to the moon 7")
    assert with_model(root, model).verify().ok


def test_another_model_is_refused_and_none_cannot_go_on_with_one(root: Path) -> None:
    with_model(root, Letters()).update()
    other = Letters()
    other.identity = EmbedderIdentity("other letters", 32, "tests")
    for indexing in (with_model(root, other), without_model(root)):
        with pytest.raises(IndexIncompatibleError, match="rugs index rebuild"):
            indexing.update()
    with_model(root, other).rebuild()
    with_model(root, other).update()


class KilledError(RugsError):
    """The process was killed here."""


class History(indexkit.History):
    """A history of a lake that a real index follows; updates and rebuilds are killed between any two batches."""

    def follow(self) -> str:
        steps = self.chance.choice([0, 1, 2, 5, 99])

        def wait() -> None:
            nonlocal steps
            steps -= 1
            if steps < 0:
                raise KilledError

        indexing = without_model(self.root, wait=wait)
        work = self.chance.choices([indexing.update, indexing.rebuild], [5, 1])[0]
        try:
            done = work()
        except KilledError:
            return "follow: killed"
        except LakeAbsentError:
            return "follow: no lake"
        return "follow: rebuilt" if done.rebuilt else "follow: updated"

    def lose_the_store(self) -> None:
        shutil.rmtree(self.root / "vectors", ignore_errors=True)

    def check(self) -> None:
        try:
            without_model(self.root).update()
        except LakeAbsentError:
            return
        proof = without_model(self.root).verify()
        assert proof.ok, json.dumps(proof.difference and vars(proof.difference), default=str)


def test_the_index_comes_to_what_a_rebuild_makes(tmp_path: Path) -> None:
    happened = histories.run(History, range(examples(8)), tmp_path)
    assert happened["follow: killed"]
    assert happened["follow: updated"]


@pytest.mark.matrix
@pytest.mark.parametrize("first", range(0, 100, 10))
def test_the_index_in_many_histories(tmp_path: Path, first: int) -> None:
    happened = histories.run(History, range(first, first + 10), tmp_path)
    print(
        f"index, histories {first} to {first + 9}: {sum(happened.values())} steps, {happened['follow: killed']} kills"
    )


def test_any_chunking_is_part_of_the_identity(root: Path) -> None:
    vectors = Vectors(None, root)

    def identity(**options: Any) -> Any:
        return Indexing(root, vectors, lambda: discovery_of(root, build=True), chunking=Chunking(**options)).identity

    assert identity() == identity(policy=parse(""))
    assert identity() != identity(policy=parse("x=none"))
    assert identity() != identity(profile=Profile.CLAUDE_FLOW_V1)
