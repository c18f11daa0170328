"""A small index for tests of the search: a few chunks of each kind, and an embedder that knows words by their stems."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from rugs_core.time import SECOND_US
from rugs_discovery.meanings import Meaning
from rugs_discovery.words import words
from rugs_index.chunk import Chunk
from rugs_index.chunkers.event import event_chunk
from rugs_index.chunkers.field import field_chunk
from rugs_index.embedders import EmbedderIdentity
from rugs_index.table.identity import IndexIdentity
from rugs_index.table.rebuild import Rebuild
from rugs_index.table.row import Row
from rugs_index.table.store import IndexStore

DIMENSION: Final = 64
NOON: Final = 1_766_318_400 * SECOND_US
"""21 December 2025, 12:00 UTC."""
MINUTE: Final = 60 * SECOND_US
ALICE: Final = "did:privy:alice"
GAME: Final = "20251221-00000000c0ffee{:02x}"


class WordEmbedder:
    """An embedder for which texts are alike that have words with the same stems."""

    identity = EmbedderIdentity("words", DIMENSION, "tests", "f32", "0" * 64)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors of texts."""
        return np.array([self.embed_query(text) for text in texts], np.float32).reshape(len(texts), DIMENSION)

    def embed_query(self, text: str) -> np.ndarray:
        """Return the vector of a question."""
        total = np.full(DIMENSION, 1e-3)
        for word in words(text):
            seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
            total += np.random.default_rng(seed).standard_normal(DIMENSION)
        vector: np.ndarray = (total / np.linalg.norm(total)).astype(np.float32)
        return vector


EMBEDDER: Final = WordEmbedder()
IDENTITY: Final = IndexIdentity("1", "rugbus", EMBEDDER.identity)


def meaning(text: str, **about: Any) -> Meaning:
    """Return a meaning that captures show."""
    return Meaning(text=text, status="observed", source="tests", **about)


def protocol() -> list[Chunk]:
    """Return chunks about events and fields."""
    state, trade = "gameStateUpdate", "standard/newTrade"
    return [
        event_chunk(state, None, meaning("The server sends everyone the state of the current game.")),
        event_chunk(trade, None, meaning("A player buys or sells.")),
        field_chunk(state, "data.price", None, meaning("The current price of the game.")),
        field_chunk(trade, "data.price", None, meaning("The price at which the trade was executed.")),
        field_chunk(state, "data.rugged", None, meaning("Whether the game has ended by a rug.")),
        field_chunk(state, "data.connectedPlayers", None, meaning("How many clients are connected to the server.")),
        field_chunk(state, "data.leaderboard[].pnl", None, meaning("The profit or loss of the player in this game.")),
        field_chunk(state, "data.leaderboard[].username", None, meaning("The display name of the player.")),
        field_chunk("rugRoyaleUpdate", "data.leaderboard[].username", None, meaning("The display name of the player.")),
    ]


def game(number: int, peak: float, rug_tick: int, *, at: int | None = None) -> Chunk:
    """Return the summary of a game; without a time it began `number` minutes after noon."""
    game_id, began = GAME.format(number), NOON + number * MINUTE if at is None else at
    metadata = {
        "source": f"game_{number}.jsonl", "kind": "game", "doc_type": "game", "game_id": game_id, "ts": began,
        "until": began + rug_tick * SECOND_US // 4, "peak": peak, "rug_tick": rug_tick, "ticks": rug_tick + 1,
        "duration_s": rug_tick / 4,
    }  # fmt: skip
    return Chunk(f"Game {game_id} rugged at tick {rug_tick} after a peak of {peak}x.", metadata, f"game:{game_id}")


def chat(username: str, text: str, at: int, owner: str | None = None) -> Chunk:
    """Return a chat message."""
    metadata = {
        "source": "capture.jsonl", "kind": "ws_event", "doc_type": "raw_event", "event_type": "newChatMessage",
        "username": username, "ts": at, "session_id": "session-1",
    }  # fmt: skip
    return Chunk(f"newChatMessage: chat message.\n{username} wrote: {text}", metadata, "hour:1", owner)


def actions(number: int, did: str, at: int) -> Chunk:
    """Return what a bot did in a game."""
    metadata = {
        "source": "player_action/bot", "kind": "player_action", "doc_type": "player_action", "username": "HeronBot",
        "player": ALICE, "game_id": GAME.format(number), "ts": at, "session_id": "bot-session",
    }  # fmt: skip
    return Chunk(f"Player actions: HeronBot {did} in game {GAME.format(number)}.", metadata, "game:bot")


def session() -> Chunk:
    """Return the summary of a session."""
    metadata = {
        "source": "capture.jsonl", "kind": "session", "doc_type": "session", "session_id": "session-1",
        "ts": NOON, "until": NOON + 60 * MINUTE,
    }  # fmt: skip
    return Chunk("Recording session session-1: an old recording that was imported.", metadata, "session:1")


def document(text: str = "How to back up the data folder: copy it.") -> Chunk:
    """Return a part of a document."""
    metadata = {
        "source": "docs/backup.md", "kind": "document", "doc_type": "document", "line_start": 3, "line_end": 5,
        "headers": ["Backup", "a|b"],
    }  # fmt: skip
    return Chunk(text, metadata, "doc:docs/backup.md")


def world() -> list[Chunk]:
    """Return a few chunks of each kind."""
    return [
        *protocol(),
        game(1, 12.5, 15),
        game(2, 57.9, 275),
        game(3, 1.1, 3),
        game(4, 9.7, 640),
        game(5, 130.0, 452),
        chat("MossyRook", "the servers are slow tonight", NOON + 2 * MINUTE),
        chat("dr_lantern", "MossyRook is right", NOON + 3 * MINUTE),
        chat("alice", "my secret plan about servers", NOON + 4 * MINUTE, ALICE),
        actions(1, "bought and sold", NOON + MINUTE),
        actions(2, "placed a side bet", NOON + 2 * MINUTE),
        session(),
        document(),
    ]


def make_index(root: Path, chunks: Iterable[Chunk] | None = None, identity: IndexIdentity = IDENTITY) -> IndexStore:
    """Make the index of a data root, and return it, open; by default it has `world()`."""
    scopes: defaultdict[str, list[Row]] = defaultdict(list)
    for chunk in world() if chunks is None else chunks:
        vector = None if identity.embedder is None else EMBEDDER.embed_query(chunk.text)
        scopes[chunk.scope_key].append(Row(chunk, vector))
    with Rebuild(root, identity) as new:
        new.add(scopes)
        new.finish()
        new.switch()
    return IndexStore.open(root)
