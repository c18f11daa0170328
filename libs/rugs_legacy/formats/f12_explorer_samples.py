"""F12: what the explorer of the feed received, all arguments kept.

Times are local and without a zone.
"""

from __future__ import annotations

import re
from typing import Any

from rugs_legacy.clock import Clock
from rugs_legacy.formats.captures import socket_event
from rugs_legacy.formats.objects import text_of
from rugs_legacy.record import LineFormat, Parse, Record
from rugs_legacy.strict_json import read_object


def _sniff(content: dict[str, Any], _name_fits: bool) -> bool:
    return {"timestamp", "event_type", "data"} <= content.keys()


def _reader(timezone: str, name: str = "") -> Parse:
    read_time = Clock(timezone, aware=False).read

    def parse(line: bytes) -> Record:
        content = read_object(line)
        ts, zone = read_time(text_of(content, "timestamp"))
        return socket_event(content, "event_type", ts, zone)

    return parse


FORMAT = LineFormat(
    id="F12",
    version=2,
    title="samples of the explorer",
    names=re.compile(r"websocket_raw_samples.*\.jsonl"),
    record_start=re.compile(rb'\{"timestamp"'),
    sniff=_sniff,
    reader=_reader,
)
