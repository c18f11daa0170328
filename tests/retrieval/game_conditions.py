"""Which games a condition means, by the facts of the corpus: no expectation of a game question is typed by hand.

=================================================  ===================================================
``day: "2025-12-06"``                              it began on that UTC date
``since: "2026-01-01T00:00:00"``                   it began then or later
``covers: "2025-12-14T20:31:00"``                  it was played at that moment
``trader: NAME``                                   NAME bought or sold in it
``peak | low | ticks | rug_tick: [from, to]``      a number between two, both inside; null: no limit
``most: peak``, ``first: start``                   of those, the one with the greatest, or the smallest, number
=================================================  ===================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.retrieval.play import GameFacts, micros

_NUMBERS: Final[dict[str, Callable[[GameFacts], float]]] = {
    "peak": lambda game: game.peak,
    "low": lambda game: game.low,
    "ticks": lambda game: game.ticks,
    "rug_tick": lambda game: game.rug_tick,
    "start": lambda game: game.start,
}


def games_where(games: Mapping[str, GameFacts], where: Mapping[str, Any]) -> set[str]:
    """Return the names of the games that a condition means.

    Raises:
        ValueError: if the condition has an unknown key.
    """
    plain = {key: value for key, value in where.items() if key not in ("most", "first")}
    found = [game for game in games.values() if all(_holds(game, key, value) for key, value in plain.items())]
    if found and "most" in where:
        found = [max(found, key=_NUMBERS[where["most"]])]
    if found and "first" in where:
        found = [min(found, key=_NUMBERS[where["first"]])]
    return {game.name for game in found}


def _holds(game: GameFacts, key: str, value: Any) -> bool:
    if key == "day":
        return bool(game.day == value)
    if key == "since":
        return game.start >= micros(value)
    if key == "covers":
        return game.start <= micros(value) <= game.end
    if key == "trader":
        return value in game.traders
    if key in _NUMBERS:
        low, high = value
        number = _NUMBERS[key](game)
        return bool((low is None or number >= low) and (high is None or number <= high))
    raise ValueError(f"no such condition: {key}")
