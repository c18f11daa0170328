"""Which scopes rows and changes make dirty, and how scopes are named."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from rugs_core.time import date_of
from rugs_index.scopes import HOUR_US, Kind, Scope, dirty_by_change, dirty_by_rows, game, hour, session
from rugs_lake.store.change_scope import NOTHING, Touched
from rugs_proto.rules import TS_END_US, TS_MIN_US
from tests.support.lakekit import NOON_US

Row = tuple[str, str, str, str | None, int]
NOON = NOON_US // HOUR_US
MESSAGE = "stream:RUGS_EVENTS:7:1780315200000000"


def table(*rows: Row) -> pa.Table:
    """Return rows as the lake's files have them."""
    names = ("doc_type", "source", "session_id", "game_id", "ts")
    types = (pa.string(), pa.string(), pa.string(), pa.string(), pa.timestamp("us", "UTC"))
    columns = [pa.array([row[place] for row in rows], type_) for place, type_ in enumerate(types)]
    return pa.table(columns, names=names)


def test_a_scope_has_a_key() -> None:
    assert game("g-1").key == "game:g-1"
    assert session("public_ws", "s/1").key == "session:public_ws/s/1"
    assert hour("public_ws", "s", NOON).key == "hour:public_ws/s@2026-06-01T12"


def test_a_row_makes_its_session_and_its_game_or_hour_dirty() -> None:
    rows = table(
        ("ws_event", "cdp", "s", "g", NOON_US),
        ("newtype", "cdp", "s", None, NOON_US + HOUR_US - 1),
        ("ws_event", "cdp", "s", None, NOON_US + HOUR_US),
    )
    assert dirty_by_rows(rows) == {session("cdp", "s"), game("g"), hour("cdp", "s", NOON), hour("cdp", "s", NOON + 1)}


def test_a_reject_makes_its_recording_dirty_and_a_message_nothing() -> None:
    rows = table(("reject", "import", "s", None, NOON_US), ("reject", "manual", MESSAGE, None, NOON_US))
    assert dirty_by_rows(rows) == {session("import", "s")}


def test_no_rows_make_nothing_dirty() -> None:
    assert dirty_by_rows(table()) == set()
    assert dirty_by_change(NOTHING) == set()


def touched(*sessions: str, days: int = 1, doc_types: tuple[str, ...] = ("ws_event",)) -> Touched:
    """Return what a change of some sessions and days touched, and one game."""
    dates = frozenset(dt.date(2026, 6, 1) + dt.timedelta(days=each) for each in range(days))
    return Touched(frozenset({"g"}), frozenset(("cdp", name) for name in sessions), frozenset(doc_types), dates)


def test_a_change_makes_every_hour_of_its_days_dirty() -> None:
    found = dirty_by_change(touched("s", MESSAGE, days=2))
    assert found is not None
    assert {scope for scope in found if scope.kind is not Kind.HOUR} == {game("g"), session("cdp", "s")}
    hours = {scope.key for scope in found if scope.kind is Kind.HOUR}
    assert len(hours) == 48
    assert {"hour:cdp/s@2026-06-01T00", "hour:cdp/s@2026-06-02T23"} <= hours


def test_a_change_of_rejects_makes_sessions_dirty_alone() -> None:
    assert dirty_by_change(touched("s", doc_types=("reject",))) == {session("cdp", "s")}


def test_a_change_of_too_much_makes_everything_dirty() -> None:
    assert dirty_by_change(touched(*map(str, range(300)), days=30)) is None


rows_strategy = st.lists(
    st.tuples(
        st.sampled_from(["ws_event", "game_tick", "other"]), st.sampled_from(["cdp", "ui"]),
        st.sampled_from(["a", "b"]), st.sampled_from([None, "", "g"]), st.integers(TS_MIN_US, TS_END_US - 1),
    ),
    max_size=20,
)  # fmt: skip


@given(rows_strategy)
def test_what_a_change_of_rows_makes_dirty_includes_what_the_rows_do(rows: list[Row]) -> None:
    found: set[Scope] = dirty_by_rows(table(*rows))
    days = frozenset(date_of(row[4]) for row in rows)
    games = frozenset(row[3] for row in rows if row[3] is not None)
    changed = dirty_by_change(
        Touched(games, frozenset((row[1], row[2]) for row in rows), frozenset({"ws_event"}), days)
    )
    assert changed is not None
    assert found <= changed


@given(rows_strategy)
def test_different_scopes_have_different_keys(rows: list[Row]) -> None:
    found = dirty_by_rows(table(*rows))
    assert len({scope.key for scope in found}) == len(found)
