"""Identifiers as words: `game state update` finds `gameStateUpdate`, `leaderboard pnl` finds `data.leaderboard[].pnl`.

Full-text search splits at blanks and punctuation, and never inside a word. So the words inside identifiers are added:
to the searched text of a chunk, and to a query. Pure.
"""

from __future__ import annotations

import re
from typing import Final

WORD: Final = re.compile(r"[A-Z][a-z][A-Z](?![a-z])|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+[a-z]*")
"""A word inside an ASCII identifier: `PnL` is one, as are `10x` and the acronym of `HTTPServer`."""
_PLAIN: Final = re.compile(r"[^\W_]+")
_IDENTIFIER: Final = re.compile(r"(?<!\w)[^\W\d]\w*(?:[.\-/:\[\]{}*]+\w+)*")
_EDGE: Final = re.compile(r"[A-Za-z](?=\d)|\d(?=[A-Za-z])")
_OPAQUE_EDGES: Final = 3
_OPAQUE_LENGTH: Final = 8


def split(identifier: str) -> list[str]:
    """Return the words of an identifier, in lower case and in their order.

    It is split at punctuation, at changes of case and before digits. A name in another script than the Latin one and
    an opaque id (letters and digits that change at least three times) stay whole.
    """
    return [word.lower() for plain in _PLAIN.findall(identifier) for word in _words(plain)]


def forms(text: str) -> str:
    """Return the words inside the identifiers of a text, each once, with blanks; empty if it has only plain words."""
    found: dict[str, None] = {}
    for identifier in _IDENTIFIER.findall(text):
        words = split(identifier)
        if len(words) > 1:
            found |= dict.fromkeys(words)
    return " ".join(found)


def expanded(query: str) -> str:
    """Return a query as it is written, and behind it the words inside its identifiers."""
    return f"{query} {added}" if (added := forms(query)) else query


def _words(plain: str) -> list[str]:
    return [plain] if not plain.isascii() or _is_opaque(plain) else WORD.findall(plain)


def _is_opaque(plain: str) -> bool:
    return len(plain) >= _OPAQUE_LENGTH and len(_EDGE.findall(plain)) >= _OPAQUE_EDGES
