"""What share of a period was recorded, with the gaps and why."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rugs_client.clock import Change, Clock, Reading
from rugs_client.clock import Step as ClockStep
from rugs_client.events import Loss as LostEvents
from rugs_client.events import gap_entry, step_record
from rugs_client.records import read as read_fields
from rugs_proto.codec import unpack
from rugs_query.coverage import SILENT, UNKNOWN, Coverage, Gap, Loss, Outage, Session, Step, coverage, picture
from rugs_query.coverage_lake import read
from rugs_query.intervals import length, union
from tests.support.examples import examples
from tests.support.lakekit import DAY_US, NOON_US, envelope, message, select, store, tick

SECOND = 1_000_000


def test_from_the_first_event_to_the_last_without_the_gaps() -> None:
    sessions = [Session("a", [(10, 40)], 5), Session("b", [(50, 90)], 7, "feed closed"), Session("early", [(0, 5)], 1)]
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
    sessions = [Session("a", [(0, 50)]), Session("b", [(20, 100)])]
    assert coverage("cdp", sessions, [Loss("a", 30, 60, "closed")], 0, 100).gaps == []


def test_a_crash_says_more_than_is_missing() -> None:
    """It may have lost what came after its last sign of life; what came is there."""
    sessions = [Session("a", [(0, 50)]), Session("b", [(80, 100)])]
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
    st.builds(
        Session, st.sampled_from("abc"), st.lists(st.tuples(TIMES, TIMES).map(lambda p: (min(p), max(p))), max_size=3)
    ),
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


def test_a_clock_that_was_set_explains_its_gap_and_counts_no_time() -> None:
    ahead = Step(20, 7_200_000_020)
    found = coverage("cdp", [Session("a", [(10, 20), (7_200_000_020, 7_200_000_030)])], [], 10, 7_200_000_030, [ahead])
    assert found.recorded == [(10, 20), (7_200_000_020, 7_200_000_030)]
    assert found.gaps == [Gap(20, 7_200_000_020, "the clock was set ahead by 2:00:00")]
    back = Step(3_600_000_050, 50)
    found = coverage("cdp", [Session("a", [(3_600_000_040, 3_600_000_050), (50, 60)])], [], 40, 3_600_000_060, [back])
    assert length(found.recorded) == 20
    assert found.gaps[-1] == Gap(3_600_000_050, 3_600_000_060, "the clock was set back by 1:00:00")


def test_a_step_that_each_session_of_the_source_knows_nothing_of_is_no_time_of_theirs() -> None:
    session = Session("a", [(0, 100)])
    assert length(coverage("ui", [session], [], 0, 100, [Step(20, 70, everywhere=True)]).recorded) == 50
    assert length(coverage("ui", [session], [], 0, 100, [Step(70, 20, everywhere=True)]).recorded) == 100


def test_an_outage_of_one_connection_beside_another_is_listed() -> None:
    sessions = [Session("a", [(0, 50)]), Session("a again", [(60, 100)]), Session("b", [(0, 100)])]
    loss = Loss("a", 45, 60, "the page was left", before=50, url="wss://x/", page="https://x/")
    found = coverage("cdp", sessions, [loss], 0, 100)
    assert found.gaps == []
    assert found.outages == [Outage(50, 60, "the page was left", "a", "wss://x/", "https://x/")]
    assert coverage("cdp", sessions[:2], [loss], 0, 100).outages == []


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


def covered(
    root: Path, *events: dict[str, Any], until: float = 100, source: str | None = None, now: float = 1e9
) -> list[Coverage]:
    """Store events of any kinds and sources; return the coverage of the seconds from noon on."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for event in events:
        groups.setdefault((event["doc_type"], event["source"], event["session_id"]), []).append(event)
    store(root, *[message(number, *group) for number, group in enumerate(groups.values(), 1)])
    return read(root, NOON_US, NOON_US + int(until * SECOND), source, now=NOON_US + int(now * SECOND))


def seconds(found: Coverage) -> list[tuple[float, float]]:
    return [((since - NOON_US) / SECOND, (until - NOON_US) / SECOND) for since, until in found.recorded]


def causes(found: Coverage) -> list[tuple[float, float, str]]:
    return [((gap.since - NOON_US) / SECOND, (gap.until - NOON_US) / SECOND, gap.cause) for gap in found.gaps]


