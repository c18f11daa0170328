"""The contract of the bus: envelopes, ids, subjects, codec. No I/O."""

from rugs_proto.codec import decode, encode
from rugs_proto.envelope import DOC_TYPES, SOURCES, Envelope
from rugs_proto.ids import derived_id, event_id, import_session_id, message_id, reject_id
from rugs_proto.subjects import event_subject, parse_event_subject

__all__ = [
    "DOC_TYPES",
    "SOURCES",
    "Envelope",
    "decode",
    "derived_id",
    "encode",
    "event_id",
    "event_subject",
    "import_session_id",
    "message_id",
    "parse_event_subject",
    "reject_id",
]
