"""What share of a period was recorded, with the gaps and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rugs_lake
from rugs_capture.coverage import UNKNOWN, Gap, Loss, Session, coverage, picture, read
from rugs_capture.intervals import length, union
from rugs_client.events import Loss as LostEvents
from rugs_client.events import gap_entry
from rugs_proto.codec import unpack
from tests.lakekit import DAY_US, NOON_US, envelope, message, store, tick

SECOND = 1_000_000


def test_from_the_first_event_to_the_last_without_the_gaps() -> None:
    sessions = [Session("a", 10, 40, 5), Session("b", 50, 90, 7, "feed closed"), Session("early", 0, 5, 1)]
    losses = [Loss("a", 20, 25, "queue full"), Loss("b", 41, 49, "starting again"), Loss("b", 60, 61, "spool full")]
    found = coverage("cdp", sessions, losses, 10, 110)
    assert found.recorded == [(10, 20), (25, 40), (50, 60), (61, 90)]
    assert found.gaps == [
        Gap(20, 25, "queue full"),
        Gap(40, 50, "starting again"),
        Gap(60, 61, "spool full"),
        Gap(90, 110, "disconnected: feed closed"),
    ]
    assert (found.share, found.sessions, found.events) == (0.64, 2, 12)


def test_a_gap_of_one_session_is_none_where_another_went_on() -> None:
    sessions = [Session("a", 0, 50), Session("b", 20, 100)]
    assert coverage("cdp", sessions, [Loss("a", 30, 60, "closed")], 0, 100).gaps == []


def test_a_crash_says_more_than_is_missing() -> None:
    """It may have lost what came after its last sign of life; what came is there."""
    sessions = [Session("a", 0, 50), Session("b", 80, 100)]
    found = coverage("cdp", sessions, [Loss("a", 10, 80, "crashed", before=50)], 0, 100)
    assert found.gaps == [Gap(50, 80, "crashed")]
    assert coverage("cdp", sessions, [Loss("a", 60, 80, "crashed", before=50)], 0, 100).gaps == [Gap(50, 80, "crashed")]


def test_where_there_was_nobody_nobody_knows_why() -> None:
    found = coverage("public_ws", [], [], 0, 10)
    assert (found.share, found.gaps) == (0, [Gap(0, 10, UNKNOWN)])
    with pytest.raises(ValueError, match="empty"):
        coverage("public_ws", [], [], 10, 10)


TIMES = st.integers(0, 60).map(lambda seconds: seconds * SECOND)
SESSIONS = st.lists(
    st.builds(lambda name, one, two: Session(name, min(one, two), max(one, two)), st.sampled_from("abc"), TIMES, TIMES),
    max_size=5,
)
LOSSES = st.lists(st.builds(Loss, st.sampled_from("abc"), TIMES, TIMES, st.just("why"), st.none() | TIMES), max_size=5)


@given(SESSIONS, LOSSES, TIMES, st.integers(1, 40).map(lambda seconds: seconds * SECOND))
def test_recorded_and_gaps_are_the_whole_period(
    sessions: list[Session], losses: list[Loss], start: int, size: int
) -> None:
    found = coverage("cdp", sessions, losses, start, start + size)
    gaps = [(gap.since, gap.until) for gap in found.gaps]
    assert union([*found.recorded, *gaps]) == [(start, start + size)]
    assert length(found.recorded) + length(gaps) == size
    assert 0 <= found.share <= 1
    bar = picture(found.recorded, found.start, found.end, 7)
    assert len(bar) == 7
    assert (set(bar) == {"█"}) == (found.share == 1)
    assert (set(bar) == {"·"}) == (found.share == 0)


def came(seq: int, seconds: float, session: str, **changes: Any) -> dict[str, Any]:
    return envelope(seq, **{"ts": NOON_US + int(seconds * SECOND), "session_id": session, "raw": f"{seq}", **changes})


def note(seq: int, seconds: float, session: str, event: str, **fields: Any) -> dict[str, Any]:
    kind = {"doc_type": "system_event", "event": event, "direction": "internal", "fields": fields}
    return {**came(seq, seconds, session), **kind, "raw": None}


def gap(
    session: str, last_seq: int, since: float, until: float, why: str, first_seq: int | None = None
) -> dict[str, Any]:
    lost = LostEvents("public_ws", 1, NOON_US + int(since * SECOND), NOON_US + int(until * SECOND), why)
    (told,) = unpack(gap_entry(lost, session, first_seq, last_seq).body)
    return dict(told)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A session that lost a little and crashed, one that was cut off, and other sources."""
    events = [came(seq, seq, "a") for seq in range(1, 31)]
    notes = [
        gap("a", 1020, 27, 50, "the process ended without closing"),
        gap("a", 12, 10.5, 11.5, "queue full", first_seq=11),
        note(1, 50, "b", "source_connected"),
        gap("b", 2, 29, 50, "starting again after a crash"),
        note(9, 80, "b", "source_disconnected", reason="closed by the feed"),
    ]
    del events[10:12]
    live = [came(seq, 48 + seq, "b") for seq in range(3, 9)]
    others = [came(1, 0, "c", source="cdp"), came(2, 100, "c", source="cdp")]
    late = tick(1, session_id="b", seq=3, ts=NOON_US + 99 * SECOND)
    store(
        tmp_path,
        message(1, *events),
        message(2, *notes),
        message(3, *live),
        message(4, *others),
        message(5, came(1, -5, "old", source="import"), came(2, 200, "old", source="import")),
        message(6, came(1, 9, "before", ts=NOON_US - 40 * DAY_US)),
        message(7, late),
    )
    return tmp_path


def test_the_lake_says_what_was_recorded(lake: Path) -> None:
    with rugs_lake.open(lake) as opened:
        cdp, public = read(opened, NOON_US, NOON_US + 100 * SECOND)
        (imported,) = read(opened, NOON_US, NOON_US + 100 * SECOND, "import")
        (nothing,) = read(opened, NOON_US, NOON_US + 100 * SECOND, "bot")
    assert (cdp.source, cdp.share, cdp.gaps) == ("cdp", 1.0, [])
    seconds = [((gap.since - NOON_US) / SECOND, (gap.until - NOON_US) / SECOND, gap.cause) for gap in public.gaps]
    assert seconds == [
        (0, 1, UNKNOWN),
        (10.5, 11.5, "queue full"),
        (30, 50, "the process ended without closing"),
        (80, 100, "disconnected: closed by the feed"),
    ]
    assert (public.source, public.sessions, public.share) == ("public_ws", 2, 0.58)
    assert (imported.share, nothing.share) == (1.0, 0.0)


def test_a_session_counts_from_when_it_was_connected(tmp_path: Path) -> None:
    """What a feed sends before it has answered the connect packet is stored, but does not prove that it is live."""
    refused = [
        note(1, 10, "refused", "source_connecting"),
        note(3, 19, "refused", "source_disconnected", reason="not authorized"),
    ]
    live = [note(1, 30, "live", "source_connecting"), note(3, 40, "live", "source_connected")]
    store(
        tmp_path,
        message(1, *refused),
        message(2, came(2, 11, "refused")),
        message(3, *live),
        message(4, came(2, 31, "live"), *[came(seq, 36 + seq, "live") for seq in range(4, 15)]),
    )
    with rugs_lake.open(tmp_path) as opened:
        (found,) = read(opened, NOON_US, NOON_US + 100 * SECOND)
    assert [((since - NOON_US) / SECOND, (until - NOON_US) / SECOND) for since, until in found.recorded] == [(40, 50)]
