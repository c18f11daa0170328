"""F4: the buttons that a player pressed during one game, between a header and a footer.

An action's time is when the button was pressed, in milliseconds since the epoch. Lines stand in
another order: a trade was written when it was confirmed. So the order of `ts` is the order of
pressing, and only within one millisecond that of the lines. The game stands in the header, and in
the file's name; it may be a made-up one, `game_<epoch>`. A session's `session_metadata.json` says when
it was, and what it came to.
"""

from __future__ import annotations

import re
from typing import Any, Final

from rugs_legacy.clock import Clock
from rugs_legacy.errors import UnreadableError
from rugs_legacy.formats.actions import add_category, add_game_state
from rugs_legacy.formats.objects import add_number, epoch_ms, map_of, name_of, others, read_record, text_of
from rugs_legacy.record import Document, DocumentFormat, LineFormat, Parse, Record, check_name

NAMES: Final = re.compile(r"game_\d{3,5}_(?P<game>.+)\.jsonl")
_PLACEHOLDER: Final = re.compile(r"game_\d+")
_MARKS: Final = {"_header": ("start_time", "recording_start"), "_footer": ("end_time", "recording_end")}


def _sniff(content: dict[str, Any], _name_fits: bool) -> bool:
    if any(isinstance(content.get(key), dict) for key in _MARKS):
        return True
    return content.get("type") == "action" and "state_before" in content


def _reader(timezone: str, name: str = "") -> Parse:
    read_time = Clock(timezone, aware=False).read
    named = NAMES.fullmatch(name)
    game_id = named["game"] if named else None

    def parse(line: bytes) -> Record:
        content = read_record(line)
        for key, (time_key, event) in _MARKS.items():
            if key in content:
                return parse_mark(map_of(content, key), time_key, event)
        return parse_action(content)

    def parse_mark(marks: dict[str, Any], time_key: str, event: str) -> Record:
        nonlocal game_id
        ts, zone = read_time(text_of(marks, time_key))
        fields = others(marks, (time_key, "game_id"))
        game_id = name_of(marks, "game_id") or game_id
        note_placeholder(fields)
        return Record(ts, None, zone, "system_event", event, "received", game_id, None, None, fields)

    def parse_action(content: dict[str, Any]) -> Record:
        if content.get("type") != "action":
            raise UnreadableError(f"no known type of record: {str(content.get('type'))[:80]!r}")
        ts = epoch_ms(content, "timestamp_pressed")
        button = check_name(text_of(content, "button"), "button")
        text_of(content, "action_id")
        state = map_of(content, "state_before")
        fields = others(content, ("type", "button", "amount"))
        fields["action"] = button
        add_category(fields, button)
        add_number(fields, "amount", content.get("amount"))
        add_game_state(fields, state)
        note_placeholder(fields)
        return Record(ts, None, "", "player_action", button, "received", game_id, None, None, fields)

    def note_placeholder(fields: dict[str, Any]) -> None:
        if game_id is not None and _PLACEHOLDER.fullmatch(game_id):
            fields["game_is_placeholder"] = True

    return parse


FORMAT = LineFormat(
    id="F4",
    version=2,
    title="demonstration",
    names=NAMES,
    record_start=re.compile(rb'\{"(?:type|_header|_footer)"'),
    sniff=_sniff,
    reader=_reader,
)


def _sniff_metadata(content: Any, _name_fits: bool) -> bool:
    marks = content.get("_metadata") if isinstance(content, dict) else None
    return isinstance(marks, dict) and {"session_id", "start_time"} <= marks.keys()


def _read_metadata(content: dict[str, Any], timezone: str) -> Document:
    marks = content["_metadata"]
    ts, zone = Clock(timezone, aware=False).read(text_of(marks, "start_time"))
    fields = others(marks, ())
    return Document(Record(ts, None, zone, "system_event", "session_metadata", "received", *_NOBODY, fields), ())


_NOBODY: Final = (None, None, None)

METADATA: Final = DocumentFormat(
    id="F4",
    version=2,
    title="session of demonstrations",
    names=re.compile(r"session_metadata\.json"),
    marks=(b'"_metadata"',),
    is_array=False,
    sniff=_sniff_metadata,
    read=_read_metadata,
)
