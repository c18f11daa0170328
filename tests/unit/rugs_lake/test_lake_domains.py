"""A domain of a test's own in the lake: keys, content, conflicts, views and owners, with no other file changed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rugs_lake
from rugs_lake import domains
from rugs_lake.maintain import removal
from rugs_lake.maintain.compaction import compact
from rugs_lake.store import derived_ids
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.change_scope import ChangeScope
from rugs_lake.store.paths import LakePaths
from rugs_proto.envelope import Envelope
from rugs_proto.message import Message
from tests.support.examples import examples
from tests.support.jsons import JSON
from tests.support.lakekit import DAY_US, NOON_US, checked, commit, envelope, message, open_writer, select, store
from tests.support.notes import IN_LAKE, note, notes_registered

REJECTS = "SELECT reason, stream_seq, seq, owner, raw FROM reject ORDER BY stream_seq, seq"


@pytest.fixture(autouse=True, scope="module")
def _notes() -> Iterator[None]:
    with notes_registered():
        yield


def stored(root: Path) -> list[Any]:
    return select(root, "SELECT scope, key, text, price, owner FROM notes ORDER BY scope, key, text")


def test_a_registered_domain_has_doc_types_views_and_owners(tmp_path: Path) -> None:
    store(
        tmp_path,
        message(1, note(text="a", price=2, owner="ann"), note("l", "scope-2", text="b")),
        message(2, note("m", kind="hidden")),
        message(3, envelope(7, doc_type="note_seen")),
    )
    assert stored(tmp_path) == [
        ("scope-1", "k", "a", 2.0, "ann"),
        ("scope-2", "l", "b", None, "my_agent/scope-2"),
    ]
    assert select(tmp_path, "SELECT count(owner), count(*) FROM note") == [(3, 3)]
    assert select(tmp_path, "SELECT owner FROM note_seen") == [(None,)]
    checked(tmp_path)


def test_its_views_are_there_while_it_has_no_rows(tmp_path: Path) -> None:
    store(tmp_path, message(1, envelope(1)))
    assert stored(tmp_path) == []
    with rugs_lake.open(tmp_path, sandbox=True) as lake:
        assert {"note", "note_seen", "notes"} <= set(lake.views)
        assert lake.sql("SELECT count(*) FROM notes").fetchall() == [(0,)]


def test_a_doc_type_with_the_name_of_a_view_gets_no_view_of_its_own(tmp_path: Path) -> None:
    store(tmp_path, message(1, envelope(1, doc_type="notes"), envelope(2, doc_type="notes")))
    assert stored(tmp_path) == []
    assert select(tmp_path, "SELECT count(*) FROM events WHERE doc_type = 'notes'") == [(2,)]


def test_retention_is_for_ever_where_the_domain_does_not_say() -> None:
    assert [domains.default_retention(name) for name in ("note_seen", "note", "ws_event", "new")] == [30] + [None] * 3


def test_no_domain_is_registered_twice() -> None:
    with pytest.raises(ValueError, match="registered already"):
        domains.register(IN_LAKE)


SAME: dict[str, dict[str, Any]] = {
    "as it was": {},
    "later": {"ts": NOON_US + 5 * DAY_US, "recv_ts": NOON_US},
    "from elsewhere": {"source": "other", "event": "", "username": "u", "raw": "other"},
    "another owner and kind": {"owner": "bob", "kind": "hidden"},
    "a double": {"price": 2.0},
    "null": {"detail": None},
}
OTHER: dict[str, dict[str, Any]] = {
    "text": {"text": "b"},
    "text missing": {"text": None},
    "price": {"price": 2.5},
    "a flag": {"price": True},
    "more": {"detail": {"a": [1]}},
}
FIRST: dict[str, Any] = {"text": "a", "price": 2, "owner": "ann"}


@pytest.mark.parametrize("changes", SAME.values(), ids=SAME.keys())
@pytest.mark.parametrize("commits", [1, 2], ids=["in one batch", "in the lake"])
def test_the_same_key_with_equal_content_is_a_duplicate(tmp_path: Path, changes: dict[str, Any], commits: int) -> None:
    messages = [message(1, note(**FIRST)), message(2, note(**{**FIRST, **changes}))]
    store_in(tmp_path, messages, commits)
    assert stored(tmp_path) == [("scope-1", "k", "a", 2.0, "ann")]
    assert checked(tmp_path).totals == {"taken": 2, "stored": 1, "duplicates": 1, "rejected": 0}


@pytest.mark.parametrize("changes", OTHER.values(), ids=OTHER.keys())
@pytest.mark.parametrize("commits", [1, 2], ids=["in one batch", "in the lake"])
def test_the_same_key_with_other_content_is_a_reject(tmp_path: Path, changes: dict[str, Any], commits: int) -> None:
    later = note(**{**FIRST, **changes}, ts=NOON_US + DAY_US)
    store_in(tmp_path, [message(1, note(**FIRST)), message(2, later)], commits)
    assert stored(tmp_path) == [("scope-1", "k", "a", 2.0, "ann")]
    assert checked(tmp_path).totals == {"taken": 2, "stored": 1, "duplicates": 0, "rejected": 1}
    ((*place, body),) = select(
        tmp_path, "SELECT reason, stream_seq, seq, owner, coalesce(raw_bin, encode(raw)) FROM reject"
    )
    assert place == ["conflicting_key", 2, 1, "ann"], "what was private stays private"
    kept = Envelope.model_validate(msgpack.unpackb(body))
    assert kept == Envelope.model_validate(later).model_copy(update={"raw": kept.raw})
    assert kept.raw == later["raw"]


def store_in(root: Path, messages: list[Message], commits: int) -> None:
    if commits == len(messages):
        return store(root, *messages)
    writer = open_writer(root)
    commit(writer, *messages)
    writer.close()


def test_a_reject_has_its_place_in_the_message(tmp_path: Path) -> None:
    bad = note("z", v=9)
    store(
        tmp_path,
        message(1, note(text="a")),
        message(2, bad, note("l"), note(text="b"), bad, note(text="c"), note(text="a")),
    )
    rows = select(tmp_path, "SELECT seq FROM reject WHERE reason = 'conflicting_key' ORDER BY seq")
    assert rows == [(3,), (5,)]
    assert checked(tmp_path).totals == {"taken": 7, "stored": 2, "duplicates": 1, "rejected": 4}


def test_a_restored_stream_doubles_neither_events_nor_their_conflicts(tmp_path: Path) -> None:
    messages = [message(1, note(text="a")), message(2, note(text="b"), note("l")), message(3, note(text="c"))]
    store(tmp_path, *messages)
    before = select(tmp_path, REJECTS)
    writer = open_writer(tmp_path, at_cursor=None)
    assert writer.next_seq == 1
    done = [commit(writer, each).totals for each in messages]
    writer.close()
    assert [totals["duplicates"] for totals in done] == [1, 2, 1]
    assert select(tmp_path, REJECTS) == before
    assert len(before) == 2
    checked(tmp_path)


def test_a_conflict_that_was_removed_stays_away(tmp_path: Path) -> None:
    messages = [message(1, note(text="a")), message(2, note(text="b"))]
    store(tmp_path, *messages)
    with Catalog(LakePaths(tmp_path)) as catalog:
        ((reject,),) = select(tmp_path, "SELECT id FROM reject")
        assert removal.remove_scope(catalog, ChangeScope(ids=frozenset([reject]))).rows == 1
    writer = open_writer(tmp_path, at_cursor=None)
    assert commit(writer, *messages).totals == {"taken": 2, "duplicates": 1, "refused_by_rule": 1}
    writer.close()
    checked(tmp_path)


def test_a_conflict_is_one_whatever_compaction_did(tmp_path: Path) -> None:
    store(tmp_path, *(message(n, note(f"k{n}", text="a", ts=NOON_US + n * DAY_US)) for n in range(1, 4)))
    with Catalog(LakePaths(tmp_path)) as catalog:
        compact(catalog)
    writer = open_writer(tmp_path, at_cursor=message(3, note("k3", text="a", ts=NOON_US + 3 * DAY_US)))
    done = commit(writer, message(4, note("k1", text="a"), note("k2", text="b"), note("k4")))
    writer.close()
    assert (done.totals["duplicates"], done.totals["rejected"], done.totals["stored"]) == (1, 1, 1)
    with Catalog(LakePaths(tmp_path)) as catalog:
        assert compact(catalog).files_after > 0
    checked(tmp_path)


def test_what_was_removed_is_no_conflict_and_never_returns_however_the_stream_is_cut(tmp_path: Path) -> None:
    """Neither does it come back as a reject."""
    told = [message(n, note("k1", text=text, owner=owner)) for n, text, owner in TOLD]
    for commits in (1, len(told)):
        root = tmp_path / str(commits)
        first = message(1, note("k1", text="a", owner="ann"), note("k2", text="a", owner="bob"))
        store(root, first)
        with Catalog(LakePaths(root)) as catalog:
            removal.remove_scope(catalog, ChangeScope(owner="ann"))
            removal.remove_scope(catalog, ChangeScope(ids=frozenset([str(Envelope(**note("k2")).computed_id())])))
        writer = open_writer(root, at_cursor=first)
        more = message(6, note("k2", text="a"), note("k2", text="b"))
        for some in [[*told, more]] if commits == 1 else [[each] for each in (*told, more)]:
            commit(writer, *some)
        writer.close()
        assert select(root, "SELECT extra->>'$.key', extra->>'$.text', owner, stream_seq FROM note") == [
            ("k1", "b", "bob", 3)
        ]
        assert select(root, REJECTS_OF) == [("conflicting_key", 5, "cat")]
        assert checked(root).totals["refused_by_rule"] == 4
        compact_all(root)
        checked(root)


TOLD = [(2, "a", "ann"), (3, "b", "bob"), (4, "c", "ann"), (5, "d", "cat")]
"""Stream sequence, text and owner of notes of one key. What is ann's is refused, also where it would be a conflict."""
REJECTS_OF = "SELECT reason, stream_seq, owner FROM reject"


