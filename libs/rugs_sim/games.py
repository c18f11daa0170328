"""The show that nobody recorded: made-up games, with all that the feed says around them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from rugs_sim.made_up.feed import Feed, Sent
from rugs_sim.player import Player
from rugs_sim.show import Cue, Message, Now, encode
from rugs_sim.side_events import SideEvents

START: Final = 1_767_225_600_000_000
"""2026-01-01T00:00:00Z in microseconds: when the made-up games begin, unless it is said otherwise."""
_SPREAD: Final = 1_000_003


@dataclass(frozen=True)
class Games:
    """Games from a seed, each whole from its countdown on.

    Attributes:
        seed: the same seed, start and switches give the same messages at the same moments.
        start: the feed's time at the beginning, microseconds since the Unix epoch.
        games: end when the history has told of so many; None plays for ever.
        history_prices: whether the histories tell prices; the real feed stopped at some time.
        side_events: whether anything is said but game states, trades and chat.
    """

    seed: int
    start: int = START
    games: int | None = None
    history_prices: bool = True
    side_events: bool = True

    def play(self) -> GamesShow:
        """Begin."""
        return GamesShow(self)


class GamesShow:
    """Games that are being played; see `rugs_sim.show.Show`."""

    def __init__(self, plan: Games) -> None:
        self._plan = plan
        self.feed = Feed(plan.seed, plan.start, history_prices=plan.history_prices)
        self.side = SideEvents(plan.seed * _SPREAD + 1, self.feed)

    def cues(self) -> Iterator[Cue]:
        """Give what happens, until enough games were played."""
        for step in self.feed.rounds():
            if isinstance(step, int):
                yield Cue(step - self._plan.start)
                continue
            yield self._cue(step)
            if step.event != "gameStateUpdate":
                continue
            (state,) = step.arguments
            if self._plan.side_events:
                is_rug = state.get("rugged") is True and "rugRoyale" in state
                for event, arguments in self.side.after_state(is_rug=is_rug):
                    yield self._cue(Sent(step.at, event, arguments))
            if self.feed.ended == self._plan.games and "gameHistory" in state and state["cooldownTimer"] > 0:
                return

    def seat(self, number: int) -> Player:
        """Return a player who is drawn by the connection's number."""
        return Player(self.feed, self.side, self._plan.seed * _SPREAD + 1_000 + number)

    def now(self) -> Now:
        """Return the game that is on."""
        game = self.feed.game
        return Now(game.id, len(game.prices) - 1, game.prices[-1])

    def _cue(self, sent: Sent) -> Cue:
        return Cue(sent.at - self._plan.start, self._messages(sent), sent.event == "gameStateUpdate")

    def _messages(self, sent: Sent) -> tuple[Message, ...]:
        arguments: list[Any] = sent.arguments
        if sent.event == "gameStateUpdate" and "rugRoyale" in arguments[0]:
            arguments = [{**arguments[0], "rugRoyale": self.side.royale}]
        return encode(sent.event, *arguments)
