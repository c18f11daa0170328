"""F14: events of golden hours, all arguments kept, in a list also where there is one.

The time is `ts_ms`, milliseconds since the epoch; `ts` is the same for people. Between the records
stand notes that begin with `#`. They carry no time and are no records: each is kept as a reject.
"""

from __future__ import annotations

import re
from typing import Any

from rugs_legacy.errors import UnreadableError
from rugs_legacy.formats.captures import socket_event
from rugs_legacy.formats.objects import epoch_ms
from rugs_legacy.record import LineFormat, Parse, Record
from rugs_legacy.strict_json import read_object


def _sniff(content: dict[str, Any], _name_fits: bool) -> bool:
    return {"ts", "ts_ms", "event", "data"} <= content.keys()


def _reader(timezone: str, name: str = "") -> Parse:
    def parse(line: bytes) -> Record:
        if line.lstrip().startswith(b"#"):
            raise UnreadableError("a note, no record")
        content = read_object(line)
        return socket_event(content, "event", epoch_ms(content, "ts_ms"), "")

    return parse


FORMAT = LineFormat(
    id="F14",
    version=2,
    title="golden hours",
    names=re.compile(r"golden_hour.*\.jsonl"),
    record_start=re.compile(rb'\{"ts"'),
    sniff=_sniff,
    reader=_reader,
)
