"""What there is to say of a game or of something that happened, in the plainest words: stands for a chunk's text.

Questions are compared with it as long as no index was built: it uses as many likely words as a chunk would.
"""

from __future__ import annotations

from rugs_core.time import from_us
from tests.retrieval.play import GameFacts, Happened


def text_of_game(game: GameFacts) -> str:
    """Return the plainest summary of a game."""
    began, ended = from_us(game.start), from_us(game.end)
    return (
        f"Game {game.id} on {began:%A %d %B %Y} ({game.day}), from {began:%H:%M:%S} to {ended:%H:%M:%S} UTC."
        f" Rugged at tick {game.rug_tick} after {game.ticks} ticks, {(game.end - game.start) // 1_000_000} seconds."
        f" Peak price {game.peak}x at tick {game.peak_tick}, lowest price {game.low}x, rug price {game.prices[-1]}."
        f" Trades, buys and sells by {', '.join(game.traders) or 'nobody'}; side bets; players; multiplier; crash."
        f" {' '.join(f'{each.player} {each.text}' for each in game.happened)}"
    )


def text_of_happened(happened: Happened, game: GameFacts) -> str:
    """Return the plainest report of one thing that happened."""
    at = from_us(happened.at)
    return (
        f"{happened.event} at {at:%H:%M:%S} UTC on {at:%A %d %B %Y} ({at:%Y-%m-%d}) in game {game.id}."
        f" Player {happened.player}: {happened.text}. Price, tick, level, amount in SOL, action, message, chat, trade."
    )
