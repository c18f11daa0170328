"""From messages to rows: what the lake stores of a message.

Pure: no file, no broker. A message's events become `Row`s, and so do its faults, with
the doc type `reject`.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final, NamedTuple

from rugs_core.time import DAY_US
from rugs_proto import ids
from rugs_proto.domains import KEYED, NATURAL
from rugs_proto.message import Message
from rugs_proto.subjects import parse_event_subject
from rugs_proto.wire import Event, Fault, WireEnvelope, is_utf8, judge


class Row(NamedTuple):
    """One row to be: a judged event and where it came from.

    `subject` is kept for rejected messages only, so that they can be fed again. `owner` is whose private row it is;
    None for a public one.
    """

    event: Event
    stream_seq: int
    subject: str | None = None
    owner: str | None = None

    @property
    def partition(self) -> tuple[str, int]:
        """The doc type and the UTC day, counted from 1970-01-01, that the row belongs to."""
        return self.event.envelope.doc_type, self.event.envelope.ts // DAY_US

    @property
    def is_keyed(self) -> bool:
        """Whether the id is made of a key of its domain's own."""
        return self.event.envelope.doc_type in KEYED

    @property
    def is_known_by_entry(self) -> bool:
        """Whether the id is made of the row's cause or key alone: no scope holds it, see `derived_ids`."""
        envelope = self.event.envelope
        if envelope.cause is None:
            return envelope.doc_type in KEYED
        return envelope.game_id is None or envelope.doc_type not in NATURAL

    @property
    def scope(self) -> tuple[bytes, int] | None:
        """The scope that the id is unique in, hashed, and the row's position there; None if it is known by its entry.

        An id can come twice only within its session; with a natural key within its
        game, for a rejected message's elements within its stream. The catalog keeps
        which files hold which positions of a scope. Both must follow from what the id is
        made of, and from nothing else.
        """
        envelope = self.event.envelope
        if envelope.cause is not None:
            natural = NATURAL.get(envelope.doc_type)
            if natural is None or envelope.game_id is None:
                return None
            position = None if natural.position is None else envelope.fields.get(natural.position)
            if type(position) is not int or not -(2**63) <= position < 2**63:  # what SQLite's integers hold
                position = 0
            return scope_hash("game", envelope.game_id), position
        if envelope.doc_type in KEYED:
            return None
        if envelope.doc_type == "reject" and (place := message_session(envelope.session_id)):
            return scope_hash("stream", place[1]), int(place[2])
        return scope_hash(envelope.source, envelope.session_id), envelope.seq


def scope_of(doc_type: str, source: str, session_id: str, game_id: str | None, is_derived: bool) -> bytes | None:
    """Return the scope that a stored row's id is unique in, from its columns; None if it is known by its entry."""
    if doc_type in KEYED:
        return None
    if is_derived:
        return None if game_id is None or doc_type not in NATURAL else scope_hash("game", game_id)
    if doc_type == "reject" and (place := message_session(session_id)):
        return scope_hash("stream", place[1])
    return scope_hash(source, session_id)


def cause_scope(cause: str) -> bytes:
    """Return the scope that a lake from before `derived_ids` knows an id by that is made of its cause."""
    return scope_hash("cause", cause)


message_session: Final = re.compile(r"stream:(.+):([0-9]{1,18}):[0-9]+", re.DOTALL).fullmatch
"""Match the session of a rejected message: its stream and its sequence there."""
_scopes: dict[tuple[str, str], bytes] = {}


def scope_hash(kind: str, name: str) -> bytes:
    """Return the 8 bytes that a scope is known by in the catalog."""
    key = (kind, name)
    found = _scopes.get(key)
    if found is None:
        if len(_scopes) > 100_000:
            _scopes.clear()
        text = f"{kind}\0{name}".encode()
        found = _scopes[key] = hashlib.blake2b(text, digest_size=8, person=b"rugs.scope.1").digest()
    return found


def rows_of(message: Message, stream: str) -> list[Row]:
    """Return every row that a message stands for; none of its bytes is left out.

    An envelope whose doc type is not the subject's is a reject, and so is a body that
    breaks the contract; the good envelopes beside a bad one are stored.
    """
    try:
        told = parse_event_subject(message.subject).doc_type
    except ValueError as error:
        return [reject_row(message, stream, Fault(0, message.body, str(error)))]
    events, faults = judge(message.body, told)
    rows = [Row(event, message.seq) for event in events]
    rows += [reject_row(message, stream, fault) for fault in faults]
    return rows


def reject_row(message: Message, stream: str, fault: Fault) -> Row:
    """Return the row that keeps an element of a message which could not be understood.

    Its session is the message's sequence and the broker's time of it. Both survive a backup,
    so from a restored stream it is known again; another message under a sequence that is
    used anew has another time.
    """
    session = f"stream:{stream}:{message.seq}:{message.time_us}"
    envelope = WireEnvelope(
        v=1,
        ts=message.time_us,
        recv_ts=message.time_us,
        doc_type="reject",
        source="manual",
        session_id=session,
        seq=fault.place + 1,
        direction="received",
        event="message",
        fields={"reason": fault.reason},
    )
    digest = ids.event_digest("manual", session, fault.place + 1, fault.body, ids.REJECT_PERSON)
    return Row(Event(envelope, digest, fault.body, is_utf8(fault.body)), message.seq, message.subject)
