"""F3: ticks without a `type`, between a header and a footer called `_metadata`.

Written under the same file names as F1; only the content tells the two apart. Times are local and
without a zone. The footer is often missing, since the recorder dropped it at exit, and so are the
last ticks. Prices went through a decimal: the server's `1` is written `1.0` as well, so the literal
proves no filler: that no trade is counted has to be so, too.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from rugs_legacy.clock import Clock
from rugs_legacy.errors import UnreadableError
from rugs_legacy.formats.objects import map_of, name_of, others, read_record, text_of
from rugs_legacy.formats.ticks import Tick, add_readings, check_shape, tick_fields
from rugs_legacy.record import LineFormat, Parse, Record, check_name


class _Tick(Tick, forbid_unknown_fields=True, gc=False):
    """A tick as the recorder wrote it."""


_decode_tick: Final = msgspec.json.Decoder(_Tick).decode
_TICK_KEYS: Final = len(_Tick.__struct_fields__)
_MARKS: Final = {"start_time": "recording_start", "end_time": "recording_end"}


def _sniff(content: dict[str, Any], _name_fits: bool) -> bool:
    marks = content.get("_metadata")
    if isinstance(marks, dict):
        return bool(marks.keys() & {"game_id", "tick_count"})
    return {"game_id", "tick", "timestamp", "price"} <= content.keys() and "type" not in content


def _reader(timezone: str, name: str = "") -> Parse:
    read_time = Clock(timezone, aware=False).read

    def parse(line: bytes) -> Record:
        try:
            tick = _decode_tick(line)
        except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
            return parse_slowly(line)
        if line.count(b'":') != _TICK_KEYS:  # a key stands twice, or a text looks like one
            return parse_slowly(line)
        ts, zone = read_time(tick.timestamp)
        fields = tick_fields(tick, floats_only=True)
        return Record(ts, None, zone, "game_tick", "tick", "received", tick.game_id, None, None, fields)

    def parse_slowly(line: bytes) -> Record:
        content = read_record(line)
        if "_metadata" in content:
            return parse_mark(map_of(content, "_metadata"))
        if "type" in content:
            raise UnreadableError(f"no record of this format: it has a type, {str(content['type'])[:80]!r}")
        try:
            check_shape(content, Tick)
        except ValueError as error:
            raise UnreadableError(f"no whole tick: {error}") from error
        fields = others(content, ("timestamp", "game_id"))
        add_readings(fields, floats_only=True)
        ts, zone = read_time(content["timestamp"])
        game_id = check_name(content["game_id"], "game_id")
        return Record(ts, None, zone, "game_tick", "tick", "received", game_id, None, None, fields)

    def parse_mark(marks: dict[str, Any]) -> Record:
        key = next((key for key in _MARKS if key in marks), None)
        if key is None:
            raise UnreadableError("no whole record: _metadata says neither a start nor an end")
        ts, zone = read_time(text_of(marks, key))
        fields = others(marks, (key, "game_id"))
        game_id = name_of(marks, "game_id")
        return Record(ts, None, zone, "system_event", _MARKS[key], "received", game_id, None, None, fields)

    return parse


FORMAT = LineFormat(
    id="F3",
    version=3,
    title="ticks of the recorder sink",
    names=re.compile(r"game_\d{8}_\d{6}_\d{1,3}\.jsonl"),
    record_start=re.compile(rb'\{"(?:_metadata|game_id)"'),
    sniff=_sniff,
    reader=_reader,
)
