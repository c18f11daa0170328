"""From what a program published to what travels: envelopes, packed once, each with its place."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgpack
from pydantic import ValidationError

from rugs_client.clock import Step
from rugs_proto import ids
from rugs_proto.codec import to_map
from rugs_proto.envelope import Envelope
from rugs_proto.rules import TS_END_US, TS_MIN_US, WIRE_VERSION
from rugs_proto.subjects import MAX_BLOB, MAX_BODY

_ROOM: Final = 64 * 1024
"""Bytes that an envelope may need beside `raw`, where `raw` decides whether it goes into a message."""


class Record(NamedTuple):
    """What `publish` was given, copied: nothing in it changes any more."""

    source: str
    doc_type: str
    event: str
    ts: int | None
    recv_ts: int
    direction: str
    game_id: str | None
    player_id: str | None
    username: str | None
    fields: dict[str, Any]
    raw: str | bytes | None
    session: str | None = None


class Loss(NamedTuple):
    """A run of events of one session that could not be kept, at the place where it stood.

    `since` and `until` are the first and the last one's times, in microseconds.
    """

    source: str
    lost: int
    since: int
    until: int
    reason: str
    session: str | None = None


class Ending(NamedTuple):
    """The end of a session that was named by `publish`: its numbers will not be used again.

    Where something is missing since a time, in microseconds, and that has not been told of yet, a crash before it is
    told will tell of it.
    """

    source: str
    session: str
    missing_since: int | None = None


def step_record(step: Step, source: str, session: str | None, *, every_session: bool = False) -> Record:
    """Return the event that says that the wall clock was set, for one session or for every one of its source."""
    fields: dict[str, Any] = {"old": step.old, "new": step.new, "monotonic_seconds": step.boot / 1e6}
    if every_session:
        fields["sessions"] = "all"
    names = (None, None, None)
    return Record(source, "system_event", "clock_step", step.new, step.new, "internal", *names, fields, None, session)


class Entry(NamedTuple):
    """An event ready to be sent, or spooled: its packed envelope, and what is needed to put it into a message.

    `large` holds the frame's bytes where they are too many for a message: they go into
    the object store under `id`. `lost` is how many events are lost if this one is. `published`
    is when it was, in this process, in microseconds; 0 where an earlier one left it.
    """

    source: str
    session_id: str
    seq: int
    doc_type: str
    event: str
    id: str
    ts: int
    body: bytes
    large: bytes | None = None
    lost: int = 1
    published: int = 0

    @property
    def size(self) -> int:
        """Bytes that count against bounds."""
        return len(self.body) + (len(self.large) if self.large else 0)

    @property
    def session(self) -> tuple[str, str]:
        """The session that the event is numbered in: each source of a session counts for itself."""
        return self.source, self.session_id

    @property
    def group(self) -> tuple[str, str, str]:
        """What all envelopes of one message have in common."""
        return self.doc_type, self.source, self.session_id


def entry_of(record: Record, session_id: str, seq: int) -> Entry:
    """Return a record's entry. What cannot be an envelope becomes a reject that holds all of it.

    Raises:
        ValueError: if its frame is larger than even the object store takes.
    """
    if isinstance(record.raw, str) and not record.raw.isascii():
        try:
            record.raw.encode()
        except UnicodeEncodeError:  # half a surrogate pair
            record = record._replace(raw=record.raw.encode("utf-8", "surrogatepass"))
    content = record._asdict()
    del content["session"]
    content |= {
        "v": WIRE_VERSION,
        "session_id": session_id,
        "seq": seq,
        "ts": record.recv_ts if record.ts is None else record.ts,
    }
    try:
        envelope = Envelope(**content)
        if record.raw is None and len(packed := _pack(to_map(envelope))) > MAX_BODY:
            raise ValueError(f"fields of {len(packed)} bytes are too large for a message")
    except (ValidationError, ValueError) as error:
        return _reject(record, session_id, seq, error)
    return whole_entry(envelope)


def whole_entry(envelope: Envelope) -> Entry:
    """Return the entry of an envelope that has its session and number already.

    Raises:
        ValueError: if it is larger than the bus takes.
    """
    raw = envelope.raw
    if raw is not None and len(raw) > (MAX_BODY - _ROOM) // 4:  # a character has up to 4 bytes
        raw = raw.encode() if isinstance(raw, str) else raw
        if len(raw) > MAX_BODY - _ROOM:
            return _large_entry(envelope, raw)
    body = _pack(to_map(envelope))
    if len(body) > MAX_BODY:
        raise ValueError(f"an event of {len(body)} bytes is too large for a message")
    return _packed(envelope, body)


def _large_entry(envelope: Envelope, raw: bytes) -> Entry:
    if len(raw) > MAX_BLOB:
        raise ValueError(f"a frame of {len(raw)} bytes is too large: the bus takes {MAX_BLOB}")
    content = to_map(envelope)
    del content["raw"]
    return _packed(envelope, _pack(content | {"blob": sha256(raw).hexdigest()}), raw)


def _packed(envelope: Envelope, body: bytes, large: bytes | None = None, lost: int = 1) -> Entry:
    event_id = envelope.id or envelope.computed_id()
    if event_id is None:  # a received event always has one
        raise ValueError("the event has no id")
    return Entry(
        envelope.source,
        envelope.session_id,
        envelope.seq,
        envelope.doc_type,
        envelope.event,
        event_id,
        envelope.ts,
        body,
        large,
        lost,
    )


def _reject(record: Record, session_id: str, seq: int, error: ValueError) -> Entry:
    raw = record.raw
    if raw is None:
        raw = json.dumps(record.fields, ensure_ascii=False)
    reason = (
        "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        if isinstance(error, ValidationError)
        else str(error)
    )
    ts = record.ts if type(record.ts) is int and TS_MIN_US <= record.ts < TS_END_US else record.recv_ts
    event_id = ids.reject_id(record.source, session_id, seq, raw.encode() if isinstance(raw, str) else raw)
    return whole_entry(
        Envelope(
            v=WIRE_VERSION,
            id=event_id,
            ts=ts,
            recv_ts=record.recv_ts,
            doc_type="reject",
            source=record.source,  # type: ignore[arg-type]  # the publisher has checked it
            session_id=session_id,
            seq=seq,
            direction="internal",
            event=record.event,
            fields={"reason": reason[:1000], "doc_type": record.doc_type[:100]},
            raw=raw,
        )
    )


def gap_entry(loss: Loss, session_id: str, first_seq: int | None, last_seq: int) -> Entry:
    """Return the event that says what is missing; it stands at the last number that was lost.

    Where `first_seq` is None, nobody knows how many events were lost.
    """
    envelope = Envelope(
        v=WIRE_VERSION,
        ts=max(loss.since, TS_MIN_US),
        recv_ts=max(loss.until, TS_MIN_US),
        doc_type="system_event",
        source=loss.source,  # type: ignore[arg-type]  # the publisher has checked it
        session_id=session_id,
        seq=last_seq,
        direction="internal",
        event="gap",
        fields={
            "cause": loss.reason,
            "lost": None if first_seq is None else loss.lost,
            "first_seq": first_seq,
            "last_seq": last_seq,
            "since": loss.since,
            "until": loss.until,
        },
    )
    return _packed(envelope, _pack(to_map(envelope)), lost=loss.lost)


def message_body(entries: list[Entry]) -> bytes:
    """Return a message's body: the one envelope, or an array of them."""
    if len(entries) == 1:
        return entries[0].body
    head: bytes = msgpack.Packer().pack_array_header(len(entries))
    return head + b"".join(entry.body for entry in entries)


def _pack(content: dict[str, Any]) -> bytes:
    return bytes(msgpack.packb(content))
