"""Event ids: what an event is, not how it was understood.

Every id is BLAKE2b with 16 bytes of digest, written as 32 lower-case hex digits, over
one msgpack array. The hash's personalisation string keeps the three kinds apart:

========  =================  ====================================================
kind      personalisation    msgpack array
========  =================  ====================================================
event     ``rugs.event.1``   ``[source, session_id, seq, raw]``
reject    ``rugs.reject.1``  ``[source, session_id, seq, raw]``
derived   ``rugs.derived.1`` ``[rule, part, ...]``: the natural key's parts, or
                             ``[doc_type, cause, n]`` where there is none
========  =================  ====================================================

Integers take their shortest msgpack form; `raw` is always packed as bin (or nil), so
text and the same bytes give the same id. `proto/vectors/ids.json` pins examples.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from hashlib import blake2b
from struct import Struct
from typing import Any, Final

from rugs_proto.packing import pack

ID_BYTES: Final = 16
EVENT_PERSON: Final = b"rugs.event.1"
REJECT_PERSON: Final = b"rugs.reject.1"
DERIVED_PERSON: Final = b"rugs.derived.1"
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


def derived_id(rule: str, *key: str | int | bool | None) -> str:
    """Return the id of a derived event, from its rule and its natural key."""
    return blake2b(pack([rule, *key]), digest_size=ID_BYTES, person=DERIVED_PERSON).hexdigest()


def natural_id(doc_type: str, source: str, game_id: str | None, fields: Mapping[str, Any]) -> str | None:
    """Return a derived event's id where its natural key lies in the envelope, else None.

    A tick's key is (source, game, tick, phase, rugged, filled): a feed says tick 0
    twice, and a price filled in from elsewhere must never keep out the exact frame.
    A completed game's key is the game alone, whoever tells of it. Any other derived
    event is known by its cause and its position there: see `is_derived_id`.
    """
    if game_id is None:
        return None
    if doc_type == "game":
        return derived_id("game", game_id)
    if doc_type == "game_tick":
        tick, phase, rugged = fields.get("tick"), fields.get("phase"), fields.get("rugged")
        return derived_id("game_tick", source, game_id, tick, phase, rugged, fields.get("filled", False))
    return None


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
