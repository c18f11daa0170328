"""Whose each row is: public ones nobody's, private ones their player's, whatever way they came."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import duckdb
import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rugs_lake.domains.games import PRIVATE_EVENTS
from rugs_lake.maintain import removal
from rugs_lake.maintain.compaction import compact
from rugs_lake.maintain.corrections import Corrections
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.change_scope import ChangeScope
from rugs_lake.store.owners import owner_column, owner_of, owner_sql
from rugs_lake.store.paths import LakePaths
from rugs_lake.store.rows import Row
from rugs_lake.store.table import conform, to_table
from rugs_proto import wire
from tests.support.examples import examples
from tests.support.jsons import texts
from tests.support.lakekit import (
    DAY_US,
    INCARNATION,
    NOON_US,
    body,
    checked,
    commit,
    envelope,
    message,
    open_writer,
    select,
    state,
    store,
    tick,
)
from tests.support.notes import note, notes_registered

REPOSITORY = Path(__file__).resolve().parents[3]
OWNERS = "SELECT stream_seq, owner FROM events ORDER BY stream_seq"
SESSION = "public_ws/session-1"


def owners(root: Path) -> list[str | None]:
    """Return the owner of each message's one row."""
    rows = select(root, OWNERS)
    assert [seq for seq, _ in rows] == list(range(1, len(rows) + 1))
    return [owner for _, owner in rows]


PUBLIC = {
    "a frame": envelope(1),
    "a frame about a player": envelope(1, event="standard/newTrade", player_id="p"),
    "a leaderboard": envelope(1, event="leaderboardData"),
    "a tick": tick(1),
    "a system event": envelope(1, doc_type="system_event", event="gap", player_id="p"),
    "an unknown doc type": envelope(1, doc_type="weather_report", direction="sent", player_id="p"),
}
PRIVATE = {
    "an action": envelope(1, doc_type="player_action"),
    "a state": state(1),
    "a sent frame": envelope(1, direction="sent", event="x"),
    **{event: envelope(1, event=event) for event in sorted(PRIVATE_EVENTS)},
}


@pytest.mark.parametrize("content", PUBLIC.values(), ids=PUBLIC.keys())
def test_public_rows_have_no_owner(tmp_path: Path, content: dict[str, Any]) -> None:
    store(tmp_path, message(1, content))
    assert owners(tmp_path) == [None]


@pytest.mark.parametrize("player", [None, "", "did:p"])
def test_private_rows_are_their_players_else_their_sessions(tmp_path: Path, player: str | None) -> None:
    contents = [{**each, "player_id": player, "seq": 1, "raw": ...} for each in PRIVATE.values()]
    unlike = [{**each, "session_id": f"s{n}"} for n, each in enumerate(contents)]
    store(tmp_path, *(message(seq, without(each)) for seq, each in enumerate(unlike, start=1)))
    assert owners(tmp_path) == [player or f"public_ws/s{n}" for n in range(len(unlike))]


def without(content: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if value is not ...}


def test_a_row_that_names_nobody_is_whose_the_session_was_then(tmp_path: Path) -> None:
    sent = {"direction": "sent", "event": "x"}
    told = [
        envelope(1, **sent),  # nobody has logged in
        envelope(3, event="playerUpdate", player_id="ann"),
        envelope(4, **sent),
        envelope(5),  # public, whoever it is about
        envelope(6, event="standard/newTrade", player_id="eve"),
        envelope(7, **sent, ts=NOON_US - DAY_US),
        envelope(8, event="usernameStatus", player_id="bob"),
        envelope(9, **sent),
        state(3, seq=4),  # derived later, from what ann's session was told
        envelope(2, **sent),
        envelope(10, **sent, session_id="session-2"),
        envelope(11, **sent, source="cdp"),
        state(11, seq=12, player_id="cat"),
        envelope(13, **sent),
    ]
    expected = [
        *(SESSION, "ann", "ann", None, None, "ann", "bob", "bob", "ann", SESSION),
        *("public_ws/session-2", "cdp/session-1", "cat", "cat"),
    ]
    for name, together in (("one by one", 1), ("by three", 3), ("at once", len(told))):
        root = tmp_path / name
        for first in range(0, len(told), together):  # a writer of its own each
            last = message(first, told[first - 1]) if first else None
            writer = open_writer(root, at_cursor=last)
            some = enumerate(told[first : first + together], start=first + 1)
            commit(writer, *(message(seq, each) for seq, each in some))
            writer.close()
        assert owners(root) == expected
        checked(root)


