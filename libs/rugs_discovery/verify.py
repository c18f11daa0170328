"""The proof that the documents cover every event: what was counted a second time, compared with what they say.

A schema that was made of data always validates that data, so the proof shares as little as it can with the scan:
`reference_reader` reads the bytes with the standard library, `recount` counts paths with DuckDB, and jsonschema-rs
validates every event against the schemas in the folder. `verify` compares the sums.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rugs_discovery.documented import DocumentedEvent, Documents, read_documents
from rugs_discovery.tally import EventTally, FileRead, New, Tally
from rugs_discovery.wording import counted, printable

MOST_FINDINGS: Final = 200
"""Findings that a report lists; `total_findings` counts all."""


@dataclass(frozen=True)
class Report:
    """What a proof found.

    Attributes:
        findings: what is wrong, one line each: the first of them.
        total_findings: all of them; 0 if the documents cover everything.
        errors: lines that are no event.
        not_json: events that JSON Schema cannot check.
        paths: pairs of event and path that were compared.
        values: values that were counted and compared.
        size: bytes that were read.
    """

    findings: tuple[str, ...]
    total_findings: int
    files: int
    lines: int
    errors: int
    events: int
    event_types: int
    not_json: int
    paths: int
    values: int
    size: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {**asdict(self), "findings": list(self.findings)}


def verify(folder: Path, tallies: Iterable[Tally]) -> Report:
    """Compare a folder of documents with what was counted in all of the data.

    Args:
        tallies: the parts of the data, in its order, each from a `Tallier`.

    Raises:
        DocumentsError: if there are no documents in the folder, or they cannot be read.
    """
    began = time.perf_counter()
    documents = read_documents(folder)
    whole, problems = _merged(documents, tallies)
    findings = [*problems, *_compare(documents, whole)]
    total = len(findings) + whole.left_out
    types = [types for event in whole.events.values() for types in event.types.values()]
    return Report(
        tuple(map(printable, findings[:MOST_FINDINGS])),
        total,
        sum(file.skipped is None for file in whole.files),
        whole.lines,
        whole.errors,
        sum(event.count for event in whole.events.values()),
        len(whole.events),
        sum(event.not_json for event in whole.events.values()),
        len(types),
        sum(sum(each.values()) for each in types),
        whole.size,
        time.perf_counter() - began,
    )


def _merged(documents: Documents, tallies: Iterable[Tally]) -> tuple[Tally, list[str]]:
    """Return all parts of the data as one, and what is wrong with its files.

    As in a scan, a file with the content of another one does not count, nor does one without a single event.
    """
    whole = Tally()
    problems: list[str] = []
    seen: set[str] = set()
    names: set[str] = set()
    for tally in tallies:
        counts = True
        for file in tally.files:
            names.add(file.name)
            counts = file.skipped is None and file.sha256 not in seen and (file.events > 0 or file.lines == 0)
            seen.add(file.sha256)
            problems += _file_problems(documents, file, counts=counts)
        if counts:
            whole.merge(tally)
        else:
            whole.files += tally.files
    missing = (documents.files or {}).keys() - names
    problems += [f"file {name} of the manifest is missing" for name in sorted(missing)]
    return whole, problems


def _file_problems(documents: Documents, file: FileRead, *, counts: bool) -> Iterator[str]:
    if documents.files is None or file.name not in documents.files:
        yield f"file {file.name} is not in the manifest"
        return
    listed = documents.files[file.name]
    if file.skipped is not None:
        if listed.get("skipped") is None:
            yield f"file {file.name} does not count: {file.skipped}"
        return
    if counts and listed.get("skipped") is not None:
        yield f"file {file.name} was skipped, but has {counted(file.events, 'event')}: {listed['skipped']}"
    if listed.get("sha256") != file.sha256:
        yield f"file {file.name} has changed since it was scanned: its SHA-256 is another one"
    for what in ("lines", "events"):
        if listed.get(what) != getattr(file, what):
            yield f"file {file.name}: {what}: documented {listed.get(what)}, found {getattr(file, what)}"


def _compare(documents: Documents, whole: Tally) -> Iterator[str]:
    for name in documents.unexpected_schemas:
        yield f"schema {name} is of no documented event"
    for event in documents.events.values():
        yield from (f"{event.key}: {problem}" for problem in event.problems)
    if documents.lines != whole.lines:
        yield f"lines: documented {documents.lines}, found {whole.lines}"
    if documents.errors != whole.errors:
        yield f"lines that are no event: documented {documents.errors}, found {whole.errors}"
    yield from (_new(what, place) for what, place in whole.new.items())
    yield from whole.invalid
    for key, event in documents.events.items():
        yield from _compare_event(event, whole.events.get(key, EventTally()))


def _new(what: New, place: str) -> str:
    if what.path is None:
        return f"event {what.event} is not documented (first seen {place})"
    if what.type is None:
        return f"{what.event}: path {what.path} is not documented (first seen {place})"
    return f"{what.event}: type {what.type} of {what.path} is not documented (first seen {place})"


def _compare_event(event: DocumentedEvent, found: EventTally) -> Iterator[str]:
    if event.count != found.count:
        yield f"{event.key}: events: documented {event.count}, found {found.count}"
    if event.not_json != found.not_json:
        yield f"{event.key}: events that are not JSON: documented {event.not_json}, found {found.not_json}"
    for place in sorted(event.faults - found.faults):
        yield f"{event.key}: {place} is documented as not JSON, but is"
    if len(event.faults) == event.not_json:  # else the documents have no room for all places
        for place in sorted(found.faults - event.faults):
            yield f"{event.key}: {place} is not JSON, but not documented so"
    for known in event.fields:
        if known.truncated:
            yield f"{event.key}: {known.path}: {counted(known.truncated, 'value')} too deep to be documented"
        types = found.types.get(known.path, {})
        documented, actual = sum(known.types.values()), sum(types.values())
        if documented != actual:
            yield f"{event.key}: count of {known.path}: documented {documented}, found {actual}"
        for name, number in known.types.items():
            if number != types.get(name, 0) and documented == actual:
                yield f"{event.key}: type {name} of {known.path}: documented {number}, found {types.get(name, 0)}"
