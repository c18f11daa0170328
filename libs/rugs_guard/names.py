"""What must be gone from a producer at cutover: the names that give it away, and what to do instead."""

from __future__ import annotations

import re
from typing import Final, NamedTuple


class Finding(NamedTuple):
    """A place that must change: `file` relative to the folder, `line` from 1, the rule, and what was found."""

    file: str
    line: int
    rule: str
    what: str

    @property
    def instead(self) -> str:
        """What to do there."""
        return INSTEAD[self.rule]


WRITE: Final = "recording-write"
HOME: Final = "home-path"
FOLDER: Final = "old-folder"
SETTING: Final = "old-setting"
RECORDER: Final = "old-recorder"
UNREADABLE: Final = "unreadable"

INSTEAD: Final = {
    WRITE: "publish it: rugs_client.Publisher.publish(event, raw=...), or rugs_client.attach(event_bus, publisher)",
    HOME: "take the folder from a setting",
    FOLDER: "recordings are in the lake: read them with rugs_lake.open() or `rugs export`",
    SETTING: "delete it: what is recorded is no matter of the producer any more",
    RECORDER: "delete it; rugs_client.attach(event_bus, publisher) records what the event bus carries",
    UNREADABLE: "mend it, or it cannot be checked",
}

RECORDER_MODULES: Final = frozenset(
    {
        "continuous_game_recorder",
        "demo_recorder",
        "explore_websocket_data",
        "rag_ingester",
        "raw_capture_recorder",
        "recorder_sink",
        "recorders",
        "unified_recorder",
    }
)
RECORDER_CLASSES: Final = frozenset(
    {
        "ContinuousRecorder",
        "DemoRecorderSink",
        "GameStateRecorder",
        "PlayerSessionRecorder",
        "RAGIngester",
        "RawCaptureRecorder",
        "RecorderSink",
        "UnifiedRecorder",
    }
)
SETTINGS: Final = frozenset({"RUGS_RECORDINGS_DIR", "RUGS_AUTO_RECORDING", "RUGS_RECORDING_BUFFER_SIZE"})

_START: Final = r"(?:^|(?<=[/\\\s'\"=:(~]))"
_END: Final = r"(?=$|[/\\\s'\",:;)])"
OLD_FOLDER: Final = re.compile(rf"{_START}(?:raw_captures|cdp_captures|rag_events|rugs_recordings){_END}")
"""A folder that has no other meaning."""
COMMON_FOLDER: Final = re.compile(r"(?:^|[/\\])(?:recordings|demonstrations)(?:$|[/\\])")
"""A folder of the old recorders too, but also an ordinary word: only where it stands in a path."""
HOME_PATH: Final = re.compile(r"(?:^|(?<=[\s'\"=:(,]))(?:/home/|/Users/|/root/|[A-Za-z]:[\\/]+Users[\\/]+)[\w.${%<-]+")
RECORDING_FILE: Final = re.compile(
    r"\.(?:jsonl|ndjson)(?:\.\w+)?$|\.game\.json$|_(?:demo|session)\.json$|(?:^|[/\\])session_metadata\.json$"
)
"""The end of the name of a file that the old recorders wrote, or of one like it."""
RECORDING_TABLE: Final = re.compile(
    r"(?i)(?:^|[/\\_.{}-])(?:ticks?|recordings?|captures?|game_?(?:data|events|history))(?:[_.{}-][^/\\]*)?"
    r"\.(?:arrow|csv|db|duckdb|feather|parquet|sqlite3?)(?:\.\w+)?$"
)
"""The end of the name of a table or a database of the same."""
RECORDING_WORD: Final = re.compile(r"(?i)recordings?_?(?:dir|file|path|folder)|captures?_?(?:dir|file|path|folder)")
"""In the name of a variable: where recordings lie."""
RECORDER_WORD: Final = re.compile(rf"\b(?:{'|'.join(sorted((RECORDER_MODULES - {'recorders'}) | RECORDER_CLASSES))})\b")
SETTING_WORD: Final = re.compile(rf"\b(?:{'|'.join(sorted(SETTINGS))})\b")