def test_a_duplicate_names_nobody(tmp_path: Path) -> None:
    """What was sent again late must not bring an earlier player back."""
    ann, bob = (envelope(n, event="playerUpdate", player_id=name) for n, name in ((1, "ann"), (2, "bob")))
    sent = envelope(3, direction="sent", event="x")
    store(tmp_path, message(1, ann), message(2, bob), message(3, ann), message(4, sent))
    assert select(tmp_path, OWNERS) == [(1, "ann"), (2, "bob"), (4, "bob")]


@pytest.mark.parametrize("together", [1, 5])
def test_a_rule_about_an_owner_refuses_also_rows_that_name_nobody(tmp_path: Path, together: int) -> None:
    writer = open_writer(tmp_path)
    commit(
        writer, message(1, envelope(1, event="playerUpdate", player_id="ann")), message(2, envelope(2, player_id="ann"))
    )
    with Catalog(LakePaths(tmp_path)) as catalog:
        assert removal.remove_scope(catalog, ChangeScope(owner="ann")).rows == 1
    sent = {"direction": "sent", "event": "x"}
    told = [
        envelope(3, **sent),
        envelope(1, session_id="session-2", event="usernameStatus", player_id="ann"),
        envelope(2, **sent, session_id="session-2"),
        envelope(3, event="standard/newTrade", session_id="session-2", player_id="ann"),
        envelope(4, **sent, player_id="bob"),
    ]
    for first in range(0, len(told), together):
        commit(
            writer, *(message(seq, each) for seq, each in enumerate(told[first : first + together], start=first + 3))
        )
    writer.close()
    assert select(tmp_path, OWNERS) == [(2, None), (6, None), (7, "bob")]
    assert checked(tmp_path).totals["refused_by_rule"] == 3


def test_a_corrected_row_is_whose_it_is_now(tmp_path: Path) -> None:
    mine, sent = {"event": "playerUpdate"}, {"direction": "sent", "event": "x"}
    told = [envelope(1, **mine, player_id="ann"), *(envelope(n, **each) for n, each in ((2, {}), (3, mine), (4, sent)))]
    store(tmp_path, *(message(seq, each) for seq, each in enumerate(told, start=1)))
    assert owners(tmp_path) == ["ann", None, "ann", "ann"]
    with Catalog(LakePaths(tmp_path)) as catalog, Corrections() as right:
        right.add(body(envelope(1)))
        right.add(body(envelope(2, **mine)))
        right.add(body(envelope(3, **mine, player_id="bob")))
        right.add(body(envelope(4, **sent, username="Ann")))
        assert right.apply(catalog, "corrected", ChangeScope(doc_type="ws_event")).rows == 4
    assert owners(tmp_path) == [None, SESSION, "bob", "ann"]
    checked(tmp_path)


ROWS = st.one_of(
    st.builds(
        lambda seq, session, event, direction, player, day: envelope(
            seq,
            session_id=session,
            event=event,
            direction=direction,
            player_id=player,
            ts=NOON_US + day * DAY_US,
            raw=f"{event}{direction}{player}",
        ),
        st.integers(1, 6),
        st.sampled_from(["a", "b"]),
        st.sampled_from(["x", "playerUpdate"]),
        st.sampled_from(["received", "sent"]),
        st.sampled_from([None, "ann", "bob"]),
        st.integers(0, 1),
    ),
    st.builds(
        lambda number, seq, session, player: state(number, seq=seq, session_id=session, player_id=player),
        st.integers(0, 4),
        st.integers(1, 6),
        st.sampled_from(["a", "b"]),
        st.sampled_from([None, "ann", "bob"]),
    ),
)


