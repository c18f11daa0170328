"""Messages while envelopes are gathered into them."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Final, Generic, TypeVar

from rugs_proto.ids import message_id
from rugs_proto.packing import array_header
from rugs_proto.subjects import TARGET_BODY, event_subject

_ARRAY_HEADER: Final = 5
"""Bytes with which an array begins, at the most."""

_T = TypeVar("_T")


class Draft(Generic[_T]):
    """Envelopes that will be one message: all of one doc type, source and session.

    Attributes:
        parts: the envelopes: packed (`joined` makes a body of them), or still to be packed together.
        ids: the ids of its events, where they were given.
        size: bytes of the body, as far as the sizes that were given are true.
    """

    __slots__ = ("_events", "doc_type", "ids", "parts", "session_id", "size", "source")

    def __init__(self, doc_type: str, source: str, session_id: str) -> None:
        self.doc_type = doc_type
        self.source = source
        self.session_id = session_id
        self.parts: list[_T] = []
        self.ids: list[str] = []
        self.size = _ARRAY_HEADER
        self._events: set[str] = set()

    def takes(self, size: int) -> bool:
        """Return whether there is room for an envelope of so many bytes: in an empty message always."""
        return not self.parts or self.size + size <= TARGET_BODY

    def add(self, part: _T, size: int, event: str, event_id: str | None = None) -> None:
        """Gather an envelope: its bytes when packed, its event's name, and its id where that names the message."""
        self.parts.append(part)
        self.size += size
        self._events.add(event)
        if event_id is not None:
            self.ids.append(event_id)

    @property
    def subject(self) -> str:
        """What the message is published on."""
        return subject_of(self.doc_type, self.source, self._events)

    @property
    def msg_id(self) -> str:
        """`Nats-Msg-Id`, of the ids that were given."""
        return message_id(self.ids)


def subject_of(doc_type: str, source: str, events: Set[str]) -> str:
    """Return what a message is published on that holds these events: the last token is `_` where there are several."""
    return event_subject(doc_type, source, next(iter(events)) if len(events) == 1 else "")


def joined(packed: Sequence[bytes]) -> bytes:
    """Return a message's body: the one packed envelope, or an array of them."""
    return packed[0] if len(packed) == 1 else array_header(len(packed)) + b"".join(packed)
