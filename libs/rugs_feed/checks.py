"""What derivation counts, and what it finds that the feed should not say.

The checks, each with what was measured of the real feed:

==============  ===========================================================================
seed_matches    SHA-256 of the server seed, as text, is the hash that goes with it
peak_matches    a game's peak is the highest of its prices
seed_kept       the hash told while a game went on is the one in its history
history_prices  the prices in a game's history are those that were told while it went on
tick_price      a tick has one price, whichever frame tells it
pre_round_buys  buying before the round is allowed exactly while 100 <= cooldownTimer <= 10,000
game_retold     a completed game that is told of again is told the same
==============  ===========================================================================
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Final, NamedTuple

KEPT_FINDINGS: Final = 100


class Finding(NamedTuple):
    """A check that failed: of which game, and the id of the event that said so."""

    check: str
    game_id: str
    cause: str
    detail: str


class Tally:
    """Counts by name, only ever added to, and the last failures of checks.

    A check counts under `check.<name>.held` and `check.<name>.failed`.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.findings: deque[Finding] = deque(maxlen=KEPT_FINDINGS)

    def held(self, check: str) -> None:
        """Count a check that holds."""
        self.counts[f"check.{check}.held"] += 1

    def failed(self, check: str, game_id: str, cause: str, detail: str = "") -> None:
        """Count a check that fails, and remember it."""
        self.counts[f"check.{check}.failed"] += 1
        self.findings.append(Finding(check, game_id, cause, detail[:200]))

    @property
    def failures(self) -> dict[str, int]:
        """How often each check has failed; those that never did are left out."""
        return {
            name.removeprefix("check.").removesuffix(".failed"): count
            for name, count in sorted(self.counts.items())
            if name.startswith("check.") and name.endswith(".failed")
        }
