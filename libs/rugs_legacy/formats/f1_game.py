"""F1: one file a game, ticks between a game's start and end.

Three generations of one recorder wrote it; they differ in the keys of start and end. Times
are local and without a zone, prices are JSON numbers. What F3 and F4 write goes by the same
file names and is another format.
"""

from __future__ import annotations

import re
from typing import Any

from rugs_legacy.formats import typed
from rugs_legacy.record import LineFormat


def _sniff(content: dict[str, Any], _name_fits: bool) -> bool:
    return content.get("type") in ("game_start", "tick", "game_end") and "timestamp" in content


FORMAT = LineFormat(
    id="F1",
    version=3,
    title="per-game ticks",
    names=re.compile(r"game_\d{8}_\d{6}(_[0-9a-f]{1,16})?\.jsonl"),
    record_start=typed.RECORD_START,
    sniff=_sniff,
    reader=typed.reader,
)
