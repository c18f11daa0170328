"""A table is opened only by a program that would build it the same; a damaged one says what to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from rugs_core.errors import RugsError
from rugs_index.search.legs import text_leg
from rugs_index.table.errors import IndexAbsentError, IndexDamagedError, IndexIncompatibleError
from rugs_index.table.identity import IndexIdentity
from rugs_index.table.paths import IndexPaths
from rugs_index.table.rebuild import Rebuild, create
from rugs_index.table.schema import identity_of
from rugs_index.table.store import IndexStore
from rugs_lake.store import version_file
from rugs_lake.store.paths import LakePaths
from tests.support import lakekit
from tests.support.tablekit import contents, identity, row, vectors


def model(**changed: Any) -> IndexIdentity:
    """Return an identity with another model."""
    made = identity()
    assert made.embedder is not None
    return replace(made, embedder=replace(made.embedder, **changed))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root with an index of one row."""
    with create(tmp_path, identity()) as store:
        store.replace_scopes({"a": [row("words", "a", vectors(1)[0])]})
    return tmp_path


def test_the_identity_is_in_the_file_and_in_the_table(root: Path) -> None:
    told = json.loads(IndexPaths(root).current_file.read_text())
    assert told["identity"] == asdict(identity())
    with IndexStore.open(root, identity()) as store:
        assert store.identity == identity_of(store.columns) == identity()
        assert told["table"] == f"chunks_{store.id}"
        assert told["store"] == store.id


def test_the_identity_is_in_the_manifests_of_the_lake(tmp_path: Path) -> None:
    lakekit.store(tmp_path, lakekit.message(1, lakekit.envelope(1)), lakekit.LAST)
    version = LakePaths(tmp_path).schema_version
    before = json.loads(version.read_text())
    assert "index" not in before
    create(tmp_path, identity()).close()
    assert json.loads(version.read_text()) == {**before, "index": asdict(identity())}
    lakekit.open_writer(tmp_path, at_cursor=lakekit.LAST).close()
    assert json.loads(version.read_text())["index"] == asdict(identity()), "the lake keeps it"
    assert lakekit.select(tmp_path, "SELECT count(*) > 0 FROM events") == [(True,)]


def test_without_a_lake_nothing_is_written_into_its_manifests(root: Path) -> None:
    assert version_file.read(LakePaths(root)) == {}
    assert not LakePaths(root).manifests.exists()


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (model(model="other"), "model is made-up, not other"),
        (model(dimension=9), "dimension is 8, not 9"),
        (model(library="onnx"), "library is none, not onnx"),
        (model(precision="i8"), "precision is f32, not i8"),
        (model(weights="1" * 64), f"weights is {'0' * 64}, not {'1' * 64}"),
        (model(weights=""), f"weights is {'0' * 64}, not unknown"),
        (identity(chunker="2"), "chunker is 1, not 2"),
        (identity(profile="claude_flow_v1"), "profile is rugbus, not claude_flow_v1"),
        (identity(schema="0"), "schema is 1, not 0"),
    ],
)
def test_another_identity_is_refused_with_the_command_that_rebuilds(
    root: Path, wanted: IndexIdentity, told: str
) -> None:
    with pytest.raises(IndexIncompatibleError) as refused:
        IndexStore.open(root, wanted)
    assert f": {told}; run `rugs index rebuild`" in str(refused.value)


def test_a_table_without_vectors_does_not_fit_a_program_with_a_model(tmp_path: Path) -> None:
    create(tmp_path, identity(None)).close()
    with pytest.raises(IndexIncompatibleError, match="model is none, not made-up"):
        IndexStore.open(tmp_path, identity())


def test_a_program_without_a_model_searches_words_of_a_table_with_vectors(root: Path) -> None:
    with IndexStore.open(root, identity(None)) as store:
        assert [hit.text for hit in text_leg(store, "words", 5)] == ["words"]


