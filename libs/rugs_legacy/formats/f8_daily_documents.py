"""F8: a folder a day with games, sessions, and an index of both, each a JSON document.

A game is F5's without what only F5 knows, a session is F7's under another name. The index says
nothing that its files do not say: it is kept as it is.
"""

from __future__ import annotations

import re
from typing import Any

from rugs_legacy.clock import Clock
from rugs_legacy.formats.games_and_sessions import is_game, is_session, read_game, read_session
from rugs_legacy.formats.objects import text_of
from rugs_legacy.record import Document, DocumentFormat, Record


def _sniff(content: Any, name_fits: bool) -> bool:
    if is_game(content):
        return "has_player_input" not in content["meta"]
    return is_index(content) or (is_session(content) and name_fits)


def is_index(content: Any) -> bool:
    """Return whether a JSON value is a day's index."""
    if not isinstance(content, dict) or not isinstance(content.get("date"), str):
        return False
    return isinstance(content.get("games"), list) and isinstance(content.get("sessions"), list)


def _read(content: dict[str, Any], timezone: str) -> Document:
    if is_index(content):
        return _read_index(content)
    return read_game(content) if is_game(content) else read_session(content)


def _read_index(content: dict[str, Any]) -> Document:
    date = text_of(content, "date")
    ts, zone = Clock("UTC", aware=False).read(f"{date}T00:00:00")
    fields = {"day": date, "games": len(content["games"]), "sessions": len(content["sessions"])}
    return Document(Record(ts, None, zone, "system_event", "index_document", "received", None, None, None, fields), ())


FORMAT = DocumentFormat(
    id="F8",
    version=2,
    title="daily documents",
    names=re.compile(r".+\.game\.json|.+_session\.json|index\.json"),
    marks=(b'"game_id"',),
    is_array=False,
    sniff=_sniff,
    read=_read,
)
