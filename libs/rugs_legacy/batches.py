"""Many envelopes to a message: bodies of about half a megabyte, one doc type each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any, Final, NamedTuple

from rugs_legacy.envelopes import MAX_INLINE, SOURCE
from rugs_proto import ids, wire
from rugs_proto.subjects import TARGET_BODY, event_subject

_OVERHEAD: Final = 450
"""Bytes of an envelope beside `raw`, about; what `fields` repeat of a line is counted with the line."""


class Message(NamedTuple):
    """A message body of one doc type and session, with its subject.

    `parked` holds the id and the bytes of the body's one envelope where they are too long
    for a message: they have to be in the object store before the body is published.
    """

    subject: str
    body: bytes
    parked: tuple[str, bytes] | None = None


class _Group:
    """Envelopes of one doc type that wait for their message."""

    def __init__(self) -> None:
        self.envelopes: list[dict[str, Any]] = []
        self.size = 0

    def message(self) -> Message:
        events = {envelope["event"] for envelope in self.envelopes}
        subject = event_subject(self.envelopes[0]["doc_type"], SOURCE, events.pop() if len(events) == 1 else "")
        return Message(subject, wire.encode(self.envelopes))


def messages(envelopes: Iterable[dict[str, Any]]) -> Iterator[Message]:
    """Group the envelopes of one session into messages.

    Within a doc type the order is kept. Across doc types an event is at most one round of
    messages away from its neighbours in the file: a full body sends out all groups.
    """
    groups: dict[str, _Group] = {}
    for envelope in envelopes:
        raw = envelope.get("raw")
        if raw is None:
            size = len(wire.encode([envelope]))
        elif len(raw) > MAX_INLINE // 4 and len(_bytes(raw)) > MAX_INLINE:
            yield from _send_out(groups)
            yield _parked(envelope)
            continue
        else:
            size = len(raw) + _OVERHEAD
        group = groups.get(envelope["doc_type"])
        if group is None or group.size + size > TARGET_BODY:
            if group is not None:
                yield from _send_out(groups)
            group = groups[envelope["doc_type"]] = _Group()
        group.envelopes.append(envelope)
        group.size += size
    yield from _send_out(groups)


def _send_out(groups: dict[str, _Group]) -> Iterator[Message]:
    for group in sorted(groups.values(), key=lambda group: group.envelopes[0]["seq"]):
        yield group.message()
    groups.clear()


def _parked(envelope: dict[str, Any]) -> Message:
    raw = _bytes(envelope.pop("raw"))
    make_id = ids.reject_id if envelope["doc_type"] == "reject" else ids.event_id
    envelope["id"] = make_id(SOURCE, envelope["session_id"], envelope["seq"], raw)
    envelope["blob"] = sha256(raw).hexdigest()
    subject = event_subject(envelope["doc_type"], SOURCE, envelope["event"])
    return Message(subject, wire.encode([envelope]), (envelope["id"], raw))


def _bytes(raw: str | bytes) -> bytes:
    return raw.encode() if isinstance(raw, str) else raw
