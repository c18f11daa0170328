"""The coverage report: what was read, what it holds, and what could not be understood, with places."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

from rugs_discovery.documents import as_json, place_of
from rugs_discovery.markdown import code, prose, table
from rugs_discovery.meanings import DOCUMENTED, Meanings, Unseen, undescribed, unseen
from rugs_discovery.scan import Source
from rugs_discovery.state import Fault
from rugs_discovery.summary import Event, Field, Summary
from rugs_discovery.wording import (
    is_drifting,
    literal,
    meaning_text,
    name_text,
    place_text,
    seen_text,
    share_text,
    shares_text,
    values_text,
)

FORMAT_VERSION: Final = 1
_MOST_PLACES: Final = 20
"""Places of one reason that the Markdown lists; the JSON has all that are known."""


def report_json(
    summary: Summary, meanings: Meanings, sources: Sequence[Source] = (), seconds: float | None = None
) -> dict[str, Any]:
    """Return the report for programs.

    Args:
        sources: the files that were read; none for the lake.
        seconds: how long that took; None: not known.
    """
    return {
        "version": FORMAT_VERSION,
        "totals": _totals(summary, meanings, sources, seconds),
        "types": _types(summary),
        "sources": [asdict(source) for source in sources],
        "errors": dict(summary.errors),
        "faults": [_fault(fault) for fault in summary.faults],
        "not_json": [{"event": event.key, **_fault(fault)} for event in _events(summary) for fault in event.faults],
        "truncated": [_of(field, count=field.truncated) for field in _fields(summary) if field.truncated],
        "maps": [_of(field, evidence=field.map_evidence) for field in _fields(summary) if field.map_evidence],
        "varying": [_of(field, types=dict(field.types)) for field in _fields(summary) if is_drifting(field.types)],
        "without_meaning": [{"event": event, "path": path} for event, path in undescribed(summary, meanings)],
        "unseen": [each._asdict() for each in _no_longer_seen(summary, meanings)],
        "events": [_event(event, meanings) for event in _events(summary)],
    }


def report_markdown(
    summary: Summary, meanings: Meanings, sources: Sequence[Source] = (), seconds: float | None = None
) -> str:
    """Return the report for people: see `report_json`."""
    totals = _totals(summary, meanings, sources, seconds)
    return "\n".join(
        [
            "# Coverage report\n",
            "What was read, what it holds, and what could not be understood. `fields` are pairs of event and path.\n",
            "## Totals\n",
            table(("what", "count"), ((name.replace("_", " "), f"{count:,}") for name, count in totals.items()), [1]),
            *_types_section(summary),
            *_sources_section(sources),
            *_errors_section(summary),
            *_not_json_section(summary),
            *_evidence_sections(summary),
            *_events_sections(summary, meanings),
            *_meanings_sections(summary, meanings),
        ]
    )


def _events(summary: Summary) -> Sequence[Event]:
    return list(summary.events.values())


def _fields(summary: Summary) -> Iterator[Field]:
    return (field for event in summary.events.values() for field in event.all_fields)


def _totals(
    summary: Summary, meanings: Meanings, sources: Sequence[Source], seconds: float | None
) -> dict[str, int | float]:
    totals: dict[str, int | float] = {}
    if sources:
        totals["files"] = sum(source.skipped is None for source in sources)
        totals["skipped_files"] = sum(source.skipped is not None for source in sources)
        totals["blank_lines"] = sum(source.blank for source in sources if source.skipped is None)
    totals |= {
        "lines": summary.lines,
        "bytes": summary.size,
        "events": sum(event.count for event in _events(summary)),
        "event_types": len(summary.events),
        "fields": summary.fields,
        "distinct_paths": summary.paths,
        "errors": sum(summary.errors.values()),
        "not_json": sum(count for event in _events(summary) for count in event.not_json.values()),
        "truncated": summary.truncated,
        "private": sum(event.private for event in _events(summary)),
        "without_meaning": len(undescribed(summary, meanings)),
    }
    return totals if seconds is None else totals | {"seconds": round(seconds, 3)}


def _types(summary: Summary) -> dict[str, int]:
    found: Counter[str] = Counter()
    for field in _fields(summary):
        found.update(field.types)
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _fault(fault: Fault) -> dict[str, Any]:
    return {**place_of(fault.place), "reason": fault.reason}


def _of(field: Field, **said: Any) -> dict[str, Any]:
    return {"event": field.event, "path": field.path, **said}


def _event(event: Event, meanings: Meanings) -> dict[str, Any]:
    meaning = meanings.of_event(event.key)
    return {
        "event": event.key,
        "kind": event.kind,
        "count": event.count,
        "private": event.private,
        "first": place_of(event.first),
        "last": place_of(event.last),
        "not_json": dict(event.not_json),
        "meaning": None if meaning is None else meaning.text,
        "fields": [_row(field, meanings) for field in event.all_fields],
    }


def _row(field: Field, meanings: Meanings) -> dict[str, Any]:
    meaning = meanings.of_field(field.event, field.path)
    return {"path": field.path, **as_json(field), "meaning": None if meaning is None else meaning.text}


def _no_longer_seen(summary: Summary, meanings: Meanings) -> list[Unseen]:
    """Return the lines that say something was seen, or pinned, that is not there: not those of documents alone."""
    return [each for each in unseen(meanings, summary) if each.status != DOCUMENTED]


def _types_section(summary: Summary) -> list[str]:
    types = _types(summary)
    total = sum(types.values())
    rows = ((name, f"{count:,}", share_text(count, total)) for name, count in types.items())
    return ["## JSON types\n", table(("type", "values", "share"), rows, [1, 2])]


def _sources_section(sources: Sequence[Source]) -> list[str]:
    if not sources:
        return []
    rows = (
        (
            code(source.file),
            *(f"{count:,}" for count in (source.lines, source.blank, source.events, source.errors, source.size)),
            code(source.sha256) if source.sha256 else "",
            "" if source.skipped is None else prose(source.skipped),
        )
        for source in sources
    )
    header = ("file", "lines", "blank", "events", "errors", "bytes", "sha256", "skipped because")
    return ["## Files\n", table(header, rows, range(1, 6))]


def _errors_section(summary: Summary) -> list[str]:
    if not summary.errors:
        return ["## Parse errors\n", "None.\n"]
    rows = (
        (prose(reason), f"{count:,}", _places([fault for fault in summary.faults if fault.reason == reason], count))
        for reason, count in summary.errors.items()
    )
    return ["## Parse errors\n", table(("reason", "lines", "where"), rows, [1])]


def _not_json_section(summary: Summary) -> list[str]:
    rows = [
        (
            code(name_text(event.key)),
            prose(reason),
            f"{count:,}",
            _places([fault for fault in event.faults if fault.reason == reason], count),
        )
        for event in _events(summary)
        for reason, count in event.not_json.items()
    ]
    title = "## Events that JSON Schema cannot check\n"
    return [title, table(("event", "reason", "events", "where"), rows, [2]) if rows else "None.\n"]


def _evidence_sections(summary: Summary) -> Iterator[str]:
    truncated, varying, maps = [], [], []
    for field in _fields(summary):
        begin = (code(name_text(field.event)), code(field.path))
        if field.truncated:
            truncated.append((*begin, f"{field.truncated:,}"))
        if is_drifting(field.types):
            firsts = (f"{name}: {prose(seen_text(place))}" for name, place in sorted(field.first.items()))
            varying.append((*begin, shares_text(field.types), "; ".join(firsts)))
        if field.map_evidence is not None:
            maps.append((*begin, prose(field.map_evidence), ", ".join(code(literal(key)) for key in field.keys)))
    yield "## Truncated values\n"
    yield _table_or_none(("event", "path", "objects and arrays not entered"), truncated)
    yield "## Types that vary\n"
    yield _table_or_none(("event", "path", "types", "first seen"), varying)
    yield "## Maps\n"
    yield _table_or_none(("event", "path", "evidence", "keys such as"), maps)


def _meanings_sections(summary: Summary, meanings: Meanings) -> Iterator[str]:
    missing = [(code(name_text(event)), code(path)) for event, path in undescribed(summary, meanings)]
    gone = [
        (each.section, code(name_text(each.name)), code(name_text(each.event)) if each.event is not None else "any")
        for each in _no_longer_seen(summary, meanings)
    ]
    yield "## Fields without a meaning\n"
    yield _table_or_none(("event", "path"), missing)
    yield "## Meanings of what was not seen\n"
    yield _table_or_none(("section", "name", "event"), gone)


def _events_sections(summary: Summary, meanings: Meanings) -> Iterator[str]:
    total = sum(event.count for event in _events(summary))
    rows = (
        (code(name_text(event.key)), f"{event.count:,}", share_text(event.count, total), f"{len(event.fields):,}")
        for event in _events(summary)
    )
    yield "## Events\n"
    yield table(("event", "count", "share", "fields"), rows, [1, 2, 3])
    for event in _events(summary):
        yield f"### {code(name_text(event.key))}\n"
        yield _table_or_none(("path", "type", "presence", "values", "meaning"), _rows(event, meanings))


def _rows(event: Event, meanings: Meanings) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for field in event.all_fields:
        meaning = meanings.of_field(event.key, field.path)
        presence = share_text(field.count, field.parents) if field.parents else f"{field.count:,} values"
        said = "" if meaning is None else prose(meaning_text(meaning))
        rows.append((code(field.path), shares_text(field.types), presence, values_text(field, code), said))
    return rows


def _table_or_none(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return table(header, rows) if rows else "None.\n"


def _places(faults: Sequence[Fault], count: int) -> str:
    """Return the places of the first faults of a reason, and how many more there are."""
    shown = [code(place_text(fault.place)) for fault in faults[:_MOST_PLACES]]
    more = count - len(shown)
    return ", ".join([*shown, f"{more:,} more"] if more else shown)
