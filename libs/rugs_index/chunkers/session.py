"""One summary of each session, that is, of each connection or imported recording: what it has, and what it missed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from rugs_index import kinds
from rugs_index.chunk import Chunk
from rugs_index.chunkers import phrases

KIND: Final = kinds.SESSION
KEPT_EVENTS: Final = 20
KEPT_RECORDINGS: Final = 20
KEPT_OUTAGES: Final = 1000
"""How many of a session's events (the most frequent), recordings and outages (the first) are looked at."""
_NAMED_EVENTS: Final = 8
_NAMED_OUTAGES: Final = 3
_NAMED_RECORDINGS: Final = 3
_US: Final = 1_000_000
_SOURCES: Final = {
    "import": "an old recording that was imported",
    "public_ws": "a live capture of the public feed",
    "cdp": "a live capture of a Chrome browser (CDP)",
    "ui": "what an application reported",
    "bot": "what a bot reported",
    "manual": "what was published by hand",
    "replay": "a replay",
}


class Outage(NamedTuple):
    """A time in which nothing was recorded, in microseconds, as the session reports it, and why.

    What a connection missed before it, the next one reports.
    """

    since: int
    until: int
    cause: str | None = None


@dataclass(frozen=True)
class SessionFacts:
    """What the rows of a session say: the public ones, or those of one owner.

    Attributes:
        owner: whose rows they are; None: the public ones.
        first, last: of the rows, microseconds.
        count: rows, without those derived from them and without rejects.
        kinds: how many names of events these rows have.
        derived: rows that were derived from them.
        games: how many games they belong to.
        rejects: lines that could not be parsed.
        events: the most frequent names of events, each with its rows.
        recordings: base names of the files that it was imported from.
        url, page: what it was connected to; secrets were masked when it was stored.
        reason: why it ended.
    """

    source: str
    session_id: str
    owner: str | None
    first: int
    last: int
    count: int = 0
    kinds: int = 0
    derived: int = 0
    games: int = 0
    rejects: int = 0
    events: Mapping[str, int] = field(default_factory=dict)
    recordings: Sequence[str] = ()
    url: str | None = None
    page: str | None = None
    reason: str | None = None
    outages: Sequence[Outage] = ()


def session_chunk(scope_key: str, facts: SessionFacts) -> Chunk:
    """Return the summary of a session."""
    return Chunk(
        text="\n".join(_lines(facts)),
        metadata=_metadata(facts),
        scope_key=scope_key,
        owner=facts.owner,
        search_text=" ".join([facts.session_id, phrases.iso(facts.first)[:10], *sorted(facts.events)]),
    )


def _lines(facts: SessionFacts) -> Iterator[str]:
    kind = _SOURCES.get(facts.source, f"what the source {facts.source} recorded")
    part = "" if facts.owner is None else ", the private part of one user"
    length = phrases.duration((facts.last - facts.first) / _US)
    yield f"Recording session {phrases.shown(facts.session_id)}: {kind}{part}."
    yield f"It begins on {phrases.moment(facts.first)} and spans {length}."
    if facts.count:
        ranked = sorted(facts.events.items(), key=lambda item: (-item[1], item[0]))[:_NAMED_EVENTS]
        named = [f"{number:,} {phrases.name(name)}" for name, number in ranked]
        others = [f"{facts.kinds - len(ranked)} other kinds"] if facts.kinds > len(ranked) else []
        games = f" of {phrases.counted(facts.games, 'game')}" if facts.games else ""
        yield f"It has {phrases.counted(facts.count, 'event')}{games}: {phrases.listed([*named, *others])}."
    if facts.recordings:
        more = ["others"] if len(facts.recordings) > _NAMED_RECORDINGS else []
        yield f"Recorded in {phrases.listed([*facts.recordings[:_NAMED_RECORDINGS], *more])}."
    if facts.url:
        yield f"Connected to {phrases.shown(facts.url)}{f' for {phrases.shown(facts.page)}' if facts.page else ''}."
    if facts.reason:
        yield f"It ended: {phrases.shown(facts.reason)}."
    yield from _outages(facts.outages)
    if facts.rejects:
        yield f"Damaged: {phrases.counted(facts.rejects, 'line')} of it could not be read."


def _outages(outages: Sequence[Outage]) -> Iterator[str]:
    if not outages:
        return
    longest = sorted(outages, key=lambda outage: (outage.since - outage.until, outage.since))[:_NAMED_OUTAGES]
    named = [
        f"{phrases.duration((outage.until - outage.since) / _US)} from {phrases.clock(outage.since)} UTC"
        + (f" ({phrases.shown(outage.cause)})" if outage.cause else "")
        for outage in sorted(longest)
    ]
    yield (
        f"It reports {phrases.counted(len(outages), 'outage')} (gaps in which nothing was recorded),"
        f" {phrases.duration(_missed(outages))} in all; the longest: {phrases.listed(named)}."
    )


def _missed(outages: Sequence[Outage]) -> float:
    """Return the seconds of all outages together."""
    return sum(outage.until - outage.since for outage in outages) / _US


def _metadata(facts: SessionFacts) -> dict[str, Any]:
    found: dict[str, Any] = {
        "source": facts.recordings[0] if facts.recordings else f"{KIND}/{facts.session_id}",
        "kind": KIND,
        "doc_type": KIND,
        "session_id": facts.session_id,
        "event_source": facts.source,
        "timestamp": phrases.iso(facts.first),
        "ts": facts.first,
        "until": facts.last,
        "events": facts.count,
        "derived": facts.derived,
        "games": facts.games,
        "outages": len(facts.outages),
        "outage_s": round(_missed(facts.outages), 3),
        "rejects": facts.rejects,
        "url": facts.url,
        "recordings": list(facts.recordings),
    }
    return {name: value for name, value in found.items() if value is not None}
