"""The contract of the bus: envelopes, ids, subjects, codec. No I/O.

The names below are loaded when they are first used: `rugs decode` needs none that loads pydantic.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rugs_proto.codec import decode, encode
    from rugs_proto.domains import doc_types
    from rugs_proto.envelope import Envelope
    from rugs_proto.ids import derived_id, event_id, import_session_id, keyed_id, message_id, reject_id
    from rugs_proto.rules import SOURCES
    from rugs_proto.subjects import event_subject, parse_event_subject

__all__ = [
    "SOURCES",
    "Envelope",
    "decode",
    "derived_id",
    "doc_types",
    "encode",
    "event_id",
    "event_subject",
    "import_session_id",
    "keyed_id",
    "message_id",
    "parse_event_subject",
    "reject_id",
]

_HOMES = {
    "SOURCES": "rules",
    "Envelope": "envelope",
    "decode": "codec",
    "derived_id": "ids",
    "doc_types": "domains",
    "encode": "codec",
    "event_id": "ids",
    "event_subject": "subjects",
    "import_session_id": "ids",
    "keyed_id": "ids",
    "message_id": "ids",
    "parse_event_subject": "subjects",
    "reject_id": "ids",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
