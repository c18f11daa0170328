"""F7: a player's session as one JSON document: trades and side bets, over several games.

F8 writes the same under another name.
"""

from __future__ import annotations

import re
from typing import Any

from rugs_legacy.formats.games_and_sessions import is_session, read_session
from rugs_legacy.record import DocumentFormat


def _sniff(content: Any, _name_fits: bool) -> bool:
    return is_session(content)


FORMAT = DocumentFormat(
    id="F7",
    version=2,
    title="session document",
    names=re.compile(r".+_demo\.json"),
    marks=(b'"meta"', b'"player_id"'),
    is_array=False,
    sniff=_sniff,
    read=read_session,
)
