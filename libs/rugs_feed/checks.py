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
has_game_id,    the rules read game id, tick and price from a source's game states: without all three
has_tick,       they derive no tick. A check fails once where the value is missing for longer than any
has_price       phase of a game lasts, and recovers with the first state that has it
==============  ===========================================================================
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

KEPT_FINDINGS: Final = 100
MOST_IN_PLAY: Final = 20
"""Game states in a row that may lack a value although they are no countdown's: about 4 seconds of a live feed."""
MOST_IN_ALL: Final = 500
"""Game states in a row that may lack a value, whatever they say: about 2 minutes. A countdown takes 15 seconds."""


class Finding(NamedTuple):
    """A check that failed: of which game, and the id of the event that said so.

    `source` is given where the check is of a source and not of a game. `recovered` says that it holds again.
    """

    check: str
    game_id: str
    cause: str
    detail: str
    source: str | None = None
    recovered: bool = False


@dataclass(slots=True)
class _Run:
    """Game states in a row without a value; `in_play` are those that are no countdown's."""

    states: int = 0
    in_play: int = 0
    is_reported: bool = False


class StateWatch:
    """Notices when the rules read no game id, tick or price from a source's game states any more."""

    def __init__(self) -> None:
        self._runs: dict[tuple[str, str], _Run] = {}

    @property
    def missing(self) -> dict[str, dict[str, int]]:
        """By source, what is missing now, and from how many game states in a row."""
        found: dict[str, dict[str, int]] = {}
        for (source, value), run in self._runs.items():
            if run.is_reported:
                found.setdefault(source, {})[value] = run.states
        return found

    def take(self, source: str, game_id: str | None, said: Mapping[str, Any], cause: str) -> Iterator[Finding]:
        """Give what a game state changes: a value has been missing for too long, or is there again.

        `said` is what `extract` read from the state: nothing where it cannot be read at all.
        """
        is_countdown = "cooldown_timer" in said and not said.get("active") and not said.get("rugged")
        has = (("game_id", game_id is not None), ("tick", said.get("tick", -1) >= 0), ("price", "price" in said))
        for value, is_there in has:
            if is_there:
                run = self._runs.pop((source, value), None)
                if run is not None and run.is_reported:
                    detail = f"read again, after {run.states:,} game states without it"
                    yield Finding(f"has_{value}", "", cause, detail, source, recovered=True)
                continue
            run = self._runs.setdefault((source, value), _Run())
            run.states += 1
            run.in_play += value == "game_id" or not is_countdown  # a countdown says neither tick nor price
            if not run.is_reported and (run.in_play >= MOST_IN_PLAY or run.states >= MOST_IN_ALL):
                run.is_reported = True
                detail = f"not read from the last {run.states:,} game states"
                yield Finding(f"has_{value}", "", cause, detail, source)


class Tally:
    """Counts by name, only ever added to, and the last failures of checks.

    A check counts under `check.<name>.held` and `check.<name>.failed`.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.findings: deque[Finding] = deque(maxlen=KEPT_FINDINGS)
        self.states = StateWatch()

    def held(self, check: str) -> None:
        """Count a check that holds."""
        self.counts[f"check.{check}.held"] += 1

    def failed(self, check: str, game_id: str, cause: str, detail: str = "") -> None:
        """Count a check that fails, and remember it."""
        self._report(Finding(check, game_id, cause, detail[:200]))

    def saw_state(self, source: str, game_id: str | None, said: Mapping[str, Any], cause: str) -> None:
        """Check that a source's game states still say what ticks need: see `StateWatch.take`."""
        for found in self.states.take(source, game_id, said, cause):
            self._report(found)

    def _report(self, found: Finding) -> None:
        if not found.recovered:
            self.counts[f"check.{found.check}.failed"] += 1
            self.findings.append(found)

    @property
    def failures(self) -> dict[str, int]:
        """How often each check has failed; those that never did are left out."""
        return {
            name.removeprefix("check.").removesuffix(".failed"): count
            for name, count in sorted(self.counts.items())
            if name.startswith("check.") and name.endswith(".failed")
        }
