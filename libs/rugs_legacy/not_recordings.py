"""Files that lie beside recordings and are none: reports on captures (F11), an application's state (F13).

They are named and left alone.
"""

from __future__ import annotations

import re
from typing import Any, Final

REPORT: Final = "F11, report on a capture: not a recording"
STATE: Final = "F13, state of an application: not a recording"
DUAL_WRITE: Final = "the legacy-writer's own state: not a recording"
TABLE: Final = "a table of rows: for queries, it is not imported"
FIELDS: Final = "F12's analysis of fields: not a recording"

_NAMES: Final = (
    (re.compile(r".+_summary\.md|.+_events\.json"), REPORT),
    (re.compile(r"field_analysis\.json"), FIELDS),
    (re.compile(r"\.dual-write\.(json|lock)"), DUAL_WRITE),
    (re.compile(r".+\.(parquet|arrow)"), TABLE),
    (
        re.compile(
            r"(session_state|recording_config|settings|profile_cache|metrics|test_report|bot_config)\.json"
            r"|(app|errors|performance)\.log"
        ),
        STATE,
    ),
)
_KEYS: Final = (({"event_types", "total_events"}, REPORT), ({"capture_mode", "game_count"}, STATE))


def why_no_recording(name: str, content: Any = None) -> str | None:
    """Return what a file is that is no recording, by its JSON value, if it is one, and by its name; None if unknown."""
    if isinstance(content, dict):
        for keys, reason in _KEYS:
            if keys <= content.keys():
                return reason
    return next((reason for names, reason in _NAMES if names.fullmatch(name)), None)
