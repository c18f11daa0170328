"""A moment in a made-up game, and the messages that are sent then."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from rugs_core.time import from_us
from rugs_sim.made_up.chance import Chance
from rugs_sim.made_up.game import Player

ACK: Final = "ack"
"""An answer to a request of the client: a packet without a name."""


class Message(NamedTuple):
    """A message of the feed, or of the client where it `is_sent`; `lost`: recorders kept its tracing header only."""

    event: str
    arguments: list[Any]
    is_sent: bool = False
    lost: bool = False


class Scene(NamedTuple):
    """Where and when a message is sent: `at` is microseconds since the Unix epoch."""

    at: int
    game_id: str
    tick: int
    price: float
    players: list[Player]
    me: Player
    chance: Chance

    def traced(self, event: str, payload: dict[str, Any], *, is_sent: bool = False) -> Message:
        """Return a message with a tracing header before its payload."""
        return Message(event, [self.chance.trace(), payload], is_sent)

    def lost(self, event: str, *, is_sent: bool = False) -> Message:
        """Return a message of which recorders kept the tracing header alone."""
        return Message(event, [self.chance.trace()], is_sent, lost=True)

    def iso(self, minutes: int) -> str:
        """Return the time some minutes from now as the feed writes it."""
        return f"{from_us(self.at + minutes * 60_000_000):%Y-%m-%dT%H:%M:%S}.000Z"

    @property
    def ms(self) -> int:
        """The time in milliseconds since the Unix epoch."""
        return self.at // 1000

    def who(self, place: int) -> dict[str, Any]:
        """Return a player as most messages name one."""
        player = self.players[place % len(self.players)]
        return {"playerId": player.id, "username": player.username, "level": player.level}
