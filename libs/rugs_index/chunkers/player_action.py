"""What one player or bot did in a game, or in an hour without one: a few consecutive actions a chunk."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from math import isfinite
from typing import Any, Final, NamedTuple

from rugs_index import kinds
from rugs_index.chunk import Chunk
from rugs_index.chunkers import phrases
from rugs_index.chunkers.game_facts import GameFacts
from rugs_index.rows import StoredRow
from rugs_lake.domains.games import LAST_TICK

KIND: Final = kinds.PLAYER_ACTION
MOST_ACTIONS: Final = 10
"""Actions of a chunk: the model reads about 256 tokens, and an action takes about 20."""
PAUSE_US: Final = 120_000_000
"""After so long without an action, microseconds, a new chunk begins."""

_WORDS: Final = {
    "buy": "bought", "sell": "sold", "short": "opened a short",
    "sidebet": "placed a side bet", "sidebet_place": "placed a side bet",
    "sidebet_win": "won a side bet", "sidebet_lose": "lost a side bet",
    "x": "cleared the bet amount", "1/2": "halved the bet amount", "x2": "doubled the bet amount",
    "max": "set the bet amount to the maximum",
}  # fmt: skip
_BY: Final = {"bot": "a bot", "ui": "the application"}
"""Who sent the actions of a source, where it is no recording."""


class Action(NamedTuple):
    """An action, and how the game stood: `tick` and `price` are None where nobody knows.

    Attributes:
        words: what was done: `bought`.
        amount: of SOL, in words; empty where there is none.
        to_rug: ticks from the action to the rug; below 0: after it. None where nobody knows.
    """

    row: StoredRow
    words: str
    amount: str
    tick: int | None
    price: float | None
    to_rug: int | None


def action_chunks(scope_key: str, rows: Iterable[StoredRow], facts: GameFacts | None = None) -> Iterator[Chunk]:
    """Give the chunks of the actions of a scope.

    Args:
        rows: of the doc type `player_action`, in the order of the scope.
        facts: of the game in which they happened; None where they belong to none.
    """
    groups: defaultdict[tuple[str, ...], list[StoredRow]] = defaultdict(list)
    for row in rows:
        groups[row.owner or "", _player(row), row.source, row.session_id].append(row)
    for _, group in sorted(groups.items()):
        for part in _parts(group):
            yield _chunk(scope_key, [_action(row, facts) for row in part], facts)


def _player(row: StoredRow) -> str:
    return row.player_id or row.username or ""


def _parts(rows: Sequence[StoredRow]) -> Iterator[list[StoredRow]]:
    """Give the rows of one player some at a time: a part ends when it is full, and before a pause."""
    part: list[StoredRow] = []
    for row in rows:
        if part and (len(part) == MOST_ACTIONS or row.ts - part[-1].ts > PAUSE_US):
            yield part
            part = []
        part.append(row)
    if part:
        yield part


def _action(row: StoredRow, facts: GameFacts | None) -> Action:
    tick = row.tick if row.tick is not None and 0 <= row.tick <= LAST_TICK else None
    price = row.price if row.price is not None and isfinite(row.price) and row.price >= 0 else None
    amount = "" if row.amount is None or not isfinite(row.amount) else phrases.sol(row.amount)
    if facts is None:
        return Action(row, _words(row), amount, tick, price, None)
    tick = facts.tick_at(row.ts) if tick is None else tick
    price = facts.price_at(tick) if price is None and tick is not None else price
    rug = facts.rug_tick
    return Action(row, _words(row), amount, tick, price, None if rug is None or tick is None else rug - tick)


def _words(row: StoredRow) -> str:
    """Return what was done, in words: `bought`."""
    name = row.action or row.event
    known = _WORDS.get(name.lower().removeprefix("trade.").removeprefix("trade_"))
    if known is not None:
        return known
    if name.endswith("%"):
        return f"chose to sell {phrases.shown(name)}"
    if name.startswith("+"):
        return f"raised the bet amount by {phrases.shown(name[1:])}"
    return f"did {phrases.shown(name)}"


def _chunk(scope_key: str, actions: Sequence[Action], facts: GameFacts | None) -> Chunk:
    rows = [action.row for action in actions]
    first = rows[0]
    lines = [_summary(actions, facts), *map(_line, actions), *_account(rows)]
    return Chunk(
        text="\n".join(lines),
        metadata=_metadata(actions, facts),
        scope_key=scope_key,
        owner=first.owner,
        search_text=" ".join(dict.fromkeys(row.action or row.event for row in rows)),
    )


def _summary(actions: Sequence[Action], facts: GameFacts | None) -> str:
    """Return the first line: who did what, in which game, and how long before the rug."""
    rows = [action.row for action in actions]
    first = rows[0]
    who = phrases.name(first.username or first.player_id or "") or "A player"
    by = f" (by {_BY[first.source]})" if first.source in _BY else ""
    where = f" in game {first.game_id}" if first.game_id else ""
    did = phrases.listed(dict.fromkeys(action.words for action in actions))
    line = f"Player actions: {who}{by} {did}{where}, {phrases.moment(first.ts)}."
    if facts is None or facts.rug_tick is None:
        return line
    before = [action.to_rug for action in actions if action.to_rug is not None and action.to_rug >= 0]
    last = f"; the last action before the crash was {phrases.counted(before[-1], 'tick')} before it" if before else ""
    return f"{line} The game rugged (crashed) at tick {facts.rug_tick}{last}."


def _line(action: Action) -> str:
    """Return the line of one action."""
    parts = [] if action.tick is None else [f"tick {action.tick}"]
    if action.price is not None:
        parts.append(phrases.multiplier(action.price))
    if action.to_rug is not None:
        way = "before" if action.to_rug >= 0 else "after"
        parts.append(f"{phrases.counted(abs(action.to_rug), 'tick')} {way} the rug")
    amount = f" of {action.amount}" if action.words.endswith("side bet") and action.amount else f" {action.amount}"
    what = f"{phrases.clock(action.row.ts)} {action.words}{amount}".rstrip()
    return f"{what}: {', '.join(parts)}" if parts else what


def _account(rows: Sequence[StoredRow]) -> Iterator[str]:
    """Give the line about the account, as the last row with one has it."""
    row = next((row for row in reversed(rows) if row.cash is not None and isfinite(row.cash)), None)
    if row is not None and row.cash is not None:
        held = row.position_qty
        position = "" if held is None or not isfinite(held) else f", position {held:.3g}"
        yield f"Account: cash {phrases.sol(row.cash)}{position}."


def _metadata(actions: Sequence[Action], facts: GameFacts | None) -> dict[str, Any]:
    rows = [action.row for action in actions]
    first, last = rows[0], rows[-1]
    ticks = [action.tick for action in actions if action.tick is not None]
    before = [action.to_rug for action in actions if action.to_rug is not None]
    lines = sorted(row.origin_line for row in rows if row.origin_line is not None)
    found: dict[str, Any] = {
        "source": first.chunk_source(KIND),
        "kind": KIND,
        "doc_type": KIND,
        "game_id": first.game_id,
        "timestamp": phrases.iso(first.ts),
        "session_id": first.session_id,
        "player": first.player_id,
        "username": first.username,
        "ts": first.ts,
        "until": last.ts,
        "actions": [row.action or row.event for row in rows],
        "tick": ticks[0] if ticks else None,
        "last_tick": ticks[-1] if ticks else None,
        "rug_tick": None if facts is None else facts.rug_tick,
        "ticks_before_rug": before[-1] if before else None,
        "line_start": lines[0] if lines else None,
        "line_end": lines[-1] if lines else None,
        "event_ids": [row.id for row in rows],
    }
    return {name: value for name, value in found.items() if value is not None}
