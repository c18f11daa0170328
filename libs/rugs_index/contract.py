"""The retrieval contract: the text and the metadata of a raw event, byte for byte as claude-flow makes them.

Pure, and total over JSON: no record makes it fail. Where claude-flow's own code would fail, it is decided here:

========================================================  =====================================================
where the table wants an object or an array, and          it counts as empty: `rugpool`, `leaderboard`,
something else is there                                   `currentEvent`, `entries`, a first entry
a percentage that is no number                            written as it is, without rounding
a `gameId` that is no text                                no game id
a `seq` that is no whole number                           written as it is in the text; 0 in the metadata
a number or an array too large for Python to write        `(int too large to write)`
========================================================  =====================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from rugs_index import kinds

UNKNOWN: Final = "unknown"
DOC_TYPE: Final = "raw_event"
KIND: Final = kinds.WS_EVENT
_LONGEST_DATA: Final = 500
"""Characters of a payload that is no object."""
_KEYS_LOOKED_AT: Final = 10
"""Of an event that the table does not name."""

Record = Mapping[str, Any]
"""A record of a recording: an object with `event`, `ts`, `seq` and `data`."""
Payload = Mapping[str, Any]


class _Line:
    """A line of a text: in braces the keys of its values, each with what is written where the key is missing."""

    _VALUE: Final = re.compile(r"\{(\w+)\|(\w*)\}")

    def __init__(self, template: str) -> None:
        *parts, self._end = self._VALUE.split(template)
        self._parts = tuple(zip(parts[::3], parts[1::3], parts[2::3], strict=True))

    def of(self, payload: Payload) -> str:
        """Return the line that a payload makes."""
        values = [
            before + (written(payload[key]) if key in payload else default) for before, key, default in self._parts
        ]
        return "".join(values) + self._end


def _lines_of(*templates: str) -> tuple[_Line, ...]:
    return tuple(map(_Line, templates))


_HEAD: Final = _lines_of("Event Type: {event|unknown}", "Timestamp: {ts|}", "Sequence: {seq|0}")
_TABLE: Final = {
    "gameStateUpdate": _lines_of(
        "Game ID: {gameId|unknown}",
        "Active: {active|False}",
        "Rugged: {rugged|False}",
        "Price: {price|0}",
        "Tick Count: {tickCount|0}",
        "Cooldown Timer: {cooldownTimer|0}",
        "Trade Count: {tradeCount|0}",
        "Connected Players: {connectedPlayers|0}",
        "Average Multiplier: {averageMultiplier|0}",
        "Count 2x: {count2x|0}",
        "Count 10x: {count10x|0}",
        "Count 50x: {count50x|0}",
        "Count 100x: {count100x|0}",
    ),
    "standard/newTrade": _lines_of(
        "Trade Type: {type|unknown}",
        "Game ID: {gameId|unknown}",
        "Player: {username|unknown} (Level {level|0})",
        "Price: {price|0}",
        "Amount: {amount|0} SOL",
        "Quantity: {qty|0}",
        "Tick Index: {tickIndex|0}",
        "Coin: {coin|unknown}",
    ),
    "newChatMessage": _lines_of(
        "Player: {username|unknown} (Level {level|0})",
        "Message: {message|}",
        "Tag: {tag|none}",
        "Verified: {verified|False}",
        "Role: {role|none}",
    ),
    "goldenHourUpdate": _lines_of("Status: {status|unknown}", "Active Event ID: {activeEventId|none}"),
    "goldenHourDrawing": _lines_of(
        "Drawing ID: {id|unknown}", "Game ID: {gameId|unknown}", "Timestamp: {timestamp|unknown}"
    ),
    "battleEventUpdate": _lines_of("Status: {status|unknown}", "Event ID: {activeEventId|none}"),
}
_RUGPOOL: Final = _lines_of("Rugpool Amount: {rugpoolAmount|0}", "Instarug Count: {instarugCount|0}")
_TOP_PLAYER: Final = _Line("Top Player: {username|unknown} (PnL: {pnl|0})")
_CURRENT_EVENT: Final = _lines_of(
    "Event Start: {startTime|unknown}",
    "Event End: {endTime|unknown}",
    "Prize Amount: {prizeAmount|0} SOL",
    "Max Entries: {maxEntries|0}",
    "Level Required: {levelRequired|0}",
)
_TOP_ENTRY: Final = _Line("Top Entry: {username|unknown} ({entryCount|0} entries, ")


def text_of(record: Record) -> str:
    """Return the text of a raw event, profile `claude_flow_v1`."""
    return "\n".join(_lines(record))


def metadata_of(record: Record, source: str, line: int | None = None) -> dict[str, Any]:
    """Return the metadata of a raw event.

    Args:
        source: the base name of the recording, or `<doc_type>/<session_id>`.
        line: where the record is in the recording, from 1; None where that is not known.
    """
    seq = record.get("seq", 0)
    return {
        "source": source,
        "kind": KIND,
        "doc_type": DOC_TYPE,
        "event_type": written(record.get("event", UNKNOWN)),
        "game_id": game_id_of(record.get("data")),
        "timestamp": written(record.get("ts", "")),
        "seq": seq if type(seq) is int else 0,
        "headers": [],
        **({} if line is None else {"line_start": line, "line_end": line}),
    }


def game_id_of(data: object) -> str:
    """Return the game that an event's data name; an empty text where they name none."""
    nested = data.get("gameStateUpdate") if isinstance(data, Mapping) else None
    for holder in (data, nested, _second(data)):
        game_id = holder.get("gameId") if isinstance(holder, Mapping) else None
        if isinstance(game_id, str) and game_id:
            return game_id
    return ""


