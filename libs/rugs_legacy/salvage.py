"""Reads whole records out of a damaged line, without guessing.

Two recorders once wrote to one file at a time and cut each other's lines:
`{"type": "tick", ... 0{"{"type": "tick", ... 0}`. A record counts only if it stands there
from its first byte to its last and has all its type requires; the rest of the line is
nothing but bytes, which the reject keeps.
"""

from __future__ import annotations

import json
from typing import Final, NamedTuple

from rugs_legacy.errors import UnreadableError
from rugs_legacy.record import Parse, Record

_WORK_PER_BYTE: Final = 64
_LEAST_WORK: Final = 1 << 20
_DEEPEST: Final = 4096
"""Bytes charged for an attempt that was given up because of its nesting."""

_scan = json.JSONDecoder(parse_int=len, parse_float=len).raw_decode  # numbers are only stepped over here


class Salvaged(NamedTuple):
    """A whole record inside a damaged line."""

    start: int
    """Bytes from the line's beginning."""
    raw: bytes
    record: Record


def salvage(line: bytes, record_start: bytes, parse: Parse) -> list[Salvaged]:
    """Return the whole records of a line that is none itself, in their order; none overlaps another.

    Each is tried from where `record_start` stands. The work is bounded: on a line built
    to be expensive the search ends early, and what it would have found stays in the reject.
    """
    text = line.decode("latin-1")  # a character a byte, so places in the text are places in the line
    start_text = record_start.decode("latin-1")
    work_left = _LEAST_WORK + _WORK_PER_BYTE * len(line)
    found: list[Salvaged] = []
    start = text.find(start_text)
    while start >= 0 and work_left > 0:
        end = start + 1
        try:
            _, stop = _scan(text, start)
            work_left -= stop - start
            raw = line[start:stop]
            raw.decode()
            found.append(Salvaged(start, raw, parse(raw)))
            end = stop
        except json.JSONDecodeError as error:
            work_left -= error.pos - start
        except RecursionError:
            work_left -= _DEEPEST
        except (UnreadableError, UnicodeDecodeError):
            pass  # an object, but no record: one may still stand inside it
        start = text.find(start_text, end)
    return found
