"""Read JSON for the proof: with the standard library alone, every key of every object, and what is wrong with it."""

from __future__ import annotations

import json
import math
import re
import sys
import threading
from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar

MOST_LEVELS: Final = 1024
"""Levels of objects and arrays that JSON may have to be read."""

_LONGEST_INTEGER: Final = 4000
_DIGITS: Final = bytes.maketrans(b"123456789E", b"000000000e")
_LONG_NUMBER: Final = b"0" * 309
_LARGE_POWER: Final = re.compile(rb"0e\+?000")
"""What a number that is not finite has in it, after `_DIGITS`; a hash in a string may have it, too."""
_BEFORE_NUMBER: Final = b"[:, \t\r\n"
_HALF_PAIR: Final = re.compile(rb"\\u[dD](?:[89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..\\u[dD])[c-fC-F])")
"""Half a surrogate pair as an escape sequence, where no backslash is escaped."""
_PLAIN_HALF: Final = re.compile("[\ud800-\udfff]")
_BRACKET: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"|([\[{])|([\]}])', re.DOTALL)
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_QUICK: Final = 64

_P = ParamSpec("_P")
_R = TypeVar("_R")


class TooDeepError(ValueError):
    """JSON has more levels than may be read."""


class _Reader(threading.local):
    """The standard library's reader, with the flaws that it found; one a thread."""

    def __init__(self) -> None:
        hooks: dict[str, Any] = {"object_pairs_hook": self._object, "parse_constant": self._not_finite}
        self.flaws: set[str] = set()
        self.read = json.JSONDecoder(**hooks).decode
        self.read_any_number = json.JSONDecoder(**hooks, parse_float=self._float, parse_int=self._int).decode

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            self.flaws.add("a key stands twice")
        return found

    def _not_finite(self, name: str) -> float:
        self.flaws.add("a number is not finite")
        return float(name)

    def _float(self, digits: str) -> float:
        value = float(digits)
        return value if math.isfinite(value) else self._not_finite(digits)

    def _int(self, digits: str) -> float:
        return int(digits) if len(digits) < _LONGEST_INTEGER else self._float(digits)


_reader: Final = _Reader()


def read(text: str) -> tuple[Any, str | None]:
    """Return a JSON value, and why JSON Schema cannot check it; of a key that stands twice, the last value counts.

    Raises:
        ValueError: if it is none, or has too many levels.
    """
    source = text.encode(errors="surrogatepass")
    if _levels(source) > MOST_LEVELS:
        raise TooDeepError(f"more than {MOST_LEVELS} levels")
    _reader.flaws = flaws = set()
    value = (_reader.read_any_number if _may_overflow(source) else _reader.read)(text)
    if _has_half_pair(text, source):
        flaws.add("half a surrogate pair")
    return value, ", ".join(sorted(flaws)) if flaws else None


def with_room(read_source: Callable[_P, _R], source: bytes, *args: _P.args, **kwargs: _P.kwargs) -> _R:
    """Return what a recursive reader returns, which may go as deep as a JSON text is, if that is not too deep."""
    levels = _levels(source)
    if not 0 < levels <= MOST_LEVELS:
        return read_source(*args, **kwargs)
    limit = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(limit + 2 * levels)
        return read_source(*args, **kwargs)
    finally:
        sys.setrecursionlimit(limit)


def _may_overflow(source: bytes) -> bool:
    """Return whether a JSON text may have a number that is not finite, or too long for Python to read."""
    shape = source.translate(_DIGITS)
    if _LONG_NUMBER in shape:
        return True
    for power in _LARGE_POWER.finditer(shape):
        before = shape[max(0, power.start() - len(_LONG_NUMBER)) : power.start()].rstrip(b"0.").rstrip(b"-")
        if before[-1:] in _BEFORE_NUMBER:  # or nothing is left of what was looked at
            return True
    return False


def _has_half_pair(text: str, source: bytes) -> bool:
    """Return whether a JSON text has half a surrogate pair, as it stands or as an escape sequence."""
    if (b"\\ud" in source or b"\\uD" in source) and _HALF_PAIR.search(source.replace(rb"\\", b"--")):
        return True
    return not text.isascii() and _PLAIN_HALF.search(text) is not None


def _levels(source: bytes) -> int:
    """Return how many levels a JSON text has; 0 where a quick look says that they are few."""
    if source.count(b"[") + source.count(b"{") <= _QUICK:
        return 0
    brackets = source.translate(None, _NO_BRACKETS)
    for _ in range(_QUICK):
        if len(brackets) <= _QUICK:
            return 0
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    level = deepest = 0
    for found in _BRACKET.finditer(source):
        if found.lastindex is not None:
            level += 1 if found.lastindex == 1 else -1
            deepest = max(deepest, level)
    return deepest
