"""The records of a recording, one after the other: JSON lines, frames, or a JSON array, plain or packed."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from rugs_core.errors import RugsError
from rugs_discovery import exact
from rugs_discovery.messages import elements_of
from rugs_legacy.files import special_kind
from rugs_legacy.line_formats.telling import tell
from rugs_legacy.lines import CHUNK
from rugs_legacy.not_recordings import why_no_recording
from rugs_legacy.packed import Content, Converted, Readable, unpacked_name

LONGEST_LINE: Final = 64 << 20
"""Bytes; a line of as many, or more, is a fault."""
_MOST_HELD: Final = 10_000
"""Faults at the beginning of a file that may turn out to have no record."""
_BLANKS: Final = b"\xef\xbb\xbf \t\r\n"
_KINDS: Final = {list: "an array", str: "a string", bool: "true or false", type(None): "null"}

Record = dict[str, Any]


class NoRecordingError(RugsError):
    """A file is no recording; the message says what it is."""


class Read(NamedTuple):
    """A record of a file, or what is wrong where one should be.

    Attributes:
        number: of the line, or of the element of an array, from 1; 0: the file itself.
        record: an object with `event`, `ts`, `seq` and `data`, or what a recorder wrote instead; None: a fault.
        line: of the record; None where that is not known.
        fault: why there is no record.
    """

    number: int
    record: Record | None = None
    line: int | None = None
    fault: str | None = None


def read(path: Path) -> Iterator[Read]:
    """Give the records of a file, and its faults, in their order; in flat memory.

    Raises:
        NoRecordingError: if the file is known to be something else, or has lines and no record among them.
        OSError: if it cannot be read.
    """
    found = _read_all(path)
    held: list[Read] = []
    for each in found:
        held.append(each)
        if each.record is not None or len(held) == _MOST_HELD:
            yield from held
            yield from found
            return
    if held:
        why = f"none of its {len(held):,} lines is a record" if len(held) > 1 else str(held[0].fault)
        raise NoRecordingError(why)


def record_of(line: bytes | str) -> Record:
    """Return the record of a line: a JSON object, or a WebSocket message.

    Raises:
        ValueError: if it is neither; the message says why.
    """
    text = (line.encode() if isinstance(line, str) else line).strip(_BLANKS)
    if text[:1].isdigit() and b"[" in text[:64]:
        return _of_frame(text)
    try:
        value = msgspec.json.decode(text)
    except (ValueError, RecursionError):  # slow, and takes what Python's reader takes, or says what is wrong
        value = exact.read(text).value
    if not isinstance(value, dict):
        raise ValueError(f"not a JSON object but {_KINDS.get(type(value), 'a number')}")
    return value


def told_record(raw: str | bytes | None, stored: Mapping[str, Any]) -> Record:
    """Return the record that an old recorder would have made of stored bytes.

    Args:
        raw: as it was received; None if nothing is stored of it.
        stored: `event`, `ts` and `seq` of the record; the event where the bytes name none, too.
    """
    told = tell(raw)
    return {**stored} if told is None else {**stored, "event": told.event, "data": told.data}


def _read_all(path: Path) -> Iterator[Read]:
    why = special_kind(path) or why_no_recording(name := unpacked_name(path.name))
    if why is not None:
        raise NoRecordingError(why)
    with Content(path) as content:
        stream = io.BufferedReader(_Stream(content.stream), CHUNK)
        if _is_document(stream.peek(CHUNK)):
            yield from _elements(stream.read(), name)
        else:
            yield from _records(stream)
        if content.converted is not None and (fault := _packing_fault(content.converted)) is not None:
            yield Read(0, fault=fault)


def _of_frame(text: bytes) -> Record:
    try:
        told = tell(text.decode())
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start}") from None
    if told is None:
        raise ValueError("not JSON, and no WebSocket message that is whole")
    return {"event": told.event, "data": told.data}


class _Stream(io.RawIOBase):
    """A file's content as the standard library reads streams."""

    def __init__(self, content: Readable) -> None:
        self._content = content

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        data = self._content.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _records(stream: io.BufferedIOBase) -> Iterator[Read]:
    number = 0
    while line := stream.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
            yield Read(number, fault=f"a line of {LONGEST_LINE >> 20} MiB or more")
            while line and not line.endswith(b"\n"):
                line = stream.readline(CHUNK)
        elif line.strip(_BLANKS):
            yield _read(number, line, number)


def _elements(whole: bytes, name: str) -> Iterator[Read]:
    """Give the records of a file that is one JSON value; of its lines, where it is none.

    Raises:
        NoRecordingError: if it is known to be something else.
    """
    elements = elements_of(whole)
    if elements is not None:
        yield from (_read(number, element, None) for number, element in enumerate(elements, 1))
        return
    one = _read(1, whole, 1)
    if one.record is None:
        yield from _records(io.BytesIO(whole))
    elif (why := why_no_recording(name, one.record)) is not None:
        raise NoRecordingError(why)
    else:
        yield one


def _read(number: int, text: bytes, line: int | None) -> Read:
    try:
        return Read(number, record_of(text), line)
    except ValueError as error:
        return Read(number, fault=str(error))


def _is_document(begin: bytes) -> bool:
    """Return whether a file is one JSON value over several lines, or an array, by its beginning."""
    text = begin.lstrip(_BLANKS)
    first, newline, _ = text.partition(b"\n")
    is_open = newline and first.startswith(b"{") and first.rstrip().endswith((b"{", b"[", b",", b'{"'))
    return bool(text.startswith(b"[") or is_open)


def _packing_fault(content: Converted) -> str | None:
    if content.fault is not None:
        return content.fault
    if content.is_cut:
        return f"the file ends before its {content.method} does: it was cut"
    return None
