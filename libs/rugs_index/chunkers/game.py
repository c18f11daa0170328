"""One summary of each game: how long, how high, when it rugged, the shape of its curve, who traded, what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

from rugs_feed.kinds import number, text, whole
from rugs_feed.normalise import read_raw
from rugs_index import kinds
from rugs_index.chunk import Chunk
from rugs_index.chunkers import phrases, synonyms
from rugs_index.chunkers.game_curve import INSTARUG, INSTARUG_TICKS, Shape, largest_jump, shape_of
from rugs_index.chunkers.game_facts import GameFacts
from rugs_index.chunkers.game_trades import Trade
from rugs_index.rows import StoredRow

KIND: Final = kinds.GAME
RawOf = Callable[[StoredRow], str | bytes | None]
"""Returns what was received of a row; None where there is nothing."""

_MILESTONES: Final = (2, 5, 10, 20, 50, 100, 200, 500, 1000)
_NAMED_MILESTONES: Final = 4
_MOONSHOT: Final = 10
_SHORT: Final = 50
_LONG: Final = 500
"""Ticks below which a game is short, and from which on it is long: of the captures one in five, and one in fifteen."""
_MOST_RAW: Final = 64 << 10
"""Bytes of a frame that is looked into; an ordinary one has 4,000, one with the history of games 500,000."""
_NAMED_RECORDINGS: Final = 3
_JUMP: Final = 2.0
"""By what factor the price must change in one tick to be mentioned."""
_US: Final = 1_000_000


@dataclass(frozen=True)
class Seen:
    """What the snapshots of a game say beside their prices.

    Attributes:
        players: how many players were connected, the fewest and the most; None where no frame says it.
        best, best_pnl: the first player of the last leaderboard, and the profit in SOL.
    """

    players: tuple[int, int] | None = None
    best: str | None = None
    best_pnl: float | None = None


def game_chunk(scope_key: str, facts: GameFacts, raw_of: RawOf) -> Chunk | None:
    """Return the summary of a game; None where no public row is known.

    Args:
        facts: of all its public rows.
        raw_of: asked for the snapshots of the facts, and nothing else.
    """
    if facts.first is None:
        return None
    seen = _seen(facts, raw_of)
    shape = shape_of(facts.curve, facts.rug_tick)
    head = (_headline(facts, shape), _outcome(facts), _when(facts), _course(facts))
    lines = (*head, *_people(facts, seen), _origin(facts))
    return Chunk(
        text="\n".join(line for line in lines if line),
        metadata=_metadata(facts, seen, shape),
        scope_key=scope_key,
        search_text=_search_text(facts, shape),
    )


def _headline(facts: GameFacts, shape: Shape | None) -> str:
    """Return what kind of game it was, in words alone: numbers and ids say nothing to a model of language."""
    parts = [] if shape is None else [f"{'it' if shape is INSTARUG else 'the price'} {shape.words}"]
    top = max((height for height, _ in _milestones(facts)), default=0)
    if top:
        parts.append(f"climbed to more than {top}x{' (a moonshot)' if top >= _MOONSHOT else ''}")
    elif shape is not None and shape is not INSTARUG:
        parts.append("never reached 2x")
    if facts.rugged and shape is not INSTARUG:
        parts.append("then rugged (crashed)")
    if facts.last_tick is not None and facts.end_tick is None and not facts.rugged:
        parts.append("how it ended was not recorded")
    long = facts.end_tick is not None and facts.end_tick >= _LONG
    short = facts.end_tick is not None and facts.end_tick < _SHORT
    return f"{'A long' if long else 'A short' if short else 'A'} game: {phrases.listed(parts)}." if parts else ""


def _outcome(facts: GameFacts) -> str:
    """Return the line that says how the game ended."""
    name, peak, last = f"Game {facts.game_id}", facts.peak, facts.last_tick
    height = "" if peak is None else f" after a peak of {phrases.multiplier(peak.price)}"
    if facts.rug_tick is not None:
        kind = "was an instarug: it rugged" if outcome_of(facts) == "instarug" else "rugged"
        return f"{name} {kind} at tick {facts.rug_tick}{height}{_crash(facts)}."
    if facts.rugged:
        return f"{name} rugged{height}; the tick of the rug was not recorded."
    if last is None:
        return f"{name} is known only by events around it: no tick and no price of it was recorded."
    if facts.end_tick is not None:
        return f"{name} ended at tick {last} without a rug{height}."
    why = text(facts.noted.get("incomplete_reason") or facts.noted.get("discard_reason"))
    reason = f" ({phrases.shown(why)})" if why else ""
    highest = "" if peak is None else f"; its peak until then is {phrases.multiplier(peak.price)}"
    return f"{name} is known only in part: the recording stops at tick {last}, before the game ended{reason}{highest}."


def _crash(facts: GameFacts) -> str:
    """Return between which prices it crashed."""
    price, before = _final_price(facts), _price_before_rug(facts)
    if price is None:
        return ""
    begin = "" if before is None else f" from {phrases.multiplier(before)}"
    return f"; the price crashed{begin} to {phrases.multiplier(price)}"


def _when(facts: GameFacts) -> str:
    """Return the line about time and length."""
    assert facts.first is not None  # noqa: S101 - see `game_chunk`
    length = "" if facts.last_tick is None else phrases.counted(facts.last_tick + 1, "tick")
    if facts.started is None:
        ended = facts.history and facts.first.doc_type == "game"
        line = f"It {'ended' if ended else 'was recorded'} on {phrases.moment(facts.first.ts)}."
        return f"{line} It lasted {length}." if length and facts.end_tick is not None else line
    begin = phrases.moment(facts.started)
    if facts.started_tick is not None and facts.started_tick > 1:
        return f"The recording begins with tick {facts.started_tick}, on {begin}. {_lasted(facts, length)}"
    return f"It began on {begin}. {_lasted(facts, length)}"


def _lasted(facts: GameFacts, length: str) -> str:
    assert facts.started is not None  # noqa: S101
    assert facts.until is not None  # noqa: S101 - a game that was seen in play has both
    time = phrases.duration((facts.until - facts.started) / _US)
    if facts.end_tick is None:
        return f"{length}, {time}, are known."
    return f"It lasted {length}, {time}." if _is_whole(facts) else f"It lasted {length}; {time} of it are recorded."


def _is_whole(facts: GameFacts) -> bool:
    """Return whether play was seen from its beginning to its end."""
    return facts.started_tick in (0, 1) and facts.end_tick is not None


def _course(facts: GameFacts) -> str:
    """Return the line about the curve."""
    parts = []
    milestones = list(_milestones(facts))
    if milestones:
        reached = [f"{height}x at tick {tick}" for height, tick in milestones[-_NAMED_MILESTONES:]]
        parts.append(f"The price reached {phrases.listed(reached)}")
    peak = facts.peak
    if peak is not None and peak.tick >= 0:
        to_rug = 0 if facts.rug_tick is None else facts.rug_tick - peak.tick
        before = f", {phrases.counted(to_rug, 'tick')} before the rug" if to_rug > 0 else ""
        parts.append(f"Its highest price was {phrases.multiplier(peak.price)} at tick {peak.tick}{before}")
    jump = largest_jump(facts.curve)
    if jump is not None and max(jump.before, jump.after) >= _JUMP * min(jump.before, jump.after):
        way = "jumped up" if jump.after > jump.before else "dropped"
        change = f"from {phrases.multiplier(jump.before)} to {phrases.multiplier(jump.after)}"
        parts.append(f"In one tick ({jump.tick}) it {way} {change}")
    return " ".join(f"{part}." for part in parts)


def _milestones(facts: GameFacts) -> Iterator[tuple[int, int]]:
    """Give the round multipliers that the price reached, each with the first tick."""
    waiting = [each for each in _MILESTONES if facts.peak is not None and facts.peak.price >= each]
    for tick, price in facts.curve if waiting else ():
        while price >= waiting[0]:
            yield waiting.pop(0), tick
            if not waiting:
                return


def _people(facts: GameFacts, seen: Seen) -> Iterator[str]:
    """Give the lines about trades, side bets and players."""
    if facts.trade_count:
        yield f"Players made {phrases.counted(facts.trade_count, 'trade')}."
    for kind, trades in facts.trades.largest.items():
        if trades:
            yield f"Largest {kind}s: {phrases.listed(map(_trade, trades))}."
    bets = facts.side_bets
    if bets is not None:
        result = f", {bets.won} of {bets.settled} won" if bets.settled else ""
        line = f"{phrases.counted(bets.placed, 'side bet')} on an early rug{result}"
        if bets.largest is not None:
            which = {True: ", won", False: ", lost", None: ""}[bets.largest.won]
            line += f"; the largest: {phrases.sol(bets.largest.amount)} by {phrases.name(bets.largest.player)}{which}"
        yield f"{line}."
    if seen.players is not None:
        least, most = seen.players
        yield f"Connected players: {least}." if least == most else f"Connected players: {least} to {most}."
    if seen.best is not None:
        pnl = "" if seen.best_pnl is None else f" with {phrases.sol(seen.best_pnl, sign=True)}"
        yield f"First of the leaderboard at the end: {phrases.name(seen.best)}{pnl}."


def _trade(trade: Trade) -> str:
    place = "" if trade.tick is None else f" at tick {trade.tick}"
    price = "" if trade.price is None or not isfinite(trade.price) else f" ({phrases.multiplier(trade.price)})"
    return f"{phrases.sol(trade.amount)} by {phrases.name(trade.player)}{place}{price}"


def _origin(facts: GameFacts) -> str:
    """Return the line about where it is known from, and what is missing."""
    names = sorted(facts.recordings)
    shown = phrases.listed([*names[:_NAMED_RECORDINGS], *(["others"] if len(names) > _NAMED_RECORDINGS else [])])
    line = f"Recorded in {shown}."
    missing = missing_ticks(facts)
    if missing and facts.last_tick is not None:
        line += f" {phrases.counted(missing, 'tick')} of {facts.last_tick + 1} were not recorded."
    return line


def outcome_of(facts: GameFacts) -> str:
    """Return `instarug`, `rugged`, `ended` (without a rug), or `unknown`."""
    if facts.rug_tick is not None and facts.rug_tick <= INSTARUG_TICKS:
        return "instarug"
    if facts.rugged:
        return "rugged"
    return "unknown" if facts.end_tick is None else "ended"


def missing_ticks(facts: GameFacts) -> int:
    """Return how many ticks, up to the last one, have no known price."""
    return 0 if facts.last_tick is None else facts.last_tick + 1 - len(facts.points)


def _final_price(facts: GameFacts) -> float | None:
    """Return the price of the last tick, or what an old recorder wrote as the final price."""
    if facts.points and facts.points[-1].tick == facts.last_tick:
        return facts.points[-1].price
    noted = number(facts.noted.get("final_price"))
    return None if noted is None or noted < 0 else float(noted)


def _price_before_rug(facts: GameFacts) -> float | None:
    if facts.rug_tick is None or not facts.curve or facts.curve[-1].tick != facts.rug_tick - 1:
        return None
    return facts.curve[-1].price


def _metadata(facts: GameFacts, seen: Seen, shape: Shape | None) -> dict[str, Any]:
    first = facts.first
    assert first is not None  # noqa: S101 - see `game_chunk`
    began = first.ts if facts.started is None else facts.started
    peak, bets, rug = facts.peak, facts.side_bets, facts.rug_tick
    found: dict[str, Any] = {
        "source": first.chunk_source(KIND),
        "kind": KIND,
        "doc_type": KIND,
        "game_id": facts.game_id,
        "timestamp": phrases.iso(began),
        "session_id": first.session_id,
        "ts": began,
        "until": facts.last_ts if facts.until is None else facts.until,
        "outcome": outcome_of(facts),
        "shape": None if shape is None else shape.name,
        "ticks": None if facts.last_tick is None else facts.last_tick + 1,
        "rug_tick": rug,
        "peak": None if peak is None else peak.price,
        "peak_tick": None if peak is None or peak.tick < 0 else peak.tick,
        "final_price": _final_price(facts),
        "price_before_rug": _price_before_rug(facts),
        "duration_s": _duration(facts) if _is_whole(facts) else None,
        "missing_ticks": missing_ticks(facts) if facts.last_tick is not None else None,
        "trades": facts.trade_count or None,
        "side_bets": None if bets is None else bets.placed,
        "side_bets_won": None if bets is None or not bets.settled else bets.won,
        "players": None if seen.players is None else seen.players[1],
        "recordings": sorted(facts.recordings),
        "event_ids": _event_ids(facts),
    }
    return {name: value for name, value in found.items() if value is not None}


def _duration(facts: GameFacts) -> float | None:
    if facts.started is None or facts.until is None:
        return None
    return round((facts.until - facts.started) / _US, 3)


def _event_ids(facts: GameFacts) -> list[str]:
    """Return the ids of the rows of its first tick, its peak, its rug, and its history."""
    ticks = (facts.started_tick, None if facts.peak is None else facts.peak.tick, facts.rug_tick)
    known = (facts.ticks[tick].id for tick in ticks if tick is not None and tick in facts.ticks)
    return list(dict.fromkeys([*known, *([facts.history_id] if facts.history_id is not None else [])]))


def _search_text(facts: GameFacts, shape: Shape | None) -> str:
    assert facts.first is not None  # noqa: S101 - see `game_chunk`
    began = facts.first.ts if facts.started is None else facts.started
    ended = {"unknown": "incomplete"}.get(outcome_of(facts), outcome_of(facts))
    words = [facts.game_id, ended, phrases.iso(began)[:10], "" if shape is None else shape.name]
    words += [f"{height}x" for height, _ in _milestones(facts)]
    words += [] if shape is None else synonyms.of_shape(shape.name).split()
    words += [phrases.shown(trade.player) for trades in facts.trades.largest.values() for trade in trades]
    return " ".join(dict.fromkeys(word.replace("_", " ") for word in words if word))


def _seen(facts: GameFacts, raw_of: RawOf) -> Seen:
    """Look into the snapshots of a game."""
    players: list[int] = []
    seen = Seen()
    unique = {row.id: row for row in facts.snapshots.values()}
    for row in sorted(unique.values(), key=lambda row: row.order):
        payload = _payload(raw_of(row))
        connected = whole(payload.get("connectedPlayers"))
        if connected is not None and connected >= 0:
            players.append(connected)
        best = _best(payload)
        if best is not None:
            seen = best
    return Seen((min(players), max(players)) if players else None, seen.best, seen.best_pnl)


def _payload(raw: str | bytes | None) -> Mapping[str, Any]:
    told = read_raw(raw) if raw is not None and len(raw) <= _MOST_RAW else None
    return told.payload if told is not None and isinstance(told.payload, dict) else {}


def _best(payload: Mapping[str, Any]) -> Seen | None:
    """Return the first player of a leaderboard; None where there is none."""
    board = payload.get("leaderboard")
    entry = board[0] if isinstance(board, list) and board else None
    if not isinstance(entry, dict):
        return None
    name = text(entry.get("username")) or text(entry.get("id"))
    pnl = number(entry.get("pnl"))
    return None if not name else Seen(best=name, best_pnl=None if pnl is None else float(pnl))