DAMAGES: dict[str, Callable[[IndexPaths], object]] = {
    "CURRENT is empty": lambda paths: paths.current_file.write_bytes(b""),
    "CURRENT is no JSON": lambda paths: paths.current_file.write_bytes(b"\xff\x00{"),
    "CURRENT is deep": lambda paths: paths.current_file.write_bytes(b"[" * 100_000),
    "CURRENT is a list": lambda paths: paths.current_file.write_bytes(b"[1]"),
    "CURRENT names nothing": lambda paths: change_current(paths, table=None),
    "CURRENT names a number": lambda paths: change_current(paths, table=1),
    "CURRENT names a path": lambda paths: change_current(paths, table="../../chunks"),
    "CURRENT names what is not there": lambda paths: change_current(paths, table=f"chunks_{'0' * 32}"),
    "CURRENT has no identity": lambda paths: change_current(paths, identity=None),
    "CURRENT has an odd identity": lambda paths: change_current(paths, identity={**asdict(identity()), "embedder": 1}),
    "CURRENT has another identity": lambda paths: change_current(paths, identity=asdict(identity(chunker="2"))),
    "no database": lambda paths: shutil.rmtree(paths.database),
    "an empty table": lambda paths: empty(table(paths)),
    "no versions": lambda paths: shutil.rmtree(table(paths) / "_versions"),
    "empty versions": lambda paths: overwrite(table(paths) / "_versions", b""),
    "broken versions": lambda paths: overwrite(table(paths) / "_versions", b"LANC" * 99),
}
LATE_DAMAGES: dict[str, Callable[[IndexPaths], object]] = {
    "no data": lambda paths: shutil.rmtree(table(paths) / "data"),
    "empty data": lambda paths: overwrite(table(paths) / "data", b""),
    "broken data": lambda paths: overwrite(table(paths) / "data", b"LANC" * 99),
}
"""Those that are found only when rows are read."""


def table(paths: IndexPaths) -> Path:
    return paths.table(*paths.stores())


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def overwrite(folder: Path, content: bytes) -> None:
    for path in folder.iterdir():
        path.write_bytes(content)


def change_current(paths: IndexPaths, **changed: Any) -> None:
    told = json.loads(paths.current_file.read_text())
    paths.current_file.write_text(json.dumps({**told, **changed}))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_index_is_not_opened(root: Path, damage: str) -> None:
    DAMAGES[damage](IndexPaths(root))
    with pytest.raises(IndexDamagedError, match=r"run `rugs index rebuild`"):
        IndexStore.open(root)


@pytest.mark.parametrize("damage", LATE_DAMAGES)
def test_rows_of_a_damaged_index_are_not_read(root: Path, damage: str) -> None:
    LATE_DAMAGES[damage](IndexPaths(root))
    with IndexStore.open(root) as store:
        for work in (
            lambda: contents(store),
            lambda: text_leg(store, "words", 5),
            lambda: store.replace_scopes({"a": []}),
        ):
            with pytest.raises(IndexDamagedError, match=r"run `rugs index rebuild`"):
                work()


@pytest.mark.parametrize("damage", [*DAMAGES, *LATE_DAMAGES])
def test_a_rebuild_mends_every_damage(root: Path, damage: str) -> None:
    (DAMAGES | LATE_DAMAGES)[damage](IndexPaths(root))
    with Rebuild(root, identity()) as new:
        new.add({"b": [row("more words", "b", vectors(1)[0])]})
        new.finish()
        new.switch()
    with IndexStore.open(root, identity()) as store:
        assert contents(store) == {"b": ["more words"]}


def test_an_index_that_is_deleted_while_it_is_open(root: Path) -> None:
    with IndexStore.open(root) as store:
        shutil.rmtree(IndexPaths(root).folder)
        with pytest.raises(IndexAbsentError, match="rugs index update"):
            store.replace_scopes({"a": [row("1", "a")]})
        with pytest.raises(RugsError):
            text_leg(store, "words", 5)
        create(root, identity()).close()
        with pytest.raises(RugsError, match="open the index again"):
            store.replace_scopes({"a": [row("1", "a")]})
