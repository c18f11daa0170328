"""From what came in to what an envelope says: one way for live capture, ingest and old captures.

`normalise_frame` takes a WebSocket message, `normalise` an event by its name; `read_raw` finds
the event again in the bytes that were stored of it, whichever way they came.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

from rugs_feed import frames
from rugs_feed.extract import extract
from rugs_feed.frames import EVENT_PACKETS, Frame, read_json
from rugs_feed.kinds import text
from rugs_proto.arguments import payload_of

DOC_TYPES: Final = {
    "game.tick": "game_tick",
    "player.update": "server_state",
    "trade.": "player_action",
    "bot.": "player_action",
    "game.": "system_event",
    "player.": "system_event",
    "ui.": "system_event",
    "file.": "system_event",
    "replay.": "system_event",
    "ws.raw_event": "ws_event",
    "ws.": "system_event",
}
"""What events of an application are, by name or by what a name begins with; the first that fits counts.

Whatever else comes is a `ws_event`, and whatever came through a socket is one, too.
"""
WS_EVENT: Final = "ws_event"

_NAME_KEYS: Final = ("event", "event_type", "event_name")
_DATA_KEYS: Final = ("data", "payload", "args")
_BEFORE_JSON: Final = "\ufeff \t\r\n"
"""Before a file's first line may stand a mark of its byte order."""


class Normal(NamedTuple):
    """What an event is and says, in an envelope's terms."""

    doc_type: str
    event: str
    game_id: str | None
    player_id: str | None
    username: str | None
    fields: dict[str, Any]


class Told(NamedTuple):
    """An event as its bytes tell it.

    Attributes:
        event: its name, or what the packet is where it has no name.
        payload: the argument that says what it is about: see `rugs_proto.arguments`.
        packet: what `frames.Frame.packet` says; `event` where there was no frame.
    """

    event: str
    payload: Any
    packet: str = "event"


def normalise(event: str, data: object = None) -> Normal:
    """Return what an event says, from its name and its argument, or list of arguments. Never fails."""
    doc_type = WS_EVENT
    if "." in event:
        doc_type = next((kind for name, kind in DOC_TYPES.items() if _fits(event, name)), WS_EVENT)
    return Normal(doc_type, text(event) or "", *extract(event, data))


def _fits(event: str, name: str) -> bool:
    return event.startswith(name) if name.endswith(".") else event == name


def normalise_frame(frame: Frame) -> Normal:
    """Return what a WebSocket message says. Never fails.

    An event goes by its name. Any other packet goes by its kind, and `fields` has `packet`, so
    that an event named `ping` and a ping can be told apart. `reason` says what was not understood.
    """
    said = extract(frame.event or frame.packet, list(frame.args))
    fields = said.fields
    if frame.packet != "event":
        fields["packet"] = frame.packet
    if frame.ack_id is not None:
        fields["ack_id"] = frame.ack_id
    if frame.namespace != "/" and (namespace := text(frame.namespace)):
        fields["namespace"] = namespace
    if frame.attachments:
        fields["attachments"] = frame.attachments
    if frame.problem is not None:
        fields["reason"] = frame.problem
    return Normal(WS_EVENT, event_name(frame), said.game_id, said.player_id, said.username, fields)


def event_name(frame: Frame) -> str:
    """Return the name that a WebSocket message goes by; empty for an event without a name that can be stored."""
    if frame.packet in EVENT_PACKETS:
        return text(frame.event) or ""
    return frame.packet


def read_raw(raw: str | bytes | None) -> Told | None:
    """Return the event that stored bytes tell of; None where they tell of none.

    They are a WebSocket message, or an object with the event's name and data, in JSON or msgpack: a
    line of an old capture, or what was posted. Where such an object has the message itself, that counts.
    """
    if raw is None:
        return None
    try:
        text_of = raw.decode() if isinstance(raw, bytes) else raw
    except UnicodeDecodeError as error:
        return _told_packed(error.object)
    line = text_of.lstrip(_BEFORE_JSON)
    if not line.startswith("{"):
        return _told(frames.decode(text_of))
    try:
        record, _ = read_json(line)
    except ValueError:
        return None
    return _told_by(record)


def _told_packed(raw: bytes) -> Told | None:
    """Return what a msgpack map tells; any other bytes are an attachment, which tells nothing."""
    try:
        record = msgspec.msgpack.decode(raw)
    except (ValueError, TypeError, RecursionError):
        return None
    return _told_by(record) if isinstance(record, dict) else None


def _told_by(record: dict[str, Any]) -> Told | None:
    message = record.get("raw")
    if isinstance(message, str):
        return _told(frames.decode(message))
    event = next((record[key] for key in _NAME_KEYS if isinstance(record.get(key), str)), None)
    if event is None:
        return None
    return Told(event, payload_of(next((record[key] for key in _DATA_KEYS if key in record), None)))


def _told(frame: Frame) -> Told:
    return Told(event_name(frame), frame.payload, frame.packet)
