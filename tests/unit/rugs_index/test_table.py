"""The table of the index: scopes are replaced whole, in one commit, and only where something changed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rugs_index.table.errors import IndexAbsentError, IndexReplacedError
from rugs_index.table.live import LiveIndex
from rugs_index.table.paths import IndexPaths
from rugs_index.table.plan import Stored, plan
from rugs_index.table.rebuild import create
from rugs_index.table.row import Row
from rugs_index.table.store import IndexStore
from tests.support.examples import examples
from tests.support.tablekit import DIMENSION, contents, identity, row, vectors

SCOPES = ("game:1", "game:2", 'doc:it\'s "quoted".md')
OWNERS = (None, "did:privy:1", "o'brien")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[IndexStore]:
    with create(tmp_path, identity()) as store:
        yield store


def version(store: IndexStore) -> int:
    return int(store.run(store.table.version()))


def metadata_of(store: IndexStore) -> dict[str, str]:
    return {
        text: metadata
        for batch in store.batches(["text", "metadata"])
        for text, metadata in zip(*(column.to_pylist() for column in batch.columns), strict=True)
    }


def test_a_scope_is_replaced_in_one_commit(store: IndexStore) -> None:
    store.replace_scopes({"a": [row("1", "a"), row("2", "a")], "b": [row("3", "b")]})
    before = version(store)
    change = store.replace_scopes({"a": [row("2", "a"), row("4", "a"), row("5", "a")]})
    assert contents(store) == {"a": ["2", "4", "5"], "b": ["3"]}
    assert (change.written, change.deleted, change.unchanged) == (2, 0, 1)
    assert change.version == version(store) == before + 1


def test_a_scope_that_shrinks_and_changes_is_replaced_in_one_commit(store: IndexStore) -> None:
    store.replace_scopes({"a": [row(str(n), "a") for n in range(5)], "b": [row("x", "b")]})
    before = version(store)
    store.replace_scopes({"a": [row("new", "a")]})
    assert contents(store) == {"a": ["new"], "b": ["x"]}
    assert version(store) == before + 1


def test_many_scopes_are_one_commit(store: IndexStore) -> None:
    before = version(store)
    scopes = {f"game:{n}": [row(f"{n} {m}", f"game:{n}") for m in range(n % 3)] for n in range(1200)}
    change = store.replace_scopes(scopes)
    assert version(store) == before + 1
    assert change.written == store.count() == sum(map(len, scopes.values()))
    assert store.scope_keys() == {scope for scope, rows in scopes.items() if rows}
    assert store.replace_scopes(scopes).version is None


def test_a_scope_without_rows_is_removed(store: IndexStore) -> None:
    store.replace_scopes({"a": [row("1", "a")], "b": [row("2", "b")]})
    assert store.replace_scopes({"a": []}).deleted == 1
    assert contents(store) == {"b": ["2"]}


def test_unchanged_scopes_make_no_commit(store: IndexStore) -> None:
    scopes = {"a": [row("1", "a", vectors(1)[0], number=1), row("2", "a", None)]}
    store.replace_scopes(scopes)
    before = version(store)
    change = store.replace_scopes({**scopes, "never there": []})
    assert (change.written, change.deleted, change.unchanged, change.version) == (0, 0, 2, None)
    assert version(store) == before


@pytest.mark.parametrize(
    "changed",
    [row("1", "a", vectors(1)[0], number=2), row("1", "a", number=1), row("1", "a", vectors(1)[0])],
    ids=["metadata", "vector", "less metadata"],
)
def test_what_a_row_holds_is_written_again_when_it_changes(store: IndexStore, changed: Row) -> None:
    store.replace_scopes({"a": [row("1", "a", vectors(1)[0], number=1)]})
    assert store.replace_scopes({"a": [changed]}).written == 1
    assert metadata_of(store) == {"1": changed.metadata}
    assert store.count() == 1


def test_an_id_counts_once_in_a_scope_and_for_each_owner(store: IndexStore) -> None:
    rows = [row("1", "a"), row("1", "a", number=2), row("1", "a", owner="me"), row("1", "b")]
    store.replace_scopes({"a": rows[:3], "b": rows[3:]})
    assert contents(store) == {"a": ["1", "1"], "b": ["1"]}
    assert metadata_of(store) == {"1": rows[0].metadata}


def test_a_row_of_another_scope_is_refused(store: IndexStore) -> None:
    with pytest.raises(ValueError, match="cannot be in scope 'a'"):
        store.replace_scopes({"a": [row("2", "a"), row("1", "b"), row("3", "a")]})
    assert store.count() == 0


def test_an_upsert_leaves_other_rows_of_the_scope(store: IndexStore) -> None:
    store.replace_scopes({"a": [row("1", "a"), row("2", "a")]})
    change = store.upsert([row("2", "a", number=1), row("3", "a"), row("3", "a", number=2), row("2", "b")])
    assert (change.written, change.deleted) == (3, 0)
    assert contents(store) == {"a": ["1", "2", "3"], "b": ["2"]}
    assert store.upsert([row("3", "a", number=2)]).version is None


@pytest.mark.parametrize("text", ["", "☕" * 50, "a\0b", "half \ud800 pair", "x" * 1_000_000], ids=["empty", *"abcd"])
def test_any_text_comes_back(store: IndexStore, text: str) -> None:
    made = row(text, f"doc:{text[:20]}", vectors(1)[0])
    store.replace_scopes({made.chunk.scope_key: [made]})
    store.replace_scopes({made.chunk.scope_key: [made]})
    ((told,),) = contents(store).values()
    assert told == text.encode(errors="backslashreplace").decode()


def test_a_vector_that_does_not_fit_is_refused(store: IndexStore) -> None:
    for vector in (vectors(1, DIMENSION + 1)[0], np.full(DIMENSION, np.nan, np.float32)):
        with pytest.raises(ValueError, match="vector"):
            store.replace_scopes({"a": [row("1", "a", vector)]})
    assert store.count() == 0


def test_several_writers_at_once(store: IndexStore) -> None:
    def write(writer: int) -> None:
        with IndexStore.open(store.paths.root) as mine:
            for time in range(4):
                mine.replace_scopes({"a": [row(f"{writer} {time} {n}", "a") for n in range(3 + writer)]})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    (texts,) = contents(store).values()
    (writer,) = {int(text.split()[0]) for text in texts}
    assert texts == [f"{writer} 3 {n}" for n in range(3 + writer)]


def test_what_is_committed_can_be_made_durable_again_and_again(store: IndexStore) -> None:
    for number in range(3):
        store.replace_scopes({"a": [row(str(number), "a")]})
        store.make_durable()


def test_a_table_that_was_replaced_is_no_longer_written(store: IndexStore) -> None:
    create(store.paths.root, identity()).close()
    with pytest.raises(IndexReplacedError, match="open the index again"):
        store.replace_scopes({"a": [row("1", "a")]})
    with pytest.raises(IndexReplacedError, match="open the index again"):
        store.upsert([row("1", "a")])
    assert store.count() == 0, "readers go on"


def test_readers_see_what_others_commit_and_follow_a_rebuild(store: IndexStore) -> None:
    live = LiveIndex(store.paths.root, identity())
    first = live.store()
    store.replace_scopes({"a": [row("1", "a")]})
    assert first.count() == 1
    assert live.store() is first
    create(store.paths.root, identity()).close()
    assert live.store().count() == 0
    assert first.count() == 1


def test_without_a_model_there_are_rows_without_vectors(tmp_path: Path) -> None:
    with create(tmp_path, identity(None)) as store:
        store.replace_scopes({"a": [row("1", "a")]})
        assert contents(store) == {"a": ["1"]}


def test_where_there_is_no_index(tmp_path: Path) -> None:
    with pytest.raises(IndexAbsentError, match="rugs index update"):
        IndexStore.open(tmp_path)
    with pytest.raises(IndexAbsentError, match="rugs index update"):
        LiveIndex(tmp_path).store()
    assert not list(tmp_path.iterdir()), "asking makes nothing"


def test_nothing_is_printed(store: IndexStore, capfd: pytest.CaptureFixture[str]) -> None:
    store.replace_scopes({"a": [row("1", "a", vectors(1)[0])]})
    assert contents(store)
    assert capfd.readouterr() == ("", "")


ROWS = st.builds(
    lambda text, scope, owner, number: row(text, scope, owner=owner, number=number),
    st.sampled_from("abcdef"), st.sampled_from(SCOPES), st.sampled_from(OWNERS), st.integers(0, 1),
)  # fmt: skip
REPLACED = st.tuples(st.sets(st.sampled_from(SCOPES), min_size=1), st.lists(ROWS, max_size=8))


def identity_of(each: Row) -> tuple[str, str, str]:
    return each.scope_key, each.owner, each.id


@settings(max_examples=examples(50))
@given(st.lists(REPLACED, max_size=4))
def test_a_plan_makes_of_stored_rows_the_wanted_ones(steps: list[tuple[set[str], list[Row]]]) -> None:
    stored: dict[str, Row] = {}
    for scopes, rows in steps:
        wanted = {identity_of(each): each for each in rows if each.chunk.scope_key in scopes}
        known = {key: each for key, each in stored.items() if each.chunk.scope_key in scopes}
        made = plan([Stored(key, *identity_of(each), each.content) for key, each in known.items()], wanted.values())
        assert len({*made.keys, *made.deleted}) == len(made.keys) + len(made.deleted)
        assert {*made.deleted} <= known.keys()
        assert made.inserted == len({*made.keys} - stored.keys())
        assert made.inserted == 0 or not made.deleted, "a row that goes gives its key to one that comes"
        assert made.unchanged == len(wanted) - len(made.rows)
        stored = {key: each for key, each in stored.items() if key not in made.deleted}
        stored |= dict(zip(made.keys, made.rows, strict=True))
        after = {identity_of(each): each.content for each in stored.values() if each.chunk.scope_key in scopes}
        assert after == {key: each.content for key, each in wanted.items()}


def test_a_plan_removes_rows_that_are_there_twice() -> None:
    wanted = row("1", "a")
    twice = [Stored(key, "a", "", wanted.id, wanted.content) for key in ("k1", "k2")]
    made = plan(twice, [wanted])
    assert (made.rows, made.deleted, made.unchanged) == ([], ["k2"], 1)


@settings(max_examples=examples(15), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(REPLACED, min_size=1, max_size=4))
def test_a_table_holds_what_was_replaced_last(store: IndexStore, steps: list[tuple[set[str], list[Row]]]) -> None:
    model: dict[str, dict[tuple[str, str, str], Row]] = {}
    store.replace_scopes({scope: [] for scope in SCOPES})
    for scopes, rows in steps:
        new = {scope: [each for each in rows if each.chunk.scope_key == scope] for scope in scopes}
        store.replace_scopes(new)
        for scope, its in new.items():
            model[scope] = {identity_of(each): each for each in reversed(its)}
    expected = {scope: sorted(each.text for each in rows.values()) for scope, rows in model.items() if rows}
    assert contents(store) == expected


@pytest.mark.slow
def test_lancedb_is_imported_late_and_without_its_client_of_remote_catalogs(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from rugs_index.search.filters import Filters
from rugs_index.search.legs import text_leg
from rugs_index.table.live import LiveIndex
from rugs_index.table.rebuild import create
from tests.support.tablekit import identity, row
assert "lancedb" not in sys.modules
with create(Path(sys.argv[1]), identity(None)) as store:
    store.replace_scopes({"a": [row("words", "a")]})
    (hit,) = text_leg(store, "words", 5)
assert not [name for name in sys.modules if name.startswith("lance_namespace") or name == "overrides"]
assert "openvino" not in sys.modules
import lance_namespace, overrides
assert lance_namespace.connect.__module__ == "lance_namespace" and overrides.EnforceOverrides
"""
    repository = Path(__file__).parents[3]
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, check=False, cwd=repository, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_paths_of_the_index_are_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "db-data").mkdir()
    monkeypatch.chdir(tmp_path)
    with create(Path("db-data"), identity()) as store:  # a relative path that begins with "db" would be a remote one
        assert store.path.is_relative_to(tmp_path / "db-data" / "vectors")
    assert IndexPaths(Path("db-data")).folder.is_absolute()
