"""The spool: in order, bounded, every event there or told of as missing, whatever happens to process and file."""

from __future__ import annotations

import copy
import shutil
import sqlite3
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from rugs_client.events import Entry, entry_of
from rugs_client.records import Record, packed
from rugs_client.spool import Session, Spool
from rugs_client.spool_file import Row
from rugs_client.spools import crash_gaps
from rugs_proto import decode
from tests.support.examples import examples

TS = 1_764_633_600_000_000
BIG = 1 << 40


def entry(session: str, seq: int, size: int = 10) -> Entry:
    fields = packed({"n": seq})
    names = None, None, None
    record = Record("cdp", "ws_event", "tick", TS + seq, TS, "received", *names, fields, len(fields), "x" * size)
    return entry_of(record, session, seq)


def everything(spool: Spool) -> list[Row]:
    return spool.read(0, BIG)


def told(row: Row) -> range:
    """The numbers that a row stands for: its own, or those that a gap tells of."""
    [envelope] = decode(row.entry.body)
    assert (envelope.id, envelope.seq, envelope.session_id) == (row.entry.id, row.entry.seq, row.entry.session_id)
    if envelope.event != "gap":
        return range(envelope.seq, envelope.seq + 1)
    gap = envelope.fields
    assert gap["cause"] == "spool full"
    assert gap["lost"] == gap["last_seq"] - gap["first_seq"] + 1 == row.entry.lost
    assert gap["since"] <= gap["until"]
    return range(gap["first_seq"], gap["last_seq"] + 1)


def test_events_leave_in_the_order_they_came_and_positions_go_on(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "0", max_bytes=BIG)
    assert spool.append([entry("a", seq) for seq in range(1, 6)]) == 5
    rows = everything(spool)
    assert [row.entry for row in rows] == [entry("a", seq) for seq in range(1, 6)]
    spool.remove(rows[-1].position)
    spool.close()
    spool = Spool(tmp_path / "0", max_bytes=BIG)
    assert (spool.count, spool.bytes, spool.end) == (0, 0, 5)
    spool.append([entry("a", 6)])
    assert [row.position for row in everything(spool)] == [6]


def test_reading_is_bounded_but_always_gives_a_row(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "0", max_bytes=BIG)
    spool.append([entry("a", seq, 1000) for seq in range(1, 11)])
    assert len(spool.read(0, 1)) == 1
    assert [row.entry.seq for row in spool.read(3, 3500)] == [4, 5, 6]
    assert spool.read(10, BIG) == []


def test_a_full_spool_refuses_the_newest_and_leaves_one_gap_a_run(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "0", max_bytes=12_000)
    accepted = spool.append([entry("a", seq, 1000) for seq in range(1, 21)])
    assert 0 < accepted < 20
    for seq in range(21, 30):
        assert spool.append([entry("a", seq)]) == 0, "a small one must not make the run of large ones end"
    assert spool.refused == 29 - accepted
    assert [told(row) for row in everything(spool)][-1] == range(accepted + 1, 30)
    assert spool.count == accepted + 1

    spool.append([entry("a", 30)])  # its run has been read: it is on its way, and must not change any more
    assert [told(row) for row in everything(spool)][-2:] == [range(accepted + 1, 30), range(30, 31)]

    spool.remove(4)
    assert spool.append([entry("a", 31)]) == 1
    assert [told(row) for row in everything(spool)][-1] == range(31, 32)


def test_a_gap_that_is_refused_is_told_of_by_the_next(tmp_path: Path) -> None:
    full = Spool(tmp_path / "0", max_bytes=600)
    full.append([entry("a", seq) for seq in range(1, 8)])
    other = Spool(tmp_path / "1", max_bytes=0)
    other.append([entry("b", 1)])
    other.append([everything(full)[-1].entry])  # a gap that stands for several
    assert other.refused == 1 + everything(full)[-1].entry.lost


