"""Rows, games, lakes and histories for tests of the index."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

from rugs_discovery.current import end_of
from rugs_index.chunk import Chunk
from rugs_index.lake import CHUNKING, Chunking, all_scopes, chunks_of
from rugs_index.rows import StoredRow
from rugs_index.scopes import COLUMNS, Scope, dirty_by_change, dirty_by_rows
from rugs_lake.read.pieces import Piece, Wanted, next_piece
from rugs_lake.store.positions import Position
from tests.support import histories
from tests.support.histories import GAMES, SESSIONS, random_envelope
from tests.support.lakekit import DAY_US, NOON_US, commit, envelope, message, tick

GAME: Final = "20260601-0123456789abcdef"
TICK_US: Final = 250_000

Index = dict[str, list[Chunk]]
"""The chunks by scope; a scope without chunks is left out."""


def row(seq: int = 1, **changes: Any) -> StoredRow:
    """Return a row: a public frame of a live session, unless something else is said."""
    told: dict[str, Any] = {
        "id": hashlib.blake2b(repr((seq, sorted(changes.items()))).encode(), digest_size=16).hexdigest(),
        "ts": NOON_US + seq * TICK_US,
        "doc_type": "ws_event",
        "source": "public_ws",
        "session_id": "session-1",
        "seq": seq,
        "direction": "received",
        "event": "gameStateUpdate",
    }
    return StoredRow(**{**told, **changes})


def ticks(prices: Sequence[float], *, rugs: bool = True, first: int = 0, **changes: Any) -> list[StoredRow]:
    """Return the ticks of a game; with `rugs` the last price is that of the rug."""
    last = len(prices) - 1
    return [
        row(
            place + 1,
            **{
                "doc_type": "game_tick",
                "event": "tick",
                "game_id": GAME,
                "tick": first + place,
                "price": price,
                "phase": "RUGGED" if rugs and place == last else "ACTIVE_GAMEPLAY",
                "rugged": rugs and place == last,
                "trade_count": 10 + place,
                **changes,
            },
        )
        for place, price in enumerate(prices)
    ]


def trade(seq: int, action: str, amount: float | None, username: str = "alice", **changes: Any) -> StoredRow:
    """Return a trade of a game."""
    extra = json.dumps({"trade_id": f"trade-{seq}"})
    about = {"event": "standard/newTrade", "game_id": GAME, "tick": seq, "price": 1.5, "extra": extra}
    return row(seq, **{**about, "action": action, "amount": amount, "username": username, **changes})


def history(prices: Sequence[float], side_bets: Iterable[Any] = (), **changes: Any) -> StoredRow:
    """Return the feed's record of a completed game."""
    extra = {"peak_multiplier": max(prices), "prices": prices, "last_tick": len(prices) - 1}
    told = json.dumps({**extra, "global_sidebets": list(side_bets)})
    return row(
        9_000, **{"doc_type": "game", "event": "gameHistory", "game_id": GAME, "rugged": True, "extra": told, **changes}
    )


def action(seq: int, name: str = "BUY", **changes: Any) -> StoredRow:
    """Return what a player did in a game."""
    told = {"doc_type": "player_action", "source": "ui", "event": name, "action": name, "game_id": GAME}
    who = {"player_id": "did:1", "username": "alice", "owner": "did:1", "amount": 0.25}
    return row(seq, **{**told, **who, **changes})


def index_of(
    root: Path,
    scopes: Iterable[Scope] | None = None,
    position: Position | None = None,
    chunking: Chunking = CHUNKING,
) -> Index:
    """Return the chunks of scopes (default: all), computed from nothing."""
    at = position or end_of(root)
    computed = chunks_of(root, scopes or all_scopes(root, at), at, chunking)
    return {scope.key: found for scope, found in computed if found}


def told(index: Index) -> dict[str, list[tuple[Any, ...]]]:
    """Return everything that chunks say, to be compared: also what two equal ones may differ in."""
    return {
        key: [(chunk.id, chunk.text, dict(chunk.metadata), chunk.owner, chunk.search_text) for chunk in chunks]
        for key, chunks in index.items()
    }


