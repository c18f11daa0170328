r"""Field paths: `data.leaderboard[].pnl`, from the root of a payload to a value.

A step is a key, `[]` for the elements of an array, or `{*}` for the values of a map, an object whose keys are data. In
a key, each of the characters ``. [ ] { } * \`` has a backslash before it: ``data.a\.b`` ends with the key `a.b`. An
empty key is written as ``\0``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Final


class Mark(Enum):
    """A step that is no key."""

    ITEM = "[]"
    ANY = "{*}"


ITEM: Final = Mark.ITEM
ANY: Final = Mark.ANY
Step = str | Mark

_SPECIAL: Final = re.compile(r"[.\[\]{}*\\]")
_EMPTY: Final = "\\0"
_STEP: Final = re.compile(r"\[\]|\{\*\}|\.?((?:[^.\[\]{}*\\]|\\[^0])+|\\0)")


def join(steps: Iterable[Step]) -> str:
    """Return the path of steps."""
    text = ""
    for step in steps:
        if isinstance(step, Mark):
            text += step.value
        else:
            text += ("." if text else "") + escape(step)
    return text


def escape(key: str) -> str:
    """Return a key as a path has it."""
    return _SPECIAL.sub(r"\\\g<0>", key) if key else _EMPTY


def split(path: str) -> tuple[Step, ...]:
    """Return the steps of a path.

    Raises:
        ValueError: if it is none.
    """
    return tuple(_steps(path))


def _steps(path: str) -> Iterator[Step]:
    at = 0
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None or (found[0].startswith(".") == (at == 0) and found[1] is not None):
            raise ValueError(f"no field path: {path!r} (at character {at + 1})")
        if found[1] is None:
            yield Mark(found[0])
        else:
            yield "" if found[1] == _EMPTY else re.sub(r"\\(.)", r"\1", found[1], flags=re.DOTALL)
        at = found.end()
