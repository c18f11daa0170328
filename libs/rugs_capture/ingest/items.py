"""Taking a body apart: its items, each with its place and exactly the bytes that came.

Everything here yields item by item, so a body of many small ones needs no more memory than
itself. What cannot be read is an item too, with the reason; where the rest of a body cannot
be told apart any more, the rest is one. So all bytes but blank lines and an array's own
brackets, commas and blanks are in an item.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final, NamedTuple

import msgpack
import msgspec

from rugs_capture.ingest.terms import Kind
from rugs_core.reasons import refusal
from rugs_feed import frames
from rugs_feed.frames import Frame, read_json

_BLANK: Final = b" \t\r\n"
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_BEFORE_JSON: Final = "\ufeff \t\r\n"
_TRIED: Final = 100

_raw_decode: Final = json.JSONDecoder().raw_decode
_not_blank: Final = re.compile(rb"[^ \t\r\n]").search
_blanks: Final = re.compile(r"[ \t\n\r]*").match


class Item(NamedTuple):
    """One item of a body.

    Attributes:
        position: from 1: the number of its line, or of the element in its array.
        raw: its bytes.
        content: the object, or the WebSocket message; None where it cannot be read.
        reason: why it cannot be read.
        packed: whether `raw` is msgpack.
    """

    position: int
    raw: bytes
    content: dict[str, Any] | Frame | None
    reason: str | None = None
    packed: bool = False


def take_apart(body: bytes, kind: Kind, *, frame_a_line: bool) -> Iterator[Item]:
    """Yield the items of a body. Never fails.

    `frame_a_line` says that WebSocket messages come one a line; else the body is one.
    """
    if kind is Kind.BY_LOOK:
        kind_seen = _kind_by_look(body)
        if kind_seen is None:
            yield Item(1, body, None, "neither JSON nor msgpack nor a WebSocket message" if body else "empty")
            return
        kind = kind_seen
    elif kind is Kind.FRAMES and _kind_by_look(body) is Kind.JSON:
        kind = Kind.JSON  # no packet begins so, and it is what scripts say of text that they post
    if kind is Kind.FRAMES:
        yield from _lines(body, _frame) if frame_a_line else [_frame(1, body)]
    elif kind is Kind.LINES:
        yield from _lines(body, _object)
    elif kind is Kind.MSGPACK:
        yield from _packed(body)
    else:
        yield from _json(body)


def _kind_by_look(body: bytes) -> Kind | None:
    """Return how a body begins: JSON, an Engine.IO packet's digit, or a msgpack map or array."""
    start = body.removeprefix(_BYTE_ORDER_MARK).lstrip(_BLANK)[:1]
    if start in (b"{", b"["):
        return Kind.JSON
    if body[:1] and body[:1] in b"0123456":
        return Kind.FRAMES
    tag = body[0] if body else 0
    return Kind.MSGPACK if 0x80 <= tag <= 0x9F or 0xDC <= tag <= 0xDF else None


def _lines(body: bytes, read: Callable[[int, bytes], Item]) -> Iterator[Item]:
    """Yield the lines, without their newlines; blank ones are counted and passed over, however many."""
    position, start = 1, 0
    while (found := _not_blank(body, start)) is not None:
        position += body.count(b"\n", start, found.start())
        start = max(start, body.rfind(b"\n", start, found.start()) + 1)
        end = body.find(b"\n", found.end())
        end = len(body) if end < 0 else end
        yield read(position, body[start:end])
        position, start = position + 1, end + 1


def _frame(position: int, raw: bytes) -> Item:
    try:
        return Item(position, raw, frames.decode(raw.decode()))
    except UnicodeDecodeError:  # a binary message: an attachment
        return Item(position, raw, frames.decode(raw))


def _json(body: bytes) -> Iterator[Item]:
    """Yield an array's elements, or the one object; or lines, where that is no object and one of the first lines is."""
    if body.removeprefix(_BYTE_ORDER_MARK).lstrip(_BLANK).startswith(b"["):
        yield from _array(body)
        return
    whole = _object(1, body)
    if whole.reason is not None and any(line.reason is None for line in islice(_lines(body, _object), _TRIED)):
        yield from _lines(body, _object)
    else:
        yield whole


def _object(position: int, raw: bytes) -> Item:
    """Read JSON; what the standard does not know and Python writes (NaN) is taken as well."""
    try:
        content, behind = msgspec.json.decode(raw), ""
    except (ValueError, RecursionError):  # slow, and says why
        try:
            content, behind = read_json(raw.decode().lstrip(_BEFORE_JSON))
        except UnicodeDecodeError as error:
            return Item(position, raw, None, f"not UTF-8 at byte {error.start}")
        except ValueError as error:
            return Item(position, raw, None, refusal(error))
    if behind.strip():
        return Item(position, raw, None, "text behind the JSON")
    return _mapping(position, raw, content)


def _mapping(position: int, raw: bytes, content: object, *, packed: bool = False) -> Item:
    if isinstance(content, dict):
        return Item(position, raw, content, packed=packed)
    return Item(position, raw, None, "not a map" if packed else "not a JSON object", packed)


def _array(body: bytes) -> Iterator[Item]:
    """Yield the elements of a JSON array. Where it breaks, the rest is one unreadable item."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        yield Item(1, body, None, f"not UTF-8 at byte {error.start}")
        return
    position, at = 1, _skip(text, text.index("[") + 1)
    closed = text[at : at + 1] == "]"
    while not closed:
        try:
            content, end = _raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            yield Item(position, text[at:].encode(), None, f"not JSON, and the rest is not read: {refusal(error)}")
            return
        yield _mapping(position, text[at:end].encode(), content)
        position, at = position + 1, _skip(text, end)
        closed = text[at : at + 1] == "]"
        if not closed and text[at : at + 1] != ",":
            yield Item(position, text[at:].encode(), None, "the array breaks off, and the rest is not read")
            return
        if not closed:
            at = _skip(text, at + 1)
    behind = _skip(text, at + 1)
    if behind < len(text):
        yield Item(position, text[behind:].encode(), None, "text behind the JSON")


def _skip(text: str, at: int) -> int:
    return _blanks(text, at).end()  # type: ignore[union-attr]  # the pattern takes the empty string as well


def _packed(body: bytes) -> Iterator[Item]:
    """Yield a msgpack map, or an array's elements. Where it breaks, the rest is one unreadable item."""
    if not body or not (0x90 <= body[0] <= 0x9F or body[0] in (0xDC, 0xDD)):
        yield _unpacked(1, body)
        return
    unpacker = msgpack.Unpacker(max_buffer_size=len(body))
    unpacker.feed(body)
    position, start = 0, 0
    try:
        count = unpacker.read_array_header()
        start = unpacker.tell()
        for position in range(1, count + 1):
            unpacker.skip()
            end = unpacker.tell()
            yield _unpacked(position, body[start:end])
            start = end
    except (msgpack.UnpackException, ValueError, RecursionError) as error:
        yield Item(position or 1, body[start:], None, f"not msgpack, and the rest is not read: {refusal(error)}", True)
        return
    if start < len(body):
        yield Item(position + 1, body[start:], None, "bytes behind the array", True)


def _unpacked(position: int, raw: bytes) -> Item:
    try:
        content = msgspec.msgpack.decode(raw)
    except (ValueError, TypeError, RecursionError) as error:
        return Item(position, raw, None, f"not msgpack: {refusal(error)}", True)
    return _mapping(position, raw, content, packed=True)
