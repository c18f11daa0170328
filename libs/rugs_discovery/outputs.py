"""The folder of documents: everything that discovery says, for people and for programs.

======================  ==========================================================
`fields.json`           every event, field, type, range, sample: see `documents`
`manifest.json`         what was read, with counts; written last
`coverage_report.md`    what was read, as tables; `coverage.json` for programs
`index.md`              the reference: `quick_reference.md`, a page an event in `events/`
`schemas/`              JSON Schema 2020-12 of each event, `.strict` and `.open`
`asyncapi.json`         the feed as AsyncAPI 3
======================  ==========================================================
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rugs_core.files import fsync_folder, make_folder, write_durably
from rugs_core.locks import lock
from rugs_discovery import current
from rugs_discovery.asyncapi import asyncapi
from rugs_discovery.documents import as_document
from rugs_discovery.drift import Drift
from rugs_discovery.meanings import Meanings
from rugs_discovery.notes_file import load_meanings
from rugs_discovery.pages import pages
from rugs_discovery.report import report_json, report_markdown
from rugs_discovery.scan import Source
from rugs_discovery.schema import file_name, open_schema, strict_schema
from rugs_discovery.store import FOLDER, Store
from rugs_discovery.summary import Summary
from rugs_lake.store.positions import Position

MANIFEST: Final = "manifest.json"
FIELDS: Final = "fields.json"
NOTES: Final = "discovery.yaml"
"""The user's notes file in the data root: see `notes_file`."""
_LOCK: Final = f"{FOLDER}/.documents.lock"
_MADE: Final = ("events", "schemas")
"""Folders of which files of events that are gone are deleted."""


def write(
    folder: Path,
    summary: Summary,
    meanings: Meanings,
    *,
    sources: Sequence[Source] = (),
    position: Position | None = None,
) -> None:
    """Write all documents into a folder, each file whole or not at all.

    Args:
        sources: files that were scanned.
        position: up to which the lake was read.
    """
    files = _files(summary, meanings, sources)
    make_folder(folder)
    (folder / MANIFEST).unlink(missing_ok=True)  # until all are written, the folder has none
    for name in sorted({str(Path(name).parent) for name in files} - {"."}):
        make_folder(folder / name)
    for name, content in files.items():
        target = folder / name
        if not target.exists() or target.read_bytes() != content:
            write_durably(target, content)
    for made in _MADE:
        for path in sorted((folder / made).glob("*")):
            if f"{made}/{path.name}" not in files:
                path.unlink()
    write_durably(folder / MANIFEST, _json(_manifest(summary, sources, position)))
    fsync_folder(folder)


def refresh(root: Path) -> tuple[Summary, list[Drift]]:
    """Write the documents of the lake again; return what they say, and what is new in it.

    Raises:
        NotesError: if the notes file cannot be read.
        OSError: if the documents cannot be written.
    """
    meanings = load_meanings(notes_of(root))
    with Store(root) as store, (root / _LOCK).open("a") as file:
        lock(file)
        summary, new, position = current.notice(store, meanings.pins)
        write(root / FOLDER, summary, meanings, position=position)
    return summary, new


def notes_of(root: Path) -> Path | None:
    """Return the user's notes file; None where there is none."""
    notes = root / NOTES
    return notes if notes.exists() else None


def _files(summary: Summary, meanings: Meanings, sources: Sequence[Source]) -> dict[str, bytes]:
    sent = frozenset(event.key for event in summary.events.values() if event.sent == event.count)
    files = {
        FIELDS: _json(as_document(summary)),
        "asyncapi.json": _json(asyncapi(summary, meanings, open_schema, sent=sent)),
    }
    files["coverage.json"] = _json(report_json(summary, meanings, sources))
    files["coverage_report.md"] = _text(report_markdown(summary, meanings, sources))
    files |= {name: _text(page) for name, page in pages(summary, meanings, file_name).items()}
    for event in summary.events.values():
        name = file_name(event.key)
        files[f"schemas/{name}.strict.json"] = _json(strict_schema(event, meanings))
        files[f"schemas/{name}.open.json"] = _json(open_schema(event, meanings))
    return files


def _manifest(summary: Summary, sources: Sequence[Source], position: Position | None) -> dict[str, Any]:
    counts: Mapping[str, int] = {
        "files": sum(source.skipped is None for source in sources),
        "lines": summary.lines,
        "bytes": summary.size,
        "events": summary.count,
        "event_types": len(summary.events),
        "fields": summary.fields,
        "paths": summary.paths,
        "errors": sum(summary.errors.values()),
        "not_json": sum(count for event in summary.events.values() for count in event.not_json.values()),
        "truncated": summary.truncated,
    }
    read: dict[str, Any] = {"files": [asdict(source) for source in sources]} if position is None else {}
    return {"version": 1, "counts": counts, **read, "position": None if position is None else position._asdict()}


def _json(content: object) -> bytes:
    return json.dumps(content, indent=2).encode() + b"\n"  # half a surrogate pair stays an escape


def _text(content: str) -> bytes:
    return content.encode(errors="backslashreplace")
