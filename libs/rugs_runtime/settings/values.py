"""Kinds of values that settings have, and how they are written for people."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, NonNegativeInt

BYTES: Final = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}
SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*")


def seconds(value: object) -> object:
    """Return a duration's seconds, of text such as ``90s``; anything else as it is."""
    if isinstance(value, str):
        match = _DURATION.fullmatch(value)
        if match is None:
            raise ValueError("not a duration: write seconds, or a number with s, m, h or d")
        return float(match[1]) * SECONDS[match[2]]
    return value


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


Seconds = Annotated[float, BeforeValidator(seconds), Field(gt=0)]
Size = Annotated[ByteSize, Field(gt=0)]
Port = Annotated[NonNegativeInt, Field(le=65535)]
Place = Annotated[Path, AfterValidator(_absolute)]
"""A file or a folder: absolute, `~` resolved."""


def written(value: float, units: Mapping[str, int]) -> str:
    """Return a number in the largest unit that it is a whole number of, else in the smallest."""
    (smallest, _), *_ = named = [(name, size) for name, size in units.items() if name]
    for name, size in reversed(named):
        if value and value % size == 0:
            return f"{value / size:.0f}{name}"
    return f"{value}{smallest}"


def parts(text: str) -> list[str]:
    """Return the parts of text with commas, without blanks."""
    return [part.strip() for part in text.split(",") if part.strip()]
