"""The events that dual-write tells of: out of messages, and out of the lake where the stream has them no more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import rugs_lake
from rugs_follow.lake_reader import windows
from rugs_legacy.line_formats.stored import COLUMNS, Stored, fetch, keep_small
from rugs_proto.message import Message
from rugs_proto.subjects import parse_event_subject
from rugs_proto.wire import Event, is_utf8, judge

if TYPE_CHECKING:
    from rugs_lake.read.reader import Lake

_MOST: Final = 500
"""Events that are read from the lake at once; of ordinary ones that is some 5 MB."""
_WIDEST: Final = 1 << 40
_WANTED: Final = (
    "doc_type = 'ws_event' AND cause IS NULL AND source = $1 AND incarnation = $2 AND stream_seq BETWEEN $3 AND $4"
)


class Captured(NamedTuple):
    """An event as it came; `digest` is the SHA-256 of its bytes where these lie in the object store, under its id."""

    event: Stored
    digest: str | None


def subject_of(source: str) -> str:
    """Return the subject that everything captured by a source is on."""
    return f"rugs.events.ws_event.{source}.>"


def captured_in(message: Message, source: str) -> Iterator[Captured]:
    """Give the captured events of a source; elements that break the contract are the lake's to keep."""
    for found in judge(message.body, parse_event_subject(message.subject).doc_type).events:
        envelope = found.envelope
        if envelope.doc_type == "ws_event" and envelope.source == source and envelope.cause is None:
            yield Captured(_stored(found), envelope.blob)


def with_bytes(event: Stored, data: bytes) -> Stored:
    """Return an event with its bytes: text where they are."""
    return event._replace(raw=data.decode()) if is_utf8(data) else event._replace(raw_bin=data)


def _stored(found: Event) -> Stored:
    envelope = found.envelope
    event = Stored(
        source=envelope.source,
        session_id=envelope.session_id,
        seq=envelope.seq,
        id=found.digest.hex(),
        ts=envelope.ts,
        doc_type=envelope.doc_type,
        event=envelope.event,
        direction=envelope.direction,
        game_id=envelope.game_id,
        **dict.fromkeys(_NOT_TOLD),
    )
    return event if found.raw is None else with_bytes(event, found.raw)


_NOT_TOLD: Final = Stored._fields[9:]
"""What the bytes say, or tells of other events."""


class Piece(NamedTuple):
    """Events that stand up to a sequence of the stream, the piece before not included."""

    last_seq: int
    events: list[Stored]


def open_lake(root: Path, **asked_for: Any) -> Lake:
    """Open what the lake has of frames, to read few events at a time; `asked_for` as `rugs_lake.open` takes it.

    Raises:
        LakeError: if there is none, or it cannot be read.
    """
    lake = rugs_lake.open(root, doc_types=["ws_event"], **asked_for)
    keep_small(lake)
    return lake


def pieces(lake: Lake, source: str, incarnation: str, first: int, last: int | None) -> Iterator[Piece]:
    """Give what the lake has of an incarnation, between two sequences or to its end, a bounded number at a time."""

    def ask(what: str, start: int, end: int) -> int:
        values = [source, incarnation, start, end]
        found = lake.sql(f"SELECT {what} FROM ws_event WHERE {_WANTED}", values).fetchall()[0][0]  # noqa: S608 - our own text
        return int(found or 0)

    last = ask("max(stream_seq)", first, _WIDEST) if last is None else last
    for start, end in windows(lambda start, end: ask("count(*)", start, end), first, last, _MOST):
        query = f"SELECT {COLUMNS} FROM ws_event WHERE {_WANTED} ORDER BY stream_seq, seq"  # noqa: S608 - our own text
        yield Piece(end, [*fetch(lake, query, [source, incarnation, start, end])])


def bytes_of(lake: Lake, event: Stored) -> bytes | None:
    """Return the bytes that the lake has of an event; None where it has none."""
    data = lake.received("ws_event", event.source, event.session_id, event.seq, event.id)
    return data.encode() if isinstance(data, str) else data