def test_what_is_forced_in_is_never_refused(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "0", max_bytes=0)
    assert spool.append([entry("a", 1)]) == 0
    assert spool.append([entry("a", 2)], force=True) == 1
    assert [told(row) for row in everything(spool)] == [range(1, 2), range(2, 3)]


def test_one_process_at_a_time(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "0", max_bytes=BIG)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        Spool(tmp_path / "0", max_bytes=BIG)
    spool.close()
    Spool(tmp_path / "0", max_bytes=BIG).close()


@pytest.mark.slow
def test_it_syncs_every_commit_and_gives_back_the_room(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "0", max_bytes=BIG)
    assert spool._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert spool._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    spool.append([entry("a", seq, 100_000) for seq in range(1, 400)])
    file = spool.folder / "events.sqlite"
    assert file.stat().st_size > 32_000_000
    spool.remove(399)
    assert file.stat().st_size < 1_000_000


def test_sessions_are_kept_with_how_far_they_came(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "0", max_bytes=BIG)
    spool.reserve("cdp", "s", 1000)
    spool.reserve("ui", "s", 7, closed=True)
    spool.close()
    spool = Spool(tmp_path / "0", max_bytes=BIG)
    assert {(s.source, s.next_seq, bool(s.closed)) for s in spool.sessions()} == {("cdp", 1000, False), ("ui", 7, True)}
    spool.forget("cdp", "s")
    assert [s.source for s in spool.sessions()] == ["ui"]


def killed(spool: Spool, folder: Path) -> Path:
    """What a process leaves that is killed now: its files, as they are."""
    shutil.copytree(spool.folder, folder)
    return folder


