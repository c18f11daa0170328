"""The corpus as recording files and as events that were captured live."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final
from zlib import crc32
from zoneinfo import ZoneInfo

from rugs_core.time import from_us
from rugs_feed import frames
from rugs_feed.derive import Deriver, Heard
from rugs_feed.normalise import normalise_frame
from rugs_legacy import old_records
from rugs_legacy.formats.actions import CATEGORIES
from rugs_proto import ids
from rugs_sim.made_up.chance import Chance
from rugs_sim.made_up.game import Game
from tests.retrieval.plan import BOT
from tests.retrieval.plan_types import CapturePlan, Press
from tests.retrieval.play import TICK_US, GameFacts, Sent, at_tick, cast, ended, facts_of, play
from tests.retrieval.scene import ACK, Message

NEW_YORK: Final = ZoneInfo("America/New_York")
SOURCE: Final = "public_ws"
BOT_SOURCE: Final = "heron_bot"
_DELAY_US: Final = 350
_CONNECTED: Final = frozenset({"disconnect", "connect_error"})
Envelope = dict[str, Any]


def captured(plan: CapturePlan) -> list[Sent]:
    """Return all that one capture received, in order."""
    past: list[Game] = [ended(facts_of(plan.before))]
    sent: list[Sent] = []
    for game in plan.games:
        played, over = play(game, past, history_prices=plan.history_prices)
        sent += played
        past = [over, *past][:10]
    return sorted(sent, key=lambda each: each.at)


def raw_file(sent: Sequence[Sent]) -> Iterator[bytes]:
    """Give the lines of a raw capture (F9)."""
    yield _capture(1, old_records.local_time(sent[0].at - 300_000, NEW_YORK), Message("connect", []))
    for seq, each in enumerate(sent, 2):
        yield _capture(seq, old_records.local_time(each.at, NEW_YORK), each.message)


def cdp_file(sent: Sequence[Sent]) -> Iterator[bytes]:
    """Give the lines of a CDP capture (F10): first arguments, and of most messages the whole of it in `raw`."""
    for seq, each in enumerate(sent, 1):
        message = each.message
        first = message.arguments[0] if message.arguments else None
        line = {"seq": seq, "ts": from_us(each.at).isoformat(), "event": message.event, "data": first}
        whole = {} if message.lost or len(message.arguments) < 2 else {"raw": frame_of(message)}
        direction = "sent" if message.is_sent else "received"
        yield old_records.line({**line, **whole, "source": "cdp_intercept", "direction": direction})


def tick_file(facts: GameFacts) -> tuple[str, list[bytes]]:
    """Return the name and the lines of a game of which only the ticks were recorded (F1)."""
    lines: list[bytes] = []
    summary = old_records.Summary()
    before = None
    first = facts.start - 9_000_000
    for at, state in _states(facts):
        tick = old_records.tick(old_records.local_time(at + _DELAY_US, NEW_YORK), facts.id, state, before)
        before = tick["phase"]
        summary.add(tick)
        lines.append(old_records.line(tick))
    begun = old_records.game_start(old_records.local_time(first, NEW_YORK), facts.id)
    over = summary.game_end(old_records.local_time(facts.end + 900_000, NEW_YORK), facts.id)
    began = from_us(first).astimezone(NEW_YORK)
    name = f"game_{began:%Y%m%d_%H%M%S}_{facts.id[-8:]}.jsonl"
    return name, [old_records.line({**begun, "session_game_number": 1}), *lines, old_records.line(over)]


def demonstration_file(facts: GameFacts, presses: Sequence[Press]) -> list[bytes]:
    """Return the lines of a demonstration (F4): the buttons that a player pressed in a game."""
    known = {"game_id": facts.id, "session_id": f"session_{facts.id[:8]}", "game_number": 1}
    lines = [old_records.line({"_header": {**known, "start_time": old_records.local_time(facts.start, NEW_YORK)}})]
    chance = Chance(crc32(facts.name.encode()) + 2)
    for press in presses:
        pressed = at_tick(facts.start, press.tick) // 1000
        action = {
            "type": "action",
            "action_id": chance.uuid(),
            "category": CATEGORIES[press.button],
            "button": press.button,
            "timestamp_pressed": pressed,
            "timestamp_confirmed": pressed,
            "latency_ms": 0,
            "state_before": {"balance": "0.8", "bet_amount": "0.02", **_known_state(facts, press)},
        }
        if press.amount is not None:
            action |= {"amount": str(press.amount), "confirmation": {"server": "taken"}}
        lines.append(old_records.line(action))
    over = {**known, "end_time": old_records.local_time(facts.end, NEW_YORK), "action_count": len(presses)}
    return [*lines, old_records.line({"_footer": over})]


def pressed_file(facts: GameFacts, presses: Sequence[Press]) -> list[bytes]:
    """Return the lines of a player's actions, each with the server's state then (F6)."""
    chance = Chance(crc32(facts.name.encode()) + 3)
    lines = []
    for press in presses:
        at = at_tick(facts.start, press.tick)
        action = {
            "type": "action",
            "action_id": chance.uuid(),
            "game_id": facts.id,
            "tick": press.tick,
            "timestamp": from_us(at + 676).replace(tzinfo=None).isoformat(),
            "category": CATEGORIES[press.button],
            "button": press.button,
            "drift_detected": False,
            "timestamp_pressed_ms": at // 1000,
            "amount": None if press.amount is None else str(press.amount),
            "local_state": {"balance": "3.5", "position_qty": "0", **_known_state(facts, press)},
            "server_state": {"cash": "3.5", "position_qty": "0.2", "avg_cost": "1.5", "timestamp": at / 1_000_000},
            "drift_details": [],
        }
        lines.append(old_records.line(action))
    return lines


def live_envelopes(sent: Sequence[Sent], session: str) -> list[Envelope]:
    """Return what one live session captured, and what follows from it."""
    envelopes = []
    for seq, each in enumerate(sent, 1):
        raw = frame_of(each.message)
        normal = normalise_frame(frames.decode(raw))
        known = {"event": normal.event, "game_id": normal.game_id}
        known |= {"player_id": normal.player_id, "username": normal.username}
        envelopes.append(
            _envelope(
                each.at,
                session,
                seq,
                **{name: value for name, value in known.items() if value is not None},
                direction="sent" if each.message.is_sent else "received",
                fields=normal.fields,
                raw=raw,
            )
        )
    return envelopes


def derived_from(envelopes: Sequence[Envelope]) -> list[Envelope]:
    """Return the events that follow from frames, live or imported, each once."""
    deriver = Deriver()
    found: dict[str, Envelope] = {}
    for each in envelopes:
        if each["doc_type"] != "ws_event":
            continue
        event_id = each.get("id") or ids.event_id(each["source"], each["session_id"], each["seq"], each["raw"])
        names = ("ts", "recv_ts", "source", "session_id", "seq", "direction", "event", "raw")
        stored = Heard(event_id, *(each.get(name) for name in names))  # type: ignore[arg-type]
        for row in deriver.feed(stored):
            found.setdefault(row["id"], row)
    return list(found.values())


def outage_envelopes(first: str, since: int, second: str, until: int, cause: str) -> list[Envelope]:
    """Return what a source records of the end of one session, of the next, and of the time between them."""
    gap = {"cause": cause, "lost": None, "since": since, "until": until, "after_session": first}
    noted = (
        (first, since, "source_disconnected", {"reason": cause}),
        (second, until, "source_connected", {"url": "https://feed.example"}),
        (second, since, "gap", gap),
    )
    return [
        _envelope(
            at, session, 900_000 + place, doc_type="system_event", event=event, direction="internal", fields=fields
        )
        for place, (session, at, event, fields) in enumerate(noted)
    ]


def bot_envelope(seq: int, at: int, game: GameFacts, kind: str, tick: int, amount: float) -> Envelope:
    """Return what the bot publishes about one of its orders."""
    player = cast()[BOT]
    fields = {"action": kind, "amount": amount, "price": game.prices[tick - 1], "tick": tick - 1}
    return _envelope(
        at,
        "heron-20260704",
        seq,
        source=BOT_SOURCE,
        doc_type="player_action",
        event=f"trade.{kind}",
        direction="internal",
        game_id=game.id,
        player_id=player.id,
        username=BOT,
        fields=fields,
        raw=json.dumps({"gameId": game.id, **fields}),
    )


def frame_of(message: Message) -> str:
    """Return a message as it is on the wire."""
    if message.event == ACK:
        return f"437{_compact(message.arguments)}"
    return f"42{_compact([message.event, *message.arguments])}"


def _compact(content: object) -> str:
    return json.dumps(content, separators=(",", ":"))


def _capture(seq: int, at: str, message: Message) -> bytes:
    data = old_records.data_of(message.arguments)
    return old_records.line(old_records.capture(seq, at, message.event, data))


def _envelope(at: int, session: str, seq: int, **more: Any) -> Envelope:
    known = {"v": 1, "ts": at, "doc_type": "ws_event", "source": SOURCE, "session_id": session, "seq": seq}
    return {**known, **more}


def _known_state(facts: GameFacts, press: Press) -> dict[str, Any]:
    return {
        "sell_percentage": "1.0",
        "current_tick": press.tick,
        "current_price": str(facts.prices[press.tick]),
        "phase": "ACTIVE_GAMEPLAY",
    }


def _states(facts: GameFacts) -> Iterator[tuple[int, dict[str, Any]]]:
    """Give the game states that a recorder of ticks makes lines of: some of the countdown, and every tick."""
    for left in (9000, 6000, 3000, 1000):
        yield facts.start - left * 1000, {"cooldownTimer": left}
    for tick, price in enumerate(facts.prices):
        state = {"active": True, "price": price, "tickCount": tick, "cooldownTimer": 0, "tradeCount": tick * 2}
        yield facts.start + tick * TICK_US, {**state, "rugged": tick == facts.rug_tick}
