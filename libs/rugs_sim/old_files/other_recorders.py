"""What the smaller old recorders would have written of a made-up feed, and of a made-up player."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from rugs_core.time import to_us
from rugs_legacy.formats.actions import BET_INCREMENT, CATEGORIES
from rugs_sim.made_up.feed import Feed
from rugs_sim.old_files.recorders import games, local, utc

_NEW_YORK: Final = ZoneInfo("America/New_York")
PLAYER: Final = {"player_id": "did:privy:made-up", "username": "made-up"}
Ticks = list[dict[str, Any]]


def ticks_of_a_game(feed: Feed, which: int = 0) -> Ticks:
    """Return the ticks of a game, as F1 has them, each with `at`: microseconds since the epoch."""
    lines = next(islice(games(feed), which, None))
    ticks = [json.loads(line) for line in lines[1:-1]]
    for tick in ticks:
        moment = datetime.fromisoformat(tick["timestamp"]).replace(tzinfo=_NEW_YORK)
        tick["at"] = to_us(moment)
    return ticks


def recorder_sink(ticks: Ticks, *, footer: bool = True) -> list[bytes]:
    """Return the lines of F3: prices went through a decimal, so that all are floats."""
    keys = ("game_id", "tick", "timestamp", "price", "phase", "active", "rugged", "cooldown_timer", "trade_count")
    lines = [_line({key: tick[key] for key in keys} | {"price": float(tick["price"])}) for tick in ticks]
    begun = {"game_id": ticks[0]["game_id"], "start_time": local(ticks[0]["at"] - 900), "version": "1.0"}
    lines.insert(0, _line({"_metadata": begun}))
    size = sum(map(len, lines)) + len(lines)
    ended = {"end_time": local(ticks[-1]["at"] + 900), "tick_count": len(ticks), "total_bytes": size}
    return [*lines, _line({"_metadata": ended})] if footer else lines


def demonstration(ticks: Ticks, session: str, number: int = 1) -> list[bytes]:
    """Return the lines of F4: a purchase that was confirmed late stands behind what was pressed after it."""
    chance = _chance(ticks)
    known = {"game_id": ticks[0]["game_id"], "session_id": session, "game_number": number}
    presses = _presses(ticks, ("X", "+0.001", "BUY", "+0.01", "25%", "SELL", "SIDEBET"))
    actions = []
    for place, (tick, button) in enumerate(presses):
        pressed = tick["at"] // 1000
        action = {
            "type": "action",
            "action_id": _uuid(chance),
            "category": BET_INCREMENT if button.endswith("%") else CATEGORIES[button],
            "button": button,
            "timestamp_pressed": pressed,
            "timestamp_confirmed": pressed + 240 if place == 2 else pressed,
            "latency_ms": 240 if place == 2 else 0,
            "state_before": _state_before(tick),
        }
        if button in ("BUY", "SELL", "SIDEBET"):
            action |= {"amount": "0.001", "confirmation": {"server": "taken"}}
        actions.append(_line(action))
    actions[2], actions[3] = actions[3], actions[2]
    header = {**known, "start_time": local(ticks[0]["at"])}
    footer = {**known, "end_time": local(ticks[-1]["at"]), "action_count": len(actions)}
    return [_line({"_header": header}), *actions, _line({"_footer": footer})]


def session_metadata(ticks: Ticks, session: str) -> bytes:
    """Return F4's `session_metadata.json`."""
    times = {"start_time": local(ticks[0]["at"]), "end_time": local(ticks[-1]["at"])}
    return _document({"_metadata": {"session_id": session, **times, "games_played": 1, "total_actions": 7}})


def game_document(ticks: Ticks, *, unified: bool = True) -> bytes:
    """Return F5, or F8's game where it is not `unified`."""
    played = {tick["tick"]: str(tick["price"]) for tick in ticks if tick["active"]}
    prices = [played.get(tick) for tick in range(max(played) + 1)]
    meta = {
        "game_id": ticks[0]["game_id"],
        "start_time": utc(ticks[0]["at"]),
        "end_time": utc(ticks[-1]["at"]),
        "duration_ticks": len(prices),
        "peak_multiplier": str(max(map(Decimal, played.values()))),
        "server_seed_hash": None,
        "server_seed": None,
    }
    if unified:
        meta |= {"has_player_input": True, "action_count": 3}
    return _document({"meta": meta, "prices": prices})


def player_actions(ticks: Ticks) -> list[bytes]:
    """Return the lines of F6."""
    chance = _chance(ticks)
    lines = []
    for tick, button in _presses(ticks, ("+0.001", "BUY", "50%", "SELL")):
        cash = f"{chance.uniform(1, 4):.9f}"
        action = {
            "type": "action",
            "action_id": _uuid(chance),
            "game_id": tick["game_id"],
            "tick": tick["tick"],
            "timestamp": utc(tick["at"] + 676),
            "category": CATEGORIES[button],
            "button": button,
            "drift_detected": True,
            "timestamp_pressed_ms": tick["at"] // 1000,
            "amount": "0.001" if button in ("BUY", "SELL") else None,
            "local_state": _local_state(tick),
            "server_state": {
                "cash": cash,
                "position_qty": "0.2222919",
                "avg_cost": "1.259605046",
                "cumulative_pnl": "0.26",
                "total_invested": "0.25",
                "timestamp": tick["at"] / 1_000_000,
            },
            "drift_details": [{"field": "balance", "local": "0.1", "server": cash, "diff": str(Decimal(cash) - 1)}],
        }
        lines.append(_line(action))
    return lines


