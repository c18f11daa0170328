"""The terms of the plan: games, and what happens in them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Trade:
    """Somebody buys for `amount` SOL, or sells the whole position (`amount` 0); `ref` is the name questions use."""

    tick: int
    player: str
    kind: str
    amount: float = 0
    ref: str = ""


@dataclass(frozen=True)
class Bet:
    """Somebody bets `amount` SOL on a rug within 40 ticks."""

    tick: int
    player: str
    amount: float
    ref: str = ""


@dataclass(frozen=True)
class Remark:
    """Somebody writes in the chat; a negative tick counts seconds before the round."""

    tick: int
    player: str
    message: str
    ref: str = ""
    reply_to: str = ""


@dataclass(frozen=True)
class Moment:
    """Something else is sent: `what` names a payload of `payloads`."""

    tick: int
    what: str
    ref: str = ""


Happening = Trade | Bet | Remark | Moment


@dataclass(frozen=True)
class GamePlan:
    """A game: when its tick 0 is, its curve (see `curves.prices_of`), and what happens in it."""

    name: str
    start: str
    curve: str
    happenings: tuple[Happening, ...] = ()


@dataclass(frozen=True)
class Press:
    """The player of a recorded session presses a button; `amount` in SOL where it is an order."""

    tick: int
    button: str
    amount: float | None = None
    ref: str = ""


@dataclass(frozen=True)
class CapturePlan:
    """A recording of frames. `before` is known from the histories alone; `kind` is `raw`, `cdp` or `live`."""

    name: str
    kind: str
    before: GamePlan
    games: tuple[GamePlan, ...]
    history_prices: bool = True
