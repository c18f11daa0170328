"""From what a program published to what travels: envelopes, packed once, each with its place."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgpack
from pydantic import ValidationError

from rugs_client.clock import Step
from rugs_client.plain import text
from rugs_client.records import Record, as_map, read, snapshot
from rugs_proto import ids
from rugs_proto.codec import to_map
from rugs_proto.envelope import Envelope
from rugs_proto.packing import pack
from rugs_proto.rules import TS_END_US, TS_MIN_US, WIRE_VERSION
from rugs_proto.subjects import MAX_BLOB, MAX_BODY

_ROOM: Final = 64 * 1024
"""Bytes that an envelope may need beside `raw`, where `raw` decides whether it goes into a message."""
_SMALL_MAP: Final = 0x80
_FIELDS: Final = pack("fields")


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
    return Record(
        *(
            source,
            "system_event",
            "clock_step",
            step.new,
            step.new,
            "internal",
            *names,
            *snapshot(fields),
            None,
            session,
        )
    )


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
    raw, data = _encoded(record.raw)
    head: dict[str, Any] = {
        "v": WIRE_VERSION,
        "ts": record.recv_ts if record.ts is None else record.ts,
        "recv_ts": record.recv_ts,
        "doc_type": record.doc_type,
        "source": record.source,
        "session_id": session_id,
        "seq": seq,
        "direction": record.direction,
        "event": record.event,
        "game_id": record.game_id,
        "player_id": record.player_id,
        "username": record.username,
    }
    try:
        content, fields = read(record.fields)
        Envelope(fields=content, **head)  # the contract; without `raw`, which is hashed once, below
    except Exception as error:  # also fields that are no map that JSON can say
        return _reject(record, raw, session_id, seq, error)
    make_id = ids.reject_id if record.doc_type == "reject" else ids.event_id
    event_id = make_id(record.source, session_id, seq, data)
    large = data if data is not None and len(data) + len(fields) > MAX_BODY - _ROOM else None
    last = _blob(large) if large is not None else {} if raw is None else {"raw": raw}
    body = _body(head, event_id, fields, last)
    if len(body) > MAX_BODY:
        too_large = ValueError(f"fields of {len(fields)} bytes are too large for a message")
        return _reject(record, raw, session_id, seq, too_large)
    return Entry(record.source, session_id, seq, record.doc_type, record.event, event_id, head["ts"], body, large)


def _encoded(raw: str | bytes | None) -> tuple[str | bytes | None, bytes | None]:
    """Return what was received, as it travels and as bytes; text with half a surrogate pair travels as bytes."""
    if not isinstance(raw, str):
        return raw, raw
    try:
        return raw, raw.encode()
    except UnicodeEncodeError:
        data = raw.encode("utf-8", "surrogatepass")
        return data, data


def _body(head: dict[str, Any], event_id: str, fields: bytes, last: dict[str, Any]) -> bytes:
    """Return the packed envelope, as `to_map` has it, around fields that are packed already."""
    content = {"v": head["v"], "id": event_id}
    content |= {key: value for key, value in head.items() if value is not None and value != ""}
    count = len(content) + len(last) + (1 if fields else 0)  # at most 15, so that all of it is a small map
    return b"".join(
        (bytes((_SMALL_MAP | count,)), pack(content)[1:], _FIELDS + fields if fields else b"", pack(last)[1:])
    )


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
    return _entry(envelope, to_map(envelope))


def _large_entry(envelope: Envelope, raw: bytes) -> Entry:
    content = to_map(envelope)
    del content["raw"]
    return _entry(envelope, content | _blob(raw), raw)


def _blob(raw: bytes) -> dict[str, str]:
    """Return what an envelope says of a frame that lies in the object store.

    Raises:
        ValueError: if it is too large for that.
    """
    if len(raw) > MAX_BLOB:
        raise ValueError(f"a frame of {len(raw)} bytes is too large: the bus takes {MAX_BLOB}")
    return {"blob": sha256(raw).hexdigest()}


def _entry(envelope: Envelope, content: dict[str, Any], large: bytes | None = None, lost: int = 1) -> Entry:
    """Return the entry of an envelope, from the map that travels.

    Raises:
        ValueError: if it is larger than a message may be.
    """
    body = pack(content)
    if len(body) > MAX_BODY:
        raise ValueError(f"an event of {len(body)} bytes is too large for a message")
    return Entry(
        envelope.source,
        envelope.session_id,
        envelope.seq,
        envelope.doc_type,
        envelope.event,
        content["id"],
        envelope.ts,
        body,
        large,
        lost,
    )


def _reject(record: Record, raw: str | bytes | None, session_id: str, seq: int, error: Exception) -> Entry:
    if raw is None:
        raw = _said(record.fields)
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
            source=record.source,
            session_id=session_id,
            seq=seq,
            direction="internal",
            event=record.event,
            fields={"reason": text(reason[:1000]), "doc_type": text(record.doc_type[:100])},
            raw=raw,
        )
    )


def _said(fields: bytes | dict[str, Any]) -> str | bytes:
    """Return fields as JSON; packed as they are, where JSON cannot say them."""
    if isinstance(fields, dict):
        return json.dumps(as_map(fields), ensure_ascii=False)
    try:
        content = msgpack.unpackb(fields, strict_map_key=False) if fields else {}
        return json.dumps(content, ensure_ascii=False)
    except Exception:
        return fields


def gap_entry(loss: Loss, session_id: str, first_seq: int | None, last_seq: int) -> Entry:
    """Return the event that says what is missing; it stands at the last number that was lost.

    Where `first_seq` is None, nobody knows how many events were lost.
    """
    envelope = Envelope(
        v=WIRE_VERSION,
        ts=max(loss.since, TS_MIN_US),
        recv_ts=max(loss.until, TS_MIN_US),
        doc_type="system_event",
        source=loss.source,
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
    return _entry(envelope, to_map(envelope), lost=loss.lost)
