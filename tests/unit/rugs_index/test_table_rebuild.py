"""A table is built beside the live one and takes its place at once; what nobody reads any more is removed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rugs_index.search.filters import PUBLIC
from rugs_index.search.legs import vector_leg
from rugs_index.table import indexes, leftovers, rebuild
from rugs_index.table.digest import Digest, difference, digest
from rugs_index.table.errors import IndexAbsentError, IndexBusyError
from rugs_index.table.indexes import keep_optimised
from rugs_index.table.paths import IndexPaths
from rugs_index.table.rebuild import Rebuild, create
from rugs_index.table.row import Row
from rugs_index.table.store import IndexStore
from tests.support.examples import examples
from tests.support.tablekit import contents, identity, row, vectors


@pytest.fixture
def store(tmp_path: Path) -> Iterator[IndexStore]:
    with create(tmp_path, identity()) as store:
        yield store


def test_readers_of_the_old_table_go_on(store: IndexStore) -> None:
    store.replace_scopes({"a": [row("old", "a", vectors(1)[0])]})
    root = store.paths.root
    with Rebuild(root, identity(chunker="2")) as new:
        new.add({"a": [row("new", "a", vectors(1)[0])]})
        new.finish()
        assert IndexPaths(root).current().store == store.id
        new.switch()
        assert IndexPaths(root).current().store == new.store.id != store.id
    assert [hit.text for hit in vector_leg(store, vectors(1)[0], 5, PUBLIC)] == ["old"]
    with IndexStore.open(root, identity(chunker="2")) as now:
        assert contents(now) == {"a": ["new"]}


def test_a_rebuild_that_fails_leaves_nothing(store: IndexStore) -> None:
    before = set(store.paths.database.iterdir())

    def fail() -> None:
        with Rebuild(store.paths.root, identity()) as new:
            new.add({"a": [row("1", "a")]})
            new.finish()
            new.add({"a": [row("1", "a")]})

    with pytest.raises(ValueError, match="second time"):
        fail()
    assert set(store.paths.database.iterdir()) == before
    assert store.paths.current().store == store.id


def test_only_one_process_rebuilds(store: IndexStore) -> None:
    with (
        Rebuild(store.paths.root, identity()),
        pytest.raises(IndexBusyError, match="wait for its end"),
        Rebuild(store.paths.root, identity()),
    ):
        pass
    create(store.paths.root, identity()).close()


def test_rows_are_written_in_batches_and_once_for_each_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuild, "BATCH_ROWS", 3)
    with Rebuild(tmp_path, identity()) as new:
        for n in range(10):
            new.add({f"doc:{n}": [row(f"{n} {m}", f"doc:{n}") for m in (0, 1, 0)]})
        new.finish()
        assert contents(new.store) == {f"doc:{n}": [f"{n} 0", f"{n} 1"] for n in range(10)}
        with pytest.raises(ValueError, match="doc:3 is added a second time"):
            new.add({"doc:3": [], "doc:11": []})


def test_tables_that_are_not_live_are_removed_but_for_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = [create(tmp_path, identity()) for _ in range(3)]
    paths = stores[0].paths
    killed = IndexStore.make(paths, "f" * 32, identity())
    assert paths.stores() == {*(store.id for store in stores), killed.id}
    assert keep_optimised(stores[2]).removed == 2
    assert paths.stores() == {stores[1].id, stores[2].id}, "a reader may still have the last one open"
    aged = time.time() - leftovers.GRACE_SECONDS - 1
    os.utime(paths.current_file, (aged, aged))
    with Rebuild(tmp_path, identity()):
        assert len(paths.stores()) == 2, "the live one, and the one that is built"
    for store in (*stores, killed):
        store.close()


def test_upkeep_of_an_index_that_was_deleted(tmp_path: Path) -> None:
    with create(tmp_path, identity()) as store:
        for path in sorted(store.paths.folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        store.paths.folder.rmdir()
        with pytest.raises(IndexAbsentError):
            keep_optimised(store)


@pytest.mark.slow
def test_indexes_are_built_when_they_are_worth_it_and_find_what_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexes, "INDEX_ROWS", 200)
    monkeypatch.setattr(indexes, "VECTOR_INDEX_ROWS", 400)
    embedded = vectors(4000)

    def scopes(first: int, last: int) -> dict[str, list[Row]]:
        return {f"doc:{n}": [row(f"text w{n}", f"doc:{n}", embedded[n])] for n in range(first, last)}

    def found(store: IndexStore) -> list[str]:
        return [hit.text for n in range(0, store.count(), 37) for hit in vector_leg(store, embedded[n], 1)]

    with create(tmp_path, identity()) as store:
        store.replace_scopes(scopes(0, 150))
        assert keep_optimised(store).built == ()
        store.replace_scopes(scopes(150, 250))
        built = keep_optimised(store).built
        assert {"key", "scope_key", "owner", "search_text"} <= {*built}
        assert "vector" not in built
        store.replace_scopes(scopes(250, 500))
        assert keep_optimised(store).built == ("vector",)
        store.replace_scopes(scopes(500, 1000))
        assert found(store) == [f"text w{n}" for n in range(0, 1000, 37)], "also what is in no index yet"
        assert keep_optimised(store).built == ()
        store.replace_scopes(scopes(1000, 2100))
        before = digest(store)
        upkeep = keep_optimised(store)
        assert upkeep.built == ("vector",), "it has grown four times"
        assert upkeep.optimised
        assert digest(store) == before
        assert found(store) == [f"text w{n}" for n in range(0, 2100, 37)]
        for n in range(indexes._COMMITS):
            store.replace_scopes(scopes(2100 + n, 2101 + n))
        assert keep_optimised(store) == indexes.Upkeep(refreshed=True)
        assert keep_optimised(store) == indexes.Upkeep()
        assert found(store) == [f"text w{n}" for n in range(0, store.count(), 37)]


@pytest.mark.slow
def test_upkeep_removes_old_versions(tmp_path: Path) -> None:
    with create(tmp_path, identity()) as store:
        for n in range(5):
            store.replace_scopes({"a": [row(f"secret {n}", "a")]})
        keep_optimised(store, force=True)
        assert any(b"secret 0" in path.read_bytes() for path in store.path.rglob("*.lance"))
        keep_optimised(store, force=True, kept=indexes.KEPT * 0)
        assert not any(b"secret 0" in path.read_bytes() for path in store.path.rglob("*.lance"))
        assert contents(store) == {"a": ["secret 4"]}


ROWS = st.builds(
    lambda text, scope, owner, number: row(text, scope, owner=owner, number=number),
    st.sampled_from("abcd"), st.sampled_from(["x", "y"]), st.sampled_from([None, "me"]), st.integers(0, 2),
)  # fmt: skip


@pytest.mark.slow
@settings(max_examples=examples(15), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.lists(ROWS, max_size=8), second=st.lists(ROWS, max_size=8))
def test_a_digest_is_of_the_rows_whatever_their_order_and_history(
    tmp_path_factory: pytest.TempPathFactory, first: list[Row], second: list[Row]
) -> None:
    def unique(rows: list[Row]) -> dict[tuple[str, str, str], Row]:
        return {(each.scope_key, each.owner, each.id): each for each in rows}

    one, other = unique(first), unique(second)
    root = tmp_path_factory.mktemp("digest")
    with create(root / "one", identity()) as store, create(root / "other", identity()) as expected:
        store.upsert(one.values())
        expected.upsert(other.values())
        same = {key: each.metadata for key, each in one.items()} == {key: each.metadata for key, each in other.items()}
        assert (digest(store) == digest(expected)) == same
        found = difference(store, expected)
        changed = [key for key in one.keys() & other.keys() if one[key].metadata != other[key].metadata]
        assert (found.missing, found.extra, found.changed) == (
            len(other.keys() - one.keys()), len(one.keys() - other.keys()), len(changed),
        )  # fmt: skip
        assert {*found.first_changed} <= {f"{scope} {id_}" for scope, _, id_ in changed}
        store.replace_scopes({scope: [each for each in other.values() if each.scope_key == scope] for scope in "xy"})
        assert digest(store) == digest(expected)


def test_a_row_that_is_there_twice_is_extra(store: IndexStore) -> None:
    store.append([row("1", "a")])
    once = digest(store)
    with Rebuild(store.paths.root, identity()) as new:
        new.add({"a": [row("1", "a")]})
        new.finish()
        store.append([row("1", "a")])
        assert once == digest(new.store) != digest(store)
        found = difference(store, new.store)
        assert (found.missing, found.extra, found.changed) == (0, 1, 0)
        assert {*found.first_extra} == {f"a {row('1', 'a').id}"}


def test_the_digest_of_an_empty_table(store: IndexStore) -> None:
    assert digest(store) == Digest(0, "0" * 32)
    assert difference(store, store).missing == 0
