"""What a program published, as it is queued: copied in the program's own thread, packed there only if need be."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgpack

from rugs_client.plain import name as as_name
from rugs_client.plain import plain
from rugs_proto.packing import pack
from rugs_proto.rules import TS_END_US, TS_MIN_US

_EVENT: Final = 768
"""Bytes that an event needs beside its fields, frame and names: the objects themselves and their place in the queue."""
_CHARACTER: Final = 4
"""Bytes that a character may need."""
_FIELD: Final = 256
"""Bytes that a field may need, beside its characters: its name, its value, its place in the map."""
_FLAT_BYTES: Final = 64 * 1024
"""Fields that need more are packed at once."""
_FIXED: Final = frozenset({str, int, float, bool, type(None), Decimal})
"""Types of values that nobody can change."""


class Record(NamedTuple):
    """What `publish` was given. Nothing in it changes any more; each of its parts is text, bytes or a number.

    Attributes:
        ts: None for that of its capture; text where no time was given for it.
        fields: a map in msgpack, empty where there are none, or one that is to be made plain and packed. It may
            break the contract.
        held: bytes that the fields hold in memory, at the most.
    """

    source: str
    doc_type: str
    event: str
    ts: int | str | None
    recv_ts: int
    direction: str
    game_id: str | None
    player_id: str | None
    username: str | None
    fields: bytes | dict[str, Any]
    held: int
    raw: str | bytes | None
    session: str | None = None

    @property
    def size(self) -> int:
        """Bytes that it holds in memory, at the most."""
        _, doc_type, event, _, _, direction, game_id, player_id, username, _, held, raw, session = self
        names = len(doc_type) + len(event) + len(direction) + len(game_id or "") + len(player_id or "")
        names += len(username or "") + len(session or "")
        received = 0 if raw is None else len(raw) if type(raw) is bytes or raw.isascii() else _CHARACTER * len(raw)
        return _EVENT + _CHARACTER * names + held + received


def snapshot(fields: object, *, copy: bool = True) -> tuple[bytes | dict[str, Any], int]:
    """Return fields so that nobody can change them any more, and how many bytes they hold in memory, at the most.

    A small map of values that cannot change is copied as it is, and the rest is left to the background thread.
    Without `copy` they are a dict that is plain already.

    Raises:
        TooLargeError: if they are larger than any event may be.
    """
    if fields is None or (type(fields) is dict and not fields):
        return b"", 0
    if type(fields) is dict:
        flat = fields.copy()
        held = 0
        for key, value in flat.items():
            kind = type(value)
            if type(key) is not str or kind not in _FIXED:
                break
            held += _FIELD + _CHARACTER * len(key)
            if kind is str:
                held += _CHARACTER * len(value)
            elif kind is int or kind is Decimal:
                held += value.__sizeof__()
        else:
            if held <= _FLAT_BYTES:
                return flat, held
    made = packed(fields, copy=copy)
    return made, len(made)


def read(fields: bytes | dict[str, Any]) -> tuple[Any, bytes]:
    """Return a record's fields, and as they travel: as msgpack.

    Raises:
        Exception: if they are nothing that msgpack can read.
    """
    if isinstance(fields, dict):
        content = as_map(fields)
        return content, pack(content) if content else b""
    return msgpack.unpackb(fields) if fields else {}, fields


def packed(fields: object, *, copy: bool = True) -> bytes:
    """Return fields as a map in msgpack; without `copy` they are a dict that is plain already.

    Raises:
        TooLargeError: if they are larger than any event may be.
    """
    content = as_map(fields) if copy or type(fields) is not dict else fields
    if not content:
        return b""
    try:
        return pack(content)
    except Exception:  # they are not plain after all
        return pack(as_map(fields))


def as_map(fields: object) -> dict[str, Any]:
    """Return a plain copy of fields, whatever was given as such."""
    content = plain(fields)
    return content if isinstance(content, dict) else {} if content is None else {"fields": content}


def as_raw(raw: object) -> str | bytes | None:
    """Return what was received; None where it is neither text nor bytes."""
    try:
        if isinstance(raw, bytearray | memoryview | bytes):
            return bytes(raw)
        return str.__str__(raw) if isinstance(raw, str) else None
    except Exception:  # a memoryview that was released
        return None


def is_capture_time(time: object) -> bool:
    """Return whether an event can have been captured then."""
    return type(time) is int and TS_MIN_US <= time < TS_END_US


def moment(time: object) -> int | str | None:
    """Return an event's time as it was given, if it is one; else what was given, as text."""
    return time if time is None or (type(time) is int and time.bit_length() < 64) else as_name(time)
