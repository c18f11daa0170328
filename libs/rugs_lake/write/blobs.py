"""Rows whose bytes travelled in the object store, because they were too large for a message."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from rugs_lake.store.rows import Row, reject_row
from rugs_proto import ids, wire
from rugs_proto.message import Message
from rugs_proto.wire import Event, Fault


def wanted(rows: Sequence[Row]) -> set[str]:
    """Return the names of the objects that hold the bytes of these rows: their ids."""
    return {row.event.digest.hex() for row in rows if row.event.envelope.blob is not None}


def is_unresolved(row: Row) -> bool:
    """Whether the row's bytes are still missing."""
    return row.event.envelope.blob is not None and row.event.raw is None


def resolve(rows: Sequence[Row], blobs: Mapping[str, bytes | None], message: Message, stream: str) -> list[Row]:
    """Put the objects' bytes into the rows as if they had come along.

    A row whose object is not there (None) stays unresolved: it may be a duplicate, whose
    object was deleted when the first was committed. Bytes that do not fit make a reject.
    """
    return [row if row.event.envelope.blob is None else _resolve(row, blobs, message, stream) for row in rows]


def _resolve(row: Row, blobs: Mapping[str, bytes | None], message: Message, stream: str) -> Row:
    envelope = row.event.envelope
    data = blobs.get(row.event.digest.hex())
    if data is None:
        return row
    person = ids.REJECT_PERSON if envelope.doc_type == "reject" else ids.EVENT_PERSON
    digest = ids.event_digest(envelope.source, envelope.session_id, envelope.seq, data, person)
    if hashlib.sha256(data).hexdigest() != envelope.blob or digest != row.event.digest:
        return missing(row, message, stream, "the bytes in the object store do not match blob and id")
    return row._replace(event=Event(envelope, digest, data, wire.is_utf8(data)))


def missing(row: Row, message: Message, stream: str, reason: str) -> Row:
    """Return the reject that keeps an envelope whose bytes cannot be had."""
    return reject_row(message, stream, Fault(0, wire.encode(row.event.envelope), reason))