def player_session(ticks: Ticks) -> bytes:
    """Return F7, which is F8's session as well."""
    actions = [
        {
            "game_id": tick["game_id"],
            "tick": tick["tick"],
            "timestamp": utc(tick["at"]),
            "action": action,
            "amount": "0.001",
            "price": str(tick["price"]),
            "balance_after": "0.099",
            "position_qty_after": "0.001",
            "entry_price": None,
            "pnl": None,
        }
        for tick, action in _presses(ticks, ("BUY", "SIDEBET_PLACE", "SELL", "SIDEBET_LOSE"))
    ]
    meta = {**PLAYER, "session_start": utc(ticks[0]["at"]), "session_end": utc(ticks[-1]["at"])}
    return _document({"meta": meta, "actions": actions})


def daily_index(ticks: Ticks, game: str, session: str) -> bytes:
    """Return F8's `index.json` of a day with one game and one session, whose files have these names."""
    known = {"game_id": ticks[0]["game_id"], "start_time": utc(ticks[0]["at"])}
    played = {"duration_ticks": len(ticks), "peak_multiplier": "1.5"}
    sessions = [{"file": session, **PLAYER, "games_played": 1, "total_actions": 4}]
    return _document(
        {"date": utc(ticks[0]["at"])[:10], "games": [{"file": game, **known, **played}], "sessions": sessions}
    )


def explorer_samples(feed: Feed, count: int) -> Iterator[bytes]:
    """Give lines of F12."""
    for sent in islice(feed.events(), count):
        data = sent.arguments[0] if len(sent.arguments) == 1 else sent.arguments
        yield _line({"timestamp": local(sent.at), "event_type": sent.event, "data": data})


def golden_hour(feed: Feed, count: int) -> Iterator[bytes]:
    """Give lines of F14."""
    yield b"# Session: " + _line({"events": count})
    for sent in islice(feed.events(), count):
        times = {"ts": local(sent.at), "ts_ms": sent.at // 1000}
        yield _line({**times, "event": sent.event, "data": list(sent.arguments)})


def notebook(feed: Feed, count: int) -> Iterator[bytes]:
    """Give lines of F15: the first argument, and the whole message."""
    for sent in islice(feed.events(), count):
        message = "42" + json.dumps([sent.event, *sent.arguments], separators=(",", ":"))
        told = {"event_name": sent.event, "data": sent.arguments[0], "raw": message}
        yield _line({**told, "timestamp": sent.at / 1_000_000 - 1_764_000_000, "captured_at": local(sent.at)})


def event_array(feed: Feed, count: int) -> bytes:
    """Return F16: a few events of one name."""
    states = (sent for sent in feed.events() if sent.event == "gameStateUpdate")
    told = [
        {"seq": seq, "ts": utc(sent.at), "event": sent.event, "data": sent.arguments[0]}
        for seq, sent in enumerate(islice(states, count), 2)
    ]
    return _document(told)


def _presses(ticks: Ticks, buttons: tuple[str, ...]) -> list[tuple[dict[str, Any], str]]:
    """Spread buttons over the ticks of play."""
    played = [tick for tick in ticks if tick["active"]]
    return [(played[place * len(played) // len(buttons)], button) for place, button in enumerate(buttons)]


def _state_before(tick: dict[str, Any]) -> dict[str, Any]:
    return {
        "balance": "0.1",
        "position": None,
        "sidebet": None,
        "bet_amount": "0.001",
        "sell_percentage": "1.0",
        "current_tick": tick["tick"],
        "current_price": str(tick["price"]),
        "phase": tick["phase"],
    }


def _local_state(tick: dict[str, Any]) -> dict[str, Any]:
    position = {"position_qty": "0", "position_entry_price": None, "position_pnl": None}
    sidebet = {"sidebet_active": False, "sidebet_amount": None}
    state = _state_before(tick)
    return {"balance": state["balance"], **position, **sidebet} | {
        key: state[key] for key in ("bet_amount", "sell_percentage", "current_tick", "current_price", "phase")
    }


def _chance(ticks: Ticks) -> random.Random:
    return random.Random(ticks[0]["game_id"])  # noqa: S311 - the same for the same game


def _uuid(chance: random.Random) -> str:
    return str(UUID(int=chance.getrandbits(128), version=4))


def _line(content: dict[str, Any]) -> bytes:
    return json.dumps(content).encode()


def _document(content: object) -> bytes:
    return json.dumps(content, indent=2).encode()
