"""Many envelopes to a message: bodies of about half a megabyte, one doc type each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Final, NamedTuple

from rugs_legacy.envelopes import MAX_INLINE, SOURCE, Envelope
from rugs_proto import ids, wire
from rugs_proto.draft import Draft
from rugs_proto.subjects import event_subject

_OVERHEAD: Final = 450
"""Bytes of an envelope beside `raw`, about; what `fields` repeat of a line is counted with the line."""


class Message(NamedTuple):
    """A message body of one doc type and session, with its subject.

    `parked` holds the id and the bytes of the body's one envelope where they are too long
    for a message: they have to be in the object store before the body is published.
    """

    subject: str
    session_id: str
    body: bytes
    parked: tuple[str, bytes] | None = None


def messages(envelopes: Iterable[Envelope]) -> Iterator[Message]:
    """Group the envelopes of one session into messages.

    Within a doc type the order is kept. Across doc types an event is at most one round of
    messages away from its neighbours in the file: a full body sends out all groups.
    """
    drafts: dict[str, Draft[Envelope]] = {}
    for envelope in envelopes:
        raw = envelope.get("raw")
        if raw is None:
            size = len(wire.encode(envelope))
        elif len(raw) > MAX_INLINE // 4 and len(_bytes(raw)) > MAX_INLINE:
            yield from _sent_out(drafts)
            yield _parked(envelope)
            continue
        else:
            size = len(raw) + _OVERHEAD
        doc_type = envelope["doc_type"]
        draft = drafts.get(doc_type)
        if draft is None or not draft.takes(size):
            if draft is not None:
                yield from _sent_out(drafts)
            draft = drafts[doc_type] = Draft(doc_type, SOURCE, envelope["session_id"])
        draft.add(envelope, size, envelope["event"])
    yield from _sent_out(drafts)


def _sent_out(drafts: dict[str, Draft[Envelope]]) -> Iterator[Message]:
    for draft in drafts.values():  # in the order of their first events
        body = wire.encode(draft.parts)  # together: packed one by one, they take twice as long
        yield Message(draft.subject, draft.session_id, body)
    drafts.clear()


def _parked(envelope: Envelope) -> Message:
    raw = _bytes(envelope.pop("raw"))
    make_id = ids.reject_id if envelope["doc_type"] == "reject" else ids.event_id
    envelope["id"] = make_id(SOURCE, envelope["session_id"], envelope["seq"], raw)
    envelope["blob"] = sha256(raw).hexdigest()
    subject = event_subject(envelope["doc_type"], SOURCE, envelope["event"])
    return Message(subject, envelope["session_id"], wire.encode(envelope), (envelope["id"], raw))


def _bytes(raw: str | bytes) -> bytes:
    return raw.encode() if isinstance(raw, str) else raw
