"""Markdown pages: one for each event, an index, and a quick reference. The same summary gives the same bytes."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from typing import Final

from rugs_discovery.example import example_of
from rugs_discovery.main_fields import main_fields
from rugs_discovery.markdown import code, fenced_json, link, prose, table
from rugs_discovery.meanings import Meanings
from rugs_discovery.paths import ANY, ITEM, Mark, Step, join
from rugs_discovery.summary import Event, Field, Summary
from rugs_discovery.wording import (
    counted,
    is_drifting,
    literal,
    meaning_text,
    merged_types,
    name_text,
    presence_text,
    seen_text,
    share_text,
    shares_text,
    union_text,
    values_text,
)

INDEX: Final = "index.md"
QUICK_REFERENCE: Final = "quick_reference.md"
FOLDER: Final = "events"
"""The folder of the pages of events."""
SCHEMAS: Final = "schemas"
"""The folder of the JSON Schemas, `NAME.open.json` and `NAME.strict.json`."""

_MOST_EXAMPLES: Final = 5
_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_]+")
_ANCHORS: Final = {ITEM: ":", ANY: "::"}
_TABLE: Final = "fields-of-"
"""How the anchors of the tables begin."""


Steps = tuple[Step, ...]


def pages(summary: Summary, meanings: Meanings, file_name: Callable[[str], str]) -> dict[str, str]:
    """Return the pages, by their paths in the folder of the documents.

    Args:
        file_name: returns the name, without a suffix, of the files about an event.
    """
    writer = _Writer(summary, meanings, file_name)
    found = {INDEX: writer.index(), QUICK_REFERENCE: writer.quick_reference()}
    return found | {writer.path_of(event.key): writer.page(event) for event in summary.events.values()}


def anchor(steps: Steps) -> str:
    """Return the anchor of a field on the page of its event."""
    text = ""
    for step in steps:
        if isinstance(step, Mark):
            text += _ANCHORS[step]
        elif _PLAIN_KEY.fullmatch(step):
            text += ("." if text else "") + step
        else:
            return "field-" + sha256(join(steps).encode(errors="surrogatepass")).hexdigest()[:12]
    return text


def _by_object(event: Event) -> dict[Steps, list[Field]]:
    """Return the fields by the object that they are in, in the order of the tree; `()` is what no object is around."""
    owners = {()} | {field.steps[:-1] for field in event.all_fields if isinstance(field.steps[-1], str)}
    found: dict[Steps, list[Field]] = {}
    for field in event.all_fields:
        owner = next(field.steps[:end] for end in range(len(field.steps) - 1, -1, -1) if field.steps[:end] in owners)
        found.setdefault(owner, []).append(field)
    return found


def _counted_keys(owner: Steps, fields: list[Field]) -> str:
    return counted(sum(len(field.steps) == len(owner) + 1 for field in fields), "field")


class _Writer:
    """Writes the pages of one summary."""

    def __init__(self, summary: Summary, meanings: Meanings, file_name: Callable[[str], str]) -> None:
        self._summary = summary
        self._meanings = meanings
        self._file_name = file_name
        self._total = sum(event.count for event in summary.events.values())

    def path_of(self, key: str) -> str:
        return f"{FOLDER}/{self._file_name(key)}.md"

    def index(self) -> str:
        summary = self._summary
        totals = ", ".join(
            (
                counted(self._total, "event"),
                counted(len(summary.events), "event type"),
                f"{counted(summary.fields, 'field')} ({counted(summary.paths, 'distinct path')})",
            )
        )
        return "\n".join(
            (
                "# Events and fields of the feed\n",
                "For whoever reads or processes the events of the feed. Written by `rugs discovery` from recordings;"
                " do not edit: your own meanings go into the notes file.\n",
                f"{totals}. A short form is the {link('quick reference', QUICK_REFERENCE)}.\n",
                "## Events\n",
                self._events(),
                "## How to read a path\n",
                "- `data.leaderboard[].pnl`: the key `pnl` of each element of the array `leaderboard` of the payload.",
                "- `data.partialPrices.values{*}`: each value of an object whose keys are data, such as tick numbers.",
                "- In a key, a backslash goes before each of `.`, `[`, `]`, `{`, `}`, `*` and a backslash.",
                "- `number` includes whole numbers where a field has both. Personal values are masked: `<name>`.\n",
                "## Paths\n",
                self._paths(),
            )
        )

    def quick_reference(self) -> str:
        return "\n".join(
            (
                "# Quick reference\n",
                f"The events of the feed and their main fields. Everything is in the {link('index', INDEX)}.\n",
                "## Events\n",
                self._events(),
                "## Main fields\n",
                "Those that most events carry, the outer ones first.\n",
                self._main_fields(),
            )
        )

    def page(self, event: Event) -> str:
        parts = [f"# {code(name_text(event.key))}\n"]
        if (meaning := self._meanings.of_event(event.key)) is not None:
            parts.append(prose(meaning_text(meaning)) + "\n")
        parts += [*self._facts(event), ""]
        if any(event.all_fields):
            parts += ["## Fields\n", *self._sections(event)]
            parts += ["## Example\n", "Composed of observed values; a real event has only a part of these fields.\n"]
            parts += [fenced_json(example_of(event)), "## Details\n"]
            parts += [self._details(field) for field in event.all_fields]
        return "\n".join(parts)

    def _facts(self, event: Event) -> Iterator[str]:
        yield f"- Events: {event.count:,}, {share_text(event.count, self._total)} of all"
        yield f"- Fields: {len(event.fields):,}" + (
            f", and {len(event.arguments):,} of further arguments" if event.arguments else ""
        )
        yield f"- First: {prose(seen_text(event.first))}"
        yield f"- Last: {prose(seen_text(event.last))}"
        if event.traced:
            yield f"- With a trace before the payload: {event.traced:,}"
        if event.private:
            yield f"- Private: {event.private:,}; neither samples nor ranges are kept of them"
        for reason, count in event.not_json.items():
            yield f"- Cannot be checked by JSON Schema: {count:,}, {prose(reason)}"
        for field in event.all_fields:
            if field.map_evidence is not None:
                yield f"- Map: {code(field.path)}, because {prose(field.map_evidence)}"
        for field in event.all_fields:
            if is_drifting(field.types):
                yield f"- Type varies: {link(code(field.path), '#' + anchor(field.steps))}, {shares_text(field.types)}"
        name = self._file_name(event.key)
        schemas = (link(kind, f"../{SCHEMAS}/{name}.{kind}.json") for kind in ("open", "strict"))
        yield f"- JSON Schema: {', '.join(schemas)}"
        yield f"- See also: {link('index', '../' + INDEX)}, {link('quick reference', '../' + QUICK_REFERENCE)}"

    def _sections(self, event: Event) -> Iterator[str]:
        """Give a table for each object with keys: its fields, those that are always there first."""
        sections = _by_object(event)
        for owner, fields in sections.items():
            if not owner and all(field.steps in sections for field in fields):
                continue  # the payload is an object, and has a table of its own
            if owner:
                yield f'### <a id="{_TABLE}{anchor(owner)}"></a>{code(join(owner))}: {_counted_keys(owner, fields)}\n'
            yield self._fields(owner, fields, sections)

    def _fields(self, owner: Steps, fields: list[Field], sections: Mapping[Steps, list[Field]]) -> str:
        shares = {field.steps: field.presence for field in fields}
        fields = sorted(fields, key=lambda field: -shares.get(field.steps[: len(owner) + 1], 1.0))
        rows = (
            (
                link(code(join(field.steps[len(owner) :])), "#" + anchor(field.steps)),
                union_text(field.types),
                share_text(field.count, field.parents) if field.parents else "",
                self._values(field, sections),
                self._meaning(field),
            )
            for field in fields
        )
        return table(("field", "type", "presence", "values", "meaning"), rows, [2])

    def _values(self, field: Field, sections: Mapping[Steps, list[Field]]) -> str:
        if field.steps not in sections:
            return values_text(field, code)
        return link(_counted_keys(field.steps, sections[field.steps]), f"#{_TABLE}{anchor(field.steps)}")

    def _details(self, field: Field) -> str:
        lines = [f'### <a id="{anchor(field.steps)}"></a>{code(field.path)}\n']
        if meaning := self._meaning(field):
            lines.append(meaning + "\n")
        of = f" ({field.count:,} of {field.parents:,})" if field.parents else ""
        lines.append(f"- Type: {shares_text(field.types)}{', varies' if is_drifting(field.types) else ''}")
        lines.append(f"- Presence: {presence_text(field, code)}{of}")
        if values := values_text(field, code, _MOST_EXAMPLES):
            lines.append(f"- Values: {values}")
        if field.map_evidence is not None:
            lines.append(f"- Map: {prose(field.map_evidence)}")
        if field.low is not None and field.low != field.high:
            numbers = [code(literal(value)) for value in field.samples if not isinstance(value, str)]
            lines.append(f"- Examples: {', '.join(numbers)}")
        if field.truncated:
            lines.append(f"- Truncated: {field.truncated:,} objects and arrays, too deep to be entered")
        first_of_types = [f"{name} {prose(seen_text(place))}" for name, place in sorted(field.first.items())]
        one_type = len(merged_types(field.types)) == 1
        lines.append(f"- First: {prose(seen_text(field.first_seen)) if one_type else '; '.join(first_of_types)}")
        lines.append(f"- Last: {prose(seen_text(field.last))}\n")
        return "\n".join(lines)

    def _meaning(self, field: Field) -> str:
        meaning = self._meanings.of_field(field.event, field.path)
        return "" if meaning is None else prose(meaning_text(meaning))

    def _events(self) -> str:
        rows = (
            (
                link(code(name_text(event.key)), self.path_of(event.key)),
                f"{event.count:,}",
                share_text(event.count, self._total),
                f"{len(event.fields):,}",
                "" if (meaning := self._meanings.of_event(event.key)) is None else prose(meaning.text),
            )
            for event in self._summary.events.values()
        )
        return table(("event", "count", "share", "fields", "meaning"), rows, [1, 2, 3])

    def _paths(self) -> str:
        by_path: defaultdict[str, list[Field]] = defaultdict(list)
        for event in self._summary.events.values():
            for field in event.all_fields:
                by_path[field.path].append(field)
        rows = (
            (code(path), ", ".join(self._link_to(field) for field in fields))
            for path, fields in sorted(by_path.items())
        )
        return table(("path", "events"), rows)

    def _main_fields(self) -> str:
        rows = []
        for path, fields in main_fields(self._summary).items():
            meaning = self._meanings.of_field(fields[0].event, path)
            said = "" if meaning is None else prose(meaning.text)
            events = ", ".join(map(self._link_to, fields))
            rows.append((code(path), union_text(fields[0].types), values_text(fields[0], code), said, events))
        return table(("path", "type", "values", "meaning", "events"), rows)

    def _link_to(self, field: Field) -> str:
        """Return a link to a field on the page of its event; the event's name is its label."""
        return link(code(name_text(field.event)), f"{self.path_of(field.event)}#{anchor(field.steps)}")