@pytest.mark.slow
def test_a_torn_log_loses_whole_appends_from_the_end_only(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "0", max_bytes=BIG)
    for first in range(1, 31, 3):
        spool.append([entry("a", seq, 700) for seq in range(first, first + 3)])
    image = killed(spool, tmp_path / "image")
    size = (image / "events.sqlite-wal").stat().st_size
    seen = set()
    for length in [*range(0, size, size // 150), size - 1, size]:
        torn = shutil.copytree(image, tmp_path / "torn" / str(length))
        with (torn / "events.sqlite-wal").open("r+b") as log:
            log.truncate(length)
        left = Spool(torn, max_bytes=BIG)
        seqs = [row.entry.seq for row in everything(left)]
        assert seqs == list(range(1, len(seqs) + 1))
        assert len(seqs) % 3 == 0
        assert left.append([entry("a", 99)]) == 1
        left.close()
        seen.add(len(seqs))
    assert {3, 15, 30} <= seen


@pytest.mark.slow
def test_a_torn_file_keeps_every_row_that_can_be_read(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "0", max_bytes=BIG)
    spool.append([entry("a", seq, 3000) for seq in range(1, 41)])
    spool.close()
    size = (tmp_path / "0" / "events.sqlite").stat().st_size
    kept: dict[int, int] = {}
    for length in [*range(0, size, size // 60), size - 1]:
        folder = shutil.copytree(tmp_path / "0", tmp_path / str(length + 1) / "0")
        with (folder / "events.sqlite").open("r+b") as file:
            file.truncate(length)
        torn = Spool(folder, max_bytes=BIG)
        rows = everything(torn)
        assert [row.entry for row in rows] == [entry("a", row.entry.seq, 3000) for row in rows], "none is altered"
        assert torn.damaged == (len(rows) < 40 and length > 0)
        assert torn.append([entry("a", 99)]) == 1
        assert everything(torn)[-1].entry.seq == 99
        torn.close()
        kept[length] = len(rows)
    assert max(kept.values()) == 39
    assert all(rows > 40 * length / size - 10 for length, rows in kept.items())


@pytest.mark.parametrize("share", [0.1, 0.3, 0.51, 0.7, 0.9])
def test_flipped_bytes_never_become_an_event(tmp_path: Path, share: float) -> None:
    spool = Spool(tmp_path / "0", max_bytes=BIG)
    spool.append([entry("a", seq, 3000) for seq in range(1, 41)])
    spool.close()
    file = tmp_path / "0" / "events.sqlite"
    content = bytearray(file.read_bytes())
    at = int(len(content) * share)
    content[at : at + 64] = bytes(64)
    file.write_bytes(content)
    spool = Spool(tmp_path / "0", max_bytes=BIG)
    rows = everything(spool)
    assert len(rows) >= 36
    assert [row.entry for row in rows] == [entry("a", row.entry.seq, 3000) for row in rows]
    assert spool.damaged == (len(rows) < 40)
    assert (tmp_path / "0.damaged" / "events.sqlite").exists() == (len(rows) < 40)


def test_a_file_that_is_something_else_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "events.sqlite").write_bytes(b"not a database at all" * 1000)
    spool = Spool(tmp_path / "0", max_bytes=BIG)
    assert (spool.damaged, spool.count) == (1, 0)
    assert spool.append([entry("a", 1)]) == 1


def test_a_repair_that_was_cut_short_is_taken_up(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "0", max_bytes=BIG)
    spool.append([entry("a", 1)])
    spool.close()
    shutil.copytree(tmp_path / "0", tmp_path / "0.new")  # died before the names changed
    spool = Spool(tmp_path / "0", max_bytes=BIG)
    assert spool.count == 1
    assert not (tmp_path / "0.new").exists()
    spool.close()
    (tmp_path / "0").rename(tmp_path / "0.new")  # died between the two changes
    assert Spool(tmp_path / "0", max_bytes=BIG).count == 1


@dataclass
class Model:
    """What a spool holds, as far as it can be known from outside."""

    rows: list[tuple[str, int]] = field(default_factory=list)
    """Accepted and not removed, in order."""
    offered: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """The last number of each session that was offered."""
    removed: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    """Numbers that were removed, or told of by a gap that was."""


class SpoolMachine(RuleBasedStateMachine):
    """Any order of appends, drains, restarts, kills and torn tails."""

    @initialize()
    def begin(self) -> None:
        self.home = Path(tempfile.mkdtemp())
        self.lives = 0
        self.spool = Spool(self.home / "0" / "0", max_bytes=6000)
        self.model = Model()
        self.commits = [copy.deepcopy(self.model)]

    def teardown(self) -> None:
        if hasattr(self, "spool"):
            self.spool.close()
            shutil.rmtree(self.home)

    @rule(
        session=st.sampled_from("ab"), sizes=st.lists(st.integers(0, 1500), min_size=1, max_size=6), force=st.booleans()
    )
    def append(self, session: str, sizes: list[int], force: bool) -> None:
        first = self.model.offered[session] + 1
        entries = [entry(session, seq, size) for seq, size in enumerate(sizes, first)]
        accepted = self.spool.append(entries, force=force and len(sizes) == 1)
        self.model.offered[session] += len(sizes)
        self.model.rows += [(session, seq) for seq in range(first, first + accepted)]
        self.commits.append(copy.deepcopy(self.model))

    @rule(share=st.floats(0, 1), max_bytes=st.integers(1, 4000))
    def drain(self, share: float, max_bytes: int) -> None:
        rows = self.spool.read(0, max_bytes)
        rows = rows[: round(len(rows) * share)]
        if rows:
            self.spool.remove(rows[-1].position)
            for row in rows:
                self.model.removed[row.entry.session_id].update(told(row))
                if row.entry.event != "gap":
                    assert self.model.rows.pop(0) == (row.entry.session_id, row.entry.seq)
            self.commits.append(copy.deepcopy(self.model))

    @rule()
    def restart(self) -> None:
        self.spool.close()
        self.spool = Spool(self.spool.folder, max_bytes=6000)
        self.commits = [copy.deepcopy(self.model)]  # closing has emptied the log

    @rule()
    def kill(self) -> None:
        self._crash(None)

    @rule(share=st.floats(0, 1))
    def kill_with_a_torn_tail(self, share: float) -> None:
        self._crash(share)

    def _crash(self, share: float | None) -> None:
        self.lives += 1
        image = killed(self.spool, self.home / str(self.lives) / "0")
        self.spool.close()
        if share is not None:
            with (image / "events.sqlite-wal").open("r+b") as log:
                log.truncate(int(log.seek(0, 2) * share))
        self.spool = Spool(image, max_bytes=6000)
        assert not self.spool.damaged
        if share is not None:  # some commit of the past is what holds now
            while not self._fits(self.commits[-1]):
                self.commits.pop()
            self.model = copy.deepcopy(self.commits[-1])

    def _fits(self, model: Model) -> bool:
        rows = everything(self.spool)
        if [(row.entry.session_id, row.entry.seq) for row in rows if row.entry.event != "gap"] != model.rows:
            return False
        numbers = {session: set(removed) for session, removed in model.removed.items()}
        for row in rows:
            span, known = set(told(row)), numbers.setdefault(row.entry.session_id, set())
            if span & known:
                return False
            known |= span
        return all(numbers.get(name, set()) == set(range(1, last + 1)) for name, last in model.offered.items())

    @precondition(lambda self: hasattr(self, "spool"))
    @invariant()
    def every_event_is_there_or_told_of_as_missing_exactly_once(self) -> None:
        # Through a second look at the files: `read` of the spool itself would end its runs.
        image = killed(self.spool, self.home / "look" / "0")
        real, self.spool = self.spool, Spool(image, max_bytes=6000)
        try:
            assert self._fits(self.model)
            rows = everything(self.spool)
            assert real.count == self.spool.count == len(rows)
            assert real.bytes == self.spool.bytes
            assert real.end == self.spool.end
            sessions = {row.entry.session_id for row in rows}
            for session in sessions:
                seqs = [row.entry.seq for row in rows if row.entry.session_id == session]
                assert seqs == sorted(set(seqs))
        finally:
            self.spool.close()
            self.spool = real
            shutil.rmtree(self.home / "look")


@pytest.mark.slow
def test_whatever_happens_every_event_is_there_or_told_of_as_missing() -> None:
    run_state_machine_as_test(SpoolMachine, settings=settings(max_examples=examples(30), stateful_step_count=20))


def test_a_crash_leaves_gaps_from_its_last_sign_of_life_and_none_for_what_was_idle(tmp_path: Path) -> None:
    def session(name: str, next_seq: int, ts: int, *, source: str = "cdp", closed: bool = False) -> Session:
        return Session(source, name, next_seq, ts, closed)

    alive = 4_070_919_600_000_000
    gaps = crash_gaps(
        [
            session("busy", 1001, alive - 2_000_000),
            session("idle", 7, alive - 3_600_000_000),
            session("closed", 7, alive, closed=True),
            session("no events, others have", 1, alive),
            session("no events at all", 1, alive, source="ui"),
        ],
        alive + 5,
    )
    assert [(gap.source, gap.session_id, gap.seq) for gap in gaps] == [
        ("cdp", "busy", 1001),
        ("ui", "no events at all", 1),
    ]
    assert {gap.ts for gap in gaps} == {alive - 1_000_000}
    assert crash_gaps([], alive) == []


def test_a_crash_while_a_gap_goes_on_tells_of_all_of_it(tmp_path: Path) -> None:
    """A connection was lost, and the process died before there was a new one to begin with what is missing."""
    alive = 4_070_919_600_000_000
    spool = Spool(tmp_path, max_bytes=1_000_000)
    spool.leave("public_ws", "lost", 7, alive - 3_600_000_000)
    left = [*spool.sessions(), Session("public_ws", "own", 1, alive, closed=False)]
    spool.close()
    (gap,) = crash_gaps(left, alive + 5)
    assert (gap.session_id, gap.seq, gap.ts) == ("lost", 7, alive - 3_600_000_000)