def _lines(record: Record) -> Iterator[str]:
    yield from (line.of(record) for line in _HEAD)
    event, data = record.get("event", UNKNOWN), record.get("data")
    if not data:
        yield "Data: null"
        return
    payload = _second(data) if isinstance(data, list) and len(data) > 1 else data
    if not isinstance(payload, Mapping):
        yield f"Data: {written(payload)[:_LONGEST_DATA]}"
    elif isinstance(event, str) and event in _TABLE:
        yield from (line.of(payload) for line in _TABLE[event])
        if event in _MORE:
            yield from _MORE[event](payload)
    else:
        for key in list(payload)[:_KEYS_LOOKED_AT]:
            if isinstance(payload[key], str | int | float):  # true and false are int
                yield f"{key}: {written(payload[key])}"


def _second(data: object) -> object:
    """Return the payload of `[trace, payload]`; None for what is no array of two or more."""
    return data[1] if isinstance(data, list) and len(data) > 1 else None


def _more_of_game_state(payload: Payload) -> Iterator[str]:
    if rugpool := _object(payload.get("rugpool")):
        yield from (line.of(rugpool) for line in _RUGPOOL)
    if leaderboard := _array(payload.get("leaderboard")):
        yield f"Leaderboard Size: {len(leaderboard)}"
        yield _TOP_PLAYER.of(_object(leaderboard[0]))


def _more_of_golden_hour(payload: Payload) -> Iterator[str]:
    if event := _object(payload.get("currentEvent")):
        yield from (line.of(event) for line in _CURRENT_EVENT)


def _more_of_golden_drawing(payload: Payload) -> Iterator[str]:
    entries = _array(payload.get("entries"))
    yield f"Total Entries: {len(entries)}"
    if entries:
        first = _object(entries[0])
        yield f"{_TOP_ENTRY.of(first)}{_percentage(first.get('entryPercentage', 0))}%)"


_MORE: Final[dict[str, Callable[[Payload], Iterator[str]]]] = {
    "gameStateUpdate": _more_of_game_state,
    "goldenHourUpdate": _more_of_golden_hour,
    "goldenHourDrawing": _more_of_golden_drawing,
}
"""Lines below those of the table, which are there only where the payload has something."""


def _object(value: object) -> Payload:
    return value if isinstance(value, Mapping) else {}


def _array(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _percentage(value: object) -> str:
    if not isinstance(value, int | float):
        return written(value)
    try:
        return f"{value:.1f}"
    except OverflowError:
        return written(value)


def written(value: object) -> str:
    """Return a JSON value as Python writes it. Never fails."""
    try:
        return str(value)
    except (ValueError, RecursionError):  # more digits, or more levels, than Python writes
        return f"({type(value).__name__} too large to write)"
