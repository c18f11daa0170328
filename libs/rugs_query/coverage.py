"""How much of a period was really recorded, source by source, and what is missing between.

Frames prove that a connection lived: a session recorded between two frames of it, unless more time lies between
them than the other side's pings allow (see `rugs_query.coverage_lake`). What `gap` events report is taken out of
the sessions that they are about. A source recorded while any of its sessions did. Where nothing was recorded, the
gap says why, as far as anybody knows; outages of single connections beside others are listed for themselves.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, NamedTuple

from rugs_query.intervals import Interval, clip, length, overlap, subtract, union

UNKNOWN: Final = "nothing was captured"
SILENT: Final = "connected, but nothing came"


class Session(NamedTuple):
    """One recording session. Times are microseconds, UTC.

    Attributes:
        pieces: from first to last frame, in order of the frames, split where too much time lies between two frames
            and where the clock was set: then pieces may overlap.
        ended: why it ended, where it says so.
        open: when it was announced as begun and as ended; None where it does not say so.
    """

    session_id: str
    pieces: Sequence[Interval]
    events: int = 0
    ended: str | None = None
    open: Interval | None = None


class Loss(NamedTuple):
    """What a `gap` event tells: that a session may miss events between two times, and why.

    Attributes:
        before: when the session's last frame before the gap came; None if there was none. A
            crash says a time from which on something may be missing: what came after it did not.
        url, page: what the connection was to, and the page that it belonged to, where the gap says so.
    """

    session_id: str
    since: int
    until: int
    cause: str
    before: int | None = None
    url: str | None = None
    page: str | None = None

    @property
    def lost(self) -> Interval:
        """When something may really be missing."""
        return (self.since if self.before is None else max(self.since, self.before), self.until)


class Step(NamedTuple):
    """The wall clock was set from `old` to `new`, microseconds. `everywhere`: for each session of the source."""

    old: int
    new: int
    everywhere: bool = False

    @property
    def cause(self) -> str:
        """What people are told."""
        how = "ahead" if self.new > self.old else "back"
        return f"the clock was set {how} by {dt.timedelta(seconds=round(abs(self.new - self.old) / 1e6))}"


class Gap(NamedTuple):
    """A time in which nothing was recorded, or not all, and why."""

    since: int
    until: int
    cause: str


class Outage(NamedTuple):
    """A time in which one connection recorded nothing, or not all, while another one of its source did."""

    since: int
    until: int
    cause: str
    session_id: str
    url: str | None = None
    page: str | None = None


@dataclass(frozen=True)
class Coverage:
    """What one source recorded between `start` and `end`. `recorded` and `gaps` together are the whole period.

    `outages` are those of single connections, while another one recorded.
    """

    source: str
    start: int
    end: int
    recorded: list[Interval] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    sessions: int = 0
    events: int = 0

    @property
    def seconds(self) -> float:
        """How long it recorded."""
        return length(self.recorded) / 1e6

    @property
    def share(self) -> float:
        """Which part of the period it recorded, from 0 to 1."""
        return length(self.recorded) / (self.end - self.start)


def coverage(
    source: str,
    sessions: Sequence[Session],
    losses: Sequence[Loss],
    start: int,
    end: int,
    steps: Sequence[Step] = (),
) -> Coverage:
    """Return what a source recorded between two times, microseconds, UTC; `end` is outside.

    Raises:
        ValueError: if the period is empty.
    """
    if start >= end:
        raise ValueError("the period is empty")
    lost: dict[str, list[Interval]] = {}
    for loss in losses:
        lost.setdefault(loss.session_id, []).append(loss.lost)
    never = [(step.old, step.new) for step in steps if step.everywhere]
    recorded: list[Interval] = []
    for session in sessions:
        recorded += subtract(session.pieces, [*lost.get(session.session_id, []), *never])
    whole = clip(recorded, start, end)
    missing = subtract([(start, end)], whole)
    told = [Gap(loss.since, loss.until, loss.cause) for loss in losses]
    reasons = [*_reasons(sessions, steps)]
    gaps = [Gap(*gap, _cause(gap, told, reasons, sessions, steps)) for gap in missing]
    inside = [s for s in sessions if any(first < end and last >= start for first, last in s.pieces)]
    outages = [*_outages(sessions, losses, whole)]
    return Coverage(source, start, end, whole, gaps, outages, len(inside), sum(session.events for session in inside))


def _reasons(sessions: Iterable[Session], steps: Iterable[Step]) -> Iterator[Gap]:
    """Yield what explains, besides losses, why nothing was recorded at a time."""
    for step in steps:
        yield Gap(step.old, step.new, step.cause)
    for session in sessions:
        for (_, last), (first, _) in pairwise(session.pieces):
            yield Gap(last, first, f"connected, but nothing came for {dt.timedelta(seconds=(first - last) // 10**6)}")
        if session.open is not None:
            first = session.pieces[0][0] if session.pieces else session.open[1]
            yield Gap(session.open[0], first, SILENT)


def _cause(
    gap: Interval, told: Sequence[Gap], reasons: Sequence[Gap], sessions: Iterable[Session], steps: Iterable[Step]
) -> str:
    """Say why there is a gap: what explains most of it, or what happened where it begins, or what was told of it."""

    def explained(reason: Gap) -> int:
        return overlap(gap, reason[:2])

    best = max([*told, *reasons], key=lambda reason: (explained(reason), -reason.since), default=None)
    if best is not None and 2 * explained(best) >= gap[1] - gap[0]:
        return best.cause
    began = [step.cause for step in steps if step.old == gap[0]]
    last = [each for each in sessions if each.ended and each.pieces and each.pieces[-1][1] == gap[0]]
    began += [f"disconnected: {each.ended}" for each in last]
    if 2 * length(clip([reason[:2] for reason in told], *gap)) >= gap[1] - gap[0]:
        began.append(max(told, key=explained).cause)
    return began[0] if began else UNKNOWN


def _outages(sessions: Iterable[Session], losses: Iterable[Loss], recorded: Sequence[Interval]) -> Iterator[Outage]:
    """Yield what single connections missed while others recorded."""
    connections = {session.session_id for session in sessions if session.pieces}
    for loss in losses:
        if (loss.session_id in connections or loss.page is not None) and clip(recorded, *loss.lost):
            yield Outage(*loss.lost, loss.cause, loss.session_id, loss.url, loss.page)


def picture(recorded: Iterable[Interval], start: int, end: int, width: int) -> str:
    """Return a bar of `width` characters: full where all was recorded, a dot where nothing was."""
    whole = union(recorded)
    cells = []
    for place in range(width):
        cell = (start + (end - start) * place // width, start + (end - start) * (place + 1) // width)
        share = length(clip(whole, *cell)) / max(cell[1] - cell[0], 1)
        cells.append("█" if share >= 0.999 else "·" if share == 0 else "░▒▓"[min(int(share * 3), 2)])
    return "".join(cells)
