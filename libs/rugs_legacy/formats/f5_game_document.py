"""F5: a game as one JSON document, from the recorder that also wrote F6 and F7.

`server_seed` and its hash were never filled in.
"""

from __future__ import annotations

import re
from typing import Any

from rugs_legacy.formats.games_and_sessions import is_game, read_game
from rugs_legacy.record import DocumentFormat


def _sniff(content: Any, _name_fits: bool) -> bool:
    return is_game(content) and "has_player_input" in content["meta"]


FORMAT = DocumentFormat(
    id="F5",
    version=2,
    title="game document",
    names=re.compile(r"\d{8}T\d{6}_.+\.game\.json"),
    marks=(b'"meta"', b'"game_id"'),
    is_array=False,
    sniff=_sniff,
    read=read_game,
)
