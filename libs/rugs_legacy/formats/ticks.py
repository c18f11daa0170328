"""What the old recorders' ticks say, in F1, F2 and F3 alike.

Two things are read into them, beside what is written:

- `is_filler`. While a cooldown runs the feed sends no price, and the recorders wrote `1.0`. The
  feed's own price of one is written `1`: what tells them apart is the literal, an int or a float.
  Where all prices are floats (F3), a trade tells, too: of what is not sent the recorders counted none.
- `phase_read`, by `rugs_feed.phases`, from the flags. The phase as written stays in `phase`: its
  rules were wrong (`UNKNOWN` is the cooldown after a game, which `COOLDOWN` never named).
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from rugs_feed.phases import PHASE_VERSION, phase_of
from rugs_legacy.strict_json import is_non_finite
from rugs_proto.envelope import MAX_NAME

Name = Annotated[str, Meta(max_length=MAX_NAME)]
Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Number = Whole | float


class Tick(Struct, gc=False):
    """What every tick has."""

    timestamp: str
    game_id: Name
    tick: Whole
    price: Number
    phase: Name
    active: bool
    rugged: bool
    cooldown_timer: Whole
    trade_count: Whole


def tick_fields(tick: Tick, *, floats_only: bool = False) -> dict[str, Any]:
    """Return a tick's fields, numbers as they were written: an int stays one.

    `floats_only` says that its recorder wrote no price as an int.
    """
    fields = {
        "tick": tick.tick,
        "price": tick.price,
        "phase": tick.phase,
        "active": tick.active,
        "rugged": tick.rugged,
        "cooldown_timer": tick.cooldown_timer,
        "trade_count": tick.trade_count,
    }
    add_readings(fields, floats_only=floats_only)
    return fields


def check_shape(content: dict[str, Any], shape: type[Struct]) -> None:
    """Check that an object is a whole record. NaN and the infinities stand for any number: what is said is left out.

    Raises:
        ValueError: if it is none.
    """
    numbers = {key: 0 for key, value in content.items() if is_non_finite(value)}
    msgspec.convert(content | numbers, shape)


def add_readings(fields: dict[str, Any], *, floats_only: bool = False) -> None:
    """Add what is read into a tick's fields: each that was written is of its type; one that was NaN is missing."""
    cooldown_timer = fields.get("cooldown_timer")
    price = fields.get("price")
    is_one = price == 1.0 and type(price) is float
    if is_one and (cooldown_timer or 0) > 0 and not (floats_only and fields.get("trade_count")):
        fields["is_filler"] = True
    phase = phase_of(
        active=fields["active"], rugged=fields["rugged"], cooldown_timer=cooldown_timer, tick=fields.get("tick")
    )
    if phase is not None:
        fields["phase_read"] = phase
        fields["phase_version"] = PHASE_VERSION
