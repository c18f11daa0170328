"""The words of a text that say what it is about, and how many of them a question shares with the chunk it expects.

An identifier (a path, a camel-case or snake-case name, an event with a slash) is one word. Everything else is in small
letters, without stop words and common endings.
"""

from __future__ import annotations

import re
from typing import Final

from rugs_discovery.words import stem

MOST_SHARED: Final = 0.5
"""The share of its content words that a question may have in common with the chunk it expects."""
_TOKEN: Final = re.compile(r"[\w$@#/.\[\]{}*:+-]*\w[\w$@#/.\[\]{}*:+-]*")
_IDENTIFIER: Final = re.compile(r"[a-z][A-Z]|_|\w\.[A-Za-z]|[A-Za-z]/[A-Za-z]|\[\]|[a-z]\d")
_PART: Final = re.compile(r"\d+(?:[.,:/-]\d+)*x?|[^\W\d_]+")
_TRIM: Final = ".:*-+/"
_STOP: Final = frozenset(
    re.findall(
        r"\w+",
        "a about after all also am an and any are as at be because been before being but by can could d did do"
        " does doing don done else ever for from get gets getting give given go goes going got had has have having"
        " he her here hers him his how i if im in into is it its just let like ll many me mine more most much my"
        " need no not now of off on once one only or our out over please re s same shall she should show so some"
        " such t tell than that the their them then there these they this those through to too up us use used"
        " using ve very want was way we were what whats when where whether which while who whom whose why will"
        " with would you your",
    )
)
"""Words that say nothing of what is asked."""


def content_words(text: str) -> set[str]:
    """Return the content words of a text."""
    found: set[str] = set()
    for token in _TOKEN.findall(text):
        word = token.strip(_TRIM)
        if _IDENTIFIER.search(word):
            found.add(word.lower())
            continue
        found |= {stem(part) for part in _PART.findall(word) if part.lower() not in _STOP}
    return found


def shared(question: str, chunk: str) -> float:
    """Return which share of a question's content words a chunk's text has, between 0 and 1."""
    asked = content_words(question)
    return len(asked & content_words(chunk)) / len(asked) if asked else 0.0
