"""The records that F1 and F2 share: flat JSON objects with a `type` and a local `timestamp`.

Ticks, nearly all lines there are, are decoded straight into a checked struct. Everything
else, and every tick that is not exactly as the recorders wrote it, takes the slow way.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from rugs_legacy.clock import Clock
from rugs_legacy.errors import UnreadableError
from rugs_legacy.formats.ticks import Name, Number, Tick, Whole, add_readings, check_shape, tick_fields
from rugs_legacy.record import Parse, Record, check_name
from rugs_legacy.strict_json import read_object, without_non_finite
from rugs_proto.envelope import check_plain

RECORD_START: Final = re.compile(rb'\{"type"')
MAX_RECORD: Final = 64 * 1024
"""Bytes; the longest real record has 400. Whatever is longer is damage, and is kept as a reject."""


class _Tick(Tick, forbid_unknown_fields=True, gc=False, kw_only=True):
    type: Literal["tick"]


class _AnyTick(_Tick, forbid_unknown_fields=False):
    """A tick with keys that the recorders never wrote."""


class _GameStart(Struct):
    timestamp: str
    game_id: Name


class _GameEnd(_GameStart):
    total_ticks: Whole
    tick_range: list[Any]
    price_range: list[Any]
    peak_price: Number | None
    final_price: Number | None


class _GameComplete(_GameStart):
    game_number: Whole
    final_tick: Whole
    peak_multiplier: Number
    server_seed: str | None


class _SessionStart(Struct):
    timestamp: str
    session_id: str


class _SessionEnd(Struct):
    timestamp: str
    total_games: Whole
    total_ticks: Whole


TYPES: Final[dict[str, type[Struct]]] = {
    "tick": _AnyTick,
    "game_start": _GameStart,
    "game_end": _GameEnd,
    "game_complete": _GameComplete,
    "session_start": _SessionStart,
    "session_end": _SessionEnd,
}
"""What a record of each type must hold to be whole."""

_decode_tick = msgspec.json.Decoder(_Tick).decode
_TICK_KEYS: Final = len(_Tick.__struct_fields__)


def reader(timezone: str, name: str = "") -> Parse:
    """Return a line reader; local times are in `timezone`. The file's name says nothing that matters."""
    read_time = Clock(timezone, aware=False).read

    def parse(line: bytes) -> Record:
        try:
            tick = _decode_tick(line)
        except (ValueError, RecursionError):  # not a plain tick: msgspec's errors are ValueErrors
            return _parse_slowly(line, read_time)
        if line.count(b'":') != _TICK_KEYS:  # a key stands twice, or a text looks like one
            return _parse_slowly(line, read_time)
        ts, zone = read_time(tick.timestamp)
        return Record(ts, None, zone, "game_tick", "tick", "received", tick.game_id, None, None, tick_fields(tick))

    return parse


def _parse_slowly(line: bytes, read_time: Callable[[str], tuple[int, str]]) -> Record:
    if len(line) > MAX_RECORD:
        raise UnreadableError(f"longer than any record of this format: {len(line)} bytes")
    content = read_object(line)
    kind = content.get("type")
    shape = TYPES.get(kind) if isinstance(kind, str) else None
    if shape is None:
        raise UnreadableError(f"no known type of record: {str(kind)[:80]!r}")
    try:
        check_shape(content, shape)
        fields = without_non_finite(
            {key: value for key, value in content.items() if key not in ("type", "timestamp", "game_id")}
        )
        check_plain(fields)
        msgspec.msgpack.encode(fields)
    except ValueError as error:
        raise UnreadableError(f"no whole {kind}: {error}") from error
    ts, zone = read_time(content["timestamp"])
    game_id = check_name(content["game_id"], "game_id") if content.get("game_id") is not None else None
    if kind == "tick":
        add_readings(fields)
    doc_type = "game_tick" if kind == "tick" else "system_event"
    return Record(ts, None, zone, doc_type, str(kind), "received", game_id, None, None, fields)
