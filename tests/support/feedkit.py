"""A small feed, made up for tests: game states as the real one sends them, with few keys."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

from rugs_feed.derive import Derived, Deriver, Heard
from rugs_proto import ids

GAME = "20990101-0123456789abcdef"
TS = 4_070_919_600_000_000
"""2099-01-01T03:00:00Z in microseconds."""
State = dict[str, Any]


def playing(prices: Sequence[float], tick: int, /, *, game: str = GAME, rugged: bool = False, **changes: Any) -> State:
    """A game state in play: its tick, and the prices of the last five."""
    end = min(tick, len(prices) - 1)
    values = {str(place): prices[place] for place in range(max(0, end - 4), end + 1)}
    state = {
        "gameId": game,
        "active": True,
        "rugged": rugged,
        "price": prices[end],
        "tickCount": tick,
        "cooldownTimer": 0,
        "allowPreRoundBuys": False,
        "partialPrices": {"startTick": max(0, end - 4), "endTick": end, "values": values},
    }
    return {**state, **changes}


def waiting(timer: int, /, *, game: str = GAME, **changes: Any) -> State:
    """A game state of the countdown: no price, no tick, no flags."""
    return {"gameId": game, "cooldownTimer": timer, "allowPreRoundBuys": 100 <= timer <= 10_000, **changes}


def opening(timer: int, *, game: str = GAME) -> State:
    """The few game states of the countdown that say a price: that of tick 0."""
    values = {"startTick": 0, "endTick": 0, "values": {"0": 1}}
    shown = {"active": False, "rugged": False, "price": 1, "tickCount": 0, "partialPrices": values}
    return {**waiting(timer, game=game), **shown}


def a_game(prices: Sequence[float], *, game: str = GAME, echo: int = 2) -> list[State]:
    """A whole game: countdown, every tick, and its end told twice, the second time `echo` ticks later."""
    last = len(prices) - 1
    states = [opening(15_000, game=game), waiting(14_900, game=game), opening(10_000, game=game)]
    states += [waiting(9_900, game=game), waiting(100, game=game)]
    states += [playing(prices, tick, game=game, rugged=tick == last) for tick in range(len(prices))]
    return [*states, playing(prices, last + echo, game=game, rugged=True)]


def entry(prices: Sequence[float], /, *, game: str = GAME, seed: str = "seed", **changes: Any) -> dict[str, Any]:
    """An entry of the history: a completed game."""
    told = {
        "id": game,
        "timestamp": TS // 1000 - 60_000,
        "prices": list(prices),
        "peakMultiplier": max(prices),
        "rugged": True,
        "gameVersion": "v3",
        "globalTrades": [],
        "globalSidebets": [{"playerId": "p", "betAmount": 0.1, "startedAtTick": 2, "end": 42}],
        "provablyFair": {"serverSeed": seed, "serverSeedHash": sha256(seed.encode()).hexdigest()},
    }
    return {key: value for key, value in {**told, **changes}.items() if value is not ...}


def heard(seq: int, payload: object, event: str = "gameStateUpdate", **changes: Any) -> Heard:
    """A stored frame."""
    raw = "42" + json.dumps([event, payload])
    place: dict[str, Any] = {"source": "public_ws", "session_id": "s-1", "seq": seq, **changes}
    event_id = ids.event_id(place["source"], place["session_id"], place["seq"], raw)
    told = {"id": event_id, "ts": TS + seq * 250_000, "recv_ts": None, "direction": "received", "event": event}
    return Heard(**{**told, "raw": raw, **place})


def stream(states: Iterable[State], *, first: int = 1) -> list[Heard]:
    """Stored frames, one after the other."""
    return [heard(seq, state) for seq, state in enumerate(states, first)]


def derive(events: Iterable[Heard], deriver: Deriver | None = None) -> list[Derived]:
    """Return all that follows from events."""
    deriver = Deriver() if deriver is None else deriver
    return [derived for event in events for derived in deriver.feed(event)]


def ticks(rows: Iterable[Derived]) -> list[tuple[int, str | None, bool]]:
    """Return each tick with its phase, and whether it was filled in."""
    return [
        (row["fields"]["tick"], row["fields"].get("phase"), "filled" in row["fields"])
        for row in rows
        if row["doc_type"] == "game_tick"
    ]