@settings(max_examples=examples(15))
@given(st.lists(st.tuples(ROWS, st.booleans()), min_size=1, max_size=12))
def test_owners_do_not_depend_on_how_the_stream_is_cut(stream: list[tuple[dict[str, Any], bool]]) -> None:
    messages = [message(seq, content) for seq, (content, _) in enumerate(stream, start=1)]
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name, ends in (("one", [False] * len(stream)), ("cut", [is_end for _, is_end in stream])):
            writer = open_writer(Path(folder) / name)
            for each, is_end in zip(messages, ends, strict=True):
                writer.add(each, writer.judge(each))
                if is_end and (pending := writer.take()):
                    writer.commit(pending)
                    writer.close()
                    writer = open_writer(Path(folder) / name, at_cursor=each)
            if pending := writer.take():
                writer.commit(pending)
            writer.close()
            found.append(select(Path(folder) / name, "SELECT id, stream_seq, owner FROM events ORDER BY id"))
    assert found[0] == found[1]


# --- files without owners ----------------------------------------------------------------

DUCKDB = duckdb.connect(config={"threads": "1"})
NAMES = st.none() | texts(3)
ANY = st.one_of(
    st.builds(
        lambda doc_type, source, session, direction, event, player: envelope(
            doc_type=doc_type, source=source, session_id=session, direction=direction, event=event, player_id=player
        ),
        st.sampled_from(["ws_event", "player_action", "server_state", "system_event", "game_tick", "reject", "new"]),
        st.sampled_from(["public_ws", "cdp"]),
        texts(3).filter(bool),
        st.sampled_from(["received", "sent", "internal"]),
        st.sampled_from(["x", "", "'", *sorted(PRIVATE_EVENTS)]),
        NAMES,
    ),
    st.builds(
        lambda owner, doc_type: note(owner=owner, doc_type=doc_type),
        NAMES | st.integers(0, 9) | st.lists(texts(3), max_size=2),
        st.sampled_from(["note", "note_seen"]),
    ),
)


@settings(max_examples=examples(60))
@given(st.lists(ANY, min_size=1, max_size=6))
def test_sql_and_arrow_compute_the_same_owners_as_the_writer_from_a_rows_own_columns(
    contents: list[dict[str, Any]],
) -> None:
    with notes_registered():
        rows = [Row(event, 1) for each in contents for event in wire.judge(body(each)).events]
        assert len(rows) == len(contents)
        for row in rows:  # a file has one doc type
            expected = [owner_of(row.event.envelope)]
            table = to_table([row, row], INCARNATION).drop_columns(["owner"])
            assert owner_column(table).to_pylist() == expected * 2
            assert conform(table)["owner"].to_pylist() == expected * 2
            DUCKDB.register("rows", table)
            assert DUCKDB.execute(f"SELECT {owner_sql()} FROM rows").fetchall() == [tuple(expected)] * 2


@pytest.mark.slow
def test_rows_from_before_there_were_owners_are_private_all_the_same(tmp_path: Path) -> None:
    told = [
        envelope(1),
        envelope(2, event="playerUpdate", player_id="ann"),
        envelope(3, direction="sent", event="x"),
        state(3, seq=4, player_id="ann"),
        tick(5),
    ]
    expected = [None, "ann", SESSION, "ann", None]
    subprocess.run(
        [sys.executable, "-m", "tests.support.lakeschema", "first", tmp_path],
        cwd=REPOSITORY, input=msgpack.packb([without(each) for each in told]), check=True, timeout=60,
    )  # fmt: skip
    assert owners(tmp_path) == expected, "before any program of today has written to it"
    writer = open_writer(tmp_path, at_cursor=message(5, told[-1]))
    commit(writer, message(6, envelope(7, direction="sent", event="y")))
    commit(writer, message(7, envelope(8, event="playerUpdate", player_id="ann")))
    writer.close()
    expected += [SESSION, "ann"]
    assert owners(tmp_path) == expected, "old and new files side by side"
    with Catalog(LakePaths(tmp_path)) as catalog:
        compact(catalog)
    assert owners(tmp_path) == expected, "compacted"
    checked(tmp_path)
