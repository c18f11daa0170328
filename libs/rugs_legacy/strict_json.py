"""Read JSON exactly, for lines that the fast readers do not take.

It is slow, refuses a key that stands twice, and its reasons go into rejects. NaN and the infinities, which Python
writes and the standard does not know, are taken, as live capture takes them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

from rugs_legacy.errors import UnreadableError

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


def read_object(line: bytes) -> dict[str, Any]:
    """Return the object that a line holds. Objects inside it may repeat a key: the last one counts.

    Whole numbers beyond 64 bit stay exact as long as they are shorter than 40 digits
    and become floats else.

    Raises:
        UnreadableError: if it is not UTF-8, not JSON, not an object, or if a key stands twice.
    """
    content = read_value(line)
    if not isinstance(content, dict):
        raise UnreadableError("not a JSON object")
    return content


def read_value(content: bytes) -> Any:
    """Return the JSON value that bytes are, as `read_object` does.

    Raises:
        UnreadableError: if they are not UTF-8, not JSON, or an object in which a key stands twice.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise UnreadableError(f"not UTF-8 at byte {error.start}") from error
    outermost: list[tuple[str, Any]] = []

    def keep(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal outermost
        outermost = pairs  # the outermost object is closed last
        return dict(pairs)

    try:
        value = json.loads(text, object_pairs_hook=keep, parse_int=_whole)
    except UnreadableError:
        raise
    except json.JSONDecodeError as error:
        raise UnreadableError(f"not JSON: {error.msg.removesuffix(' at')} at character {error.pos}") from error
    except RecursionError as error:
        raise UnreadableError("nested too deeply") from error
    if isinstance(value, dict) and len(value) != len(outermost):
        names = [name for name, _ in outermost]
        twice = next(name for name in names if names.count(name) > 1)
        raise UnreadableError(f"key stands twice: {twice[:80]!r}")
    return value


def without_non_finite(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object without NaN and the infinities: they are left out, and null where they stand further inside."""
    return {key: _finite(value) for key, value in content.items() if not is_non_finite(value)}


def is_non_finite(value: object) -> bool:
    """Return whether a value is NaN or an infinity."""
    return type(value) is float and not isfinite(value)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if is_non_finite(value) else value


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) < 40 else float(digits)
