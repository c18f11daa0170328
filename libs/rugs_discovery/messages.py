"""From the bytes that were received or recorded to the event that discovery looks at, one at a time and exactly.

The bytes are a WebSocket message, or a JSON object: a line of an old recording, or what was posted. An event goes by a
key: its name; `packet:ping` where a message is no event; `record:tick` for an object that has no event's data, by its
`type`; `unknown` and `record:unknown` where a name is missing or is no string. `columns` reads many at once.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NamedTuple

from rugs_discovery import exact
from rugs_feed import frames
from rugs_proto.arguments import is_trace, payload_of

RECORD: Final = "record:"
PACKET: Final = "packet:"
UNKNOWN: Final = "unknown"

NAME_KEYS: Final = ("event", "event_type", "event_name")
DATA_KEYS: Final = ("data", "payload", "args")
TIME_KEYS: Final = ("ts", "timestamp", "ts_ms", "captured_at")
EVENT: Final = b"42["
_BLANKS: Final = b"\xef\xbb\xbf \t\r\n"
_LISTS: Final = (b"[", b"\xef\xbb\xbf[")
_NO_NAME: Final = "no event name"
_SCALAR: Final = rb'(?:"(?:[^"\\]|\\.)*"|[-+.0-9a-zA-Z]+)'
_HEAD: Final = re.compile(
    rb'\{\s*(?:"(?!(?:event|event_type|event_name)")(?:[^"\\]|\\.)*"\s*:\s*' + _SCALAR + rb"\s*,\s*)*"
    rb'"(?:event|event_type|event_name)"\s*:\s*(' + _SCALAR + rb")"
).match
_raw_decode: Final = json.JSONDecoder().raw_decode
_KINDS: Final = {list: "an array", str: "a string", bool: "true or false", type(None): "null"}


class Message(NamedTuple):
    """An event as its bytes have it.

    Attributes:
        key: what it goes by.
        values: the payload, or for `record:` the whole object; none where the bytes are not JSON.
        others: arguments that are neither the payload nor a trace.
        is_traced: whether a trace goes before the payload.
        is_sent: whether the record says that the event was sent, not received.
        flaw: why JSON Schema cannot check it; None if it can.
    """

    key: str
    values: tuple[Any, ...] = ()
    others: tuple[Any, ...] = ()
    is_traced: bool = False
    is_sent: bool = False
    flaw: str | None = None


def read_line(line: bytes) -> Message:
    """Return the event of one line of a recording.

    Raises:
        ValueError: if it is neither a JSON object nor a WebSocket message; the message says why.
    """
    text = line.strip(_BLANKS)
    if text[:1].isdigit() and b"[" in text[:64]:
        message = read_frame(text)
        if message.values or message.flaw is None:
            return message
    try:
        value, flaw = exact.read(text)
    except exact.TooDeepError as error:
        if not text.startswith(b"{"):
            raise
        return Message(key_at_head(text), flaw=str(error))
    if not isinstance(value, dict):
        raise ValueError(f"not a JSON object but {_KINDS.get(type(value), 'a number')}")
    return _of_record(value, flaw)


def read_stored(raw: bytes) -> Message:
    """Return the event of stored bytes. Never fails."""
    if not raw.lstrip(_BLANKS).startswith(b"{"):
        return read_frame(raw)
    try:
        return read_line(raw)
    except ValueError as error:
        return Message(RECORD + UNKNOWN, flaw=str(error))


def read_frame(text: bytes | str) -> Message:
    """Return the event, or the packet, that a WebSocket message is. Never fails."""
    try:
        decoded = text.decode() if isinstance(text, bytes) else text
    except UnicodeDecodeError:
        return Message(f"{PACKET}attachment", flaw="bytes, not text")
    frame = frames.decode(decoded)
    is_event = frame.packet in frames.EVENT_PACKETS
    key = name_of(frame.event) if is_event else PACKET + frame.packet
    start = min((at for sign in "[{" if (at := decoded.find(sign)) >= 0), default=-1)
    if frame.problem not in (None, _NO_NAME) or (start < 0 and is_event):
        problem = str(frame.problem)
        return Message(key, flaw=exact.TOO_DEEP if "deep" in problem else problem)
    if start < 0:
        return Message(key, (frame.payload,))
    try:
        value, flaw = exact.read(decoded[start:])
    except ValueError as error:
        return Message(key, flaw=str(error))
    if not isinstance(value, list):
        return Message(key, (value,), flaw=flaw)
    if is_event and not value:
        return Message(key, flaw=_NO_NAME)
    return of_arguments(key, value[1:] if is_event else value)._replace(flaw=flaw)


def of_arguments(key: str, args: list[Any]) -> Message:
    """Return the event that a list of arguments makes."""
    payload = payload_of(args)
    place = next((at for at in reversed(range(len(args))) if args[at] is payload), -1)
    others = [each for at, each in enumerate(args) if at != place]
    rest = tuple(each for each in others if not is_trace(each))
    return Message(key, (payload,), rest, len(rest) < len(others))


def elements_of(text: bytes) -> list[bytes] | None:
    """Return the elements of a JSON array, each as it stands there; None if it is none."""
    try:
        decoded = text.decode().strip("\ufeff \t\r\n")
        if not decoded.startswith("[") or not isinstance(exact.read(decoded).value, list):
            return None
    except ValueError:
        return None
    found, at = [], 1
    while (at := _behind_blanks(decoded, at)) < len(decoded) - 1:
        _, end = _raw_decode(decoded, at)
        found.append(decoded[at:end].encode())
        at = end
    return found


def records_of(text: bytes) -> list[bytes]:
    """Return the records of a row: those of an array, where it is a document that is one; else the row itself."""
    if not text.startswith(_LISTS):
        return [text]
    elements = elements_of(text)
    return [text] if elements is None else elements


def _behind_blanks(text: str, at: int) -> int:
    while text[at] in " \t\r\n,":
        at += 1
    return at


def key_at_head(text: bytes) -> str:
    """Return the key of a record that has too many levels to be read: only what goes before its data is looked at."""
    found = _HEAD(text)
    return RECORD + UNKNOWN if found is None else name_of(json.loads(found[1]))


def name_of(name: object) -> str:
    """Return the key of an event's name."""
    return name if isinstance(name, str) and name else UNKNOWN


def _of_record(record: dict[str, Any], flaw: str | None) -> Message:
    name_key = next((key for key in NAME_KEYS if key in record), None)
    data_key = next((key for key in DATA_KEYS if key in record), None)
    is_sent = record.get("direction") == "sent"
    frame = record.get("raw")
    if isinstance(frame, str) and frame[:1] == "4":
        inner = read_frame(frame)
        return inner._replace(flaw=inner.flaw or flaw, is_sent=is_sent)
    if name_key is None or data_key is None:
        key = RECORD + name_of(record[name_key] if name_key else record.get("type"))
        return Message(key, (record,), is_sent=is_sent, flaw=flaw)
    key, data = name_of(record[name_key]), record[data_key]
    if isinstance(data, list) and any(map(is_trace, data)):
        return of_arguments(key, data)._replace(is_sent=is_sent, flaw=flaw)
    return Message(key, (data,), is_sent=is_sent, flaw=flaw)
