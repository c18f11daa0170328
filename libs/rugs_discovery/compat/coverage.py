"""The coverage report: what was scanned, which events and fields there are, and what could not be read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final

from rugs_discovery.compat.fields import FieldInfo
from rugs_discovery.compat.results import DiscoveryResult, EventInfo
from rugs_discovery.shred import MOST_LEVELS

_PLAIN: Final = re.compile(r"[A-Za-z0-9/:.-]+(?:_[A-Za-z0-9/:.-]+)*")
_PLACE: Final = re.compile(r"(?s)(.*?):(\d+): (.*)")


def generate_coverage_report(result: DiscoveryResult) -> str:
    """Return the coverage report as Markdown. It depends on nothing but the result."""
    return "\n".join(_report(result)) + "\n"


def _report(result: DiscoveryResult) -> Iterator[str]:
    events = sorted(result.events.values(), key=lambda event: (-event.count, event.name))
    yield "# WebSocket Recording Coverage Report"
    yield ""
    yield "## Coverage Summary"
    yield ""
    yield f"- {_counted(result.files_scanned, 'file')}"
    yield f"- {_counted(result.records, 'event')}"
    yield f"- {_counted(len(events), 'unique event type')}"
    yield f"- {_counted(sum(len(event.fields) for event in events), 'field')} of events"
    yield f"- {_counted(len({path for event in events for path in event.fields}), 'unique field path')}"
    yield f"- {_counted(len(result.errors) + result.errors_left_out, 'error')}"
    if truncated := sum(event.truncated for event in events):
        yield f"- {_counted(truncated, 'value')} below {MOST_LEVELS} levels, not entered"
    yield ""
    yield "## Events"
    yield ""
    yield "| Event | Count | Share | Unique fields |"
    yield "| --- | ---: | ---: | ---: |"
    for event in events:
        share = event.count / result.records if result.records else 0
        yield f"| {_name(event.name)} | {event.count:,} | {share:.1%} | {len(event.fields):,} |"
    yield ""
    yield "## Fields by Event"
    for event in events:
        yield from _fields(event)
    if result.errors:
        yield from _parse_errors(result)


def _fields(event: EventInfo) -> Iterator[str]:
    yield ""
    yield f"### {_name(event.name)}"
    yield ""
    yield "| Path | Type | Count | Samples |"
    yield "| --- | --- | ---: | --- |"
    for path, info in sorted(event.fields.items()):
        samples = ", ".join(map(_sample, info.sample_values))
        yield f"| {_code(path)} | {_types(info)} | {info.count:,} | {samples} |"


def _parse_errors(result: DiscoveryResult) -> Iterator[str]:
    yield ""
    yield "## Parse Errors"
    found = [match.groups() if (match := _PLACE.fullmatch(error)) else ("", "", error) for error in result.errors]
    for file, errors in groupby(found, key=lambda error: error[0]):
        yield ""
        yield f"### {_code(file) if file else 'Without a place'}"
        yield ""
        for _, line, message in errors:
            yield f"- {f'line {line}: ' if line else ''}{_code(message)}"
    if result.errors_left_out:
        yield ""
        yield f"{_counted(result.errors_left_out, 'further error')} not listed."


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _types(info: FieldInfo) -> str:
    """Return the types of a field, the most frequent one first, with their counts where there are several."""
    if len(info.types) < 2:
        return info.type
    ranked = sorted(info.types.items(), key=lambda item: (-item[1], item[0] != info.type, item[0]))
    return ", ".join(f"{name} ({count:,})" for name, count in ranked)


def _sample(value: Any) -> str:
    return _code(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))


def _name(text: str) -> str:
    """Return a name; as code, where Markdown might read more into it."""
    return text if _PLAIN.fullmatch(text) else _code(text)


def _code(text: str) -> str:
    """Return any text as code that fits into one cell of a table."""
    shown = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    pad = " " if len(fence) > 1 or not shown.strip() else ""
    return f"{fence}{pad}{shown}{pad}{fence}".replace("|", "\\|")
