"""From a body to events: what an item says becomes an envelope, or is refused with the reason. Pure.

An object, or a map of msgpack, may have these keys; all others stand in `raw` only:

==============================================  ===================================================
``event``, ``event_type`` or ``event_name``     the event's name; needed where there is no ``raw``
``data``, ``payload`` or ``args``               its argument, or a list of its arguments
``raw``                                         the WebSocket message itself, as text: it says both
``ts`` or ``timestamp``                         when it happened: see `rugs_capture.ingest.times`
``source`` ``direction``                        as the headers
``session`` or ``session_id``                   as the header
``seq``                                         its number in that session, from 1, if the sender counts
``doc_type``                                    where it is not what its name says
``game_id`` ``player_id`` ``username``          where `data` does not tell
``fields``                                      extracts beside those that are read out of `data`
==============================================  ===================================================

Lines of old captures (`seq`, `ts`, `event`, `data`) fit. A time that is not surely known is in
`fields.ts_text`, and `ts` is the time of receipt; an unknown source or direction is in
`fields`, under its own name. One with `v` and `doc_type` is an envelope, and taken as it is.

**Identity.** An item is known by source, session, position and bytes. Where the sender tells
session and number, or sends an Idempotency-Key, the same item sent again is the same event.
Any other is numbered here, and another event each time it comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, TypeVar

from pydantic import ValidationError

from rugs_capture.ingest.items import Item, take_apart
from rugs_capture.ingest.terms import DIRECTIONS, MAX_SESSION, Terms, is_session
from rugs_capture.ingest.times import read_time
from rugs_core.reasons import refusal
from rugs_feed import frames
from rugs_feed.frames import Frame
from rugs_feed.kinds import items, text
from rugs_feed.normalise import Normal, normalise, normalise_frame
from rugs_proto import ids
from rugs_proto.envelope import Envelope
from rugs_proto.rules import MAX_NAME, MAX_SEQ, WIRE_VERSION, Direction, check_plain, is_source

_EVENT_KEYS: Final = ("event", "event_type", "event_name")
_DATA_KEYS: Final = ("data", "payload", "args")
_TIME_KEYS: Final = ("ts", "timestamp")
_SESSION_KEYS: Final = ("session", "session_id")
_LONGEST_NOTE: Final = 200

_Word = TypeVar("_Word", str, Direction)


class Taken(NamedTuple):
    """An item that can be published, with its bytes; `envelope.id` is set."""

    position: int
    raw: bytes
    envelope: Envelope


class Refused(NamedTuple):
    """An item that cannot, with its bytes, its place in a session, and why."""

    position: int
    raw: bytes
    session_id: str
    seq: int
    reason: str


class Desk(NamedTuple):
    """Where items are received: what holds for those that tell nothing else.

    Attributes:
        session: session of items that name none, nor does the header.
        number: gives the next number for an item that has none; no number twice.
        now: the time of receipt, microseconds since the Unix epoch, UTC.
        frame_a_line: whether WebSocket messages come one a line.
    """

    session: str
    number: Callable[[], int]
    now: int
    frame_a_line: bool = False


def read(body: bytes, terms: Terms, desk: Desk) -> Iterator[Taken | Refused]:
    """Yield what each item of a body says, in order. Never fails."""
    for item in take_apart(body, terms.kind, frame_a_line=desk.frame_a_line):
        try:
            yield Taken(item.position, item.raw, _envelope(item, terms, desk))
        except (ValueError, RecursionError) as error:
            yield _refused(item, terms, desk, _reason(error))


def refuse(body: bytes, terms: Terms, desk: Desk, reason: str) -> Refused:
    """Refuse a body as a whole."""
    return _refused(Item(1, body, None), terms, desk, reason)


def reject_of(refused: Refused, terms: Terms, now: int) -> Envelope:
    """Return the event that keeps what was refused: its bytes, its place and the reason."""
    return Envelope(
        v=WIRE_VERSION,
        id=ids.reject_id(terms.source, refused.session_id, refused.seq, refused.raw),
        ts=now,
        recv_ts=now,
        doc_type="reject",
        source=terms.source,
        session_id=refused.session_id,
        seq=refused.seq,
        direction="internal",
        event="item",
        fields={"reason": refused.reason, "position": refused.position},
        raw=_stored(refused.raw),
    )


def _refused(item: Item, terms: Terms, desk: Desk, reason: str) -> Refused:
    session_id, seq = _place(item.position, None, None, terms, desk)
    return Refused(item.position, item.raw, session_id, seq, reason)


def _envelope(item: Item, terms: Terms, desk: Desk) -> Envelope:
    """Return what an item says.

    Raises:
        ValueError: if it cannot be an event, saying why.
    """
    content = item.content
    if content is None:
        raise ValueError(item.reason)
    if isinstance(content, Frame):
        return _made(item, normalise_frame(content), {}, terms, desk)
    if "v" in content and "doc_type" in content:
        return _whole(content)
    return _made(item, _normal(content), content, terms, desk)


def _whole(content: dict[str, Any]) -> Envelope:
    envelope = Envelope.model_validate(content)
    if envelope.blob is not None:
        raise ValueError("blob: the bytes have to come in raw")
    return envelope if envelope.id is not None else envelope.model_copy(update={"id": envelope.computed_id()})


def _normal(content: dict[str, Any]) -> Normal:
    """Return what an object's message says, or its event by name."""
    name = _first(content, _EVENT_KEYS)
    message = content.get("raw")
    if isinstance(message, str):
        frame = frames.decode(message)
        if name is None or frame.problem is None:
            return normalise_frame(frame)
    if name is None:
        raise ValueError("no event: an object needs the key event, or raw")
    if text(name) is None:
        raise ValueError(f"event is not text of at most {MAX_NAME} characters")
    return normalise(str(name), next((content[key] for key in _DATA_KEYS if key in content), None))


