"""Completed games, as the feed tells of them in `gameHistory`, and whether what it tells holds.

An entry carries a whole game: its prices where the feed still sends them, its side bets, and
the seed whose hash the players were told before.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final, NamedTuple

from rugs_feed.extract import Rule
from rugs_feed.kinds import flag, items, number, text, whole
from rugs_proto.rules import TS_END_US, TS_MIN_US

RULES: Final = (
    Rule(("peakMultiplier",), "peak_multiplier", number),
    Rule(("rugged",), "rugged", flag),
    Rule(("provablyFair", "serverSeed"), "server_seed", text),
    Rule(("provablyFair", "serverSeedHash"), "server_seed_hash", text),
    Rule(("gameVersion",), "game_version", text),
    Rule(("prices",), "prices", items),
    Rule(("globalTrades",), "global_trades", items),
    Rule(("globalSidebets",), "global_sidebets", items),
)
"""What is taken of an entry, under which name."""


class Game(NamedTuple):
    """One telling of a completed game.

    Attributes:
        ended: the game's own time, microseconds since the Unix epoch, UTC; None where it is not told.
        fields: as `RULES` says, and `last_tick`, and what the checks found: `seed_matches` and
            `peak_matches`, each left out where there is nothing to check.
    """

    game_id: str
    ended: int | None
    fields: dict[str, Any]


def read_game(entry: object) -> Game | None:
    """Return the game that an entry of `gameHistory` tells of; None if it names none."""
    if not isinstance(entry, dict) or (game_id := text(entry.get("id"))) is None:
        return None
    fields: dict[str, Any] = {}
    for rule in RULES:
        if (value := rule.read(entry)) is not None:
            fields[rule.target] = value
    prices = fields.get("prices")
    if prices:
        fields["last_tick"] = len(prices) - 1
    for name, holds in (("seed_matches", seed_matches(fields)), ("peak_matches", peak_matches(fields))):
        if holds is not None:
            fields[name] = holds
    ended = whole(entry.get("timestamp"))
    micros = None if ended is None else ended * 1000
    return Game(game_id, micros if micros is not None and TS_MIN_US <= micros < TS_END_US else None, fields)


def seed_matches(game: dict[str, Any]) -> bool | None:
    """Return whether the seed has the hash that was told before: SHA-256 of the seed as text, not of its bytes."""
    seed, told = game.get("server_seed"), game.get("server_seed_hash")
    return None if seed is None or told is None else sha256(seed.encode()).hexdigest() == told


def peak_matches(game: dict[str, Any]) -> bool | None:
    """Return whether the peak is the highest price."""
    peak, prices = game.get("peak_multiplier"), game.get("prices")
    if peak is None or not prices:
        return None
    known = [price for price in prices if number(price) is not None]
    return bool(known) and max(known) == peak


def disagreements(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Return what two tellings of one game say differently; what only one says is no disagreement."""
    return [key for key in one if key in other and one[key] != other[key]]
