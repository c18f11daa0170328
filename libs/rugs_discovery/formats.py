"""What a string looks like, and which keys of objects are data.

A few values are looked at, not each: a format says what forms occur.
"""

from __future__ import annotations

import re
from typing import Final

TEXT: Final = "text"
"""A string of no known form."""

_FORMATS: Final = (
    ("did", re.compile(r"did:[a-z0-9]+:[A-Za-z0-9._:%-]+", re.ASCII)),
    ("uuid", re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)),
    ("timestamp", re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?", re.ASCII)),
    ("date", re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)),
    ("game-id", re.compile(r"\d{8}-[0-9a-f]{8,32}", re.ASCII)),
    ("integer", re.compile(r"-?\d{1,64}", re.ASCII)),
    ("decimal", re.compile(r"-?\d{1,64}\.\d{1,64}", re.ASCII)),
    ("hex", re.compile(r"(?:0x)?(?=[0-9a-fA-F]*\d)[0-9a-fA-F]{16,}", re.ASCII)),
    ("wallet-address", re.compile(r"(?=[a-zA-Z]*\d)(?=[a-z\d]*[A-Z])[1-9A-HJ-NP-Za-km-z]{32,44}", re.ASCII)),
    ("cuid", re.compile(r"c[a-z0-9]{24}", re.ASCII)),
    ("trace", re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)),
    ("url", re.compile(r"[a-z][a-z0-9+.-]{1,15}://\S+", re.ASCII)),
)
_LONGEST: Final = 512

_DATA_KEYS: Final = {
    "integer": "whole numbers",
    "did": "DIDs",
    "uuid": "UUIDs",
    "game-id": "game ids",
    "hex": "hexadecimal ids",
    "wallet-address": "wallet addresses",
    "cuid": "ids",
}
"""Formats of keys that are data, and how people call them."""


def format_of(text: str) -> str:
    """Return the format of a string: one of those above, or `text`."""
    if len(text) > _LONGEST:
        return TEXT
    return next((name for name, pattern in _FORMATS if pattern.fullmatch(text)), TEXT)


def kind_of_keys(keys: list[str]) -> str | None:
    """Return what keys are that are all data, for people; None if one of them is not."""
    kinds = {_DATA_KEYS.get(format_of(key)) for key in keys}
    if not kinds or None in kinds:
        return None
    return " and ".join(sorted(str(kind) for kind in kinds))
