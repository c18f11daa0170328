"""Write the reference vectors of the default model.

Run `python -m tools.contract.embeddings proto/vectors/embeddings.json`.
sentence-transformers computes them, in an environment of its own that holds torch (`.venv-torch`, made on first use).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from rugs_core.files import sha256_of
from rugs_index.embedders.folder import WEIGHTS
from rugs_index.embedders.installed import DEFAULT_MODEL, WEIGHTS_PACKAGE, default_model_folder
from tests.support import torch_env
from tests.support.embedworker import worker

_GAME: Final = "20990101-0123456789abcdef"
_DIGITS: Final = 8
"""After the point: the vectors are of float32, and of length 1."""

TEXTS: Final[dict[str, str]] = {
    "empty": "",
    "a space": " ",
    "a letter": "a",
    "a word": "crash",
    "two words": "hello world",
    "a sentence": "The feed announces each rug twice.",
    "a question about a field": "what is the price field in gameStateUpdate?",
    "a question about games": "which games rugged before tick 20 after a 10x?",
    "a question about a player": "what did the player do before the crash?",
    "an identifier": "gameStateUpdate",
    "an identifier as words": "game state update",
    "a field path": "data.leaderboard[].pnl",
    "an event name with a slash": "standard/newTrade",
    "upper case": "PLAYER UPDATE",
    "snake case": "cooldown_timer_ms",
    "a number": "1.0211779393570963",
    "a timestamp": "2099-01-01T03:00:01.601933+00:00",
    "a game id": _GAME,
    "a URL": "https://example.invalid/path/page?query=1&more=two#part",
    "JSON": '{"event": "newChatMessage", "data": {"username": "Ada", "level": 7, "tags": [null, true]}}',
    "Markdown": "# Settings\n\n| name | meaning |\n| --- | --- |\n| `port` | where it listens |\n\n- one\n- *two*\n",
    "code": "def price(tick: int) -> float:\n    return 1.0 * (1 + 0.02) ** tick\n",
    "SQL": "SELECT game_id, max(price) FROM tick WHERE NOT rugged GROUP BY game_id ORDER BY 2 DESC LIMIT 10",
    "a game state": (
        f"Event Type: gameStateUpdate\nTimestamp: 2099-01-01T03:00:01.601933+00:00\nSequence: 7\nGame ID: {_GAME}\n"
        "Active: True\nRugged: False\nPrice: 1.0211779393570963\nTick Count: 5\nCooldown Timer: 0\nTrade Count: 71\n"
        "Connected Players: 201\nAverage Multiplier: 4.703545228606745\nCount 2x: 47\nCount 10x: 7\nCount 50x: 1\n"
        "Count 100x: 0\nLeaderboard Size: 10\nTop Player: Ada (PnL: 0.248086054)"
    ),
    "a trade": (
        f"Event Type: standard/newTrade\nTimestamp: 2099-01-01T03:00:02.1+00:00\nSequence: 8\nTrade Type: sell\n"
        f"Game ID: {_GAME}\nPlayer: Ada (Level 7)\nPrice: 2.5\nAmount: 0.01 SOL\nQuantity: 0.004\nTick Index: 44\n"
        "Coin: solana"
    ),
    "a chat message": "Event Type: newChatMessage\nPlayer: Bob (Level 1)\nMessage: to the moon 🚀🚀\nTag: none",
    "a field": (
        "Field data.price of the event gameStateUpdate: a number, always present. The current multiplier of the game,"
        " from 1.0 up to the moment it rugs."
    ),
    "a game in short": (
        f"Game {_GAME} lasted 142 ticks, rose to 12.4x at tick 97 and rugged at tick 141. Ada bought 0.05 SOL at 1.2x"
        " and sold all at 9.8x; Bob lost 1 SOL."
    ),
    "emoji alone": "🚀🔥💎🙌",
    "an emoji in several parts": "👩‍👩‍👧‍👦",
    "accents": "café Größe naïve Ångström Ελλάδα",
    "accents in two parts": "cafe\u0301 Gro\u0308\u00dfe",
    "Chinese and Japanese": "价格 レバレッジ 日本",
    "Korean": "가격이 떨어졌다",
    "Arabic": "انهار السعر",
    "Cyrillic": "Цена упала",
    "control characters": "a\u0000b\u0007c\u200bd\ufeffe",
    "spaces of all kinds": "  price \t\t tick\r\n\r\n\u00a0rug\u2003 ",
    "special tokens": "[CLS] price [SEP] [MASK] [PAD] [UNK]",
    "punctuation": "!?...;;--__(({{[[<<>>]]}}))'\"`~@#$%^&*+=|\\/",
    "a word that is too long": "x" * 120,
    "just as long as is read": "tick " * 254,
    "longer than is read": "The price rose, and then the game rugged. " * 60,
    "a long text without spaces": "价" * 400,
}


def reference_vectors() -> dict[str, Any]:
    """Return texts with their vectors, and what computed them.

    Raises:
        CannotBeMadeError: if torch or sentence-transformers cannot be installed.
    """
    torch_env.make()
    folder = default_model_folder()
    with worker(torch_env.PYTHON, f"sentence-transformers:{folder}") as oracle:
        # One by one: nothing is padded.
        vectors = [oracle.embed([text]).vectors[0] for text in TEXTS.values()]
        about = oracle.about
    return {
        "model": DEFAULT_MODEL,
        "dimension": about["identity"]["dimension"],
        "precision": about["identity"]["precision"],
        "package": WEIGHTS_PACKAGE,
        "weights_sha256": sha256_of(folder / WEIGHTS),
        "made_with": about["versions"],
        "vectors": [
            {"name": name, "text": text, "vector": [round(float(number), _DIGITS) for number in vector]}
            for (name, text), vector in zip(TEXTS.items(), vectors, strict=True)
        ],
    }


def main() -> None:
    """Write the file that is named as the argument, a text on each line."""
    content = reference_vectors()
    rows = ",\n".join(json.dumps(row) for row in content.pop("vectors"))
    head = json.dumps(content, indent=1).removesuffix("\n}")
    Path(sys.argv[1]).write_text(f'{head},\n "vectors": [\n{rows}\n]}}\n')


if __name__ == "__main__":
    main()
