"""From judged events to rows: what the lake stores of a message.

Pure: no file, no broker. A message's events become `Row`s, its faults become `Row`s of
doc type `reject`; `to_table` turns the rows of one partition into an Arrow table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import orjson
import pyarrow as pa

from rugs_lake.schema import COLUMNS, FIELD_COLUMNS
from rugs_proto import ids
from rugs_proto.message import Message
from rugs_proto.subjects import parse_event_subject
from rugs_proto.wire import Event, Fault, WireEnvelope, is_utf8, judge

DAY_US: Final = 86_400_000_000
GAME_RULES: Final = ("game_tick", "game")
"""Derived doc types that are known by their game, not by their session."""


class Row(NamedTuple):
    """One row to be: a judged event and where it came from.

    `subject` is kept for rejected messages only, so that they can be fed again.
    """

    event: Event
    stream_seq: int
    subject: str | None = None

    @property
    def partition(self) -> tuple[str, int]:
        """The doc type and the UTC day, counted from 1970-01-01, that the row belongs to."""
        return self.event.envelope.doc_type, self.event.envelope.ts // DAY_US

    @property
    def scope(self) -> tuple[bytes, int]:
        """The scope that the id is unique in, hashed, and the row's position there.

        An id can come twice only within its session, or for derived ticks and games
        within its game: the catalog keeps which files hold which positions of a scope.
        """
        envelope = self.event.envelope
        if envelope.cause is not None and envelope.doc_type in GAME_RULES and envelope.game_id is not None:
            tick = envelope.fields.get("tick")
            if type(tick) is not int or not -(2**63) <= tick < 2**63:  # what SQLite's integers hold
                tick = 0
            return scope_hash("game", envelope.game_id), tick
        return scope_hash(envelope.source, envelope.session_id), envelope.seq


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


def rows_of(message: Message, incarnation: str) -> list[Row]:
    """Return every row that a message stands for; none of its bytes is left out.

    An envelope whose doc type is not the subject's is a reject, and so is a body that
    breaks the contract; the good envelopes beside a bad one are stored.
    """
    try:
        told = parse_event_subject(message.subject).doc_type
    except ValueError as error:
        return [reject_row(message, incarnation, Fault(0, message.body, str(error)))]
    events, faults = judge(message.body, told)
    rows = [Row(event, message.seq) for event in events]
    rows += [reject_row(message, incarnation, fault) for fault in faults]
    return rows


def reject_row(message: Message, incarnation: str, fault: Fault) -> Row:
    """Return the row that keeps an element of a message which could not be understood.

    Its place, and so its session, is the stream's incarnation and sequence.
    """
    session = f"stream:{incarnation}:{message.seq}"
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


def to_table(rows: Sequence[Row], incarnation: str) -> pa.Table:
    """Return the Arrow table of one partition's rows, in the order given."""
    envelopes = [row.event.envelope for row in rows]
    count = len(rows)
    columns: dict[str, Any] = {
        "id": [row.event.digest for row in rows],
        "doc_type": pa.repeat(envelopes[0].doc_type, count),
        "date": pa.repeat(pa.scalar(envelopes[0].ts // DAY_US, pa.int32()), count).cast(pa.date32()),
        "raw": [row.event.raw if row.event.is_text else None for row in rows],
        "raw_bin": [None if row.event.is_text else row.event.raw for row in rows],
        "cause": [None if e.cause is None else bytes.fromhex(e.cause) for e in envelopes],
        "subject": [row.subject for row in rows],
        "incarnation": pa.repeat(incarnation, count),
        "stream_seq": [row.stream_seq for row in rows],
        **_field_columns([e.fields for e in envelopes]),
        **_origin_columns(envelopes),
    }
    for name in _ENVELOPE_COLUMNS:
        columns[name] = [getattr(envelope, name) for envelope in envelopes]
    return pa.table([_array(columns[c.name], c.arrow) for c in COLUMNS], schema=_SCHEMA)


_ENVELOPE_COLUMNS: Final = (
    *("ts", "recv_ts", "v", "source", "session_id", "seq", "direction", "event"),
    *("game_id", "player_id", "username"),
)
_SCHEMA: Final = pa.schema([column.field for column in COLUMNS])


def _array(values: Any, arrow: pa.DataType) -> pa.Array:
    if isinstance(values, pa.Array):
        return values
    if pa.types.is_string(arrow) and any(type(value) is bytes for value in values):
        return pa.array(values, pa.binary()).view(pa.string())  # UTF-8 was checked when it was judged
    return pa.array(values, arrow)


_FITS: Final[dict[pa.DataType, Callable[[Any], bool]]] = {
    pa.string(): lambda value: type(value) is str,
    pa.bool_(): lambda value: type(value) is bool,
    pa.int64(): lambda value: type(value) is int and -(2**63) <= value < 2**63,
    # An integer beyond 2**53 would change in a double: it stays as it is, in `extra`.
    pa.float64(): lambda value: type(value) is float or (type(value) is int and -(2**53) <= value <= 2**53),
}


def _field_columns(fields: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the typed columns, and `extra` with all that has none or does not fit its type."""
    columns: dict[str, Any] = {}
    misfits: dict[int, dict[str, Any]] = {}
    for name, (arrow, _) in FIELD_COLUMNS.items():
        values = [map_.get(name) for map_ in fields]
        kinds = set(map(type, values)) - {type(None)}
        if not kinds:
            columns[name] = pa.nulls(len(fields), arrow)
            continue
        if len(kinds) > 1 or not _is_plain(kinds.pop(), arrow):
            fits = _FITS[arrow]
            for place, value in enumerate(values):
                if value is not None and not fits(value):
                    misfits.setdefault(place, {})[name] = value
                    values[place] = None
        columns[name] = values
    known = FIELD_COLUMNS.keys()
    columns["extra"] = [
        _json({key: value for key, value in map_.items() if key not in known} | misfits.get(place, {}))
        if place in misfits or not map_.keys() <= known
        else None
        for place, map_ in enumerate(fields)
    ]
    return columns


def _is_plain(kind: type, arrow: pa.DataType) -> bool:
    """Whether all values of a Python type fit an Arrow type, without a look at each."""
    return (kind, arrow) in ((str, pa.string()), (bool, pa.bool_()), (float, pa.float64()))


def _json(value: Any) -> str:
    try:
        return orjson.dumps(value, option=orjson.OPT_PASSTHROUGH_DATETIME).decode()
    except TypeError:
        raise AssertionError("fields were checked to be plain when they were judged") from None


def _origin_columns(envelopes: Sequence[WireEnvelope]) -> dict[str, Any]:
    """Return the origin's columns. An import's offset is seq - 1: stored only where it is not."""
    origins = [envelope.origin or {} for envelope in envelopes]
    columns: dict[str, Any] = {
        f"origin_{key}": [_typed(origin.get(key), kind) for origin in origins] for key, kind in _ORIGIN_KEYS.items()
    }
    columns["origin_offset"] = [
        None if offset == envelope.seq - 1 else offset
        for offset, envelope in zip(columns["origin_offset"], envelopes, strict=True)
    ]
    columns["origin_extra"] = [_origin_extra(origin) for origin in origins]
    return columns


_ORIGIN_KEYS: Final[dict[str, type]] = {"sha256": str, "file": str, "line": int, "offset": int, "tz": str}


def _typed(value: str | int | None, kind: type) -> str | int | None:
    fits = type(value) is kind and (not isinstance(value, int) or -(2**63) <= value < 2**63)
    return value if fits else None


def _origin_extra(origin: dict[str, Any]) -> str | None:
    """Return, as JSON, what of an origin has no column or does not fit it."""
    other = {
        key: value
        for key, value in origin.items()
        if value is not None and (key not in _ORIGIN_KEYS or _typed(value, _ORIGIN_KEYS[key]) is None)
    }
    return _json(other) if other else None
