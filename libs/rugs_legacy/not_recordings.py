"""Files that lie beside recordings and are none: reports on captures (F11), an application's state (F13), archives.

They are named and left alone, though whole records may stand in them.
"""

from __future__ import annotations

import re
from typing import Any, Final

REPORT: Final = "F11, report on a capture: not a recording"
STATE: Final = "F13, state of an application: not a recording"
DUAL_WRITE: Final = "the legacy-writer's own state: not a recording"
TABLE: Final = "a table of rows: for queries, it is not imported"
FIELDS: Final = "F12's analysis of fields: not a recording"

_NAMES: Final = (
    (re.compile(r".+_summary\.md|.+_events\.json"), REPORT),
    (re.compile(r"field_analysis\.json"), FIELDS),
    (re.compile(r"\.dual-write\.(json|lock)"), DUAL_WRITE),
    (re.compile(r".+\.(parquet|arrow)"), TABLE),
    (
        re.compile(
            r"(session_state|recording_config|settings|profile_cache|metrics|test_report|bot_config)\.json"
            r"|(app|errors|performance)\.log"
        ),
        STATE,
    ),
)
BEGINNING: Final = 265
"""Bytes of a file that tell what kind of binary file it is."""
_TABLE: Final = "rows are for queries, they are not imported"
_ARCHIVE: Final = "unpack it, and import what is in it"
_DATABASE: Final = "a database is not imported"
_AGAIN: Final = "packed once more inside: unpack it once, and import what is in it"
_ENCODED: Final = "convert it to UTF-8, and import that"
_KINDS: Final = (
    (0, b"\x1f\x8b\x08", f"gzip {_AGAIN}"),
    (0, b"\x28\xb5\x2f\xfd", f"zstd {_AGAIN}"),
    (0, b"\xff\xfe\x00\x00", f"text in UTF-32: {_ENCODED}"),
    (0, b"\x00\x00\xfe\xff", f"text in UTF-32: {_ENCODED}"),
    (0, b"PAR1", f"a Parquet file: {_TABLE}"),
    (0, b"ARROW1", f"an Arrow file: {_TABLE}"),
    (0, b"SQLite format 3\0", f"an SQLite file: {_DATABASE}"),
    (8, b"DUCK", f"a DuckDB file: {_DATABASE}"),
    (0, b"PK\x03\x04", f"a zip archive: {_ARCHIVE}"),
    (0, b"PK\x05\x06", f"a zip archive: {_ARCHIVE}"),
    (257, b"ustar", f"a tar archive: {_ARCHIVE}"),
    (0, b"7z\xbc\xaf\x27\x1c", f"a 7z archive: {_ARCHIVE}"),
    (0, b"Rar!\x1a\x07", f"a rar archive: {_ARCHIVE}"),
    (0, b"\xfd7zXZ\0", f"packed with xz: {_ARCHIVE}"),
    (0, b"BZh", f"packed with bzip2: {_ARCHIVE}"),
    (0, b"\x04\x22\x4d\x18", f"packed with lz4: {_ARCHIVE}"),
    (0, b"%PDF-", "a PDF document"),
    (0, b"\x89PNG\r\n", "a picture (PNG)"),
    (0, b"\xff\xd8\xff", "a picture (JPEG)"),
    (0, b"GIF8", "a picture (GIF)"),
    (0, b"\x7fELF", "a program"),
)
_UNMARKED: Final = "without a byte order mark"
_ZEROS: Final = (
    ((False, True, False, True), f"text in UTF-16 (little endian) {_UNMARKED}: {_ENCODED}"),
    ((True, False, True, False), f"text in UTF-16 (big endian) {_UNMARKED}: {_ENCODED}"),
    ((False, True, True, True), f"text in UTF-32 (little endian) {_UNMARKED}: {_ENCODED}"),
    ((True, True, True, False), f"text in UTF-32 (big endian) {_UNMARKED}: {_ENCODED}"),
)
"""Which of the first four bytes are zero where text begins with two ASCII characters, as JSON does (RFC 4627, 3)."""
_KEYS: Final = (({"event_types", "total_events"}, REPORT), ({"capture_mode", "game_count"}, STATE))


def why_no_recording(name: str, content: Any = None) -> str | None:
    """Return what a file is that is no recording, by its JSON value, if it is one, and by its name; None if unknown."""
    if isinstance(content, dict):
        for keys, reason in _KEYS:
            if keys <= content.keys():
                return reason
    return next((reason for names, reason in _NAMES if names.fullmatch(name)), None)


def binary_kind(beginning: bytes) -> str | None:
    """Return what content is whose first `BEGINNING` bytes are no UTF-8 text, if it is of a well-known kind."""
    known = next((kind for place, magic, kind in _KINDS if beginning.startswith(magic, place)), None)
    return known or next((kind for zeros, kind in _ZEROS if _zeros(beginning) == zeros), None)


def _zeros(beginning: bytes) -> tuple[bool, ...]:
    return tuple(byte == 0 for byte in beginning[:4])
