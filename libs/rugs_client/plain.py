"""Turning whatever a program holds into what an envelope's `fields` can say, in bounded time and memory."""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Iterable, Mapping, Set
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from itertools import islice
from math import isfinite
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

from rugs_core.errors import RugsError
from rugs_proto.rules import MAX_DEPTH, MAX_NAME
from rugs_proto.subjects import MAX_BLOB

_DEEPEST: Final = MAX_DEPTH - 2
"""Levels that are followed; a value that lies deeper, in a circle for instance, becomes text."""
_VALUE: Final = 64
"""Bytes that a value counts, beside its text. `MAX_BLOB` bytes are the most that one event may have."""
_SHORT_TEXT: Final = 128
"""Characters of a text that counts as a value only."""
_DECIMAL_BITS: Final = 10_000
"""An integer with more bits is written in hexadecimal: writing it in decimal takes far longer."""
_ESCAPED_BYTES: Final = 64 * 1024
"""Bytes that are no text are written with escapes; more of them in hexadecimal, which takes far less time."""
_LONGEST_REPR: Final = 1000
_DESCRIPTION: Final = 4096
"""Bytes that a description counts: it takes as long as many values."""


class TooLargeError(RugsError, ValueError):
    """A value is larger than any event may be: more than 33 MiB of text, or half a million values."""


def plain(value: object) -> Any:
    """Return a copy of `value` that is made of finite numbers, text, booleans, None, lists and maps with text keys.

    A Decimal becomes a float where that keeps every digit, else text; a path, a date or
    an id becomes text, an enum its value, a dataclass or an object a map of its public
    attributes. What cannot be said otherwise becomes text: its `repr`, cut short.

    Raises:
        TooLargeError: if the copy would be too large. An object that is held in many places counts in each of them.
    """
    return _Copy().of(value, 0)


class _Copy:
    """One copy in the making; `left` is how many bytes it may still have."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_BLOB

    def of(self, value: object, depth: int) -> Any:
        kind = type(value)
        if value is None or kind is bool:
            return value
        if kind is str:
            return text(value) if len(value) <= _SHORT_TEXT else self._long_text(value)  # type: ignore[arg-type]
        if kind is int:
            return value if -(2**63) <= value < 2**64 else self._digits(value)  # type: ignore[operator, arg-type]
        if kind is float:
            return value if isfinite(value) else str(value)  # type: ignore[arg-type]
        try:
            if depth >= _DEEPEST:
                self._spend(_DESCRIPTION)
                return described(value)
            if kind is dict:  # the ordinary case, and publishing has to be quick
                self._spend(len(value) * _VALUE)  # type: ignore[arg-type]
                return self._map(value.copy(), depth)  # type: ignore[attr-defined]
            return self._converted(value, depth)
        except TooLargeError:
            raise
        except Exception:  # foreign objects: anything can be in their properties
            return described(value)

    def _map(self, content: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, inner in content.items():  # what stays as it is goes without a call: publishing has to be quick
            is_name = type(key) is str and len(key) <= _SHORT_TEXT and key.isascii()
            name = key if is_name else self._key(key)
            kind = type(inner)
            if (
                kind is bool
                or inner is None
                or (kind is str and len(inner) <= _SHORT_TEXT and inner.isascii())
                or (kind is int and -(2**63) <= inner < 2**64)
            ):
                made[name] = inner
            elif kind is Decimal:
                made[name] = _decimal(inner)
            else:
                made[name] = self.of(inner, depth + 1)
        if len(made) == len(content):
            return made
        made = {}
        for key, inner in content.items():  # keys such as 1 and "1": each is kept
            name = self._key(key)
            while name in made:
                name += "'"
            made[name] = self.of(inner, depth + 1)
        return made

    def _converted(self, value: Any, depth: int) -> Any:
        if isinstance(value, Decimal):
            return _decimal(value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = [name for name in value.__dataclass_fields__ if name[:1] != "_"]
            self._spend(len(names) * _VALUE)
            return self._map({name: getattr(value, name) for name in names}, depth)
        if isinstance(value, Mapping):
            return self._map(dict(self._all(value.items())), depth)
        if isinstance(value, tuple) and hasattr(value, "_asdict"):
            return self.of(value._asdict(), depth)
        if isinstance(value, list | tuple | Set):
            return [self.of(inner, depth + 1) for inner in self._all(value)]
        if isinstance(value, Enum):
            return self.of(value.value, depth + 1)
        if isinstance(value, str | int | float):  # their subclasses
            base = next(base for base in (str, int, float) if isinstance(value, base))
            return self.of(base(value), depth + 1)
        if isinstance(value, PurePath | UUID):
            return text(str(value))
        if isinstance(value, datetime | date | time):
            return value.isoformat()
        if isinstance(value, timedelta):
            return value.total_seconds()
        if isinstance(value, bytes | bytearray | memoryview):
            return self._long_text(_of_bytes(bytes(value)))
        attributes = getattr(value, "__dict__", None)
        if attributes and not isinstance(value, type) and not callable(value):
            items = self._all(attributes.items())
            return {name: self.of(inner, depth + 1) for name, inner in items if name[:1] != "_"}
        return described(value)

    def _all(self, values: Iterable[Any]) -> list[Any]:
        """Return values in a list of its own, for others may change them meanwhile; no more than there is room for."""
        found = list(islice(values, self.left // _VALUE + 1))
        self._spend(len(found) * _VALUE)
        return found

    def _key(self, key: object) -> str:
        if type(key) is str:
            return self._long_text(key)
        return described(key) if isinstance(key, tuple | frozenset) else text(str(key))

    def _long_text(self, value: str) -> str:
        self._spend(len(value))
        return text(value)

    def _digits(self, value: int) -> str:
        self._spend(value.bit_length() // 4)
        return str(value) if value.bit_length() <= _DECIMAL_BITS else hex(value)

    def _spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise TooLargeError(f"the fields are too large: more than {MAX_BLOB} bytes")


def _of_bytes(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("utf-8", "backslashreplace") if len(value) <= _ESCAPED_BYTES else value.hex()


def _decimal(value: Decimal) -> float | str:
    number = float(value)
    return number if isfinite(number) and Decimal(repr(number)) == value else str(value)


def text(value: str) -> str:
    """Return text that is UTF-8; half a surrogate pair becomes a question mark."""
    if value.isascii():
        return str(value)
    return value.encode("utf-8", "replace").decode()


def name(value: object) -> str:
    """Return text that fits an envelope's names."""
    if type(value) is not str:
        value = _as_text(value)
    return value if len(value) <= MAX_NAME and value.isascii() else text(value[:MAX_NAME])


def _as_text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # a broken __str__, or an integer with too many digits
        return described(value)


def described(value: object) -> str:
    """Return what a value is, for people: its `repr`, of a few of its items where it has many. Never fails."""
    try:
        return text(_DESCRIBER.repr(value))[:_LONGEST_REPR]
    except Exception:  # a broken __repr__
        return f"<{type(value).__name__}>"


class _Describer(reprlib.Repr):
    """Describes a few items of a container, and nothing of an object that may hold others: its repr may never end."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 1
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdeque = 10
        self.maxstring = self.maxother = self.maxlong = _LONGEST_REPR

    def repr_instance(self, x: Any, level: int) -> str:
        holds = (
            dataclasses.is_dataclass(x) or isinstance(x, list | tuple | Set | Mapping) or getattr(x, "__dict__", None)
        )
        if holds and not isinstance(x, type):
            return f"<{type(x).__name__}>"
        return super().repr_instance(x, level)


_DESCRIBER: Final = _Describer()
