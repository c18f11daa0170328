"""Tells what format a file has, by what stands in it and only then by its name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from rugs_core.errors import RugsError
from rugs_legacy.errors import UnreadableError
from rugs_legacy.formats import DOCUMENT_FORMATS, FORMATS, LINE_FORMATS
from rugs_legacy.lines import read_blocks, read_whole
from rugs_legacy.not_recordings import BEGINNING, binary_kind, why_no_recording
from rugs_legacy.packed import Content, unpacked_name
from rugs_legacy.record import Format, LineFormat, Parse
from rugs_legacy.salvage import salvage
from rugs_legacy.strict_json import BYTE_ORDER_MARK, read_object, read_value

MAX_DOCUMENT: Final = 32 << 20
"""Bytes of a file that is one JSON value: it is held in memory."""
_TOO_LARGE: Final = f"no lines, and more than {MAX_DOCUMENT >> 20} MiB: a document would have to be held in memory"
_ARRAY: Final = re.compile(rb"\s*\[\s*([\[\]{]|-?\d|\"|$)")  # and no link, as a text may begin with
_LOOK_AT_LINES: Final = 1000
_LOOK_AT_BYTES: Final = 64 << 20
BLANKS: Final = b" \t\r"
CONFLICT_MARK: Final = re.compile(rb"(<{7}|>{7}|\|{7})(?: .*)?\r?|={7}\r?", re.DOTALL)
"""What version control wrote between two versions of a file."""


class UnknownFormatError(RugsError):
    """The file is of no format that can be read; the message is the reason, on one line."""


class UnreadableFileError(UnknownFormatError):
    """A file that by its name is a recording, and of which nothing can be read as it is."""


class Recognised(NamedTuple):
    """A file's format, and what its session is known by: its first record, or first line if none is whole.

    A file that is one JSON value is known by all of it.
    """

    format: Format
    first: bytes


def recognise(path: Path, size: int, timezone: str) -> Recognised:
    """Return the format of the file of whose content the first `size` bytes are looked at.

    A file is one JSON value, or one record a line: then the first whole record of a known format
    decides, or what looks like one where none is whole. The name decides only where there is no
    JSON at all: in an empty file, or a damaged one. A file under another name than a recorder gave is
    a recording only if most of its lines are whole records: others cite some, or hold some, and are none.

    Raises:
        UnknownFormatError: if it is of no known format; `UnreadableFileError` where its name says one.
        ValueError: if there is no such time zone.
    """
    name = unpacked_name(path.name)
    known, strange = None, None
    with Content(path) as content:
        if kind := binary_kind(content.stream.read(BEGINNING)):
            raise UnknownFormatError(kind) if _named(FORMATS, name) is None else UnreadableFileError(kind)
    with Content(path) as content:
        lines = _first_lines(content, size)
        first = next(lines, b"")
        is_object = _is_object(first)
        if is_object:
            known, strange = _as_lines(chain((first,), lines), name, timezone)
    if known is not None:
        return _by_most_lines(known, path, size)
    if not first:
        return _by_name_alone(name, size)
    if document := _as_document(path, size, name, first):
        return document
    if not is_object:
        with Content(path) as content:
            known, strange = _as_lines(_first_lines(content, size), name, timezone)
        if known is not None:
            return _by_most_lines(known, path, size)
    if strange is not None:
        raise UnknownFormatError(why_no_recording(name) or f"no known format: {_looks(strange)}")
    by_name = _named(LINE_FORMATS, name)
    if by_name is None:
        is_long = size > MAX_DOCUMENT and first.lstrip(BLANKS).startswith(b"{")
        raise UnknownFormatError(
            why_no_recording(name) or (_TOO_LARGE if is_long else "no known format: no JSON lines")
        )
    return Recognised(by_name, first)


def _by_most_lines(known: Recognised, path: Path, size: int) -> Recognised:
    """Return what was recognised, if the file's name says a format, or no less than half of its first lines do.

    Raises:
        UnknownFormatError: if neither is so.
    """
    format_, name = known.format, unpacked_name(path.name)
    if _named(FORMATS, name) is not None or not isinstance(format_, LineFormat):
        return known
    with Content(path) as content:
        lines = [line for line in _first_lines(content, size) if not CONFLICT_MARK.fullmatch(line)]
    alike = sum(_is_alike(line, format_) for line in lines)
    if 2 * alike >= len(lines):
        return known
    raise UnknownFormatError(
        why_no_recording(name)
        or f"no recording: {alike} of its first {len(lines)} lines look like {format_.id};"
        f" if it is a damaged one, give it a name as {format_.id} has it"
    )


def _is_alike(line: bytes, format_: LineFormat) -> bool:
    """Whether a line is a record by its keys, or was to be one before it was damaged."""
    try:
        return format_.sniff(read_object(line), False)
    except UnreadableError:
        return format_.record_start.match(line) is not None


_AnyFormat = TypeVar("_AnyFormat", bound=Format)


def _named(formats: Sequence[_AnyFormat], name: str) -> _AnyFormat | None:
    """Return the first of the formats whose writers gave such names."""
    return next((format_ for format_ in formats if format_.names.fullmatch(name)), None)


def _by_name_alone(name: str, size: int) -> Recognised:
    """Return the format of a file of which there is no line to look at: it is blank, or its first is too long.

    Raises:
        UnknownFormatError: if its name says none, or one that is held in memory.
    """
    is_long = size > MAX_DOCUMENT
    by_name = _named(LINE_FORMATS if is_long else FORMATS, name)
    if by_name is None:
        raise UnknownFormatError(
            why_no_recording(name) or (_TOO_LARGE if is_long else "empty, and its name says no format")
        )
    return Recognised(by_name, b"")


def _is_object(line: bytes) -> bool:
    try:
        read_object(line)
    except UnreadableError:
        return False
    return True


def _as_document(path: Path, size: int, name: str, first: bytes) -> Recognised | None:
    """Return the format of a file that is one JSON value, or was one before it was damaged; None if it is none.

    Raises:
        UnknownFormatError: if it is one of no known format.
    """
    is_array = _ARRAY.match(first) is not None
    if size > MAX_DOCUMENT:
        if is_array:
            raise UnknownFormatError(_TOO_LARGE)
        return None
    with Content(path) as content:
        whole = read_whole(content.stream, size)
    try:
        value = read_value(whole.removeprefix(BYTE_ORDER_MARK))
    except UnreadableError:
        for format_ in DOCUMENT_FORMATS:
            by_name = format_.names.fullmatch(name) or (is_array and format_.is_array)
            if by_name and all(mark in whole for mark in format_.marks):
                return Recognised(format_, whole)
        if is_array:
            raise UnknownFormatError("no known format: a JSON array, and damaged") from None
        return None
    if not isinstance(value, dict | list):
        return None
    for format_ in DOCUMENT_FORMATS:
        if format_.sniff(value, bool(format_.names.fullmatch(name))):
            return Recognised(format_, whole)
    raise UnknownFormatError(why_no_recording(name, value) or f"no known format: {_looks(value)}")


def _looks(value: dict[str, Any] | list[Any]) -> str:
    if isinstance(value, dict):
        return f"its objects have the keys {', '.join(map(repr, value))[:120]}"
    if value and isinstance(value[0], dict):
        return f"a JSON array of objects with the keys {', '.join(map(repr, value[0]))[:120]}"
    return "a JSON array"


class _Parsers:
    """The line readers of one file, each made when it is first asked for."""

    def __init__(self, timezone: str, name: str) -> None:
        self._timezone = timezone
        self._name = name
        self._made: dict[str, Parse] = {}

    def of(self, format_: LineFormat) -> Parse:
        if format_.id not in self._made:
            self._made[format_.id] = format_.reader(self._timezone, self._name)
        return self._made[format_.id]


def _as_lines(lines: Iterator[bytes], name: str, timezone: str) -> tuple[Recognised | None, dict[str, Any] | None]:
    """Return the format of a file of one record a line, if it is one; and the first object of no known format."""
    by_name = _named(LINE_FORMATS, name)
    parsers = _Parsers(timezone, name)
    first_line = b""
    claimed: Format | None = None
    strange: dict[str, Any] | None = None
    for line in lines:
        first_line = first_line or line
        try:
            found = read_object(line)
        except UnreadableError:
            if known := _salvaged(line, parsers, by_name):
                return known, strange
            continue
        for format_ in LINE_FORMATS:
            if format_.sniff(found, format_ is by_name):
                if _is_record(line, parsers.of(format_)):
                    return Recognised(format_, line), strange
                claimed = claimed or format_
        strange = strange or found
    return (None if claimed is None else Recognised(claimed, first_line)), strange


def _first_lines(content: Content, size: int) -> Iterator[bytes]:
    """Give the first lines that are not blank, without a byte order mark."""
    seen = 0
    for block in read_blocks(content.stream, min(size, _LOOK_AT_BYTES)):
        if block.piece:
            return
        if block.offset == 0:
            block.lines[0] = block.lines[0].removeprefix(BYTE_ORDER_MARK)
        for line in block.lines:
            if line.strip(BLANKS):
                seen += 1
                yield line
            if seen >= _LOOK_AT_LINES:
                return


def _is_record(line: bytes, parse: Parse) -> bool:
    try:
        parse(line)
    except UnreadableError:
        return False
    return True


def _salvaged(line: bytes, parsers: _Parsers, by_name: LineFormat | None) -> Recognised | None:
    for format_ in LINE_FORMATS:
        for piece in salvage(line, format_.record_start, parsers.of(format_)):
            if format_.sniff(read_object(piece.raw), format_ is by_name):
                return Recognised(format_, piece.raw)
    return None
