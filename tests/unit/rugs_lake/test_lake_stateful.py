"""Whatever happens, in whatever order: each event published stands in the lake once, and the lake is whole.

A machine of rules publishes, delivers again, restarts, compacts, expires, loses answers
and restores the stream from a backup; a set of ids is all the model there is.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import rugs_lake
from rugs_lake.maintain.change import change
from rugs_lake.maintain.compaction import compact
from rugs_lake.maintain.removal import remove_scope
from rugs_lake.maintain.retention import expire
from rugs_lake.store import derived_ids
from rugs_lake.store.change_scope import ChangeScope
from rugs_lake.store.cursor import SupersededError
from rugs_lake.store.paths import LakePaths
from rugs_lake.write.writer import LakeWriter
from rugs_proto.codec import unpack
from rugs_proto.message import Message
from tests.support import lakekit
from tests.support.lakekit import DAY_US, NOON_US, STREAM, envelope, id_of, state, tick

SEQS = st.integers(1, 25)
DAYS = st.sampled_from([0, 0, 0, -1, -300])
ENVELOPES = st.one_of(
    st.builds(
        lambda seq, session, day: envelope(seq, session_id=session, ts=NOON_US + day * DAY_US),
        SEQS,
        st.sampled_from(["a", "b"]),
        DAYS,
    ),
    st.builds(lambda number, seq: tick(number, seq=seq, session_id="c", ts=NOON_US), SEQS, SEQS),
    st.builds(
        lambda number, session, day: state(number, session_id=session, ts=NOON_US + day * DAY_US),
        st.integers(0, 8),
        st.sampled_from(["a", "b"]),
        DAYS,
    ),
    st.builds(lambda seq: envelope(seq, v=9), SEQS),
)


class LakeMachine(RuleBasedStateMachine):
    """A stream, its lake, and what the lake should hold."""

    @initialize(bits=st.sampled_from([1, 3, derived_ids.HASH_BITS]))
    def begin(self, bits: int) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(derived_ids, "HASH_BITS", bits)  # so few that ids which are not the same look so
        self.patch.setattr(derived_ids, "SLICE", 2)
        self.root = Path(tempfile.mkdtemp(prefix="lake-"))
        self.incarnation: str | None = None
        self.stream: list[Message] = []
        self.expected: set[str] = set()
        self.rejected: set[tuple[int, int, int]] = set()
        self.refused_sessions: set[str] = set()
        self.refused_ids: set[str] = set()
        self.clock = NOON_US
        self.writer = LakeWriter(LakePaths(self.root), STREAM)
        self.meet()

    def teardown(self) -> None:
        if hasattr(self, "root"):
            self.writer.close()
            shutil.rmtree(self.root)
            self.patch.undo()

    def meet(self) -> None:
        last = self.writer.cursor.last_seq
        found = self.stream[last - 1] if 0 < last <= len(self.stream) else None
        self.incarnation = self.writer.meet(self.incarnation, found).incarnation

    def deliver(self) -> None:
        lakekit.add(self.writer, *self.stream[self.writer.next_seq - 1 :])

    @rule(told=st.lists(ENVELOPES, min_size=1, max_size=6))
    def publish(self, told: list[dict[str, Any]]) -> None:
        self.clock += 1000
        doc_type = told[0]["doc_type"]
        alike = [each for each in told if each["doc_type"] == doc_type]
        self.stream.append(lakekit.message(len(self.stream) + 1, *alike, time_us=self.clock))

    @rule(back=st.integers(1, 5))
    def deliver_again(self, back: int) -> None:
        delivered = self.stream[: self.writer.next_seq - 1]
        lakekit.add(self.writer, *delivered[-back:])

    @rule(lost=st.sampled_from([None, None, "before", "after"]))
    def commit(self, lost: str | None) -> None:
        self.deliver()
        pending = self.writer.take()
        if pending is None:
            return
        if lost is not None:
            self.lose_an_answer(pending, happens=lost == "after")
        self.writer.commit(pending)
        for sent in self.stream[pending.start.last_seq : pending.end.last_seq]:
            for place, content in enumerate(unpack(sent.body)):
                if content["v"] == 1:
                    if content["session_id"] not in self.refused_sessions:
                        self.expected.update({id_of(content)} - self.refused_ids)
                else:
                    self.rejected.add((sent.seq, sent.time_us, place))

    def lose_an_answer(self, pending: Any, *, happens: bool) -> None:
        real = self.writer.catalog.connection
        self.writer.catalog.connection = lakekit.LostAnswer(real, happens=happens)  # type: ignore[assignment]
        with pytest.raises(sqlite3.OperationalError):
            self.writer.commit(pending)
        self.writer.catalog.connection = real

    @rule()
    def restart(self) -> None:
        self.deliver()  # gathered, and gone with the process
        self.writer.close()
        self.writer = LakeWriter(LakePaths(self.root), STREAM)
        self.meet()

    @rule()
    def reconnect(self) -> None:
        self.deliver()
        self.meet()

    @rule()
    def rival(self) -> None:
        self.deliver()
        pending = self.writer.take()
        rival = LakeWriter(LakePaths(self.root), STREAM)
        if pending is not None:
            with pytest.raises(SupersededError):
                self.writer.commit(pending)
        self.writer.close()
        self.writer = rival
        self.meet()

    @precondition(lambda self: self.stream)
    @rule(keep=st.integers(0, 10), metadata=st.booleans(), new=st.lists(ENVELOPES, max_size=12))
    def restore_from_backup(self, keep: int, metadata: bool, new: list[dict[str, Any]]) -> None:
        """The stream loses its end, and uses its numbers again before the writer looks."""
        self.stream = self.stream[:keep]
        if not metadata:
            self.incarnation = None
        for content in new:
            self.publish([content])
        self.restart()

    @rule(all_files=st.booleans())
    def compact(self, all_files: bool) -> None:
        compact(self.writer.catalog, all_files=all_files)

    @rule()
    def expire(self) -> None:
        expire(self.writer.catalog, keep_seconds=0)

    @precondition(lambda self: self.expected)
    @rule(places=st.lists(st.integers(0, 1000), min_size=1, max_size=3))
    def remove_by_id(self, places: list[int]) -> None:
        known = sorted(self.expected)
        ids = frozenset(known[place % len(known)] for place in places)
        self.deliver()  # gathered before, committed after
        assert remove_scope(self.writer.catalog, ChangeScope(ids=ids)).rows == len(ids)
        self.refused_ids |= ids
        self.expected -= ids

    @rule(session=st.sampled_from(["a", "b"]))
    def remove_a_session(self, session: str) -> None:
        scope = ChangeScope(session=("public_ws", session))
        gone = {row[0] for row in lakekit.select(self.root, f"SELECT id FROM events WHERE session_id = '{session}'")}
        assert remove_scope(self.writer.catalog, scope).rows == len(gone)
        self.refused_sessions.add(session)
        self.expected -= gone

    @rule(days=st.sampled_from([1, -1]), doc_type=st.sampled_from(["ws_event", "server_state", "game_tick"]))
    def rewrite(self, days: int, doc_type: str) -> None:
        def shift(table: pa.Table) -> pa.Table:
            return lakekit.shifted(table, days * DAY_US)

        change(self.writer.catalog, "corrected", ChangeScope(doc_type=doc_type), shift)

    @invariant()
    def each_event_once(self) -> None:
        if not hasattr(self, "root"):
            return
        lakekit.checked(self.root, fast=True)
        with rugs_lake.open(self.root) as lake:
            found = [row[0] for row in lake.sql("SELECT id FROM events").fetchall()]
            assert sorted(found) == sorted(self.expected)
            assert lake.sql("SELECT count(*) FROM reject").fetchall() == [(len(self.rejected),)]


LakeMachine.TestCase.settings = settings(
    max_examples=150 if lakekit.FULL else 10,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestLakeMachine = pytest.mark.slow(LakeMachine.TestCase)
