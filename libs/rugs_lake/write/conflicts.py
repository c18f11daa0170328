"""Keyed events: the same key with other content is no duplicate, but a conflict, and kept as a reject.

The first event of a key in the stream's order stands, whether it is in the lake or in the same batch. Only batches with
keyed events cost anything here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any, Final

import msgspec
import orjson

from rugs_lake.domains.domain import REAL
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.owners import owner_of
from rugs_lake.store.rows import Row, reject_row
from rugs_lake.store.schema import FIELD_COLUMNS
from rugs_lake.write import scopes
from rugs_proto import wire
from rugs_proto.domains import KEYED
from rugs_proto.message import Message
from rugs_proto.packing import pack
from rugs_proto.wire import Event, Fault

CONFLICTING_KEY: Final = "conflicting_key"
"""The reason of a reject whose key the lake has with other content."""


class Conflicts:
    """The content of the keyed events that stand: those of the lake that a batch's may meet, and those of the batch."""

    def __init__(self, catalog: Catalog, rows: Sequence[Row], stream: str) -> None:
        keyed = [row for row in rows if row.is_keyed] if KEYED else []
        self._catalog = catalog
        self._stream = stream
        self._contents = dict(_stored(catalog, keyed)) if keyed else {}
        self._rejects: set[bytes] = set()

    def add(self, row: Row) -> None:
        """Note a new keyed event of the batch."""
        self._contents[row.event.digest] = _content(row)

    def reject_of(self, row: Row, rows: Sequence[Row], message: Message) -> Row | None:
        """Return the reject to store for a row whose id is known; None if it is a duplicate, or was rejected before.

        Args:
            rows: all rows of the row's message.
        """
        if not row.is_keyed or self._contents.get(row.event.digest) == _content(row):
            return None
        reject = reject_row(message, self._stream, Fault(_place(row, rows), _packed(row.event), CONFLICTING_KEY))
        digest = reject.event.digest
        if digest in self._rejects or scopes.known_ids(self._catalog, [reject]):
            return None
        self._rejects.add(digest)
        return reject._replace(owner=owner_of(row.event.envelope))


def _place(row: Row, rows: Sequence[Row]) -> int:
    """Return the place of a row's element in its message: the message's other rejects have theirs."""
    faults = {each.event.envelope.seq - 1 for each in rows if not each.is_keyed}
    places = (place for place in count() if place not in faults)
    return next(place for each, place in zip(rows, places, strict=False) if each is row)


def _content(row: Row) -> bytes:
    envelope = row.event.envelope
    return content_of(envelope.doc_type, envelope.fields)


def _packed(event: Event) -> bytes:
    """Return an event as it travelled: its bytes were taken out when it was judged."""
    raw = event.raw.decode() if event.raw is not None and event.is_text else event.raw
    return wire.encode(msgspec.structs.replace(event.envelope, raw=msgspec.Raw(pack(raw))))


def content_of(doc_type: str, fields: Mapping[str, Any]) -> bytes:
    """Return what two events of one key must have in common, in canonical form: equal if stored alike."""
    content = {name: _as_stored(name, fields[name]) for name in KEYED[doc_type].content if fields.get(name) is not None}
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)


def _as_stored(name: str, value: Any) -> Any:
    """Return a value as its column gives it back: an integer in a column of doubles is a double."""
    in_doubles = FIELD_COLUMNS.get(name) == REAL and type(value) is int and -(2**53) <= value <= 2**53
    return float(value) if in_doubles else value


def _stored(catalog: Catalog, rows: Sequence[Row]) -> Iterator[tuple[bytes, bytes]]:
    """Give the id and the content of each row of the lake that has the id of one of these."""
    doc_types = {row.event.digest: row.event.envelope.doc_type for row in rows}
    names = sorted({name for doc_type in set(doc_types.values()) for name in KEYED[doc_type].content})
    typed = [name for name in names if name in FIELD_COLUMNS]
    for found in scopes.known_rows(catalog, rows, ["extra", *typed]):
        fields = orjson.loads(found["extra"]) if found["extra"] else {}
        fields |= {name: found[name] for name in typed if found[name] is not None}
        yield found["id"], content_of(doc_types[found["id"]], fields)
