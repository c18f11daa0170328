"""F16: records with F9's keys in one JSON array, picked out of a capture.

Times are UTC without a zone, other than in F9. Of a damaged array the whole records are salvaged.
"""

from __future__ import annotations

import re
from typing import Any, Final

from rugs_legacy.clock import Clock
from rugs_legacy.errors import UnreadableError
from rugs_legacy.formats.captures import numbered_event
from rugs_legacy.record import MAX_ROWS, Document, DocumentFormat, Record
from rugs_legacy.strict_json import read_object

_read_time: Final = Clock("UTC", aware=False).read


def _sniff(content: Any, _name_fits: bool) -> bool:
    if not isinstance(content, list) or not content:
        return False
    return isinstance(content[0], dict) and {"seq", "ts", "event", "data"} <= content[0].keys()


def _read(content: list[Any], timezone: str) -> Document:
    rows: list[Record] = []
    unread = max(0, len(content) - MAX_ROWS)
    for told in content[:MAX_ROWS]:
        try:
            if not isinstance(told, dict):
                raise UnreadableError("not a JSON object")
            rows.append(numbered_event(told, _read_time)._replace(told=told))
        except UnreadableError:  # the document's bytes have it
            unread += 1
    if not rows:
        raise UnreadableError("no whole record in the array")
    fields = {"events": len(content), "unread": unread}
    first = rows[0]
    record = Record(first.ts, None, first.zone, "system_event", "event_array", "received", None, None, None, fields)
    return Document(record, rows)


def _parse(raw: bytes) -> Record:
    return numbered_event(read_object(raw), _read_time)


FORMAT = DocumentFormat(
    id="F16",
    version=2,
    title="events in an array",
    names=re.compile(r".+_samples\.json"),
    marks=(b'"seq"', b'"event"', b'"data"'),
    is_array=True,
    sniff=_sniff,
    read=_read,
    salvage=(re.compile(rb'\{\s*"seq"'), _parse),
)
