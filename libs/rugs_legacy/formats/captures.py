"""The records that F9 and F10 share, and those like them: one received or sent Socket.IO event each.

A line is `{"seq": N, "ts": "...", "event": "...", "data": ...` and an end that differs by
format. Most lines are as the recorders wrote them: their head and end are matched as bytes,
and of the payload, which may have half a megabyte, only what `rugs_feed.extract` looks at is
decoded; the rest is checked and skipped. All other lines take the slow way.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from rugs_feed import frames
from rugs_feed.extract import PAYLOAD_KEYS, extract
from rugs_legacy.clock import Clock
from rugs_legacy.errors import UnreadableError
from rugs_legacy.formats.objects import text_of
from rugs_legacy.record import Parse, Record, check_name
from rugs_legacy.strict_json import read_object
from rugs_proto.arguments import MARK_KEYS

RECORD_START: Final = re.compile(rb'\{"seq"')

_HEAD: Final = re.compile(
    rb'\{"seq": \d{1,18}, "ts": "([^"\\\x00-\x1f]*)", "event": "([^"\\\x00-\x1f]{0,512})", "data": '
).match
_END_OF_F10: Final = re.compile(
    rb', "source": "[^"\\\x00-\x1f]{0,64}", "direction": "(received|sent|internal)"\}\Z'
).search
_LONGEST_END: Final = 128
_DIRECTIONS: Final = ("received", "sent", "internal")

_KEYS: Final = {key.lstrip("_"): key for key in (*PAYLOAD_KEYS, *MARK_KEYS)}
_Object: Any = msgspec.defstruct("_Object", [(name, Any, msgspec.UNSET) for name in _KEYS], rename=_KEYS, gc=False)
_Scalar: Any = str | int | float | bool | None
_decode_data: Final = msgspec.json.Decoder(_Object | list[_Object | list[msgspec.Raw] | _Scalar] | _Scalar).decode


def reader(timezone: str, name: str = "", *, from_cdp: bool) -> Parse:
    """Return a line reader of F9, or `from_cdp` of F10, whose times are aware unless an offset is missing."""
    read_time = Clock(timezone, aware=from_cdp).read

    def parse(line: bytes) -> Record:
        head = _HEAD(line)
        end = _match_end(line, from_cdp)
        if head is None or end is None:
            return _parse_slowly(line, read_time, from_cdp)
        try:
            data = _decode_data(line[head.end() : end[0]])
            event = head[2].decode()
        except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
            return _parse_slowly(line, read_time, from_cdp)
        ts, zone = read_time(head[1].decode())
        return Record(ts, ts, zone, "ws_event", event, end[1], *extract(event, _with_maps(data)))

    return parse


def _match_end(line: bytes, from_cdp: bool) -> tuple[int, str] | None:
    """Return where `data` ends, and the direction; None where the line ends in another way."""
    if not line.endswith(b"}"):
        line = line.rstrip(b" \t\r")
    if not from_cdp:
        return (len(line) - 1, "received") if line.endswith(b"}") else None
    end = _END_OF_F10(line, max(0, len(line) - _LONGEST_END))
    return (end.start(), end[1].decode()) if end else None


def _with_maps(data: object) -> object:
    """Return an event's argument, or list of arguments, as `extract` takes them, with the keys that it looks at."""
    if isinstance(data, list):
        return [_with_maps(argument) for argument in data]
    return dict(zip(_KEYS.values(), msgspec.structs.astuple(data), strict=True)) if isinstance(data, _Object) else data


def _parse_slowly(line: bytes, read_time: Callable[[str], tuple[int, str]], from_cdp: bool) -> Record:
    content = read_object(line)
    for key in ("source", "direction") if from_cdp else ():
        if key not in content:
            raise UnreadableError(f"no whole record: {key!r} is missing")
    direction = content["direction"] if from_cdp else "received"
    if direction not in _DIRECTIONS:
        raise UnreadableError(f"no known direction: {str(direction)[:80]!r}")
    return numbered_event(content, read_time)._replace(direction=direction)


def numbered_event(content: dict[str, Any], read_time: Callable[[str], tuple[int, str]]) -> Record:
    """Return the record that an object with F9's keys is.

    Raises:
        UnreadableError: if it is none.
    """
    if type(content.get("seq")) is not int:
        raise UnreadableError("seq is not a whole number" if "seq" in content else "no whole record: 'seq' is missing")
    ts, zone = read_time(text_of(content, "ts"))
    return socket_event(content, "event", ts, zone)


def socket_event(content: dict[str, Any], event_key: str, ts: int, zone: str) -> Record:
    """Return the record that an object with an event's name and its `data` is.

    Where it has the socket's message as well, in `raw`, that counts: some recorders kept no more of
    an event than its first argument.

    Raises:
        UnreadableError: if name or data are not there.
    """
    for key in (event_key, "data"):
        if key not in content:
            raise UnreadableError(f"no whole record: {key!r} is missing")
    event = check_name(content[event_key], event_key)
    data = content["data"]
    message = content.get("raw")
    if isinstance(message, str):
        frame = frames.decode(message)
        if frame.event == event:
            data = list(frame.args)
    return Record(ts, ts, zone, "ws_event", event, "received", *extract(event, data))
