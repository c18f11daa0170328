"""From the bytes that were stored of an event to its name and data, all of it, numbers as they were received."""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

from rugs_feed import frames
from rugs_feed.normalise import event_name, read_raw
from rugs_legacy.old_records import data_of

_NAME_KEYS: Final = ("event", "event_type", "event_name")
_DATA_KEYS: Final = ("data", "payload", "args")


class Telling(NamedTuple):
    """An event as its bytes tell it.

    Attributes:
        data: its one argument, the list of all, or None; in a record, what stands there.
        packet: `event` for an event, else what `rugs_feed.frames` says that the message is.
    """

    event: str
    data: Any
    packet: str = "event"


def tell(raw: str | bytes | None) -> Telling | None:
    """Return what bytes tell; None where they tell of no event: a torn message, an attachment, nothing."""
    if raw is None:
        return None
    if isinstance(raw, bytes):
        try:
            raw = raw.decode()
        except UnicodeDecodeError:
            told = read_raw(raw)  # a msgpack map tells of one, an attachment does not
            return None if told is None else Telling(told.event, told.payload)
    text = raw.lstrip("\ufeff \t\r\n")
    return _of_record(text) if text.startswith("{") else _of_frame(raw)


def _of_record(text: str) -> Telling | None:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return None
    message = record.get("raw")
    if isinstance(message, str):
        return _of_frame(message)
    event = next((record[key] for key in _NAME_KEYS if isinstance(record.get(key), str)), None)
    if event is None:
        return None
    return Telling(event, next((record[key] for key in _DATA_KEYS if key in record), None))


def _of_frame(message: str) -> Telling | None:
    frame = frames.decode(message)
    if frame.problem is not None:
        return None
    if frame.packet not in frames.EVENT_PACKETS:
        return Telling(event_name(frame), data_of(list(frame.args)), frame.packet)
    try:  # Python's own reader, as the old recorders had it: it alone keeps a number of any length whole
        name, *arguments = json.loads(message[message.index("[") :])
    except (ValueError, RecursionError):
        name, arguments = frame.event, list(frame.args)
    return Telling(frame.event or "", data_of(arguments if name == frame.event else list(frame.args)))
