"""From recordings to the three documents, and to chunks in the search index."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rugs_core.errors import RugsError
from rugs_core.files import make_folder, write_durably
from rugs_discovery.compat.chunks import EventChunk, chunk_event_schema, chunk_field_index
from rugs_discovery.compat.coverage import generate_coverage_report
from rugs_discovery.compat.scan import Progress, scan_recordings
from rugs_discovery.compat.schemas import generate_event_schema, generate_field_index

SCHEMAS: Final = "event_schemas.json"
INDEX: Final = "field_index.json"
REPORT: Final = "coverage_report.md"

_EMBEDDER: Final = "rugs_index.compat"


class NoIndexError(RugsError, ImportError):
    """Chunks cannot be embedded: the search index is not installed."""


@dataclass
class IngestionResult:
    """What was ingested.

    Attributes:
        events_discovered: distinct event names.
        fields_discovered: distinct field paths, those of the field index.
        chunks_embedded: 0 where nothing was to be embedded.
        errors: as `DiscoveryResult` lists them.
        errors_left_out: errors that are not listed, because there are too many.
    """

    files_scanned: int = 0
    events_discovered: int = 0
    fields_discovered: int = 0
    chunks_embedded: int = 0
    errors: list[str] = field(default_factory=list)
    errors_left_out: int = 0


def ingest_websocket_recordings(
    recordings_dir: Path | str, output_dir: Path | str, embed: bool = True, *, progress: Progress | None = None
) -> IngestionResult:
    """Scan the recordings of a folder, and write event schemas, field index and coverage report into another.

    Each document replaces an older one at once, and durably. The same recordings give the same documents.

    Args:
        recordings_dir: a folder of `*.jsonl` files.
        output_dir: a folder; it is made where there is none.
        embed: whether chunks of schemas and index go into the search index, too.
        progress: is called with how many bytes are scanned, and of how many.

    Raises:
        NoIndexError: if chunks are to be embedded and the search index is not installed; nothing is done then.
        OSError: if the recordings cannot be listed, or a document cannot be written.
    """
    embed_chunks = _embedder() if embed else None
    found = scan_recordings(recordings_dir, progress=progress)
    schemas = {name: generate_event_schema(event) for name, event in sorted(found.events.items())}
    index = generate_field_index(found)
    folder = Path(output_dir)
    make_folder(folder)
    write_durably(folder / SCHEMAS, _json(schemas))
    write_durably(folder / INDEX, _json(index))
    write_durably(folder / REPORT, generate_coverage_report(found).encode(errors="backslashreplace"))
    embedded = 0
    if embed_chunks is not None:
        chunks = [chunk for schema in schemas.values() for chunk in chunk_event_schema(schema)]
        embedded = embed_chunks([*chunks, *chunk_field_index(index)])
    counts = (found.files_scanned, len(schemas), len(index), embedded)
    return IngestionResult(*counts, found.errors, found.errors_left_out)


def _embedder() -> Callable[[Sequence[EventChunk]], int]:
    """Return what embeds chunks and says how many: `embed_chunks` of the search index, a floor above this one.

    Raises:
        NoIndexError: if it is not installed.
    """
    try:
        embed_chunks: Callable[[Sequence[EventChunk]], int] = importlib.import_module(_EMBEDDER).embed_chunks
    except (ImportError, AttributeError) as error:
        raise NoIndexError(
            f"cannot embed chunks ({error}): install the search index, which has {_EMBEDDER}.embed_chunks, "
            "or go without it: embed=False, --no-embed"
        ) from error
    return embed_chunks


def _json(document: dict[str, Any]) -> bytes:
    text = json.dumps(document, indent=2, ensure_ascii=False, default=str)
    return text.encode(errors="backslashreplace") + b"\n"
