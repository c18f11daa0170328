"""Turning whatever a program holds into what an envelope's `fields` can say. Never fails."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Set
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from math import isfinite
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

from rugs_proto.rules import MAX_DEPTH, MAX_NAME

_DEEPEST: Final = MAX_DEPTH - 2
"""Levels that are followed; what lies deeper, a circle for instance, becomes text."""
_LONGEST_REPR: Final = 1000


def plain(value: object, depth: int = 0) -> Any:
    """Return a copy of `value` that is made of finite numbers, text, booleans, None, lists and maps with text keys.

    A Decimal becomes a float where that keeps every digit, else text; a path, a date or
    an id becomes text, an enum its value, a dataclass or an object a map of its public
    attributes. What cannot be said otherwise becomes text: its `repr`, cut short.
    """
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is str:
        return text(value)  # type: ignore[arg-type]
    if kind is int:
        return value if -(2**63) <= value < 2**64 else str(value)  # type: ignore[operator]
    if kind is float:
        return value if isfinite(value) else str(value)  # type: ignore[arg-type]
    try:
        if depth >= _DEEPEST:
            return _described(value)
        if kind is dict:  # the ordinary case, and publishing has to be quick
            return {
                text(key) if type(key) is str else text(str(key)): plain(inner, depth + 1)
                for key, inner in value.copy().items()  # type: ignore[attr-defined]
            }
        return _converted(value, depth)
    except Exception:  # foreign objects: anything can be in their properties
        return _described(value)


def _converted(value: Any, depth: int) -> Any:
    if isinstance(value, Decimal):
        return _decimal(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = value.__dataclass_fields__
        return {name: plain(getattr(value, name), depth + 1) for name in names if name[:1] != "_"}
    if isinstance(value, Mapping):
        return {text(str(key)): plain(inner, depth + 1) for key, inner in list(value.items())}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return plain(value._asdict(), depth)
    if isinstance(value, list | tuple | Set):
        return [plain(inner, depth + 1) for inner in list(value)]
    if isinstance(value, Enum):
        return plain(value.value, depth + 1)
    if isinstance(value, str | int | float):  # their subclasses
        base = next(base for base in (str, int, float) if isinstance(value, base))
        return plain(base(value), depth + 1)
    if isinstance(value, PurePath | UUID):
        return text(str(value))
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "backslashreplace")
    attributes = getattr(value, "__dict__", None)
    if attributes and not isinstance(value, type) and not callable(value):
        return {name: plain(inner, depth + 1) for name, inner in list(attributes.items()) if name[:1] != "_"}
    return _described(value)


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
    return text(value if isinstance(value, str) else str(value))[:MAX_NAME]


def _described(value: object) -> str:
    try:
        return text(repr(value))[:_LONGEST_REPR]
    except Exception:  # a broken __repr__
        return f"<{type(value).__name__}>"
