"""F2: several games in one file, between a session's start and end.

A tick is a tick of F1: where a file begins with one, only its name tells the two apart.
"""

from __future__ import annotations

import re
from typing import Any

from rugs_legacy.formats import typed
from rugs_legacy.record import LineFormat


def _sniff(content: dict[str, Any], name_fits: bool) -> bool:
    kind = content.get("type")
    is_own = kind in ("session_start", "game_complete", "session_end") or (kind == "tick" and name_fits)
    return is_own and "timestamp" in content


FORMAT = LineFormat(
    id="F2",
    version=3,
    title="session of games",
    names=re.compile(r"session_\d{8}_\d{6}(-\d+)?\.jsonl"),
    record_start=typed.RECORD_START,
    sniff=_sniff,
    reader=typed.reader,
)
