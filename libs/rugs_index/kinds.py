"""The kinds of chunks, and who sends an event to whom: as metadata say it. Needs nothing else."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

WS_EVENT: Final = "ws_event"
GAME: Final = "game"
SESSION: Final = "session"
PLAYER_ACTION: Final = "player_action"
DOCUMENT: Final = "document"
EVENT: Final = "event"
FIELD: Final = "field"
EXAMPLE: Final = "example"

RECORDED: Final = (WS_EVENT, GAME, SESSION, PLAYER_ACTION, DOCUMENT)
"""Kinds of chunks of what was recorded or written."""
PROTOCOL: Final = (EVENT, FIELD, EXAMPLE)
"""Kinds of chunks about the protocol: what events and fields are."""

UNDESCRIBED: Final = "undescribed"
"""The metadata that what nobody has described has."""


class Way(StrEnum):
    """Who sends an event to whom."""

    RECORD = "record"
    PACKET = "packet"
    DOCUMENTED = "documented"
    SENT = "sent"
    PRIVATE = "private"
    PUBLIC = "public"
