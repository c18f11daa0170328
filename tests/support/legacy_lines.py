"""Lines as the old recorders wrote them, made up for tests."""

from __future__ import annotations

import json
from typing import Any

GAME = "20990101-0123456789abcdef"


def line(content: dict[str, Any]) -> bytes:
    """Write a record as the recorders did: Python's JSON with its default separators."""
    return json.dumps(content).encode()


def tick(number: int = 3, **changes: Any) -> bytes:
    """One tick of F1 and F2."""
    content = {
        "type": "tick",
        "timestamp": f"2098-12-31T22:{number // 60 % 60:02}:{number % 60:02}.066931",
        "game_id": GAME,
        "tick": number,
        "price": 1.25,
        "phase": "ACTIVE_GAMEPLAY",
        "active": True,
        "rugged": False,
        "cooldown_timer": 0,
        "trade_count": 12,
    }
    return line({key: value for key, value in {**content, **changes}.items() if value is not ...})


def start(**changes: Any) -> bytes:
    """A game's start in F1."""
    return line({"type": "game_start", "timestamp": "2098-12-31T22:00:00.000001", "game_id": GAME, **changes})


def end(**changes: Any) -> bytes:
    """A game's end in F1."""
    content = {"type": "game_end", "timestamp": "2098-12-31T22:09:00.000001", "game_id": GAME, "total_ticks": 2}
    ranges = {"tick_range": [0, 3], "price_range": [0.5, 1.25], "peak_price": 1.25, "final_price": 0.5}
    return line({**content, **ranges, **changes})


def frame(seq: int = 1, event: str = "gameStateUpdate", data: Any = None, **changes: Any) -> bytes:
    """One event of F9."""
    return line({"seq": seq, "ts": f"2098-12-31T22:00:{seq % 60:02}.601933", "event": event, "data": data, **changes})


def cdp_frame(seq: int = 1, event: str = "gameStateUpdate", data: Any = None, **changes: Any) -> bytes:
    """One event of F10."""
    ts = f"2099-01-01T03:00:{seq % 60:02}.601933+00:00"
    content = {"seq": seq, "ts": ts, "event": event, "data": data, "source": "cdp_intercept", "direction": "received"}
    return line({**content, **changes})
