"""Old timestamps: the fast way equals the slow one, and nothing is guessed in silence."""

# ruff: noqa: DTZ001 - local times without a zone are what this is about

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rugs_legacy.clock import Clock
from rugs_legacy.errors import UnreadableError

NEW_YORK = "America/New_York"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LOCAL_TIMES = st.datetimes(datetime(2000, 1, 2), datetime(2199, 12, 30))


def micros(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


@given(st.lists(LOCAL_TIMES, min_size=1, max_size=5), st.sampled_from([NEW_YORK, "UTC", "Australia/Lord_Howe"]))
@example([datetime(2025, 11, 2, 0, 59), datetime(2025, 11, 2, 1, 0), datetime(2025, 11, 2, 2, 0)], NEW_YORK)
@example([datetime(2025, 4, 6, 1, 29), datetime(2025, 4, 6, 1, 30), datetime(2025, 4, 6, 2, 0)], "Australia/Lord_Howe")
def test_local_times_are_converted_as_the_standard_library_does(moments: list[datetime], name: str) -> None:
    clock = Clock(name, aware=False)
    for moment in moments * 2:
        assert clock.read(moment.isoformat())[0] == micros(moment.replace(tzinfo=ZoneInfo(name)))


@given(st.lists(LOCAL_TIMES, min_size=1, max_size=5), st.integers(-1439, 1439))
def test_aware_times_are_what_they_say(moments: list[datetime], offset: int) -> None:
    clock = Clock(NEW_YORK, aware=True)
    for moment in moments * 2:
        aware = moment.replace(tzinfo=timezone(timedelta(minutes=offset)))
        assert clock.read(aware.isoformat()) == (micros(aware), "")


def test_an_aware_format_without_an_offset_is_local() -> None:
    clock = Clock(NEW_YORK, aware=True)
    assert clock.read("2025-12-15T00:39:20.267811") == (1765777160267811, NEW_YORK)
    assert clock.read("2025-12-15T05:39:20.267811Z") == (1765777160267811, "")


def test_a_time_without_a_fraction_is_read() -> None:
    assert Clock(NEW_YORK, aware=False).read("2025-10-30T17:15:04") == (1761858904000000, NEW_YORK)


@pytest.mark.parametrize("times", [1, 2])
def test_a_local_hour_that_came_twice_is_noted(times: int) -> None:
    clock = Clock(NEW_YORK, aware=False)
    for _ in range(times):
        first = micros(datetime(2025, 11, 2, 5, 30, tzinfo=UTC))
        assert clock.read("2025-11-02T01:30:00.000000") == (first, "America/New_York;fold=0")
        assert clock.read("2025-11-02T02:00:00.000000")[1] == NEW_YORK


@given(
    st.integers(1, 1800),
    st.lists(st.integers(0, 1700) | st.integers(0, 5), min_size=1, max_size=40),
    st.sampled_from(
        [
            (NEW_YORK, datetime(2025, 11, 2, 6, tzinfo=UTC)),
            ("Europe/Berlin", datetime(2025, 10, 26, 1, tzinfo=UTC)),
            ("Australia/Lord_Howe", datetime(2025, 4, 5, 15, tzinfo=UTC)),
        ]
    ),
)
def test_a_recording_over_the_change_of_clocks_keeps_its_order(before: int, steps: list[int], change: Any) -> None:
    """Where the local time steps back by the change, the second occurrence is meant: every instant is recovered."""
    name, moment = change
    moment -= timedelta(seconds=before)  # a recording that begins behind the change cannot tell
    clock = Clock(name, aware=False)
    for step in steps:
        local = moment.astimezone(ZoneInfo(name))
        read, assumed = clock.read(local.replace(tzinfo=None, fold=0).isoformat())
        assert read == micros(moment)
        assert ("fold=1" in assumed) == (local.fold == 1)
        moment += timedelta(seconds=step)


def test_what_two_writers_write_out_of_order_is_no_change_of_clocks() -> None:
    clock = Clock(NEW_YORK, aware=False)
    for local, offset in (("01:30:00", 4), ("01:29:30", 4), ("01:59:59", 4), ("01:00:01", 5), ("01:59:59.5", 4)):
        hour, minute, second = local.split(":")
        expected = datetime(2025, 11, 2, int(hour) + offset, int(minute), int(second[:2]), tzinfo=UTC)
        text = f"2025-11-02T{local[:8]}"
        assert clock.read(text)[0] == micros(expected), local


def test_a_local_hour_that_never_was_is_noted() -> None:
    moment = micros(datetime(2025, 3, 9, 7, 30, tzinfo=UTC))
    assert Clock(NEW_YORK, aware=False).read("2025-03-09T02:30:00") == (moment, "America/New_York;gap")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not as this format"),
        ("2025-10-30", "not as this format"),
        ("2025-10-30 15:06:58.066931", "not as this format"),
        ("20251030T150658.066931", "not as this format"),
        ("2025-10-30T15:06:58.0669", "not as this format"),
        ("2025-10-30T15:06:58.06693१", "not as this format"),
        ("2025-10-30T15:06:58,066931", "not as this format"),
        ("2025-10-30T15:06: 8.066931", "not as this format"),
        ("2025-10-30T15:06:58.+66931", "not as this format"),
        ("2025-10-30T15:06:58.066931+00:00", "carries an offset"),
        ("2025-10-30T15:06:58.066931Z", "carries an offset"),
        ("2025-13-30T15:06:58.066931", "is no time"),
        ("2025-10-30T24:06:58.066931", "is no time"),
        ("2025-10-30T15:06:60.066931", "is no time"),
        ("0001-01-01T00:00:00.000000", "outside 2000 to 2200"),
        ("1999-12-31T18:59:59.999999", "outside 2000 to 2200"),
        ("9999-12-31T23:59:59.999999", "outside 2000 to 2200"),
    ],
)
def test_what_is_no_time_of_the_format_is_refused(text: str, reason: str) -> None:
    clock = Clock(NEW_YORK, aware=False)
    clock.read("2025-10-30T15:06:01.000000")  # the minute of most of these is known by now
    with pytest.raises(UnreadableError, match=reason):
        clock.read(text)


def test_a_zone_that_does_not_exist_is_refused() -> None:
    for name in ("Nowhere/Else", "../etc", "", "America"):
        with pytest.raises(ValueError, match="no such time zone"):
            Clock(name, aware=False)