def compact_all(root: Path) -> None:
    with Catalog(LakePaths(root)) as catalog:
        compact(catalog)


NOTES = st.builds(
    lambda key, scope, text, detail, day: note(
        key, scope, text=text, detail=detail, owner=text, ts=NOON_US + day * DAY_US
    ),
    st.sampled_from(["k", "l"]),
    st.sampled_from(["scope-1", "scope-2"]),
    st.sampled_from(["a", "b", None]),
    st.sampled_from([None, 1, 1.0, {"a": [1, "ü"]}]) | JSON,
    st.integers(0, 2),
)


@settings(max_examples=examples(20))
@given(st.lists(st.lists(NOTES, min_size=1, max_size=4), min_size=1, max_size=5), st.data())
def test_the_first_of_a_key_stands_however_the_stream_is_cut(batches: list[list[Any]], data: st.DataObject) -> None:
    messages = [message(seq, *notes) for seq, notes in enumerate(batches, start=1)]
    cuts = data.draw(st.lists(st.booleans(), min_size=len(messages), max_size=len(messages)))
    lakes = []
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(derived_ids, "HASH_BITS", 3)  # so few that keys which are not the same look so
        for name, ends in (("one", [True] * len(messages)), ("cut", cuts)):
            root = Path(folder) / name
            writer = open_writer(root)
            for each, is_end in zip(messages, ends, strict=True):
                writer.add(each, writer.judge(each))
                if is_end and (pending := writer.take()):
                    writer.commit(pending)
            if pending := writer.take():
                writer.commit(pending)
            writer.close()
            checked(root)
            lakes.append(
                [select(root, "SELECT id, stream_seq, owner, extra FROM note ORDER BY id"), select(root, REJECTS)]
            )
    assert lakes[0] == lakes[1]
    firsts: dict[str, int] = {}
    for seq, notes in enumerate(batches, start=1):
        for each in notes:
            firsts.setdefault(str(Envelope(**each).computed_id()), seq)
    assert {(row[0], row[1]) for row in lakes[0][0]} == set(firsts.items())
