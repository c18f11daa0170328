"""Count and validate events against the documents, in flat memory: a part of the data at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import jsonschema_rs

from rugs_discovery.documented import Documented, DocumentedEvent, Documents
from rugs_discovery.files import without_collector
from rugs_discovery.nodes import Place
from rugs_discovery.paths import ITEM, Mark, Step, escape
from rugs_discovery.recount import Members, Recount
from rugs_discovery.reference_files import NoRecordingError, ReferenceFile
from rugs_discovery.reference_reader import Checked, Part, checked_of_line
from rugs_discovery.wording import place_text, printable, shortened
from rugs_legacy.files import special_kind

BATCH_EVENTS: Final = 4000
BATCH_BYTES: Final = 4 << 20
"""A batch has no more events and bytes than these; a single event may have more."""
MOST_CONTAINERS: Final = 20_000
"""Objects and arrays of an event that DuckDB counts: `json_tree` takes time that grows with the square of siblings."""
MOST: Final = 1000
"""Undocumented paths and invalid events that are told apart."""
_LONGEST: Final = 400
_TYPES: Final = {
    type(None): "null", bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object",
}  # fmt: skip


class New(NamedTuple):
    """Something that the documents do not have: an event, a path of it, or a type at a path."""

    event: str
    path: str | None = None
    type: str | None = None


class FileRead(NamedTuple):
    """One recording file.

    Attributes:
        lines: that are not blank.
        skipped: why it does not count; None if it does.
    """

    name: str
    sha256: str = ""
    lines: int = 0
    events: int = 0
    skipped: str | None = None


@dataclass(eq=False)
class EventTally:
    """What was counted of one event.

    Attributes:
        not_json: events that JSON Schema cannot check.
        faults: where they are, as far as the documents name the place or have room for it.
        types: values by path and JSON type, of documented paths.
    """

    count: int = 0
    not_json: int = 0
    faults: set[str] = field(default_factory=set)
    types: dict[str, dict[str, int]] = field(default_factory=dict)

    def add(self, path: str, type_name: str, number: int) -> None:
        """Take values of one type at a path."""
        types = self.types.setdefault(path, {})
        types[type_name] = types.get(type_name, 0) + number

    def merge(self, other: EventTally) -> None:
        """Take what another tally counted."""
        self.count += other.count
        self.not_json += other.not_json
        self.faults |= other.faults
        for path, types in other.types.items():
            for type_name, number in types.items():
                self.add(path, type_name, number)


@dataclass(eq=False)
class Tally:
    """What was counted in a part of the data, and what is wrong with it.

    Attributes:
        size: bytes that were read.
        new: what the documents do not have, with the first place of each.
        invalid: events that do not validate, one line each.
        left_out: of these two, what was over `MOST`.
    """

    events: dict[str, EventTally] = field(default_factory=dict)
    lines: int = 0
    errors: int = 0
    size: int = 0
    new: dict[New, str] = field(default_factory=dict)
    invalid: list[str] = field(default_factory=list)
    left_out: int = 0
    files: list[FileRead] = field(default_factory=list)

    def merge(self, other: Tally) -> None:
        """Take what a later part of the data has."""
        for key, event in other.events.items():
            self.events.setdefault(key, EventTally()).merge(event)
        self.lines += other.lines
        self.errors += other.errors
        self.size += other.size
        for what, place in other.new.items():
            self.add_new(what, place)
        for line in other.invalid:
            self.add_invalid(line)
        self.left_out += other.left_out
        self.files += other.files

    def add_new(self, what: New, place: str) -> None:
        """Take something that the documents do not have."""
        if what in self.new:
            return
        if len(self.new) < MOST:
            self.new[what] = place
        else:
            self.left_out += 1

    def add_invalid(self, line: str) -> None:
        """Take an event that does not validate."""
        if len(self.invalid) < MOST:
            self.invalid.append(line)
        else:
            self.left_out += 1


def _batches(events: Iterable[Checked]) -> Iterator[list[Checked]]:
    batch: list[Checked] = []
    size = 0
    for event in events:
        batch.append(event)
        size += event.size
        if size >= BATCH_BYTES or len(batch) >= BATCH_EVENTS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class _Group(NamedTuple):
    """The payloads, or the further arguments, of events of one key in a batch that DuckDB can count."""

    event: DocumentedEvent
    known: Documented
    parts: list[tuple[Place, Part]]


class Tallier:
    """Counts and validates events against documents. It has a DuckDB of its own: close it."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._recount = Recount()
        self._tally = Tally()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._recount.close()

    def file(self, path: Path) -> Tally:
        """Count and validate the events of one recording. It fails for no content of a file."""
        name = str(path)
        try:
            if (kind := special_kind(path)) is not None:
                return Tally(files=[FileRead(name, skipped=kind)])
            file = ReferenceFile(path)
            lines = file.lines()
            found = self.events(checked_of_line(line, Place(0, path.name, at)) for at, line in lines)
        except OSError as error:
            return Tally(files=[FileRead(name, skipped=error.strerror or str(error))])
        except NoRecordingError as error:
            return Tally(files=[FileRead(name, skipped=str(error))])
        found.files.append(FileRead(name, file.sha256, found.lines, found.lines - found.errors))
        return found

    def events(self, events: Iterable[Checked]) -> Tally:
        """Count and validate events."""
        self._tally = Tally()
        with without_collector():
            for batch in _batches(events):
                self._take(batch)
        return self._tally

    def _take(self, batch: list[Checked]) -> None:
        """Count and validate a batch."""
        self._tally.lines += len(batch)
        self._tally.size += sum(event.size for event in batch)
        by_key: defaultdict[str, list[Checked]] = defaultdict(list)
        for event in batch:
            if event.key is None:
                self._tally.errors += 1
            else:
                by_key[event.key].append(event)
        groups: list[_Group] = []
        for key, events in by_key.items():
            known = self._documents.events.get(key)
            if known is None:
                self._tally.add_new(New(key), place_text(events[0].place))
            else:
                groups += self._take_events(known, events)
        self._count([group for group in groups if group.parts])

    def _take_events(self, known: DocumentedEvent, events: list[Checked]) -> tuple[_Group, _Group]:
        """Validate the events of one key and return them to be counted; what DuckDB cannot count is counted at once."""
        tally = self._tally.events.setdefault(known.key, EventTally())
        tally.count += len(events)
        payloads, arguments = _Group(known, known.payload, []), _Group(known, known.arguments, [])
        for event in events:
            if event.flaw is not None:
                place = place_text(event.place)
                tally.not_json += 1
                if place in known.faults or len(tally.faults) < MOST:
                    tally.faults.add(place)
            elif event.payload is not None:
                self._validate(known, event.place, event.payload.value)
            for group, part in ((payloads, event.payload), (arguments, event.arguments)):
                if part is None:
                    continue
                if event.flaw is None and part.text.count(b"{") + part.text.count(b"[") <= MOST_CONTAINERS:
                    group.parts.append((event.place, part))
                else:
                    self._walk(group, event.place, part.value)
        return payloads, arguments

    def _validate(self, known: DocumentedEvent, place: Place, payload: Any) -> None:
        for kind, validator in known.validators.items():
            try:
                if validator.is_valid(payload):
                    continue
                reason = _reason(next(validator.iter_errors(payload)))
            except ValueError as error:  # the validator does not go as deep as JSON may
                reason = str(error)
            schema = "" if kind == "strict" else f" against its {kind} schema"
            line = f"{place_text(place)}: {known.key} does not validate{schema}: {reason}"
            self._tally.add_invalid(shortened(printable(line), _LONGEST))

    def _count(self, groups: list[_Group]) -> None:
        """Count the values of events with DuckDB."""
        for members in self._recount.count([[part.text for _, part in group.parts] for group in groups]):
            group = groups[members.group]

            def first(group: _Group = group, members: Members = members) -> Place:
                return _first(group.parts, members)

            if members.container is None:
                self._add_root(group, members.type, members.number, first)
            elif (inside := group.known.inside(members.container)) is not None:
                self._add(group.event, inside, members.step, members.type, members.number, first)

    def _walk(self, group: _Group, place: Place, value: Any) -> None:
        """Count the values of one event as the standard library read them, as it has a flaw or is too large."""
        self._add_root(group, _TYPES[type(value)], 1, lambda: place)
        waiting: list[tuple[Documented, Any]] = [(group.known, value)]
        while waiting:
            known, container = waiting.pop()
            if known.truncated or not isinstance(container, dict | list):
                continue
            members = container.items() if isinstance(container, dict) else ((ITEM, each) for each in container)
            for step, member in members:
                inner = self._add(group.event, known, step, _TYPES[type(member)], 1, lambda: place)
                if inner is not None:
                    waiting.append((inner, member))

    def _add_root(self, group: _Group, type_name: str, number: int, first: Callable[[], Place]) -> None:
        if group.known.path:  # a record is an object, of which the documents say nothing
            self._add_values(group.event, group.known, type_name, number, first)

    def _add(
        self,
        event: DocumentedEvent,
        container: Documented,
        step: Step,
        type_name: str,
        number: int,
        first: Callable[[], Place],
    ) -> Documented | None:
        """Take members of containers; return what is said of them, None if nothing is."""
        known = container.at(step)
        if known is None:
            text = step.value if isinstance(step, Mark) else ("." if container.path else "") + escape(step)
            self._add_new(New(event.key, container.path + text), first)
            return None
        self._add_values(event, known, type_name, number, first)
        return known

    def _add_values(
        self, event: DocumentedEvent, known: Documented, type_name: str, number: int, first: Callable[[], Place]
    ) -> None:
        if not known.types:
            self._add_new(New(event.key, known.path), first)
            return
        if type_name not in known.types:
            self._add_new(New(event.key, known.path, type_name), first)
        self._tally.events[event.key].add(known.path, type_name, number)

    def _add_new(self, what: New, first: Callable[[], Place]) -> None:
        if what not in self._tally.new:
            self._tally.add_new(what, place_text(first()) if len(self._tally.new) < MOST else "")


def _first(parts: list[tuple[Place, Part]], members: Members) -> Place:
    """Return the place of the first event with members of containers."""
    steps = () if members.container is None else (*members.container, members.step)
    for place, part in parts:
        values = [part.value]
        for step in steps:
            values = [inner for value in values for inner in _inside(value, step)]
        if any(_TYPES[type(value)] == members.type for value in values):
            return place
    raise LookupError(f"DuckDB finds {steps} where the standard library does not")


def _inside(value: Any, step: Step) -> list[Any]:
    if step is ITEM:
        return value if isinstance(value, list) else []
    return [value[step]] if isinstance(value, dict) and step in value else []


def _reason(error: jsonschema_rs.ValidationError) -> str:
    """Return what is wrong with an event, without its values."""
    at = "".join(f"[{step}]" if isinstance(step, int) else f".{escape(step)}" for step in error.instance_path)
    return f"{error.message}, at {at.removeprefix('.')}" if at else error.message
