"""Steps of the wall clock: noticed whatever their size, never taken for drift, slewing or a suspended machine."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_client.clock import STEP_US, Change, Clock, Moment, Reading, Step, Suspension, boot_id, moment, slip, spans
from rugs_client.spool import OPEN, Spool
from rugs_client.spool_file import FILE
from rugs_client.spools import crash_gaps

SECOND = 1_000_000
NOON_US = 1_780_315_200_000_000


class Machine:
    """A machine whose clocks a test sets. `time` is what really passed, in microseconds."""

    def __init__(self) -> None:
        self.time = 1000 * SECOND
        self.offset = NOON_US
        self.slept = 0
        self.stands_still = False
        self.told: list[Change] = []
        self.clock = Clock(self.told.append, self.read)

    def read(self) -> Reading | None:
        if self.stands_still:
            return None
        return Reading(self.time + self.offset, self.time, self.time - self.slept)

    def look(self, seconds: float) -> None:
        self.time += int(seconds * SECOND)
        self.clock.look()


@pytest.mark.parametrize("by", [0.7, 5, 3600, 86_400 * 400, -0.7, -5, -3600, -86_400 * 400])
def test_a_step_is_told_once_with_what_both_clocks_show(by: float) -> None:
    machine = Machine()
    machine.look(1)
    machine.offset += int(by * SECOND)
    machine.look(1)
    machine.look(1)
    now = machine.time - SECOND
    assert machine.told == [Step(NOON_US + now, NOON_US + now + int(by * SECOND), now)]


@given(st.lists(st.tuples(st.floats(0.1, 100), st.floats(-0.083, 0.083)), max_size=100))
def test_slewing_and_drift_are_no_steps_however_long(rates: list[tuple[float, float]]) -> None:
    machine = Machine()
    for seconds, rate in rates:
        machine.offset += int(seconds * rate * SECOND)
        machine.look(seconds)
    assert machine.told == []


@given(st.lists(st.tuples(st.floats(0.1, 10), st.floats(-100_000, 100_000)), max_size=50))
def test_what_is_told_adds_up_to_what_was_set(steps: list[tuple[float, float]]) -> None:
    """But for what may be slewing, and less than a step."""
    machine = Machine()
    for seconds, by in steps:
        machine.offset += int(by * SECOND)
        machine.look(seconds)
    told = sum(change.new - change.old for change in machine.told if isinstance(change, Step))
    slewed = sum(int(seconds * SECOND) // 10 + 1 for seconds, _ in steps)
    assert abs(machine.offset - NOON_US - told) <= STEP_US + slewed


def test_many_small_steps_are_told_when_they_are_one() -> None:
    machine = Machine()
    for _ in range(100):
        machine.offset += int(0.4 * SECOND)
        machine.look(1)
    assert 25 < len(machine.told) < 60


def test_a_suspended_machine_is_no_step() -> None:
    machine = Machine()
    machine.look(1)
    machine.slept += 3600 * SECOND
    machine.look(3600)
    assert machine.told == [Suspension(machine.time + NOON_US - 3600 * SECOND, machine.time + NOON_US)]


def test_a_process_that_does_not_run_at_a_stretch_looks_again_later() -> None:
    machine = Machine()
    machine.offset += SECOND
    machine.stands_still = True
    machine.look(1)
    assert machine.told == []
    machine.stands_still = False
    machine.look(1)
    assert len(machine.told) == 1


def test_the_clocks_of_this_machine_agree() -> None:
    told: list[Change] = []
    clock = Clock(told.append)
    for _ in range(100):
        before = moment().wall
        assert before <= clock.now() <= moment().wall
        clock.look()
    assert told == []


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(-(10**10), 10**10))
def test_a_period_in_which_the_clock_was_set_is_told_in_both_times(start: int, passed: int, by: int) -> None:
    since, until = Moment(NOON_US, start), Moment(NOON_US + passed + by, start + passed)
    slipped = slip(since, until)
    found = spans(since.wall, until.wall, slipped)
    assert all(began <= ended for began, ended in found)
    assert found[-1][1] == until.wall
    if not slipped:
        assert abs(by) <= STEP_US + passed // 10
        assert found == [(min(since.wall, until.wall), until.wall)]
    else:
        assert found == [(since.wall, since.wall + passed), (until.wall - passed, until.wall)]
    assert since.wall_at(until) == since.wall + slipped


@pytest.mark.parametrize("by", [3600, -3600])
def test_a_crash_beside_a_step_leaves_a_gap_in_both_times(tmp_path: Path, by: int) -> None:
    spool = Spool(tmp_path / "spool", max_bytes=1_000_000)
    died = moment()
    spool.reserve("public_ws", "a", 1001)
    spool.beat(died)
    until = Moment(died.wall + (by + 10) * SECOND, died.boot + 10 * SECOND)
    assert spool.slipped(until) == by * SECOND
    gaps = crash_gaps(spool.sessions(), until.wall, spool.slipped(until))
    assert [gap.seq for gap in gaps] == [1001, 1002]
    assert len({gap.id for gap in gaps}) == 2
    old, new = (gap.ts for gap in gaps)
    assert abs(old - (died.wall - SECOND)) < SECOND
    assert new - old == by * SECOND
    spool.close()


def test_after_a_restart_of_the_machine_only_a_clock_set_back_is_known(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", max_bytes=1_000_000)
    died = moment()
    spool.beat(died)
    spool.close()
    assert boot_id()
    with closing(sqlite3.connect(tmp_path / "spool" / FILE)) as file:
        file.execute("UPDATE sign_of_life SET boot_id = 'another'")
        file.commit()
    spool = Spool(tmp_path / "spool", max_bytes=1_000_000)
    assert spool.slipped(Moment(died.wall + 3600 * SECOND, 5)) == 0
    assert spool.slipped(Moment(died.wall - 3600 * SECOND, 5)) == -3600 * SECOND
    spool.close()


def test_times_of_the_past_follow_the_clock(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", max_bytes=1_000_000)
    spool.leave("cdp", "a", 7, NOON_US)
    spool.shift(-3600 * SECOND)
    assert [session.ts for session in spool.sessions()] == [NOON_US - 3600 * SECOND]
    assert spool.sessions()[0].closed != OPEN
    spool.close()
