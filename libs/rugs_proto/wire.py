"""The contract at full speed: bodies to events with msgspec, for those who read millions.

Same rules as `rugs_proto.envelope.Envelope` (one set of contract tests runs against
both), about eight times as fast: types and bounds are checked in C while decoding, and
`raw` is never turned into text. Needs the extra package msgspec, which the client does
not install.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from math import isfinite
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgpack
import msgspec
from msgspec import Meta, Raw

from rugs_core.reasons import refusal
from rugs_proto import ids
from rugs_proto.domains import KEYED
from rugs_proto.rules import (
    BLOB_PATTERN,
    DOC_TYPE_PATTERN,
    HEX_ID_PATTERN,
    MAX_NAME,
    MAX_SEQ,
    TS_END_US,
    TS_MIN_US,
    Direction,
    check_plain,
    is_source,
)

_Name = Annotated[str, Meta(max_length=MAX_NAME)]
_Micros = Annotated[int, Meta(ge=TS_MIN_US, lt=TS_END_US)]
_NIL: Final = Raw(b"\xc0")


class WireEnvelope(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An envelope as msgspec reads and writes it; `raw` is still packed."""

    v: Literal[1]
    ts: _Micros
    doc_type: str
    source: str
    session_id: Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
    seq: Annotated[int, Meta(ge=1, le=MAX_SEQ)]
    direction: Direction
    id: str | None = None
    recv_ts: _Micros | None = None
    event: _Name = ""
    game_id: _Name | None = None
    player_id: _Name | None = None
    username: _Name | None = None
    fields: dict[str, Any] = {}
    raw: Raw = _NIL
    blob: str | None = None
    cause: str | None = None
    origin: dict[str, str | int | None] | None = None


class Event(NamedTuple):
    """A judged envelope: all rules hold.

    `digest` is the id's 16 bytes. `raw` holds what was received (None for derived
    events, and while it still lies in the object store under `envelope.blob`);
    `is_text` tells whether it is UTF-8.
    """

    envelope: WireEnvelope
    digest: bytes
    raw: bytes | None
    is_text: bool


class Fault(NamedTuple):
    """An element that breaks the contract: its place in the body, its bytes and why."""

    place: int
    body: bytes
    reason: str


class Judged(NamedTuple):
    """What a body held. Every element is in exactly one of the two."""

    events: list[Event]
    faults: list[Fault]


_decode_one = msgspec.msgpack.Decoder(WireEnvelope).decode
_decode_many = msgspec.msgpack.Decoder(list[WireEnvelope]).decode
_encode = msgspec.msgpack.Encoder().encode

_doc_type_fits = re.compile(DOC_TYPE_PATTERN).fullmatch
_hex_id_fits = re.compile(HEX_ID_PATTERN).fullmatch
_blob_fits = re.compile(BLOB_PATTERN).fullmatch
_known_doc_types: set[str] = set()
_known_sources: set[str] = set()
_MAX_KNOWN: Final = 10_000

_REFUSALS: Final = (ValueError, RecursionError)
"""What decoding raises: msgspec's errors are ValueErrors, but nesting without end is not."""
_LEAST_BYTES: Final = 64
"""No envelope is shorter: its required keys alone take more."""
MAX_FAULTS: Final = 1000
"""Faults of one body that are told apart: a body of a million nils must not become a million rejects."""


def judge(body: bytes, doc_type: str | None = None) -> Judged:
    """Decode a message body and judge its envelopes one by one.

    A body that is not msgpack, or neither a map nor an array, is one fault as a whole, and
    so is one with more than `MAX_FAULTS` bad elements: its good ones are events all the same.
    Where `doc_type` is given, an envelope of another one is a fault.
    """
    try:
        envelopes = [_decode_one(body)] if _is_map(body) else _decode_many(body)
        return Judged([_judged(envelope, doc_type) for envelope in envelopes], [])
    except _REFUSALS:  # find out which elements are at fault
        return _judge_apart(body, doc_type)


def _is_map(body: bytes) -> bool:
    return bool(body) and (body[0] & 0xF0 == 0x80 or body[0] in (0xDE, 0xDF))


def _judge_apart(body: bytes, doc_type: str | None) -> Judged:
    events: list[Event] = []
    faults: list[Fault] = []
    more = 0
    try:
        parts: Iterable[bytes | memoryview] = [body] if _is_map(body) else _elements(body)
        for place, part in enumerate(parts):
            if len(faults) == MAX_FAULTS and len(part) < _LEAST_BYTES:
                more += 1
                continue
            try:
                events.append(_judged(_decode_one(part), doc_type))
            except _REFUSALS as error:
                if len(faults) < MAX_FAULTS:
                    faults.append(Fault(place, bytes(part), refusal(error)))
                else:
                    more += 1
    except (msgpack.UnpackException, *_REFUSALS) as error:
        return Judged([], [Fault(0, body, f"not a msgpack map or array: {refusal(error)}")])
    if more:
        first = faults[0]
        faults = [Fault(0, body, f"element {first.place}: {first.reason}; and {len(faults) + more - 1} more")]
    return Judged(events, faults)


