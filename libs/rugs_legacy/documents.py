"""A file that is one JSON value: its bytes are one record, and what is read out of it are derived events.

A derived event names the document as its cause. Ticks go by their natural keys, others by their
number among those of their doc type; as a cause tells only 256 apart, the document has pages where
there are more: a `system_event` each, derived from the document, that the next 256 are derived from.
From a row that is itself what a socket sent follows what follows from it live.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rugs_feed.derive import Deriver, Heard
from rugs_legacy.envelopes import MAX_INLINE, SOURCE, Envelope, Envelopes
from rugs_legacy.errors import UnreadableError
from rugs_legacy.record import Document, DocumentFormat, Record
from rugs_legacy.strict_json import BYTE_ORDER_MARK, read_value
from rugs_proto import ids, wire


@dataclass(frozen=True)
class ReadDocument:
    """A document, understood: its text, and what it says."""

    text: str
    document: Document


def read_document(content: bytes, format_: DocumentFormat, timezone: str) -> ReadDocument:
    """Read a document of a format.

    Raises:
        UnreadableError: if it is none.
    """
    value = read_value(content.removeprefix(BYTE_ORDER_MARK))
    if not format_.sniff(value, True):
        raise UnreadableError(f"no {format_.title}")
    return ReadDocument(content.decode(), format_.read(value, timezone))


def envelopes_of(read: ReadDocument, make: Envelopes) -> Iterator[Envelope]:
    """Give a document's envelope, and those of what is read out of it."""
    yield make.record(read.document.record, read.text, 1, 0)
    yield from _Rows(make, make.id_of(read.text.encode()), read.document.record).of(read.document)


class _Rows:
    """Gives the rows of one document their ids and causes."""

    def __init__(self, make: Envelopes, document_id: str, document: Record) -> None:
        self._make = make
        self._document_id = document_id
        self._document = document
        self._counts: Counter[str] = Counter()
        self._causes: dict[str, str] = {}
        self._pages = 0
        self._deriver = Deriver()

    def of(self, document: Document) -> Iterator[Envelope]:
        for place, record in enumerate(document.rows):
            natural = ids.natural_id(record.doc_type, SOURCE, record.game_id, record.fields)
            if natural is not None:
                yield self._make.derived(record, natural, self._document_id, place)
                continue
            number = self._counts[record.doc_type] % ids.MAX_DERIVED
            if number == 0 and self._counts[record.doc_type]:
                yield self._next_page(record.doc_type, place)
            self._counts[record.doc_type] += 1
            cause = self._causes.setdefault(record.doc_type, self._document_id)
            row = self._make.derived(record, ids.derived_id(record.doc_type, cause, number), cause, place)
            yield row
            if record.told is not None:
                yield from self._what_follows(row, record.told)

    def _next_page(self, doc_type: str, place: int) -> Envelope:
        """Return the page that the next rows are derived from; `MAX_ROWS` have room in as many as there can be."""
        page_id = ids.derived_id("system_event", self._document_id, self._pages)
        self._pages += 1
        self._causes[doc_type] = page_id
        record = self._document._replace(event="page", fields={"page": self._pages, "of": doc_type})
        return self._make.derived(record, page_id, self._document_id, place)

    def _what_follows(self, row: dict[str, Any], told: dict[str, Any]) -> Iterator[Envelope]:
        place = {key: row[key] for key in ("id", "ts", "source", "session_id", "seq", "direction", "event")}
        heard = Heard(**place, recv_ts=row.get("recv_ts"), raw=json.dumps(told))
        for derived in self._deriver.feed(heard):
            if len(wire.encode(derived)) <= MAX_INLINE:  # what is larger stands in the document's bytes alone
                yield {**derived, "origin": row["origin"]}
