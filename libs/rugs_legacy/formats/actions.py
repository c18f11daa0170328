"""Player actions, as F4, F6, F7 and F8 write them.

Decimals are text there. What has a typed column (`price`, `amount`, `cash` ...) comes as a number,
and the text stays beside it. F4 and F6 name the button that was pressed; its kind follows from it,
since the recorder filed the buttons for a share of a sale under bets.
"""

from __future__ import annotations

from typing import Any, Final

from rugs_legacy.formats.objects import add_number

BET_INCREMENT: Final = "BET_INCREMENT"
SELL_PERCENTAGE: Final = "SELL_PERCENTAGE"
CATEGORIES: Final = {
    **dict.fromkeys(("X", "+0.001", "+0.01", "+0.1", "+1", "1/2", "X2", "MAX"), BET_INCREMENT),
    **dict.fromkeys(("10%", "25%", "50%", "100%"), SELL_PERCENTAGE),
    **{button: f"TRADE_{button}" for button in ("BUY", "SELL", "SIDEBET")},
}
"""What kind of action each button stands for."""

_STATE_NUMBERS: Final = ("cash", "position_qty", "avg_cost", "total_invested", "cumulative_pnl")


def add_category(fields: dict[str, Any], button: str) -> None:
    """Add the category that follows from the button; what was written stays beside it where it differs."""
    category = CATEGORIES.get(button)
    written = fields.get("category")
    if category is not None and category != written:
        fields["category"] = category
        if written is not None:
            fields["category_written"] = written


def add_game_state(fields: dict[str, Any], state: dict[str, Any]) -> None:
    """Add tick, price and phase as the application knew them when the button was pressed."""
    tick, phase = state.get("current_tick"), state.get("phase")
    if "tick" not in fields and type(tick) is int:
        fields["tick"] = tick
    if type(phase) is str:
        fields["phase"] = phase
    add_number(fields, "price", state.get("current_price"))


def add_server_state(fields: dict[str, Any], state: dict[str, Any]) -> None:
    """Add what the server said of the player at that moment. Its texts stay in `server_state`."""
    for name in _STATE_NUMBERS:
        told: dict[str, Any] = {}
        add_number(told, name, state.get(name))
        if name in told:
            fields[name] = told[name]
