"""Tells what format a file has, by what stands in it and only then by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Final, NamedTuple

from rugs_legacy.errors import UnreadableError
from rugs_legacy.formats import FORMATS
from rugs_legacy.lines import read_blocks
from rugs_legacy.record import Format, Parse
from rugs_legacy.salvage import salvage
from rugs_legacy.strict_json import read_object

_LOOK_AT_LINES: Final = 1000
_LOOK_AT_BYTES: Final = 64 << 20
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
BLANKS: Final = b" \t\r"

_NOT_READ_YET: Final[tuple[tuple[Callable[[dict[str, Any]], bool], str], ...]] = (
    (lambda found: "_metadata" in found, "F3, ticks of the RecorderSink: not read yet"),
    (lambda found: {"tick", "price"} <= found.keys() and "type" not in found, "F3, RecorderSink ticks: not read yet"),
    (lambda found: "_header" in found or "_footer" in found, "F4, demonstration: not read yet"),
    (lambda found: found.get("type") == "action", "F4 or F6, player actions: not read yet"),
    (lambda found: "meta" in found and ("prices" in found or "actions" in found), "F5, F7 or F8: not read yet"),
    (lambda found: "event_types" in found, "F11, report on a capture: not a recording"),
    (lambda found: {"event_type", "data"} <= found.keys(), "F12, samples of the explorer: not read yet"),
)
_BEGINS_NOT_READ_YET: Final = (
    (b'{"_metadata"', "F3, ticks of the RecorderSink: not read yet"),
    (b'{"_header"', "F4, demonstration: not read yet"),
    (b"[", "a JSON array, not lines: not read yet"),
)


class UnknownFormatError(Exception):
    """The file is of no format that can be read; the message is the reason, on one line."""


class Recognised(NamedTuple):
    """A file's format, and what its session is known by: its first record, or first line if none is whole."""

    format: Format
    first: bytes


def recognise(stream: BinaryIO, size: int, name: str, timezone: str) -> Recognised:
    """Return the format of the file whose first `size` bytes are looked at.

    The first whole record of a known format decides, or what looks like one where none is whole.
    The name decides only where there is no JSON object at all: in an empty file, or one with
    nothing but damaged lines.

    Raises:
        UnknownFormatError: if it is of no known format.
        ValueError: if there is no such time zone.
    """
    by_name = next((format_ for format_ in FORMATS if format_.names.fullmatch(name)), None)
    readers = [(format_, format_.reader(timezone)) for format_ in FORMATS]
    first_line = b""
    claimed: Format | None = None
    strange: dict[str, Any] | None = None
    for line in _first_lines(stream, size):
        if not first_line:
            first_line = line
            _refuse_document(line)
        try:
            found = read_object(line)
        except UnreadableError:
            if known := _salvaged(line, readers, by_name):
                return known
            continue
        for format_, parse in readers:
            if format_.sniff(found, format_ is by_name):
                if _is_record(line, parse):
                    return Recognised(format_, line)
                claimed = claimed or format_
        for applies, reason in _NOT_READ_YET:
            if applies(found):
                raise UnknownFormatError(reason)
        strange = strange or found
    if claimed is not None:
        return Recognised(claimed, first_line)
    if strange is not None:
        raise UnknownFormatError(f"no known format: its objects have the keys {', '.join(map(repr, strange))[:120]}")
    if by_name is None:
        raise UnknownFormatError(
            "empty, and its name says no format" if not first_line else "no known format: no JSON lines"
        )
    return Recognised(by_name, first_line)


def _first_lines(stream: BinaryIO, size: int) -> Iterator[bytes]:
    """Give the first lines that are not blank, without a byte order mark."""
    seen = 0
    for block in read_blocks(stream, min(size, _LOOK_AT_BYTES)):
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


def _refuse_document(line: bytes) -> None:
    begin = line.strip(BLANKS)
    if begin == b"{":
        raise UnknownFormatError("a JSON document over several lines: not read yet")
    for mark, reason in _BEGINS_NOT_READ_YET:
        if begin.startswith(mark):
            raise UnknownFormatError(reason)


def _is_record(line: bytes, parse: Parse) -> bool:
    try:
        parse(line)
    except UnreadableError:
        return False
    return True


def _salvaged(line: bytes, readers: list[tuple[Format, Parse]], by_name: Format | None) -> Recognised | None:
    for format_, parse in readers:
        for piece in salvage(line, format_.record_start, parse):
            if format_.sniff(read_object(piece.raw), format_ is by_name):
                return Recognised(format_, piece.raw)
    return None