def _elements(body: bytes) -> Iterator[memoryview]:
    """Return the elements of a packed array, still packed, one by one: there may be millions.

    Raises:
        ValueError, msgpack.UnpackException: if the body is not one whole array.
    """
    unpacker = msgpack.Unpacker(max_buffer_size=max(len(body), 1))
    unpacker.feed(body)
    count = unpacker.read_array_header()
    start = unpacker.tell()
    view = memoryview(body)
    for _ in range(count):
        unpacker.skip()
        end = unpacker.tell()
        yield view[start:end]
        start = end
    if start != len(body):
        raise ValueError("bytes are left over")


def _judged(envelope: WireEnvelope, doc_type: str | None) -> Event:
    """Check what the decoder's types cannot say, and compute the id.

    Raises:
        ValueError: naming the rule that is broken.
    """
    if envelope.doc_type not in _known_doc_types:
        if not _doc_type_fits(envelope.doc_type):
            raise ValueError(f"doc_type is malformed: {envelope.doc_type[:80]!r}")
        if len(_known_doc_types) < _MAX_KNOWN:
            _known_doc_types.add(envelope.doc_type)
    if envelope.source not in _known_sources:
        if not is_source(envelope.source):
            raise ValueError(f"source is malformed: {envelope.source[:80]!r}")
        if len(_known_sources) < _MAX_KNOWN:
            _known_sources.add(envelope.source)
    if doc_type is not None and envelope.doc_type != doc_type:
        raise ValueError(f"doc_type {envelope.doc_type!r} on the subject of {doc_type!r}")
    for key, value in envelope.fields.items():
        kind = type(value)
        if kind is float:
            if not isfinite(value):
                raise ValueError(f"fields.{key[:40]} is not a finite number")
        elif kind is not int and kind is not str and kind is not bool and value is not None:
            check_plain(value, ("fields", key))
    raw, is_text = unpack_raw(envelope.raw)
    envelope.raw = _NIL  # it would keep the whole body in memory
    if raw is not None and (envelope.blob is not None or envelope.cause is not None):
        raise ValueError("raw excludes blob and cause")
    if envelope.cause is None and envelope.blob is None and envelope.doc_type not in KEYED:
        person = ids.REJECT_PERSON if envelope.doc_type == "reject" else ids.EVENT_PERSON
        digest = ids.event_digest(envelope.source, envelope.session_id, envelope.seq, raw, person)
        if envelope.id is not None and envelope.id != digest.hex():
            raise ValueError("id does not match the content")
        return Event(envelope, digest, raw, is_text)
    return Event(envelope, _told_digest(envelope), raw, is_text)


def _told_digest(envelope: WireEnvelope) -> bytes:
    """Return the id of an event that is not made of its bytes, or whose bytes are not there."""
    if envelope.blob is not None and not _blob_fits(envelope.blob):
        raise ValueError("blob is not 64 hex digits")
    if envelope.cause is not None and not _hex_id_fits(envelope.cause):
        raise ValueError("cause is not 32 hex digits")
    made = ids.id_of_key(envelope) if envelope.doc_type in KEYED else None
    if made is None and envelope.cause is not None:
        made = ids.natural_id(envelope.doc_type, envelope.source, envelope.game_id, envelope.fields)
    told = made if envelope.id is None else envelope.id
    if told is None:
        raise ValueError("id is missing and cannot be computed")
    if not _hex_id_fits(told):
        raise ValueError("id is not 32 hex digits")
    if made not in (None, told):
        raise ValueError("id does not match the content")
    if envelope.cause is not None and made is None and not ids.is_derived_id(told, envelope.doc_type, envelope.cause):
        raise ValueError("id does not match the cause")
    return bytes.fromhex(told)


def unpack_raw(packed: Raw) -> tuple[bytes | None, bool]:
    """Return the bytes inside a packed str, bin or nil, and whether they are UTF-8.

    Raises:
        ValueError: if it is another type, or a str that is not UTF-8.
    """
    view = memoryview(packed)
    tag = view[0]
    if tag == 0xC0:
        return None, False
    if tag & 0xE0 == 0xA0:
        raw, says_text = bytes(view[1:]), True
    elif tag in _RAW_HEADER_BYTES:
        raw, says_text = bytes(view[_RAW_HEADER_BYTES[tag] :]), tag >= 0xD9
    else:
        raise ValueError("raw is neither text nor bytes")
    is_text = is_utf8(raw)
    if says_text and not is_text:
        raise ValueError("raw is text that is not UTF-8")
    return raw, is_text


_RAW_HEADER_BYTES: Final = {0xC4: 2, 0xC5: 3, 0xC6: 5, 0xD9: 2, 0xDA: 3, 0xDB: 5}


def is_utf8(data: bytes) -> bool:
    """Return whether the bytes are UTF-8."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def encode(content: WireEnvelope | dict[str, Any] | Sequence[dict[str, Any]]) -> bytes:
    """Return a message body: one envelope, or an array of them. The caller vouches for what maps hold."""
    return _encode(content)
