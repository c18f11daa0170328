"""Event ids: what an event is, not how it was understood.

Every id is BLAKE2b with 16 bytes of digest, written as 32 lower-case hex digits, over
one msgpack array. The hash's personalisation string keeps the four kinds apart:

========  =================  ====================================================
kind      personalisation    msgpack array
========  =================  ====================================================
event     ``rugs.event.1``   ``[source, session_id, seq, raw]``
reject    ``rugs.reject.1``  ``[source, session_id, seq, raw]``
derived   ``rugs.derived.1`` ``[doc_type, part, ...]``: the natural key's parts, or
                             ``[doc_type, cause, n]`` where there is none
keyed     ``rugs.keyed.1``   ``[doc_type, part, ...]``: the key's parts
========  =================  ====================================================

The domains (`rugs_proto.domains`) say which doc types have a natural key or are keyed,
and what the parts are. An event of a keyed doc type always has the id of its key: its
bytes, times, source, session and cause are no part of it, unless the key names them.

Integers take their shortest msgpack form; `raw` is always packed as bin (or nil), so
text and the same bytes give the same id. `proto/vectors/ids.json` pins examples.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from hashlib import blake2b
from struct import Struct
from typing import Any, Final

from rugs_proto.domains import KEYED, NATURAL
from rugs_proto.domains.domain import KeyPart, Said
from rugs_proto.packing import pack

ID_BYTES: Final = 16
EVENT_PERSON: Final = b"rugs.event.1"
REJECT_PERSON: Final = b"rugs.reject.1"
DERIVED_PERSON: Final = b"rugs.derived.1"
KEYED_PERSON: Final = b"rugs.keyed.1"
MAX_DERIVED: Final = 256
"""How many events of one doc type can be derived from one cause, where they have no natural key."""

Buffer = bytes | bytearray | memoryview

_BIN8 = Struct(">BB").pack
_BIN16 = Struct(">BH").pack
_BIN32 = Struct(">BI").pack


@lru_cache(maxsize=4096)
def _session_hash(person: bytes, source: str, session_id: str) -> blake2b:
    head = b"\x94" + pack(source) + pack(session_id)
    return blake2b(head, digest_size=ID_BYTES, person=person)


def _bin_header(size: int) -> bytes:
    if size < 0x100:
        return _BIN8(0xC4, size)
    if size < 0x10000:
        return _BIN16(0xC5, size)
    return _BIN32(0xC6, size)


def event_digest(source: str, session_id: str, seq: int, raw: Buffer | None, person: bytes = EVENT_PERSON) -> bytes:
    """Return the 16 bytes behind `event_id`; the hot path's form.

    The hash state of a session is kept, and `raw` is hashed where it lies: neither
    is packed again for every event.
    """
    state = _session_hash(person, source, session_id).copy()
    if raw is None:
        state.update(pack(seq, 16) + b"\xc0")
    else:
        state.update(pack(seq, 16) + _bin_header(len(raw)))
        state.update(raw)
    return state.digest()


def event_id(source: str, session_id: str, seq: int, raw: str | Buffer | None) -> str:
    """Return the id of a received event, from where it stood and its bytes."""
    return event_digest(source, session_id, seq, raw.encode() if isinstance(raw, str) else raw).hex()


def reject_id(source: str, session_id: str, seq: int, raw: Buffer | None) -> str:
    """Return the id of a reject: its bytes and its place."""
    return event_digest(source, session_id, seq, raw, REJECT_PERSON).hex()


def derived_id(doc_type: str, *key: KeyPart) -> str:
    """Return the id of a derived event, from its doc type and its natural key."""
    return blake2b(pack([doc_type, *key]), digest_size=ID_BYTES, person=DERIVED_PERSON).hexdigest()


def keyed_id(doc_type: str, *key: KeyPart) -> str:
    """Return the id of a keyed event, from its doc type and its key."""
    return blake2b(pack([doc_type, *key]), digest_size=ID_BYTES, person=KEYED_PERSON).hexdigest()


def id_of_key(envelope: Said) -> str | None:
    """Return the id of an event whose doc type is keyed; None for any other.

    Raises:
        ValueError: if the envelope has no key, or claims a place in a session, or left its bytes elsewhere.
    """
    keyed = KEYED.get(envelope.doc_type)
    if keyed is None:
        return None
    if envelope.seq != 1:
        raise ValueError(f"seq of a keyed event is 1, not {envelope.seq}")
    if envelope.blob is not None:
        raise ValueError("a keyed event has no blob")
    return keyed_id(envelope.doc_type, *keyed.key(envelope))


def natural_id(doc_type: str, source: str, game_id: str | None, fields: Mapping[str, Any]) -> str | None:
    """Return a derived event's id where its domain declares a natural key, else None.

    Without one, an event is identified by its cause and its position there: see `is_derived_id`.
    """
    natural = NATURAL.get(doc_type)
    if natural is None or game_id is None:
        return None
    return derived_id(doc_type, *natural.key(source, game_id, fields))


def is_derived_id(told: str, doc_type: str, cause: str) -> bool:
    """Return whether an id is that of an event derived from `cause` that has no natural key.

    That is `derived_id(doc_type, cause, n)`, with n the event's position among those of its
    doc type and cause, from 0 and below `MAX_DERIVED`: so an id stands for one cause only.
    """
    return any(derived_id(doc_type, cause, n) == told for n in range(MAX_DERIVED))


def import_session_id(format_id: str, first_timed_line: bytes) -> str:
    """Return the session of an imported file: 32 hex digits.

    It is made of the format and of the first line that carries a time, so a file
    that has grown since, or a copy cut short, is the same session.
    """
    packed = pack([format_id, first_timed_line])
    return blake2b(packed, digest_size=ID_BYTES, person=b"rugs.session.1").hexdigest()


def message_id(event_ids: Iterable[str]) -> str:
    """Return `Nats-Msg-Id` for a message: the id itself, or the hash of several."""
    ids = list(event_ids)
    if len(ids) == 1:
        return ids[0]
    return blake2b("".join(ids).encode(), digest_size=ID_BYTES, person=b"rugs.message.1").hexdigest()
