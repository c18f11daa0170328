"""Changing stored rows: what is removed never returns, what is rewritten keeps its id, everything else stays."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from rugs_lake.maintain import removal
from rugs_lake.maintain.change import Changed, change
from rugs_lake.maintain.compaction import compact
from rugs_lake.maintain.retention import expire
from rugs_lake.store import changes
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.change_scope import ChangeScope, Touched
from rugs_lake.store.changes import Retention
from rugs_lake.store.paths import LakePaths
from rugs_lake.write.writer import LakeWriter
from rugs_proto.message import Message
from tests.support import lakekit
from tests.support.lakekit import DAY_US, NOON_US, commit, envelope, message, open_writer, state, tick

EVENTS: list[dict[str, Any]] = [
    *(tick(number, "game-1") for number in range(5)),
    *(tick(number, "game-2") for number in range(5)),
    *(envelope(number, game_id="game-1", player_id="p1") for number in range(1, 4)),
    *(envelope(number, session_id="session-2", game_id="game-2") for number in range(1, 4)),
    *(envelope(number, session_id="old", source="import", ts=NOON_US - 40 * DAY_US) for number in range(1, 4)),
    *(state(number) for number in range(3)),
]


def messages(*told: dict[str, Any], first: int = 1) -> list[Message]:
    """Return a message for each envelope."""
    return [message(seq, each) for seq, each in enumerate(told, start=first)]


def stored(root: Path) -> dict[str, tuple[Any, ...]]:
    """Return all rows but rejects, by id."""
    return {row[0]: row for row in lakekit.select(root, "SELECT * FROM events")}


@pytest.fixture
def writer(tmp_path: Path) -> LakeWriter:
    """A writer whose lake has `EVENTS`, in commits of some messages."""
    writer = open_writer(tmp_path)
    told = messages(*EVENTS)
    for start in range(0, len(told), 4):
        commit(writer, *told[start : start + 4])
    return writer


def ids_where(wanted: Callable[[dict[str, Any]], bool]) -> set[str]:
    return {lakekit.id_of(each) for each in EVENTS if wanted(each)}


SCOPES: dict[str, tuple[ChangeScope, Callable[[dict[str, Any]], bool]]] = {
    "a game": (ChangeScope(game="game-1"), lambda each: each.get("game_id") == "game-1"),
    "a session": (ChangeScope(session=("public_ws", "session-2")), lambda each: each["session_id"] == "session-2"),
    "a doc type": (ChangeScope(doc_type="server_state"), lambda each: each["doc_type"] == "server_state"),
    "dates": (
        ChangeScope(doc_type="ws_event", dates=(None, dt.date(2026, 5, 1))),
        lambda each: each["session_id"] == "old",
    ),
    "imported": (ChangeScope(doc_type="ws_event", imported=True), lambda each: each["source"] == "import"),
    "ids": (
        ChangeScope(ids=frozenset(lakekit.id_of(each) for each in EVENTS[::3])),
        lambda each: each in EVENTS[::3],
    ),
}


@pytest.mark.parametrize("compacted", [False, True], ids=["as written", "compacted"])
@pytest.mark.parametrize("name", SCOPES)
def test_what_is_removed_is_gone_and_stays_away(writer: LakeWriter, tmp_path: Path, name: str, compacted: bool) -> None:
    scope, wanted = SCOPES[name]
    gone = ids_where(wanted)
    if compacted:
        compact(writer.catalog)
    before = stored(tmp_path)
    with Catalog(LakePaths(tmp_path)) as catalog:
        assert removal.look(catalog, scope).rows == len(gone)
        done = removal.remove_scope(catalog, scope)
    assert (done.rows, done.number) == (len(gone), 1)
    assert stored(tmp_path) == {id_: row for id_, row in before.items() if id_ not in gone}
    totals = commit(writer, *messages(*EVENTS, first=100)).totals
    assert totals == {"taken": len(EVENTS), "duplicates": len(EVENTS) - len(gone), "refused_by_rule": len(gone)}
    assert stored(tmp_path).keys() == before.keys() - gone
    report = lakekit.checked(tmp_path)
    assert report.totals["removed"] == report.totals["refused_by_rule"] == len(gone)


def test_a_rule_refuses_what_the_lake_never_had_and_a_tombstone_does_not(writer: LakeWriter, tmp_path: Path) -> None:
    with Catalog(LakePaths(tmp_path)) as catalog:
        removal.remove_scope(catalog, ChangeScope(game="game-1"))
        removal.remove_scope(catalog, ChangeScope(ids=frozenset([lakekit.id_of(tick(0, "game-2"))])))
    new = [tick(77, "game-1"), envelope(78, game_id="game-1"), tick(77, "game-2"), tick(0, "game-2")]
    assert commit(writer, *messages(*new, first=100)).totals == {"taken": 4, "stored": 1, "refused_by_rule": 3}
    lakekit.checked(tmp_path)


def test_removing_what_is_not_there_leaves_a_rule_and_no_snapshot(writer: LakeWriter, tmp_path: Path) -> None:
    with Catalog(LakePaths(tmp_path)) as catalog:
        (before,) = catalog.one("SELECT max(snapshot_id) FROM ducklake_snapshot")
        assert removal.remove_scope(catalog, ChangeScope(game="no such game")).rows == 0
        assert removal.remove_scope(catalog, ChangeScope(ids=frozenset(["0" * 32]))).number == 0
        assert catalog.one("SELECT max(snapshot_id) FROM ducklake_snapshot") == (before,)
    assert commit(writer, *messages(tick(1, "no such game"), first=100)).totals["refused_by_rule"] == 1


def test_a_change_says_what_it_touched(writer: LakeWriter, tmp_path: Path) -> None:
    with Catalog(LakePaths(tmp_path)) as catalog:
        removal.remove_scope(catalog, ChangeScope(game="game-1"))
        (found,) = changes.changes_above(catalog, 0)
        assert changes.changes_above(catalog, 1) == []
    assert (found.number, found.kind, found.scope, found.rows) == (1, "removal", ChangeScope(game="game-1"), 8)
    days = frozenset([dt.date(2026, 6, 1)])
    doc_types = frozenset(["ws_event", "game_tick"])
    assert found.touched == Touched(frozenset(["game-1"]), frozenset([("public_ws", "session-1")]), doc_types, days)


def test_what_comes_while_rows_are_removed_is_removed_too(writer: LakeWriter, tmp_path: Path) -> None:
    late = iter([messages(tick(50, "game-1"), first=100), messages(envelope(60, game_id="game-1"), first=200)])

    def commit_more(done: int, of: int) -> None:
        for more in late:
            commit(writer, *more)
            return

    with Catalog(LakePaths(tmp_path)) as catalog:
        done = removal.remove_scope(catalog, ChangeScope(game="game-1"), commit_more)
    assert done.rows == 10
    assert lakekit.select(tmp_path, "SELECT count(*) FROM events WHERE game_id = 'game-1'") == [(0,)]
    lakekit.checked(tmp_path)


def test_a_batch_made_ready_before_a_removal_does_not_bring_it_back(writer: LakeWriter, tmp_path: Path) -> None:
    lakekit.add(writer, *messages(tick(50, "game-1"), tick(50, "game-2"), first=100))
    pending = writer.take()
    assert pending is not None
    pending.prepared = writer._prepare(pending)
    with Catalog(LakePaths(tmp_path)) as catalog:
        removal.remove_scope(catalog, ChangeScope(game="game-1"))
    assert writer.commit(pending).totals == {"taken": 2, "stored": 1, "refused_by_rule": 1}
    lakekit.checked(tmp_path)


def test_a_compaction_goes_on_beside_a_removal(writer: LakeWriter, tmp_path: Path) -> None:
    once = iter([None])

    def merge(done: int, of: int) -> None:
        for _ in once:
            compact(writer.catalog)

    with Catalog(LakePaths(tmp_path)) as catalog:
        assert removal.remove_scope(catalog, ChangeScope(game="game-1"), merge).rows == 8
    lakekit.checked(tmp_path)
    assert not list((tmp_path / "manifests").rglob("orphans"))


def rewrite(root: Path, scope: ChangeScope, how: Callable[[pa.Table], pa.Table]) -> Changed:
    with Catalog(LakePaths(root)) as catalog:
        return change(catalog, "corrected", scope, how)


def test_rewritten_rows_keep_their_ids_and_are_still_known(writer: LakeWriter, tmp_path: Path) -> None:
    before = stored(tmp_path)
    scope = ChangeScope(dates=(dt.date(2026, 6, 1), None))
    done = rewrite(tmp_path, scope, lambda table: lakekit.shifted(table, DAY_US))
    assert done.rows == len(EVENTS) - 3
    after = stored(tmp_path)
    assert after.keys() == before.keys()
    dates = lakekit.select(tmp_path, "SELECT date, count(*) FROM events GROUP BY 1 ORDER BY 1")
    assert dates == [(dt.date(2026, 4, 22), 3), (dt.date(2026, 6, 2), len(EVENTS) - 3)]
    again = commit(writer, *messages(*EVENTS, first=100)).totals
    assert again == {"taken": len(EVENTS), "duplicates": len(EVENTS)}
    assert "removed" not in lakekit.checked(tmp_path).totals
    assert done.touched.dates == {dt.date(2026, 6, 1), dt.date(2026, 6, 2)}


def test_what_comes_out_as_it_was_is_no_change(writer: LakeWriter, tmp_path: Path) -> None:
    assert rewrite(tmp_path, ChangeScope(doc_type="game_tick"), lambda table: table).number == 0

    def one(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index("price")
        price = pc.if_else(pc.equal(table["tick"], 3), 9.0, table["price"])
        return table.set_column(place, table.schema.field("price"), price)

    assert rewrite(tmp_path, ChangeScope(doc_type="game_tick"), one).rows == 2
    prices = lakekit.select(tmp_path, "SELECT tick, price FROM game_tick WHERE game_id = 'game-1' ORDER BY 1")
    assert prices == [(0, 1.0), (1, 1.01), (2, 1.02), (3, 9.0), (4, 1.04)]
    lakekit.checked(tmp_path)


@pytest.mark.parametrize("wrong", ["fewer", "others", "twice"])
def test_a_change_cannot_lose_or_add_a_row(writer: LakeWriter, tmp_path: Path, wrong: str) -> None:
    def how(table: pa.Table) -> pa.Table:
        if wrong == "fewer":
            return table.slice(1)
        if wrong == "twice":
            return pa.concat_tables([table.slice(1), table.slice(1, 1)])
        ids = pa.array([b"x" * 16] * table.num_rows, table.schema.field("id").type)
        return table.set_column(0, table.schema.field("id"), ids)

    before = stored(tmp_path)
    with pytest.raises(Exception, match="under the same ids"):
        rewrite(tmp_path, ChangeScope(doc_type="ws_event", session=("public_ws", "session-1")), how)
    assert stored(tmp_path) == before
    lakekit.checked(tmp_path)


def test_retention_spares_what_was_imported_unless_told_otherwise(writer: LakeWriter, tmp_path: Path) -> None:
    today = dt.date(2026, 6, 20)
    with Catalog(LakePaths(tmp_path)) as catalog:
        policies = [Retention("ws_event", 10, False), Retention("server_state", 30, False)]
        for policy in policies:
            changes.set_retention(catalog, policy)
        assert changes.retention(catalog) == sorted(policies)
        done = removal.apply_retention(catalog, today, changes.retention(catalog))
        assert [each.rows for each in done] == [0, 6]
        (imported,) = removal.apply_retention(catalog, today, [Retention("ws_event", 10, True)])
        assert imported.rows == 3
        assert len(changes.rules(catalog)) == 2  # the later one of a doc type counts
    assert commit(writer, *messages(*EVENTS, first=100)).totals["refused_by_rule"] == 9
    with Catalog(LakePaths(tmp_path)) as catalog:
        assert changes.drop_retention(catalog, "ws_event")
    assert commit(writer, *messages(*EVENTS, first=200)).totals["stored"] == 9
    lakekit.checked(tmp_path)


def test_files_go_after_the_retention_or_at_once(writer: LakeWriter, tmp_path: Path) -> None:
    def files() -> int:
        return len(list((tmp_path / "events_parquet").rglob("*.parquet")))

    with Catalog(LakePaths(tmp_path)) as catalog:
        removal.remove_scope(catalog, ChangeScope(game="game-1"))
        (live,) = catalog.one("SELECT count(*) FROM ducklake_data_file WHERE end_snapshot IS NULL")
        expire(catalog, keep_seconds=3600)
        assert files() > live
        removal.forget_at_once(catalog)
        assert files() == live
    lakekit.checked(tmp_path)


def test_a_scope_comes_back_from_its_text() -> None:
    full = ChangeScope("ws_event", (None, dt.date(2026, 1, 2)), ("a", "b"), "g", "o", frozenset(["0" * 32]), False)
    for scope in (full, ChangeScope(), ChangeScope(game="")):
        assert ChangeScope.load(scope.dump()) == scope
    assert ChangeScope().is_empty
    assert not ChangeScope(game="").is_empty