def _made(item: Item, said: Normal, told: dict[str, Any], terms: Terms, desk: Desk) -> Envelope:
    """Return the envelope of what an item says, and what is `told` of it in its own keys."""
    fields = said.fields
    source = _word("source", _source, told, fields) or terms.source
    direction: Direction = _word("direction", DIRECTIONS.get, told, fields) or terms.direction
    ts = read_time(when := _first(told, _TIME_KEYS))
    if ts is None and when is not None:
        fields["ts_text"] = _noted(when)
    session_id, seq = _place(item.position, _first(told, _SESSION_KEYS), told.get("seq"), terms, desk)
    doc_type = said.doc_type if told.get("doc_type") is None else told["doc_type"]
    make_id = ids.reject_id if doc_type == "reject" else ids.event_id
    return Envelope(
        v=WIRE_VERSION,
        id=make_id(source, session_id, seq, item.raw),
        ts=desk.now if ts is None else ts,
        recv_ts=desk.now,
        doc_type=doc_type,
        source=source,
        session_id=session_id,
        seq=seq,
        direction=direction,
        event=said.event,
        game_id=said.game_id if told.get("game_id") is None else told["game_id"],
        player_id=said.player_id if told.get("player_id") is None else told["player_id"],
        username=said.username if told.get("username") is None else told["username"],
        fields=fields | _extracts(told),
        raw=_stored(item.raw),
    )


def _place(position: int, session: object, seq: object, terms: Terms, desk: Desk) -> tuple[str, int]:
    """Return the session that an item belongs to, and its number there.

    Raises:
        ValueError: if the session cannot be one.
    """
    if session is not None and not is_session(session):
        raise ValueError(f"session is not text of 1 to {MAX_SESSION} characters")
    named = terms.session if session is None else str(session)
    if named is not None and type(seq) is int and 1 <= seq <= MAX_SEQ:
        return named, seq
    if terms.key is not None:
        return f"{named or 'request'}-{terms.key}", position  # nothing in it depends on this process
    return desk.session if named is None else named, desk.number()


def _source(name: object) -> str | None:
    return name if is_source(name) and name not in _OLD_WORDS else None


_OLD_WORDS: Final = ("cdp_intercept", "websocket_feed")
"""What old recorders wrote as a line's source: how they listened. As our source it would change the line's id."""


def _word(
    key: str, understood: Callable[[object], _Word | None], told: dict[str, Any], fields: dict[str, Any]
) -> _Word | None:
    """Return a word that is understood; any other is noted in the fields."""
    value = told.get(key)
    if value is None:
        return None
    word = understood(value) if isinstance(value, str) else None
    if word is None:
        fields[key] = _noted(value)
    return word


def _extracts(told: dict[str, Any]) -> dict[str, Any]:
    extracts = told.get("fields")
    if extracts is None:
        return {}
    if not isinstance(extracts, dict):
        raise ValueError("fields is not an object")
    if items([extracts]) is None:
        check_plain(extracts)
        raise ValueError("fields holds half a surrogate pair")
    return extracts


def _first(content: dict[str, Any], keys: tuple[str, ...]) -> Any:
    return next((content[key] for key in keys if content.get(key) is not None), None)


def _noted(value: object) -> str:
    return str(value)[:_LONGEST_NOTE].encode("utf-8", "replace").decode()


def _stored(raw: bytes) -> str | bytes:
    """Return bytes as an envelope has them: text where they are UTF-8."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        faults = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}".removeprefix(": ") for fault in error.errors())
        return refusal(ValueError("; ".join(faults)))
    return refusal(error)
