"""What the old recorders called their files. No name is given twice: nothing that is there is ever written over."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Final

_GAME_END: Final = re.compile(r"[0-9a-f]{8}\Z")


def game_name(began: datetime, game_id: str) -> str:
    """Return the name of a game's file: when it began, local time, and the end of its id where that is as it should."""
    end = _GAME_END.search(game_id)
    return f"game_{began:%Y%m%d_%H%M%S}{'_' + end[0] if end else ''}.jsonl"


def capture_name(began: datetime) -> str:
    """Return the name of a raw capture that began then, local time."""
    return f"{began:%Y-%m-%d_%H-%M-%S}_raw.jsonl"


def session_name(began: datetime) -> str:
    """Return the name of a session of games that began then, local time."""
    return f"session_{began:%Y%m%d_%H%M%S}.jsonl"


def free_name(wanted: str, is_taken: Callable[[str], bool]) -> str:
    """Return the name, or where it is taken the first that is not; readers know it by its beginning and its end."""
    stem = wanted.removesuffix(".jsonl").removesuffix("_raw")
    ending = wanted[len(stem) :]
    name, number = wanted, 1
    while is_taken(name):
        number += 1
        name = f"{stem}-{number}{ending}"
    return name