class Follower:
    """An index that is kept in memory, piece by piece, as the real one is kept in a table."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.index: Index = {}
        self.position: Position | None = None

    def go_on(self, rows: int = 999, pieces: int | None = None) -> int:
        """Take in some pieces of the lake, or all; return how many there were."""
        wanted = Wanted(columns=COLUMNS, rows=rows)
        taken = 0
        while taken != pieces and (piece := next_piece(self.root, self.position, wanted)) is not None:
            self._take(piece)
            taken += 1
        return taken

    def _take(self, piece: Piece) -> None:
        if piece.starts_over:
            self.index.clear()
        dirty = set() if piece.rows is None else dirty_by_rows(piece.rows)
        for change in piece.changes:
            assert change.touched is not None
            changed = dirty_by_change(change.touched)
            if changed is None:
                self.index.clear()
                changed = set(all_scopes(self.root, piece.position))
            dirty |= changed
        for scope, chunks in chunks_of(self.root, dirty, piece.position):
            self.index.pop(scope.key, None)
            if chunks:
                self.index[scope.key] = chunks
        self.position = piece.position


def more_envelopes(chance: Random) -> dict[str, Any]:
    """Return an event as `random_envelope` does, or a trade, a chat message, a note or an action of a player."""
    number, session, game = chance.randint(1, 30), chance.choice(SESSIONS), chance.choice(GAMES)
    about: dict[str, Any] = {
        "session_id": session,
        "ts": NOON_US - chance.choice([0, 0, 300]) * DAY_US + number * TICK_US,
    }
    who = {"player_id": chance.choice(["did:1", "did:2"]), "username": chance.choice(["alice", "bob"])}
    chat = f'42["newChatMessage",{{"username":"alice","message":"hello {number}"}}]'
    trade = f'42["standard/newTrade",{{"type":"buy","amount":{number},"id":"{number}"}}]'
    bought = {"action": "buy", "amount": number / 10, "tick": number, "price": 1.5, "trade_id": str(number)}
    frame = {"price": 1 + number / 10, "tick": number, "active": True, "phase": "ACTIVE_GAMEPLAY"}
    gap = {"since": NOON_US, "until": NOON_US + number * 1_000_000, "cause": "lost"}
    did = {"doc_type": "player_action", "event": "BUY", "source": "ui"}
    return chance.choice(
        [
            random_envelope(chance),
            random_envelope(chance),
            envelope(number, event="newChatMessage", raw=chat, **about),
            envelope(number, event="standard/newTrade", raw=trade, game_id=game, fields=bought, **who, **about),
            envelope(number, game_id=game, fields=frame, **about),
            tick(number, game, **{**about, "seq": number, "fields": {**frame, "rugged": number > 25}}),
            envelope(number, **{**did, "game_id": game, "raw": ..., "fields": bought}, **who, **about),
            envelope(number, **{**did, "raw": ..., "fields": {}}, **who, **about),
            envelope(number, doc_type="system_event", event="gap", raw=..., fields=gap, **about),
        ]
    )


class History(histories.History):
    """A history of a lake that an index in memory follows."""

    def __init__(self, folder: Path, chance: Random) -> None:
        super().__init__(folder, chance)
        self.follower = Follower(self.root)

    def take(self) -> str:
        """Commit some messages of one or several events."""
        sent = []
        for _ in range(self.chance.randint(1, 5)):
            first, *others = (more_envelopes(self.chance) for _ in range(self.chance.randint(1, 6)))
            alike = [other for other in others if other["doc_type"] == first["doc_type"]]
            self.seq += self.chance.choice([1, 1, 1, 3])
            sent.append(message(self.seq, first, *alike))
        self.last = sent[-1]
        return f"take {dict(commit(self.writer, *sent).totals)}"

    def follow(self) -> str:
        """Go on from the position, and stop after some pieces or at the end."""
        most = self.chance.choice([1, 2, 3, None, None])
        return f"follow {self.follower.go_on(self.chance.choice([2, 5, 99]), most)} pieces of {most}"

    def lose_the_store(self) -> None:
        """Lose the index."""
        self.follower = Follower(self.root)

    def check(self) -> None:
        """Check that the index that went on is the one that is computed from nothing."""
        self.follower.go_on()
        assert told(self.follower.index) == told(index_of(self.root, position=self.follower.position))


def settled_envelopes(chance: Random, count: int) -> Iterator[dict[str, Any]]:
    """Give events that stay the same rows whatever order they arrive in: no two of them share a key."""
    seen: set[Any] = set()
    while len(seen) < count:
        each = more_envelopes(chance)
        is_tick = each["doc_type"] == "game_tick"
        key = (
            (each["game_id"], each["fields"].get("tick"))
            if is_tick
            else (each["session_id"], each["seq"], each["source"])
        )
        if each["v"] == 1 and each["doc_type"] != "server_state" and key not in seen:
            seen.add(key)
            yield each
