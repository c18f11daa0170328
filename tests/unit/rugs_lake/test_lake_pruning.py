"""`rugs_lake.open` with conditions: the same answers as without, out of fewer files."""

from __future__ import annotations

import datetime as dt
import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rugs_lake
from rugs_lake.maintain import compaction
from rugs_lake.maintain.compaction import compact
from rugs_lake.maintain.retention import expire
from rugs_lake.read.reader import Lake
from rugs_lake.store import held
from rugs_lake.store.rows import cause_scope
from rugs_lake.write.writer import LakeWriter
from tests.support import lakekit
from tests.support.lakekit import DAY_US, INCARNATION, NOON_US, commit, envelope, message, open_writer, state, tick

NOON = dt.date(2026, 6, 1)
REBORN = "b" * 32
SESSIONS = ["s1", "s2", "stream:RUGS_EVENTS:3:1"]
GAMES = ["20260601-a", "20260601-b", "20260601-é", "20250101-z"]
DAYS = [0, 0, -1, -300]

sessions = st.sampled_from(SESSIONS)
games = st.sampled_from(GAMES)
times = st.sampled_from(DAYS).map(lambda day: NOON_US + day * DAY_US)
numbers = st.integers(1, 12)
ENVELOPES = st.one_of(
    st.builds(lambda n, s, g, ts: envelope(n, session_id=s, game_id=g, ts=ts), numbers, sessions, games, times),
    st.builds(
        lambda n, s, ts: envelope(n, session_id=s, source="import", doc_type="player_action", ts=ts),
        numbers, sessions, times,
    ),
    st.builds(
        lambda n, s, g, ts: envelope(n, session_id=s, game_id=g, source="import", doc_type="game_tick", ts=ts),
        numbers, sessions, games, times,
    ),
    st.builds(lambda n, s, g, ts: tick(n, g, seq=n, session_id=s, ts=ts), numbers, sessions, games, times),
    st.builds(lambda n, s, g, ts: state(n, seq=n, session_id=s, game_id=g, ts=ts), numbers, sessions, games, times),
    st.builds(
        lambda n, s, ts: envelope(n, session_id=s, source="manual", doc_type="reject", ts=ts), numbers, sessions, times
    ),
    st.builds(lambda n: envelope(n, v=9), numbers),
)  # fmt: skip


class Made:
    """A lake in the making."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.writer: LakeWriter = open_writer(root)
        self.seq = 0

    def take(self, envelopes: list[dict[str, Any]]) -> None:
        """Commit them, each in a message of its own."""
        commit(self.writer, *(message(self.seq + place, each) for place, each in enumerate(envelopes, start=1)))
        self.seq += len(envelopes)

    def begin_stream_anew(self) -> None:
        """Lose the stream: another one begins, with the same sequences."""
        self.writer.meet(REBORN, None)
        self.seq = self.writer.cursor.last_seq

    def compact(self) -> None:
        compact(self.writer.catalog)

    def expire(self) -> None:
        expire(self.writer.catalog, keep_seconds=0)

    def forget_held(self) -> None:
        """Make the files what they were before `held`: without entries for readers."""
        with self.writer.catalog.transaction() as connection:
            connection.execute("DELETE FROM rugs_scope WHERE scope = ? OR first_pos > last_pos", (held.ALL,))

    def forget_derived_ids(self) -> None:
        """Make the files what they were before `derived_ids`: with a scope for each cause."""
        catalog = self.writer.catalog
        files = catalog.all("SELECT data_file_id, path FROM ducklake_data_file WHERE end_snapshot IS NULL")
        with catalog.transaction() as connection:
            for file_id, path in files:
                for row in lakekit.rows_of_file(catalog.paths.data / path):
                    if row["cause"] is not None and row["doc_type"] != "game_tick":
                        place = (cause_scope(row["cause"].hex()), file_id)
                        connection.execute("INSERT OR IGNORE INTO rugs_scope VALUES (?, ?, 0, 0)", place)
                connection.execute("INSERT OR IGNORE INTO rugs_id_untaken VALUES (?)", (file_id,))

    def compact_by_an_older_program(self) -> None:
        """Compact as a program does that carries entries over and knows no meaning of theirs."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compaction, "with_held", lambda positions, _: list(positions))
            compact(self.writer.catalog)


STEPS: list[Callable[[Made], None]] = [
    Made.begin_stream_anew, Made.compact, Made.expire, Made.forget_held, Made.forget_derived_ids,
    Made.compact_by_an_older_program,
]  # fmt: skip

CONDITIONS = st.fixed_dictionaries(
    {},
    optional={
        "doc_types": st.lists(st.sampled_from(["ws_event", "game_tick", "server_state", "reject", "none"]), max_size=2),
        "dates": st.tuples(*[st.none() | st.sampled_from(DAYS).map(lambda day: NOON + dt.timedelta(days=day))] * 2),
        "games": st.lists(games | st.just("20260601-none"), max_size=2),
        "sessions": st.lists(
            st.tuples(st.sampled_from(["public_ws", "import", "manual"]), sessions | st.just("none")), max_size=2
        ),
        "above": st.tuples(st.sampled_from([INCARNATION, REBORN, "c" * 32]), st.integers(0, 14)),
    },
)


