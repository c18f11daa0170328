"""What a message of the stream holds that anything can be derived from."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from rugs_feed.derive import EVENTS, Heard
from rugs_proto import wire
from rugs_proto.message import Message
from rugs_proto.wire import Event

SUBJECT: Final = "rugs.events.ws_event.>"
"""Where all causes are."""


class _Named(msgspec.Struct, gc=False):
    """An envelope's event; everything else in it is passed over."""

    event: str = ""


class Cause(NamedTuple):
    """An event to derive from, and where it stands in the stream; `parked`: its bytes are in the object store."""

    heard: Heard
    place: int
    parked: bool = False


_one = msgspec.msgpack.Decoder(_Named).decode
_many = msgspec.msgpack.Decoder(list[_Named]).decode


def causes_in(message: Message) -> list[Cause]:
    """Return the events of a message that anything is derived from, in the order of their session.

    What breaks the contract is none: the lake keeps it as a reject. Nor is what was itself read out of a document:
    whatever follows from it came with it.
    """
    if not _may_hold_any(message.body):
        return []
    events = wire.judge(message.body, "ws_event").events
    causes = (event for event in events if event.envelope.cause is None and event.envelope.event in EVENTS)
    found = [_cause(event, message.seq) for event in causes]
    if len(found) > 1:
        found.sort(key=lambda cause: cause.heard.seq)
    return found


def _may_hold_any(body: bytes) -> bool:
    """Look at the events' names alone: most of what a feed sends besides game states is passed over so."""
    if not body:
        return False
    try:
        named = [_one(body)] if body[0] & 0xF0 == 0x80 or body[0] in (0xDE, 0xDF) else _many(body)
    except (ValueError, RecursionError):
        return True  # something in it is at fault, and something else may be good
    return any(each.event in EVENTS for each in named)


def _cause(event: Event, place: int) -> Cause:
    envelope = event.envelope
    heard = Heard(
        event.digest.hex(),
        envelope.ts,
        envelope.recv_ts,
        envelope.source,
        envelope.session_id,
        envelope.seq,
        envelope.direction,
        envelope.event,
        event.raw,
    )
    return Cause(heard, place, event.raw is None and envelope.blob is not None)
