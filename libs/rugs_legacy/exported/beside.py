"""Files to be imported or compared, where an export may have written them: some of its files are no recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from rugs_core.files import sha256_of
from rugs_legacy import recording
from rugs_legacy.exported import manifest
from rugs_legacy.recognise import UnknownFormatError

_TABLES: Final = (".parquet", ".arrow")


def look_at_candidate(path: Path, timezone: str) -> recording.Recording:
    """Look at a file that may be a recording, as `recording.look_at` does; refuse an export's manifests and rows.

    Raises:
        UnknownFormatError: and what else that raises.
    """
    if reason := _why_no_recording(path):
        raise UnknownFormatError(reason)
    return recording.look_at(path, timezone)


def _why_no_recording(path: Path) -> str | None:
    """Return what a file of an export is: its manifest, or rows that the manifest beside them names by their bytes."""
    if path.name.endswith(manifest.SUFFIX) and manifest.read(path) is not None:
        return "the manifest of an export: it says what the files beside it are"
    if path.suffix not in _TABLES or not path.is_file():
        return None
    size, sha = path.stat().st_size, ""
    for found in manifest.beside(path.parent):
        for entry in found.files:
            if entry.runs is None and entry.bytes == size:
                sha = sha or sha256_of(path)
                if entry.sha256 == sha:
                    return f"rows of an export ({found.format}), as its manifest says: for queries, not imported"
    return None
