"""Keyed events: the same key with other content is no duplicate, but a conflict, and kept as a reject.

The first event of a key in the stream's order stands, whether it is in the lake or in the same batch. Only batches with
keyed events cost anything here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, Final

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
from rugs_proto.packing import pack
from rugs_proto.wire import Event, Fault

if TYPE_CHECKING:
    from rugs_lake.write.writer import Taken

CONFLICTING_KEY: Final = "conflicting_key"
"""The reason of a reject whose key the lake has with other content."""


def settled(catalog: Catalog, taken: list[Taken], stream: str) -> list[Taken]:
    """Return a batch's messages, with each conflicting event as a reject.

    Raises:
        TornFileError: if a file that must be looked into cannot be read.
    """
    keyed = [row for each in taken if _has_keyed(each) for row in each.rows if row.is_keyed]
    if not keyed:
        return taken
    contents = dict(_stored(catalog, keyed))
    return [each._replace(rows=_settled(each, stream, contents)) if _has_keyed(each) else each for each in taken]


def _has_keyed(taken: Taken) -> bool:
    """Whether a message has keyed events: it has one doc type, and its rejects come last."""
    return bool(taken.rows) and taken.rows[0].is_keyed


def _settled(taken: Taken, stream: str, contents: dict[bytes, bytes]) -> list[Row]:
    """Return a message's rows; add the content of the events that stand."""
    faults = {row.event.envelope.seq - 1 for row in taken.rows if not row.is_keyed}
    places = (place for place in count() if place not in faults)
    rows = []
    for row in taken.rows:
        if row.is_keyed:
            place, envelope = next(places), row.event.envelope
            content = content_of(envelope.doc_type, envelope.fields)
            if contents.setdefault(row.event.digest, content) != content:
                fault = Fault(place, _packed(row.event), CONFLICTING_KEY)
                row = reject_row(taken.message, stream, fault)._replace(owner=owner_of(envelope))  # noqa: PLW2901
        rows.append(row)
    return rows


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
