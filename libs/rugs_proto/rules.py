"""The rules of envelope v1 that need no model: names, patterns, bounds, plain values.

Kept apart from `rugs_proto.envelope` so that what has to start fast need not load pydantic.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final, Literal, TypeGuard, cast, get_args

WIRE_VERSION: Final = 1

SOURCES: Final = ("cdp", "public_ws", "replay", "ui", "bot", "import", "manual")
"""The sources known today. The set is open: any name that fits `SOURCE_PATTERN` is stored."""

Direction = Literal["received", "sent", "internal"]
DIRECTIONS: Final[tuple[str, ...]] = get_args(Direction)

DOC_TYPE_PATTERN: Final = r"^[a-z0-9_]{1,64}$"
SOURCE_PATTERN: Final = DOC_TYPE_PATTERN
SOURCE_RULE: Final = "1 to 64 of the characters a to z, 0 to 9 and _"
"""`SOURCE_PATTERN`, for people."""
HEX_ID_PATTERN: Final = r"^[0-9a-f]{32}$"
BLOB_PATTERN: Final = r"^[0-9a-f]{64}$"

TS_MIN_US: Final = 946_684_800_000_000
"""2000-01-01T00:00:00Z in microseconds since the Unix epoch: the first `ts` allowed."""
TS_END_US: Final = 7_258_118_400_000_000
"""2200-01-01T00:00:00Z in microseconds since the Unix epoch: the first `ts` refused."""
MAX_SEQ: Final = 2**63 - 1
MAX_NAME: Final = 512
"""Longest event name, session id, game id, player id and user name, in characters."""
MAX_DEPTH: Final = 32
"""Deepest nesting of `fields`."""
MAX_PLACE: Final = 120
"""Longest place in an error message, in characters."""


_source_fits = re.compile(SOURCE_PATTERN).fullmatch


def is_source(value: object) -> TypeGuard[str]:
    """Return whether a value is a name that a source may have."""
    return isinstance(value, str) and (value in SOURCES or _source_fits(value) is not None)


def check_plain(value: object, path: tuple[str | int, ...] = ("fields",)) -> None:
    """Check that a value is what JSON can say: finite numbers, text, lists, maps with text keys.

    `path` leads to the value; `fields` itself is its first part.

    Raises:
        ValueError: naming the place of the first value that is something else.
    """
    if value is None or isinstance(value, str | bool):
        return
    if isinstance(value, int):
        if not -(2**63) <= value < 2**64:
            raise ValueError(f"{_place(path)} does not fit 64 bits")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{_place(path)} is not a finite number")
    elif len(path) > MAX_DEPTH:
        raise ValueError(f"{_place(path)} is nested deeper than {MAX_DEPTH}")
    elif isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise ValueError(f"{_place(path)} has a key that is not text")
            check_plain(inner, (*path, key))
    elif type(value) in (list, tuple):  # not the named tuples that msgpack makes of extension types
        for place, inner in enumerate(cast(Sequence[object], value)):
            check_plain(inner, (*path, place))
    else:
        raise ValueError(f"{_place(path)} has a value of type {type(value).__name__}")


def _place(path: tuple[str | int, ...]) -> str:
    """Write a path for people: only for errors, and short, since keys may be megabytes long."""
    steps = [f"[{step}]" if isinstance(step, int) else f".{step[:40]}" for step in path]
    text = "".join(steps).removeprefix(".")
    return text if len(text) <= MAX_PLACE else f"{text[:MAX_PLACE]}…"
