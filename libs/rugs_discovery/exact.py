"""Read JSON that the fast reader refuses, or might not read exactly, and say what is wrong with it.

The fast reader, orjson, refuses NaN, half surrogate pairs and more than 1,024 levels; of a key that stands twice it
takes the last without a word, and whole numbers beyond 64 bit become floats. `colons` finds the first of these two.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from typing import Any, Final, NamedTuple

DUPLICATE_KEY: Final = "a key stands twice"
NOT_FINITE: Final = "a number that is not finite"
SURROGATE: Final = "half a surrogate pair"
TOO_DEEP: Final = "nested too deeply"
MOST_LEVELS: Final = 1024
"""Levels of objects and arrays that JSON may have to be read."""


class TooDeepError(ValueError):
    """JSON has too many levels to be read."""


class Read(NamedTuple):
    """A value that was read exactly.

    Attributes:
        value: the value; of a key that stands twice, the last one.
        flaw: why JSON Schema cannot check it; None if it can.
    """

    value: Any
    flaw: str | None = None


def read(text: bytes | str) -> Read:
    """Return a JSON value, exactly.

    Raises:
        ValueError: if it is none; a TooDeepError, if it has too many levels.
    """
    flaws: set[str] = set()

    def keep(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            flaws.add(DUPLICATE_KEY)
        return found

    def constant(name: str) -> float:
        flaws.add(NOT_FINITE)
        return float(name)

    try:
        decoded = text.decode() if isinstance(text, bytes) else text
        decode = json.JSONDecoder(
            object_pairs_hook=keep, parse_constant=constant, parse_float=_float, parse_int=_int
        ).decode
        value = _decoded(decode, decoded)
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg.removesuffix(' at')} at character {error.pos}") from None
    if _levels(value) > MOST_LEVELS:
        raise TooDeepError(TOO_DEEP)
    flaws |= _flaws(value)
    return Read(value, ", ".join(sorted(flaws)) or None)


def _decoded(decode: Callable[[str], Any], text: str) -> Any:
    """Return what a recursive reader returns, which may go as deep as JSON may be."""
    try:
        return decode(text)
    except RecursionError:
        pass
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(limit + 2 * MOST_LEVELS)
    try:
        return decode(text)
    except RecursionError:
        raise TooDeepError(TOO_DEEP) from None
    finally:
        sys.setrecursionlimit(limit)


def _levels(value: Any) -> int:
    """Return how many levels of objects and arrays a value has."""
    levels, around = 0, [value]
    while around := [each for each in around if isinstance(each, dict | list)]:
        levels += 1
        around = [inner for each in around for inner in (each.values() if isinstance(each, dict) else each)]
    return levels


def _float(digits: str) -> float:
    return float(digits)


def _int(digits: str) -> int | float:
    """Return a whole number; one too long for Python to read as such becomes a float."""
    return int(digits) if len(digits) < 4000 else float(digits)


def _flaws(value: Any) -> set[str]:
    found = set()
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            waiting += each.values()
            waiting += each
        elif isinstance(each, list):
            waiting += each
        elif isinstance(each, float):
            if not math.isfinite(each):
                found.add(NOT_FINITE)
        elif isinstance(each, str) and not _is_whole(each):
            found.add(SURROGATE)
    return found


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def colons(value: Any) -> int:
    """Return how many colons a JSON text has at least if no key in it stands twice: one a key, and those in strings.

    A text that has no colon escaped has exactly as many; one with a key that stands twice has more.
    """
    count = 0
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            count += len(each)
            waiting += each
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
        elif isinstance(each, str):
            count += each.count(":")
    return count