@given(
    steps=st.lists(st.lists(ENVELOPES, min_size=1, max_size=5) | st.sampled_from(STEPS), min_size=3, max_size=9),
    asked=st.lists(CONDITIONS, min_size=1, max_size=6),
)
@settings(deadline=None, max_examples=150 if lakekit.FULL else 10)
def test_pruned_and_unpruned_answers_are_equal(
    steps: list[list[dict[str, Any]] | Callable[[Made], None]], asked: list[dict[str, Any]]
) -> None:
    with tempfile.TemporaryDirectory(prefix="pruning-") as folder:
        made = Made(Path(folder))
        for step in steps:
            if isinstance(step, list):
                made.take(step)
            else:
                step(made)
        found = made.writer.catalog.all("SELECT snapshot_id FROM ducklake_snapshot WHERE snapshot_id > 0 ORDER BY 1")
        snapshots = [number for (number,) in found]
        made.writer.close()
        for snapshot in {snapshots[-1], snapshots[-3:][0]}:
            with rugs_lake.open(made.root, at_snapshot=snapshot) as whole:
                for conditions in asked:
                    with rugs_lake.open(made.root, at_snapshot=snapshot, **conditions) as pruned:
                        assert answers(pruned, conditions) == answers(whole, conditions)
                        assert {*pruned.files} <= {*whole.files}


def answers(lake: Lake, conditions: dict[str, Any]) -> list[Any]:
    """Return what queries with these conditions say."""
    which, values = where(conditions)
    found = [
        lake.sql(f"SELECT doc_type, id FROM {view} WHERE {which} ORDER BY ALL", values).fetchall()
        for view in ("events", "reject", "game_tick")
    ]
    if conditions.keys() == {"games"}:  # these views look at a game as a whole
        found += [
            lake.sql(f"SELECT * FROM {view} WHERE {which} ORDER BY ALL", values).fetchall()
            for view in ("tick", "game_completeness")
        ]
    return found


def where(conditions: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return conditions as SQL, and its parameters."""
    first, last = conditions.get("dates", (None, None))
    incarnation, seq = conditions.get("above", (None, None))
    said: dict[str, tuple[str, dict[str, Any]]] = {
        "doc_types": ("list_contains($doc_types, doc_type)", {"doc_types": conditions.get("doc_types")}),
        "dates": ("date BETWEEN $first AND $last", {"first": first or dt.date.min, "last": last or dt.date.max}),
        "games": ("list_contains($games, game_id)", {"games": conditions.get("games")}),
        "sessions": (
            "list_contains($sessions, source || '/' || session_id)",
            {"sessions": ["/".join(session) for session in conditions.get("sessions", ())]},
        ),
        "above": ("incarnation = $incarnation AND stream_seq > $seq", {"incarnation": incarnation, "seq": seq}),
    }  # fmt: skip
    chosen = [said[name] for name in conditions]
    values = dict(itertools.chain.from_iterable(values.items() for _, values in chosen))
    return " AND ".join(["true", *(text for text, _ in chosen)]), values


# --- what is left out -------------------------------------------------------------


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A lake of three sessions, days and games, a commit each, with a frame and a tick of each."""
    made = Made(tmp_path)
    for n in range(3):
        about: dict[str, Any] = {"session_id": f"s{n}", "ts": NOON_US - n * DAY_US}
        made.take([envelope(1, game_id=f"g{n}", **about), tick(1, f"g{n}", seq=1, **about)])
    made.writer.close()
    return tmp_path


@pytest.mark.parametrize(
    ("conditions", "left"),
    [
        ({}, 6),
        ({"doc_types": ["ws_event"]}, 3),
        ({"doc_types": []}, 0),
        ({"dates": (NOON, None)}, 2),
        ({"dates": (None, NOON - dt.timedelta(days=1))}, 4),
        ({"games": ["g1"]}, 2),
        ({"games": ["g1", "g2"], "doc_types": ["game_tick"]}, 2),
        ({"games": ["g"]}, 0),
        ({"sessions": [("public_ws", "s1")]}, 2),
        ({"sessions": [("cdp", "s1")]}, 0),
        ({"above": (INCARNATION, 0)}, 6),
        ({"above": (INCARNATION, 4)}, 2),
        ({"above": (INCARNATION, 5)}, 1),
        ({"above": (REBORN, 0)}, 0),
    ],
)
def test_files_that_hold_nothing_of_it_need_not_even_be_there(
    lake: Path, conditions: dict[str, Any], left: int
) -> None:
    with rugs_lake.open(lake, **conditions) as opened:
        assert len(opened.files) == left
        kept = {*opened.files}
        before = answers(opened, conditions)
    for path in lakekit.live_paths(lake):
        if str(path) not in kept:
            path.unlink()
    with rugs_lake.open(lake, **conditions) as opened:
        assert answers(opened, conditions) == before


def test_a_compacted_file_is_known_by_each_of_its_sessions_and_games(tmp_path: Path) -> None:
    made = Made(tmp_path)
    for n in range(0, 6, 2):
        made.take([tick(1, seq=n + 1, game=f"g{n}", session_id=f"s{n}")])
    made.compact()
    made.writer.close()
    assert len(lakekit.live_paths(tmp_path)) == 1
    asked: list[tuple[dict[str, Any], int]] = [
        ({"games": ["g2"]}, 1), ({"games": ["g1"]}, 0), ({"sessions": [("public_ws", "s2")]}, 1),
        ({"sessions": [("public_ws", "s1")]}, 0),
    ]  # fmt: skip
    for conditions, left in asked:
        with rugs_lake.open(tmp_path, **conditions) as lake:
            assert len(lake.files) == left


@pytest.mark.parametrize("name", ["doc_types", "games", "sessions"])
def test_one_text_is_no_collection_of_texts(tmp_path: Path, name: str) -> None:
    lakekit.store(tmp_path, message(1, envelope(1)))
    asked: dict[str, Any] = {name: "abc"}
    with pytest.raises(TypeError, match=f"{name} is one text"):
        rugs_lake.open(tmp_path, **asked)
