"""Old files, read whole, with everything checked that holds of any of them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from rugs_legacy.packed import Content
from rugs_legacy.recording import Counts, Recording, look_at, read
from rugs_proto import Envelope, ids
from rugs_sim.old_files.generate import files_of_every_format

NEW_YORK = "America/New_York"
Found = list[dict[str, Any]]


@cache
def made_up_files() -> dict[str, bytes]:
    """Small recordings of every old format, by path; making them takes seconds."""
    return files_of_every_format(3)


def write(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def content_of(path: Path) -> bytes:
    with Content(path) as content:
        return b"".join(iter(lambda: content.stream.read(1 << 16), b""))


def read_file(path: Path) -> tuple[Recording, Counts, Found]:
    """Read a file; each envelope keeps the contract, each line is accounted for, no id comes twice."""
    counts, recording = Counts(), look_at(path, NEW_YORK)
    envelopes = list(read(recording, counts))
    content = content_of(path)
    given: set[str] = set()
    for envelope in envelopes:
        checked = Envelope.model_validate(envelope)
        event_id = checked.id or checked.computed_id()
        assert event_id is not None
        assert event_id not in given
        given.add(event_id)
        origin = envelope["origin"]
        assert (origin["sha256"], origin["file"]) == (recording.sha256, path.name)
        if "cause" in envelope:
            assert envelope["cause"] in given, "what it is derived from comes before it"
        else:
            raw = envelope["raw"]
            assert content[origin["offset"] :].startswith(raw.encode() if isinstance(raw, str) else raw)
            assert envelope["seq"] == origin["offset"] + 1
    assert counts.lines == counts.records + counts.rejected + counts.blank
    derived = sum("cause" in envelope for envelope in envelopes)
    assert derived == counts.derived
    assert len(envelopes) - derived == counts.records + counts.rejected + counts.salvaged
    return recording, counts, envelopes


def ids_of(envelopes: Found) -> list[str | None]:
    return [envelope.get("id") or Envelope.model_validate(envelope).computed_id() for envelope in envelopes]


def document_id(envelopes: Found) -> str:
    """Return the id of a document, which comes before all that is read out of it."""
    document = envelopes[0]
    return ids.event_id("import", document["session_id"], 1, document["raw"])
