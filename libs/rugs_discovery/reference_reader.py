"""The reference reader: from bytes to events for the proof, by other means than the scan.

The scan reads with orjson, and counts colons to notice a key that stands twice. This reader is slower and simpler: the
standard library reads every byte and shows all keys of each object, and msgspec cuts the payload's JSON text out of
the source bytes, so that DuckDB counts what was recorded. Which event the bytes are follows the rules that
`rugs_discovery.messages` documents; they are written here a second time, on purpose.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec

from rugs_discovery.messages import key_at_head
from rugs_discovery.nodes import Place
from rugs_discovery.reference_json import TooDeepError, read, with_room
from rugs_feed import frames
from rugs_feed.normalise import event_name
from rugs_proto.arguments import is_trace, payload_of

_NAME_KEYS: Final = ("event", "event_type", "event_name")
_DATA_KEYS: Final = ("data", "payload", "args")
_BLANKS: Final = "\ufeff \t\r\n"
_UNKNOWN: Final = "unknown"
_PACKET: Final = "packet:"
_RECORD: Final = "record:"
_LONGEST_HEAD: Final = 64
_cut_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_cut_array: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_raw_decode: Final = json.JSONDecoder().raw_decode
_BETWEEN: Final = re.compile(r"[ \t\r\n,]*")


class Part(NamedTuple):
    """A JSON value of an event.

    Attributes:
        text: the value as it stands in the source; empty for an event with a flaw.
    """

    text: bytes
    value: Any


@dataclass(slots=True, eq=False)
class Checked:
    """An event to be checked, or a line that is none.

    Attributes:
        key: what the event goes by; None for a line that is no event.
        payload: None where the bytes hold no JSON value.
        arguments: further arguments that are no traces, as one array; None where there are none.
        flaw: why JSON Schema cannot check it, or why it is no event; None if all is well.
        size: bytes of the line or the stored message.
    """

    key: str | None
    place: Place
    payload: Part | None = None
    arguments: Part | None = None
    flaw: str | None = None
    size: int = 0


def checked_of_line(line: bytes, place: Place) -> Checked:
    """Return the event of one line of a recording."""
    try:
        event = with_room(_of_line, line, line.decode().strip(_BLANKS), place)
    except ValueError as error:
        event = Checked(None, place, flaw=str(error))
    event.size = len(line)
    return event


def checked_of_stored(raw: bytes, place: Place) -> Checked:
    """Return the event of stored bytes: a WebSocket message, or the JSON object that was posted."""
    try:
        event = with_room(_of_stored, raw, raw.decode(), place)
    except UnicodeDecodeError:
        key = _RECORD + _UNKNOWN if raw.lstrip(_BLANKS.encode()).startswith(b"{") else _PACKET + "attachment"
        event = Checked(key, place, flaw="bytes, not text")
    event.size = len(raw)
    return event


def records_of(text: str) -> list[str] | None:
    """Return the elements of a JSON array, each as it stands there, or another JSON value alone; None if it is none."""
    text = text.strip(_BLANKS)
    try:
        return with_room(_records, text.encode(errors="surrogatepass"), text)
    except ValueError:
        return None


def _records(text: str) -> list[str]:
    value, _ = read(text)
    if not isinstance(value, list):
        return [text]
    found, end = [], 1
    for _ in value:
        between = _BETWEEN.match(text, end)
        assert between is not None  # noqa: S101 - the pattern takes the empty string as well
        _, end = _raw_decode(text, between.end())
        found.append(text[between.end() : end])
    return found


def _of_line(line: str, place: Place) -> Checked:
    if line[:1].isdigit() and "[" in line[:_LONGEST_HEAD]:
        event = _of_message(line, place)
        if event.payload is not None:
            return event
    if line.startswith("{"):
        return _of_record(line, place)
    read(line)
    raise ValueError("neither a JSON object nor a message")


def _of_stored(text: str, place: Place) -> Checked:
    record = text.strip(_BLANKS)
    if not record.startswith("{"):
        return _of_message(text, place)
    try:
        return _of_record(record, place)
    except ValueError as error:
        return Checked(_RECORD + _UNKNOWN, place, flaw=str(error))


def _of_record(text: str, place: Place) -> Checked:
    try:
        record, flaw = read(text)
    except TooDeepError as error:
        return Checked(key_at_head(text.encode(errors="surrogatepass")), place, flaw=str(error))
    message = record.get("raw")
    if isinstance(message, str) and message[:1] == "4":
        event = _of_message(message, place)
        event.flaw = event.flaw or flaw
        return event
    name = next((record[key] for key in _NAME_KEYS if key in record), None)
    data_key = next((key for key in _DATA_KEYS if key in record), None)
    source = _source(text, flaw)
    if name is None or data_key is None:
        kind = name if isinstance(name, str) else record.get("type")
        key = kind if isinstance(kind, str) and kind else _UNKNOWN
        return Checked(_RECORD + key, place, Part(source, record), flaw=flaw)
    key = name if isinstance(name, str) and name else _UNKNOWN
    data = record[data_key]
    cut = bytes(_cut_object(source)[data_key]) if source else b""
    if isinstance(data, list) and any(map(is_trace, data)):
        return _of_arguments(key, data, cut, place, flaw)
    return Checked(key, place, Part(cut, data), flaw=flaw)


def _of_message(text: str, place: Place) -> Checked:
    """Return the event, or the packet, that a WebSocket message is."""
    if text.startswith("42["):
        try:
            (name, *arguments), flaw = read(text[2:])
        except ValueError:
            pass  # `frames` knows what is there
        else:
            key = name if isinstance(name, str) and name else _UNKNOWN
            return _of_arguments(key, arguments, _source(text[2:], flaw), place, flaw, skipped=1)
    frame = frames.decode(text)
    is_event = frame.packet in frames.EVENT_PACKETS
    key = (event_name(frame) or _UNKNOWN) if is_event else _PACKET + frame.packet
    if frame.problem is not None:
        return Checked(key, place, flaw=frame.problem)
    start = min((at for sign in "[{" if (at := text.find(sign)) >= 0), default=None)
    if start is None:
        return Checked(key, place, Part(json.dumps(frame.payload).encode(), frame.payload))
    try:
        value, flaw = read(text[start:])
    except ValueError as error:
        return Checked(key, place, flaw=str(error))
    source = _source(text[start:], flaw)
    if not isinstance(value, list):
        return Checked(key, place, Part(source, value), flaw=flaw)
    skipped = int(is_event)
    return _of_arguments(key, value[skipped:], source, place, flaw, skipped=skipped)


def _source(text: str, flaw: str | None) -> bytes:
    """Return the bytes of a JSON text; none where it has a flaw: neither msgspec nor DuckDB has to read that."""
    return b"" if flaw else text.encode()


def _of_arguments(
    key: str, arguments: list[Any], text: bytes, place: Place, flaw: str | None, *, skipped: int = 0
) -> Checked:
    """Return an event of its arguments.

    Args:
        text: the JSON array that has them; empty for an event with a flaw.
        skipped: elements of the array that are not arguments.
    """
    cuts = [bytes(each) for each in _cut_array(text)][skipped:] if text else [b""] * len(arguments)
    payload = payload_of(arguments)
    at = next((at for at in reversed(range(len(arguments))) if arguments[at] is payload), -1)
    others = [each for each in range(len(arguments)) if each != at and not is_trace(arguments[each])]
    return Checked(
        key,
        place,
        Part(cuts[at] if at >= 0 else b"null", payload),
        _array([Part(cuts[each], arguments[each]) for each in others]) if others else None,
        flaw,
    )


def _array(parts: list[Part]) -> Part:
    return Part(b"[" + b",".join(part.text for part in parts) + b"]", [part.value for part in parts])
