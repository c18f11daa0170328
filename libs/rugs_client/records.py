"""What a program published, as it is queued: copied and packed once, in the program's own thread."""

from __future__ import annotations

from sys import getsizeof
from typing import Any, Final, NamedTuple

import msgpack

from rugs_client.plain import name as as_name
from rugs_client.plain import plain
from rugs_proto.rules import TS_END_US, TS_MIN_US

_EVENT: Final = 768
"""Bytes that an event needs beside its fields, frame and names: the objects themselves and their place in the queue."""
_CHARACTER: Final = 4
"""Bytes that a character may need."""


class Record(NamedTuple):
    """What `publish` was given. Nothing in it changes any more; each of its parts is text, bytes or a number.

    Attributes:
        ts: None for that of its capture; text where no time was given for it.
        fields: a map in msgpack, empty where there are none. It may break the contract.
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
    fields: bytes
    raw: str | bytes | None
    session: str | None = None

    @property
    def size(self) -> int:
        """Bytes that it holds in memory, at the most."""
        names = len(self.doc_type) + len(self.event) + len(self.direction)
        for name in (self.game_id, self.player_id, self.username, self.session):
            if name is not None:
                names += len(name)
        raw = 0 if self.raw is None else getsizeof(self.raw)
        return _EVENT + _CHARACTER * names + len(self.fields) + raw


def packed(fields: object, *, copy: bool = True) -> bytes:
    """Return fields as a map in msgpack; without `copy` they are a dict that is plain already.

    Raises:
        TooLargeError: if they are larger than any event may be.
    """
    content = as_map(fields) if copy or type(fields) is not dict else fields
    if not content:
        return b""
    try:
        return bytes(msgpack.packb(content))
    except Exception:  # they are not plain after all
        return bytes(msgpack.packb(as_map(fields)))


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
