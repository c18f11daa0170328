"""Values that an envelope can carry, kind by kind: each returns the value, or None where it is another kind."""

from __future__ import annotations

from math import isfinite
from typing import Any, Final

from rugs_proto.rules import MAX_NAME, check_plain

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_DEEPEST: Final = ("fields", "key")


def number(value: object) -> int | float | None:
    """Keep a finite number as it was sent: 1 stays an int and 1.0 a float."""
    if type(value) is float:
        return value if isfinite(value) else None
    return value if type(value) is int and _INT64_MIN <= value <= _INT64_MAX else None


def whole(value: object) -> int | None:
    """Keep a whole number; the feed says `5` and `5.0` for the same count."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and _INT64_MIN <= value <= _INT64_MAX else None


def flag(value: object) -> bool | None:
    """Keep true and false; 0 and 1 are numbers."""
    return value if type(value) is bool else None


def text(value: object) -> str | None:
    """Keep text that fits an envelope's names; a JSON string may hold half a surrogate pair."""
    if type(value) is not str or len(value) > MAX_NAME:
        return None
    return value if _encodable(value) else None


def items(value: object) -> list[Any] | None:
    """Keep a list of whatever JSON can say and an envelope can carry."""
    if not isinstance(value, list):
        return None
    try:
        check_plain(value, _DEEPEST)
    except ValueError:
        return None
    return value if all(map(_all_encodable, value)) else None


def _all_encodable(value: object) -> bool:
    if isinstance(value, str):
        return _encodable(value)
    if isinstance(value, dict):
        return all(_encodable(key) and _all_encodable(inner) for key, inner in value.items())
    return not isinstance(value, list) or all(map(_all_encodable, value))


def _encodable(value: str) -> bool:
    return value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)