def test_the_lake_says_what_was_recorded(tmp_path: Path) -> None:
    """A session that lost a little and crashed, one that was cut off, and other sources."""
    events = [came(seq, seq, "a") for seq in range(1, 31) if seq not in (11, 12)]
    rest = [
        gap("a", 1020, 27, 50, "the process ended without closing"),
        gap("a", 12, 10.5, 11.5, "queue full", first_seq=11),
        note(1, 50, "b", "source_connected"),
        gap("b", 2, 29, 50, "starting again after a crash"),
        note(9, 80, "b", "source_disconnected", reason="closed by the feed"),
        *[came(seq, 48 + seq, "b") for seq in range(3, 9)],
        *[came(seq + 1, 20 * seq, "c", source="cdp") for seq in range(6)],
        came(1, -5, "old", source="import"),
        came(2, 200, "old", source="import"),
        came(1, 9, "before", ts=NOON_US - 40 * DAY_US),
        tick(1, session_id="b", seq=3, ts=NOON_US + 99 * SECOND),
    ]
    cdp, public = covered(tmp_path, *events, *rest)
    (imported,) = read(tmp_path, NOON_US, NOON_US + 100 * SECOND, "import")
    (nothing,) = read(tmp_path, NOON_US, NOON_US + 100 * SECOND, "bot")
    assert (cdp.source, cdp.share, cdp.gaps) == ("cdp", 1.0, [])
    assert causes(public) == [
        (0, 1, UNKNOWN),
        (10.5, 11.5, "queue full"),
        (30, 51, "the process ended without closing"),
        (56, 100, "disconnected: closed by the feed"),
    ]
    assert (public.source, public.sessions, public.share) == ("public_ws", 2, 0.33)
    assert (imported.share, nothing.share) == (1.0, 0.0)


OPEN = {"event": "open", "raw": "0{}", "fields": {"packet": "open", "ping_interval": 5000, "ping_timeout": 2000}}


@pytest.mark.parametrize(
    ("changes", "first", "times", "recorded"),
    [
        ({}, {}, [0, 44, 89], [(0, 89)]),
        ({}, {}, [0, 46, 90], [(46, 90)]),
        ({}, OPEN, [0, 6, 12, 20, 26], [(0, 12), (20, 26)]),
        ({"source": "cdp"}, OPEN, [0, 6, 12, 20, 26], [(0, 12), (20, 26)]),
        ({"source": "ui", "direction": "internal"}, {}, [0, 46, 90], [(0, 90)]),
        ({"source": "bot", "direction": "sent"}, {}, [0, 46, 90], [(0, 90)]),
        ({"direction": "sent"}, {}, [0, 10, 20], []),
    ],
)
def test_a_silence_longer_than_pings_allow_is_an_outage(
    tmp_path: Path, changes: dict[str, Any], first: dict[str, Any], times: list[float], recorded: list[Any]
) -> None:
    events = [came(seq, at, "a", **changes, **(first if seq == 1 else {})) for seq, at in enumerate(times, 1)]
    (found,) = covered(tmp_path, *events, source=events[0]["source"])
    assert seconds(found) == recorded


def test_a_session_in_which_nothing_came_has_recorded_nothing(tmp_path: Path) -> None:
    mute = [note(1, 10, "mute", "source_connected"), note(2, 60, "mute", "source_disconnected", reason="silent")]
    never = [
        note(1, 61, "refused", "source_connecting"),
        came(2, 62, "refused"),
        came(3, 70, "refused"),
        note(4, 71, "refused", "source_disconnected", reason="not authorized"),
    ]
    late = [
        note(1, 80, "late", "source_connecting"),
        came(2, 81, "late"),
        note(3, 82, "late", "source_connected"),
        came(4, 83, "late"),
        came(5, 90, "late"),
    ]
    (found,) = covered(tmp_path, *mute, *never, *late)
    assert seconds(found) == [(83, 90)]
    assert found.sessions == 1
    assert causes(found)[0] == (0, 83, SILENT)


def test_the_future_is_no_outage(tmp_path: Path) -> None:
    (found,) = covered(tmp_path, *[came(seq, seq, "a") for seq in range(1, 31)], now=40)
    assert (found.start, found.end) == (NOON_US, NOON_US + 40 * SECOND)
    assert causes(found) == [(0, 1, UNKNOWN), (30, 40, UNKNOWN)]
    with pytest.raises(ValueError, match="in the future"):
        read(tmp_path, NOON_US + 50 * SECOND, NOON_US + 60 * SECOND, now=NOON_US + 40 * SECOND)


def test_a_feed_with_a_name_of_its_own_is_a_connection_and_another_program_is_none(tmp_path: Path) -> None:
    feed, program = {"source": "second_feed"}, {"source": "my_program"}
    before = {**note(1, -2 * 86_400, "f", "source_connecting"), **feed}
    events = [came(seq, seconds, "f", **feed) for seq, seconds in enumerate((0, 10, 90, 100), start=2)]
    events += [came(seq, seconds, "p", **program) for seq, seconds in enumerate((0, 100), start=1)]
    other, connection = covered(tmp_path, before, *events)
    assert (other.source, other.share) == ("my_program", 1.0)
    assert (connection.source, causes(connection)) == ("second_feed", [(10, 90, f"{SILENT} for 0:01:20")])


