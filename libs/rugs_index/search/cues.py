"""What the words of a question point to: an event, a field, a game, a chat message, ... Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Cue(StrEnum):
    """What words of a question point to.

    `SENT` and `ANSWER`: an event that the client sends, or that answers one; `TRUTH`: yes or no; `OWN`: the asker's;
    `DONE`: what somebody did; `EVER`: all that was recorded.
    """

    EVENT = "event"
    SENT = "sent"
    ANSWER = "answer"
    FIELD = "field"
    TRUTH = "truth"
    EXAMPLE = "example"
    OWN = "own"
    GAME = "game"
    WHICH_GAME = "which game"
    EVER = "ever"
    SESSION = "session"
    ACTION = "action"
    DONE = "done"
    TRADE = "trade"
    CHAT = "chat"
    NOTICE = "notice"


_WORDS: Final[Mapping[Cue, str]] = {
    Cue.EVENT: "event events message messages feed topic topics subscri* push pushed pushes broadcast broadcasts"
    " announce announces announced announcement emit* packet packets notify notifies notified confirm* send sends sent"
    " receive receives received arrives fire fires fired request requests reply replies answer answers respond responds"
    " response responses socket sockets websocket websockets",
    Cue.SENT: "emit emits emitted request requests submit submits outgoing",
    Cue.ANSWER: "reply replies answer answers respond responds response responses acknowledg* return returns incoming",
    Cue.FIELD: "field fields key keys flag flags boolean property properties value values column columns attribute"
    " attributes number numbers percentage unit path",
    Cue.TRUTH: "boolean flag flags whether",
    Cue.EXAMPLE: "example examples sample samples payload payloads schema json",
    Cue.OWN: "my mine i me own myself",
    Cue.GAME: "game games round rounds match matches moonshot moonshots rugged bagger baggers",
    Cue.EVER: "ever overall",
    Cue.SESSION: "session sessions recording recordings recorded recorder capture captures captured outage outages gap"
    " gaps damaged",
    Cue.ACTION: "did do does action actions bought buy buys sold sell sells press presses pressed click clicks clicked"
    " button buttons move moves order orders place places placed bet bets",
    Cue.TRADE: "trade trades traded bought sold buy buys sell sells purchase purchases purchased whale* short shorts"
    " shorted",
    Cue.CHAT: "chat chats wrote write writes said say says tell tells told ask asks asked asking complain* joke jokes"
    " joking gossip* congrat* wish wishes wished message messages talk* mention* greet* laugh* conversation comment*"
    " rumor rumors rumour rumours",
    Cue.NOTICE: "popup popups pop-up announc* notification notifications notice news banner toast",
}
"""Words, and beginnings of words with a star."""
_PHRASES: Final[Mapping[Cue, str]] = {
    Cue.EVENT: r"comes? in",
    Cue.SENT: r"client sends?|i send|asks? for",
    Cue.FIELD: r"how (?:much|many|long|big|high|far|close|busy|often)",
    Cue.TRUTH: r"true or false|yes or no",
    Cue.EXAMPLE: r"looks? like",
    Cue.WHICH_GAME: r"(?:which|what|find|show|list|any|all) (?:[\w-]+ ){0,3}(?:games?|rounds?)"
    r"|(?:game|round)'?s? ids?|ids? (?:please|of)",
    Cue.EVER: r"of all|all time|in the recordings",
    Cue.DONE: r"what (?:did|does|has|have) (?:[\w-]+ ){1,3}(?:do|done)"
    r"|(?:player|bot|user)'?s? (?:last |first )?actions?",
    Cue.CHAT: r"wants to know",
}
_WORD: Final = re.compile(r"[^\W_]+(?:-[^\W_]+)?")


def _by_word() -> tuple[dict[str, frozenset[Cue]], list[tuple[str, Cue]]]:
    """Return the cues of whole words, and those of beginnings of words."""
    whole: defaultdict[str, set[Cue]] = defaultdict(set)
    begun = []
    for cue, words in _WORDS.items():
        for word in words.split():
            if word.endswith("*"):
                begun.append((word[:-1], cue))
            else:
                whole[word].add(cue)
    return {word: frozenset(cues) for word, cues in whole.items()}, begun


_WHOLE, _BEGUN = _by_word()
_PATTERNS: Final = [(cue, re.compile(rf"\b(?:{phrase})\b", re.IGNORECASE)) for cue, phrase in _PHRASES.items()]


def cues_of(question: str) -> frozenset[Cue]:
    """Return what the words of a question point to."""
    found = {cue for cue, pattern in _PATTERNS if pattern.search(question)}
    for word in {found.lower() for found in _WORD.findall(question)}:
        found |= _WHOLE.get(word, frozenset())
        found |= {cue for begin, cue in _BEGUN if word.startswith(begin)}
    return frozenset(found)
