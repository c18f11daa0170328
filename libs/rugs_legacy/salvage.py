"""Reads whole records out of a damaged line, without guessing.

Two recorders once wrote to one file at a time and cut each other's lines:
`{"type": "tick", ... 0{"{"type": "tick", ... 0}`. A record counts only if it stands there
from its first byte to its last and has all its type requires; the rest of the line is
nothing but bytes, which the reject keeps.
"""

from __future__ import annotations

import json
import re
from typing import Final, NamedTuple

from rugs_legacy.errors import UnreadableError
from rugs_legacy.record import Parse, Record

_WINDOW: Final = 1 << 10
"""Bytes that are looked at first; eight times as many as often as a record goes on behind them."""
_WORK_PER_BYTE: Final = 16
_LEAST_WORK: Final = 1 << 20
_NEAR: Final = 16
"""Bytes before a window's end where an error may come from its being cut there."""

_scan = json.JSONDecoder(parse_int=len, parse_float=len).raw_decode  # numbers are only stepped over here


class Salvaged(NamedTuple):
    """A whole record inside a damaged line."""

    start: int
    """Bytes from the line's beginning."""
    raw: bytes
    record: Record


def salvage(line: bytes, record_start: re.Pattern[bytes], parse: Parse) -> list[Salvaged]:
    """Return the whole records of a line that is none itself, in their order; none overlaps another.

    Each is tried from where `record_start` stands. The work is bounded: on a line built
    to be expensive the search ends early, and what it would have found stays in the reject.
    """
    work_left = _LEAST_WORK + _WORK_PER_BYTE * len(line)
    found: list[Salvaged] = []
    place = 0
    while work_left > 0 and (begin := record_start.search(line, place)):
        start = begin.start()
        size, work = _object_size(line, start)
        work_left -= work
        raw = line[start : start + size]
        try:
            raw.decode()
            found.append(Salvaged(start, raw, parse(raw)))
        except (UnreadableError, UnicodeDecodeError):
            size = 1  # no record: one may still stand inside it
        place = start + size
    return found


def _object_size(line: bytes, start: int) -> tuple[int, int]:
    """Return the bytes of the JSON object that begins at `start`, 0 if it has no end; and those looked at.

    The scanner's errors cost as much as the text before them is long, so it gets a window.
    """
    size, work = _WINDOW, 0
    while True:
        window = line[start : start + size].decode("latin-1")  # a character a byte: places stay the same
        work += len(window)
        try:
            return _scan(window)[1], work
        except json.JSONDecodeError as error:
            is_cut = error.msg.startswith("Unterminated") or error.pos >= len(window) - _NEAR
        except RecursionError:
            return 0, work
        if not is_cut or len(window) < size:
            return 0, work
        size *= 8
