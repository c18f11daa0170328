"""What a record says of an event, whichever recorder wrote it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from rugs_discovery.messages import DATA_KEYS, NAME_KEYS, TIME_KEYS, name_of
from rugs_legacy.line_formats.telling import tell
from rugs_proto.arguments import is_trace, payload_of

SENT: Final = "sent"
GAME_KEYS: Final = ("gameId", "game_id")
"""The game's id as the feed has it, and as the recorders of games had it."""
_KEPT_APART: Final = frozenset((*NAME_KEYS, *TIME_KEYS, "type", "seq", "source", "direction"))
"""Keys of a record without data that are not what it says."""


class Event(NamedTuple):
    """An event as a record has it.

    Attributes:
        name: `unknown` where it has none.
        time: as the recorder wrote it; empty where it wrote none.
        seq: the number of the record in its recording; None where it has none.
        payload: what the event says; None where it says nothing.
        is_lost: whether the recorder kept the tracing header in place of the payload.
        is_sent: whether the client sent it.
    """

    name: str
    time: str
    seq: int | None
    payload: Any
    is_lost: bool
    is_sent: bool

    @property
    def game_id(self) -> str:
        """The game that the payload names; empty where it names none."""
        payload = self.payload if isinstance(self.payload, Mapping) else {}
        return next((payload[key] for key in GAME_KEYS if isinstance(payload.get(key), str)), "")


def event_of(record: Mapping[str, Any]) -> Event:
    """Return the event of a record. Where the record has the socket's message as well, in `raw`, that counts."""
    name, data = _told(record)
    payload = payload_of(data)
    time = next((record[key] for key in TIME_KEYS if key in record), None)
    seq = record.get("seq")
    return Event(
        name=name,
        time=str(time) if isinstance(time, str | int | float) else "",
        seq=seq if type(seq) is int else None,
        payload=None if is_trace(payload) else payload,
        is_lost=is_trace(payload),
        is_sent=record.get("direction") == SENT,
    )


def _told(record: Mapping[str, Any]) -> tuple[str, Any]:
    """Return an event's name, and its argument or list of arguments."""
    message = record.get("raw")
    if isinstance(message, str) and (told := tell(message)) is not None:
        return name_of(told.event), told.data
    name = next((record[key] for key in NAME_KEYS if key in record), record.get("type"))
    data_key = next((key for key in DATA_KEYS if key in record), None)
    if data_key is not None:
        return name_of(name), record[data_key]
    return name_of(name), {key: value for key, value in record.items() if key not in _KEPT_APART}
