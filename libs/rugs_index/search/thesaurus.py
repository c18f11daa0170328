"""Words that mean about the same in questions about games, trades and chats, by their stems. Pure.

A question is found by words that it does not have: who asks for a `deal` means a `trade`. Other words for single
identifiers are in `rugs_index/chunkers/synonyms.yaml`, and part of their chunks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from rugs_discovery.words import stem

_MEANT: Final = {
    "announcement": "banner popup news notice",
    "average": "mean typical usual",
    "balance": "funds money wallet bankroll credit",
    "battle": "fight fights duel",
    "buys": "purchase purchases buying bought acquire",
    "chance": "odds probability likelihood",
    "chart": "curve graph",
    "chat": "conversation talk",
    "client": "frontend browser app website page",
    "coin": "token currency",
    "connection": "socket websocket link",
    "countdown": "timer wait remaining till",
    "crate": "box boxes lootbox chest",
    "current": "now present running ongoing live",
    "draw": "raffle lottery drawing",
    "ended": "finished over done stopped concluded completed",
    "entries": "tickets lots chances",
    "experience": "xp seniority",
    "finished": "bygone completed past ended",
    "game": "round rounds match",
    "highest": "top best biggest maximum greatest",
    "instarug": "instant",
    "level": "experience rank",
    "lost": "dropped missing gone",
    "many": "number count quantity",
    "message": "post posts text line",
    "name": "nickname handle called",
    "needs": "lack lacks missing required needed necessary",
    "next": "following upcoming coming subsequent",
    "often": "frequently frequency",
    "past": "bygone previous former earlier old older prior",
    "peak": "top high highest maximum",
    "percentage": "percent share ratio",
    "player": "chatter user trader participant person people somebody someone stranger member competitor contestant",
    "practice": "play fake demo",
    "predicted": "guesses guess guessed forecast",
    "price": "rate quote",
    "prize": "reward winnings purse",
    "profit": "gain gains earnings winnings",
    "rank": "placing standing place spot",
    "ranking": "scoreboard standings toplist ladder",
    "reason": "why cause explanation",
    "recent": "lately latest newest",
    "restart": "reboot",
    "reward": "prize bonus",
    "rug": "crash crashes collapse wipeout",
    "sells": "sale selling sold dump",
    "server": "backend",
    "stake": "wager bet risked",
    "start": "begin begins beginning kickoff launch opening",
    "task": "quest mission challenge",
    "ticks": "steps",
    "tournament": "contest competition championship cup",
    "trade": "deal deals transaction transactions",
    "winner": "lucky champion victor",
    "writes": "posts types wrote says",
}
"""Words of meanings, each with words of questions."""


def _by_question() -> dict[str, tuple[str, ...]]:
    found: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for meant, asked in _MEANT.items():
        for word in asked.split():
            if stem(word) != stem(meant):
                found[stem(word)][stem(meant)] = None
    return {word: tuple(meant) for word, meant in found.items()}


_BY_QUESTION: Final = _by_question()


def alike(stems: Iterable[str]) -> list[str]:
    """Return the stems of words that mean about the same as those of a question, without these."""
    asked = list(stems)
    found = dict.fromkeys(meant for word in asked for meant in _BY_QUESTION.get(word, ()))
    return [word for word in found if word not in asked]
