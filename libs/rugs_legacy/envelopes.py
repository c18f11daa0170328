"""Envelopes of one old file, as the maps that travel.

They keep the contract of `rugs_proto.envelope` without being validated again.
"""

from __future__ import annotations

from typing import Any, Final

from rugs_core.time import now_us
from rugs_legacy.record import Record
from rugs_proto import ids
from rugs_proto.subjects import MAX_BODY

SOURCE: Final = "import"
MAX_INLINE: Final = MAX_BODY - 64 * 1024
"""Bytes of `raw` that fit a message beside the rest of an envelope; above, they go to the object store."""

Envelope = dict[str, Any]


class Envelopes:
    """Makes the envelopes of one file.

    `origin` is what they all say of where they come from: `sha256` and `file`, and `packed` where the
    file is packed, `fault` where that failed its check; `zone` is that of a reject, and `format_id` the
    format whose reader refused it.
    """

    def __init__(self, session_id: str, origin: dict[str, Any], zone: str, format_id: str) -> None:
        self._session_id = session_id
        self._origin = origin
        self._zone = zone
        self._format_id = format_id

    def record(self, record: Record, text: str, number: int, offset: int) -> Envelope:
        """Return the envelope of a record that stands in the file."""
        envelope = {
            "v": 1,
            "ts": record.ts,
            "doc_type": record.doc_type,
            "source": SOURCE,
            "session_id": self._session_id,
            "seq": offset + 1,
            "direction": record.direction,
            "event": record.event,
            "fields": record.fields,
            "raw": text,
            "origin": {**self._origin, "line": number, "offset": offset, "tz": record.zone},
        }
        _add_optional(envelope, record)
        return envelope

    def derived(self, record: Record, event_id: str, cause: str, row: int) -> Envelope:
        """Return the envelope of what is read out of a document: its row of that number, from 0."""
        envelope = {
            "v": 1,
            "id": event_id,
            "ts": record.ts,
            "doc_type": record.doc_type,
            "source": SOURCE,
            "session_id": self._session_id,
            "seq": 1,
            "direction": record.direction,
            "event": record.event,
            "fields": record.fields,
            "cause": cause,
            "origin": {**self._origin, "row": row, "tz": record.zone},
        }
        _add_optional(envelope, record)
        return envelope

    def id_of(self, raw: bytes) -> str:
        """Return the id of the record whose bytes are all of the file."""
        return ids.event_id(SOURCE, self._session_id, 1, raw)

    def reject(self, content: bytes, number: int, offset: int, reason: str) -> Envelope:
        """Return the envelope of bytes that are no record."""
        now = now_us()
        try:
            raw: str | bytes = content.decode()
        except UnicodeDecodeError:
            raw = content
        return {
            "v": 1,
            "ts": now,
            "recv_ts": now,
            "doc_type": "reject",
            "source": SOURCE,
            "session_id": self._session_id,
            "seq": offset + 1,
            "direction": "received",
            "event": "line",
            "fields": {"reason": printable(reason), "format": self._format_id},
            "raw": raw,
            "origin": {**self._origin, "line": number, "offset": offset, "tz": self._zone},
        }


def _add_optional(envelope: Envelope, record: Record) -> None:
    if record.recv_ts is not None:
        envelope["recv_ts"] = record.recv_ts
    if record.game_id is not None:
        envelope["game_id"] = record.game_id
    if record.player_id is not None:
        envelope["player_id"] = record.player_id
    if record.username is not None:
        envelope["username"] = record.username


def printable(text: str) -> str:
    """Return text that UTF-8 can carry; file names may hold bytes that are none."""
    return text.encode(errors="backslashreplace").decode()
