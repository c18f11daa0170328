"""F6: the buttons that a player pressed during one game, each with what the server said then.

An action's time is when the button was pressed, in milliseconds since the epoch; `timestamp`, when
it was written, is UTC without a zone. Numbers that were zero are null: the recorder took them for
missing. Whether a trade was confirmed was never written.
"""

from __future__ import annotations

import re
from typing import Any

from rugs_legacy.clock import Clock
from rugs_legacy.errors import UnreadableError
from rugs_legacy.formats.actions import add_category, add_game_state, add_server_state
from rugs_legacy.formats.objects import add_number, epoch_ms, map_of, name_of, others, read_record, text_of
from rugs_legacy.record import LineFormat, Parse, Record, check_name


def _sniff(content: dict[str, Any], _name_fits: bool) -> bool:
    return content.get("type") == "action" and bool(content.keys() & {"local_state", "timestamp_pressed_ms"})


def _reader(timezone: str, name: str = "") -> Parse:
    read_time = Clock("UTC", aware=False).read

    def parse(line: bytes) -> Record:
        content = read_record(line)
        if content.get("type") != "action":
            raise UnreadableError(f"no known type of record: {str(content.get('type'))[:80]!r}")
        ts = epoch_ms(content, "timestamp_pressed_ms")
        recv_ts, zone = read_time(text_of(content, "timestamp"))
        button = check_name(text_of(content, "button"), "button")
        text_of(content, "action_id")
        local_state, server_state = map_of(content, "local_state"), map_of(content, "server_state")
        fields = others(content, ("type", "button", "game_id", "timestamp", "amount"))
        fields["action"] = button
        add_category(fields, button)
        add_number(fields, "amount", content.get("amount"))
        add_game_state(fields, local_state)
        add_server_state(fields, server_state)
        game_id = name_of(content, "game_id")
        return Record(ts, recv_ts, zone, "player_action", button, "received", game_id, None, None, fields)

    return parse


FORMAT = LineFormat(
    id="F6",
    version=2,
    title="player actions",
    names=re.compile(r".+_player\.jsonl"),
    record_start=re.compile(rb'\{"type"'),
    sniff=_sniff,
    reader=_reader,
)
