"""Games: the frames of a feed, what is derived from them, and what players do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rugs_proto.domains.domain import Domain, KeyPart, Natural


def _tick_key(source: str, game_id: str, fields: Mapping[str, Any]) -> tuple[KeyPart, ...]:
    """Return a tick's key: a feed says tick 0 twice, and a filled price must never keep out the exact frame."""
    tick, phase, rugged = fields.get("tick"), fields.get("phase"), fields.get("rugged")
    return source, game_id, tick, phase, rugged, fields.get("filled", False)


def _game_key(source: str, game_id: str, fields: Mapping[str, Any]) -> tuple[KeyPart, ...]:
    """Return a completed game's key: the game alone, whichever source reports it."""
    return (game_id,)


GAMES: Final = Domain(
    name="games",
    doc_types=("ws_event", "game_tick", "player_action", "server_state", "game"),
    natural={
        "game_tick": Natural(
            _tick_key,
            "`[source, game_id, tick, phase, rugged, filled]` (the last four from `fields`, nil where absent, `filled`"
            " false where absent)",
            position="tick",
        ),
        "game": Natural(_game_key, "`[game_id]`"),
    },
    examples=(
        ("game", ("20260101-abc",)),
        ("game_tick", ("public_ws", "20260101-abc", 0, "PRESALE", False, False)),
        ("game_tick", ("public_ws", "20260101-abc", 0, "ACTIVE", False, False)),
        ("game_tick", ("public_ws", "20260101-abc", 7, None, None, True)),
    ),
)
