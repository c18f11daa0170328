"""JSON objects of small old formats, read key by key: slow, and exact about what is wrong."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import isfinite
from typing import Any, Final

import msgspec

from rugs_legacy.errors import UnreadableError
from rugs_legacy.record import check_name
from rugs_legacy.strict_json import read_object, without_non_finite
from rugs_proto.envelope import TS_END_US, TS_MIN_US, check_plain

MAX_RECORD: Final = 64 * 1024
"""Bytes; the longest real record of these formats has a few hundred. Whatever is longer is damage."""


MAX_FIELDS: Final = 32 * 1024
"""Bytes of what is taken out of a record or document: a message has that much room beside the largest `raw`."""


def read_record(line: bytes) -> dict[str, Any]:
    """Return the object that a line holds.

    Raises:
        UnreadableError: if it holds none, or is longer than any record of these formats.
    """
    if len(line) > MAX_RECORD:
        raise UnreadableError(f"longer than any record of this format: {len(line)} bytes")
    return read_object(line)


def text_of(content: Mapping[str, Any], key: str) -> str:
    """Return text that has to be there.

    Raises:
        UnreadableError: if it is not.
    """
    value = content.get(key)
    if not isinstance(value, str):
        raise UnreadableError(f"no whole record: {key!r} is {'not text' if key in content else 'missing'}")
    return value


def whole_of(content: Mapping[str, Any], key: str) -> int:
    """Return a whole number that has to be there.

    Raises:
        UnreadableError: if it is not.
    """
    value = content.get(key)
    if type(value) is not int:
        raise UnreadableError(f"no whole record: {key!r} is {'no whole number' if key in content else 'missing'}")
    return value


def map_of(content: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return an object that may be there; an empty one where it is missing or null.

    Raises:
        UnreadableError: if it is something else.
    """
    value = content.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UnreadableError(f"no whole record: {key!r} is no object")
    return value


def name_of(content: Mapping[str, Any], key: str) -> str | None:
    """Return a name that may be there.

    Raises:
        UnreadableError: if it is something else.
    """
    value = content.get(key)
    return None if value is None else check_name(value, key)


def epoch_ms(content: Mapping[str, Any], key: str) -> int:
    """Return a time that is written in milliseconds since the Unix epoch, in microseconds.

    Raises:
        UnreadableError: if there is none, or it is outside 2000 to 2200.
    """
    micros = whole_of(content, key) * 1000
    if not TS_MIN_US <= micros < TS_END_US:
        raise UnreadableError(f"{key} is outside 2000 to 2200: {str(content[key])[:40]}")
    return micros


def others(content: Mapping[str, Any], taken: Collection[str]) -> dict[str, Any]:
    """Return what else an object says, for an envelope's fields, without NaN and the infinities.

    Raises:
        UnreadableError: if an envelope cannot carry it.
    """
    fields = without_non_finite({key: value for key, value in content.items() if key not in taken})
    try:
        check_plain(fields)
        size = len(msgspec.msgpack.encode(fields))  # finds half a surrogate pair, too
    except ValueError as error:
        raise UnreadableError(f"no whole record: {error}") from error
    if size > MAX_FIELDS:
        raise UnreadableError(f"no whole record: {size} bytes of fields")
    return fields


def add_number(fields: dict[str, Any], name: str, value: object) -> None:
    """Add a number that may be written as text, as the recorders wrote decimals; what is none is left out.

    Text stays beside it, under `<name>_text`: a double may not hold all of its digits.
    """
    if isinstance(value, str):
        number = decimal(value)
        if number is not None:
            fields[name] = number
            fields[f"{name}_text"] = value
    elif (type(value) is float and isfinite(value)) or (type(value) is int and -(2**63) <= value < 2**63):
        fields[name] = value


def decimal(text: str) -> float | None:
    """Return what Python's `str(Decimal)` wrote; None if it is no finite number."""
    if len(text) > 100 or not text.isascii() or "_" in text or text != text.strip():
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) else None
