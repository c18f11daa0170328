"""The phase of a game: one definition, with a number that goes up when its meaning changes.

What the feed's flags really say (measured, and contrary to what was written about them):

- Players may buy before the round exactly while 100 <= cooldownTimer <= 10,000 ms.
- A frame of a game that has rugged still says `active: true`.
- A frame of the countdown says neither `active` nor `rugged` nor a tick.

So the phase is a reading; the flags it was read from are always stored beside it.
"""

from __future__ import annotations

from typing import Final

PHASE_VERSION: Final = 1
"""Of `phase_of`. A new one means that derived rows want to be derived again."""

COOLDOWN: Final = "COOLDOWN"
PRESALE: Final = "PRESALE"
GAME_ACTIVATION: Final = "GAME_ACTIVATION"
ACTIVE_GAMEPLAY: Final = "ACTIVE_GAMEPLAY"
RUGGED: Final = "RUGGED"

PHASES: Final = (COOLDOWN, PRESALE, GAME_ACTIVATION, ACTIVE_GAMEPLAY, RUGGED)
"""In the order in which a game goes through them."""
IN_PLAY: Final = frozenset({GAME_ACTIVATION, ACTIVE_GAMEPLAY, RUGGED})
"""Phases in which the tick counts up and the prices told are the game's."""

PRESALE_MS: Final = (100, 10_000)
"""First and last cooldown timer, in milliseconds, with buying before the round."""


def phase_of(*, active: bool | None, rugged: bool | None, cooldown_timer: int | None, tick: int | None) -> str | None:
    """Return a game's phase from what a game state says, each None where it does not say it.

    None where the flags name no phase.
    """
    if rugged:
        return RUGGED
    if cooldown_timer is not None and cooldown_timer > 0:
        return PRESALE if allows_pre_round_buys(cooldown_timer) else COOLDOWN
    if active:
        return GAME_ACTIVATION if tick == 0 else ACTIVE_GAMEPLAY
    return None


def allows_pre_round_buys(cooldown_timer: int) -> bool:
    """Return whether players may buy before the round, by the timer alone."""
    return PRESALE_MS[0] <= cooldown_timer <= PRESALE_MS[1]
