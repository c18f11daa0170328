"""F15: what a notebook took from a browser's socket: the first argument, and the whole message in `raw`.

The time is `captured_at`: text, aware or local as it says itself, or seconds since the epoch.
`timestamp` is the browser's own and counts from nowhere that is known.
"""

from __future__ import annotations

import re
from typing import Any

from rugs_legacy.clock import Clock
from rugs_legacy.errors import UnreadableError
from rugs_legacy.formats.captures import socket_event
from rugs_legacy.record import LineFormat, Parse, Record
from rugs_legacy.strict_json import read_object
from rugs_proto.envelope import TS_END_US, TS_MIN_US


def _sniff(content: dict[str, Any], _name_fits: bool) -> bool:
    return {"event_name", "data", "captured_at"} <= content.keys()


def _reader(timezone: str, name: str = "") -> Parse:
    read_time = Clock(timezone, aware=True).read

    def parse(line: bytes) -> Record:
        content = read_object(line)
        at = content.get("captured_at")
        if isinstance(at, str):
            return socket_event(content, "event_name", *read_time(at))
        if isinstance(at, bool) or not isinstance(at, int | float):
            raise UnreadableError("no whole record: 'captured_at' is no time")
        if not TS_MIN_US <= at * 1e6 < TS_END_US:
            raise UnreadableError(f"captured_at is outside 2000 to 2200: {str(at)[:40]}")
        return socket_event(content, "event_name", round(at * 1_000_000), "")

    return parse


FORMAT = LineFormat(
    id="F15",
    version=2,
    title="notebook capture",
    names=re.compile(r".+_notebook\.jsonl"),
    record_start=re.compile(rb'\{"event_name"'),
    sniff=_sniff,
    reader=_reader,
)