def test_the_view_lists_recorded_outages(tmp_path: Path) -> None:
    told = {"since": NOON_US, "until": NOON_US + 5 * SECOND, "cause": "the page was left", "lost": None}
    events = [
        gap("a", 12, 10.5, 11.5, "queue full", first_seq=11),
        {**note(1, 0, "b", "gap", **told, after_session="a", page="https://x/", url="wss://x/"), "source": "cdp"},
        note(3, 0, "b", "gap", since=None, until="soon"),
    ]
    covered(tmp_path, *events)
    noon = dt.datetime.fromtimestamp(NOON_US / SECOND, dt.UTC)
    assert select(tmp_path, "SELECT * EXCLUDE date FROM outage ORDER BY since") == [
        ("cdp", "a", noon, noon + dt.timedelta(seconds=5), "the page was left", None, "wss://x/", "https://x/", False),
        (
            *("public_ws", "a", noon + dt.timedelta(seconds=10.5), noon + dt.timedelta(seconds=11.5)),
            *("queue full", 1, None, None, False),
        ),
    ]


class Recorder:
    """A machine whose clock is set now and then, and a client on it that records sessions: what it stores.

    Its `time` is true: seconds since noon.
    """

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.time = 0.0
        self.really = 0.0
        """Seconds between frames of one session that are not too far apart."""
        self.frames: dict[str, float] = {}
        self._numbers: dict[str, int] = {}
        self._offset = 0.0
        self._clock = Clock(
            self._changed, lambda: Reading(self._wall, int(self.time * SECOND), int(self.time * SECOND))
        )

    @property
    def _wall(self) -> int:
        return NOON_US + int((self.time + self._offset) * SECOND)

    def set(self, by: float) -> None:
        self._offset += by

    def wait(self, seconds: float) -> None:
        """Let time pass; whoever records looks at the clock every second or two."""
        for _ in range(int(seconds)):
            self.time += 1
            self._clock.look()
        self.time += seconds % 1

    def frame(self, session: str) -> None:
        self._clock.look()
        self._store(came(1, 0, session, ts=self._wall))
        if self.time - self.frames.get(session, -1e9) <= 45:
            self.really += self.time - self.frames[session]
        self.frames[session] = self.time

    def _changed(self, change: Change) -> None:
        assert isinstance(change, ClockStep)
        for session in self.frames:
            record = step_record(change, "public_ws", session)
            self._store({**note(1, 0, session, record.event, **read_fields(record.fields)[0]), "ts": record.ts})

    def _store(self, event: dict[str, Any]) -> None:
        session = event["session_id"]
        self._numbers[session] = self._numbers.get(session, 0) + 1
        self.events.append({**event, "seq": self._numbers[session]})


PAUSES = st.sampled_from([0.2, 1.0, 10.0, 40.0, 46.0, 500.0])
SETS = st.sampled_from([-86_400.0, -3600.0, -60.0, -5.0, -0.3, 0.3, 5.0, 30.0, 60.0, 7200.0])
ACTS = st.lists(st.tuples(PAUSES, st.none() | SETS, st.sampled_from("aab")), min_size=1, max_size=20)


@pytest.mark.slow
@settings(max_examples=examples(12))
@given(ACTS)
def test_recorded_never_exceeds_the_time_that_passed_however_the_clock_is_set(
    acts: list[tuple[float, float | None, str]],
) -> None:
    machine = Recorder()
    for pause, by, session in acts:
        machine.wait(pause)
        if by is not None:
            machine.set(by)
        machine.frame(session)
    with TemporaryDirectory() as folder:
        (found,) = covered(Path(folder), *machine.events, until=10 * 86_400)
    # What is too little for a step may count, once each.
    assert found.seconds <= machine.really + 0.5 * len(acts)
    gaps = [(each.since, each.until) for each in found.gaps]
    assert union([*found.recorded, *gaps]) == [(found.start, found.end)]
    assert length(found.recorded) + length(gaps) == found.end - found.start
    if len(machine.frames) == 1 and not any(by for _, by, _ in acts):
        assert found.seconds == pytest.approx(machine.really)


@pytest.mark.parametrize("by", [-3600.0, -10.0, 20.0, 7200.0])
def test_a_clock_that_is_set_in_a_session_costs_no_time_of_it(tmp_path: Path, by: float) -> None:
    machine = Recorder()
    for number in range(61):
        machine.time = number / 2
        machine.set(by if number == 30 else 0)
        machine.frame("a")
    (found,) = covered(tmp_path, *machine.events, until=86_400)
    (before,) = read(tmp_path, NOON_US - DAY_US, NOON_US + DAY_US)
    both = length([*found.recorded, *before.recorded]) / SECOND
    assert both == pytest.approx(30 if abs(by) > 30 else 30 + min(by, 0), abs=0.01)
