"""The index policy: which events get a chunk each, which are sampled, which are only counted in summaries.

A feed sends millions of events a year that differ in a digit. A chunk costs an embedding, and near-identical chunks
crowd out the ones that answer. So what comes at a high rate is sampled within its game or summarised, and every
treatment has a bound for each scope (a game, or an hour of a session):

==============  ======================================================================================================
`each`          the first events of the scope, at most `most`; an event that repeats another one's name and payload,
                from the same source or another one, counts once
`sampled`       game states: the first one of each phase of the game, and the first one at 2x, 5x, 10x, 20x, 50x, ...
                up to 1,000,000x: at most 24 of a game. Trades: the largest by amount. Any other event: the 1st, the
                2nd, the 4th, the 8th, ... that says something new
`summarised`    none; the summaries of games and sessions count them
`none`          none, and no summary counts them
==============  ======================================================================================================

The table of a setting goes before `DEFAULT`; of all rules, the first whose pattern fits counts. Rates that `DEFAULT`
rests on (captures of December 2025): game states 4 to 12 a second, gameStatePlayerUpdate the same, trades 0.4 a second,
chat 0.1 a second, all else less than one a minute. Ticks are a copy of the game states: they are only summarised.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cached_property
from heapq import nlargest
from typing import Final, NamedTuple, Protocol, TypeVar

from rugs_core.errors import RugsError

MOST: Final = 1000
"""Chunks that a rule gives in one scope where it says no number."""
MOST_TRADES: Final = 8
STATE: Final = "gameStateUpdate"
TRADE: Final = "standard/newTrade"
MULTIPLIERS: Final = tuple(digit * 10**power for power in range(7) for digit in (1, 2, 5))[1:-2]
"""Prices, as multiples of the start price, that a game state is kept for when its game first reaches them."""


class PolicyError(RugsError, ValueError):
    """The table of an index policy cannot be used: which rule, and what it should be."""


class Treatment(StrEnum):
    """What becomes of an event."""

    EACH = "each"
    SAMPLED = "sampled"
    SUMMARISED = "summarised"
    NONE = "none"


class Rule(NamedTuple):
    """A line of the table.

    Attributes:
        pattern: of event names; `*` stands for any characters, `?` for one.
        most: chunks of one event in one scope.
    """

    pattern: str
    treatment: Treatment
    most: int = MOST

    def __str__(self) -> str:
        bound = f":{self.most}" if self.most != MOST and self.treatment in _BOUNDED else ""
        return f"{self.pattern}={self.treatment}{bound}"


_BOUNDED: Final = (Treatment.EACH, Treatment.SAMPLED)
_DEFAULT: Final = (
    Rule(STATE, Treatment.SAMPLED),
    Rule(TRADE, Treatment.SAMPLED, MOST_TRADES),
    Rule("gameStatePlayerUpdate", Treatment.SUMMARISED),
    Rule("tick", Treatment.SUMMARISED),
    Rule("game_tick", Treatment.SUMMARISED),
    Rule("ping", Treatment.NONE),
    Rule("pong", Treatment.NONE),
    Rule("noop", Treatment.NONE),
    Rule("newChatMessage", Treatment.EACH, 2000),
    Rule("*", Treatment.EACH, 100),
)


class _Row(Protocol):
    """What of a row the policy looks at: see `rugs_index.rows.StoredRow`."""

    @property
    def id(self) -> str: ...
    @property
    def event(self) -> str: ...
    @property
    def owner(self) -> str | None: ...
    @property
    def phase(self) -> str | None: ...
    @property
    def price(self) -> float | None: ...
    @property
    def amount(self) -> float | None: ...


Row = TypeVar("Row", bound=_Row)


@dataclass(frozen=True)
class Policy:
    """An index policy: its rules, of which the first that fits counts."""

    rules: tuple[Rule, ...]

    def rule_of(self, event: str) -> Rule:
        """Return the rule of an event."""
        if event not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[event] = next(rule for rule in self.rules if fnmatchcase(event, rule.pattern))
        return self._known[event]

    def needs_content(self, event: str) -> bool:
        """Return whether `chosen` asks what rows of an event say, and not only for their columns."""
        treatment = self.rule_of(event).treatment
        return treatment is Treatment.EACH or (treatment is Treatment.SAMPLED and event != STATE)

    def __str__(self) -> str:
        return ", ".join(map(str, self.rules))

    @cached_property
    def _known(self) -> dict[str, Rule]:
        return {}


_MOST_KNOWN: Final = 4096
DEFAULT: Final = Policy(_DEFAULT)


def parse(setting: str | Mapping[str, str] | None) -> Policy:
    """Return the policy of a setting.

    Args:
        setting: `EVENT=TREATMENT` or `EVENT=TREATMENT:MOST`, with commas or on lines, or a map of the same; empty: the
            default.

    Raises:
        PolicyError: if it cannot be used.
    """
    if not setting:
        return DEFAULT
    if isinstance(setting, str):
        parts = [part.strip() for part in setting.replace("\n", ",").split(",") if part.strip()]
    else:
        parts = [f"{pattern}={treatment}" for pattern, treatment in setting.items()]
    rules: dict[str, Rule] = {}
    for place, part in enumerate(parts, start=1):
        rule = _rule(part, place)
        if rule.pattern in rules:
            raise PolicyError(f"index policy, rule {place}: {rule.pattern} is there twice: remove one")
        rules[rule.pattern] = rule
    return Policy((*rules.values(), *DEFAULT.rules))


def _rule(text: str, place: int) -> Rule:
    pattern, equals, treatment = (part.strip() for part in text.rpartition("="))
    name, colon, most = (part.strip() for part in treatment.partition(":"))
    known = ", ".join(Treatment)
    if not equals or not pattern:
        raise PolicyError(f"index policy, rule {place}: write EVENT=TREATMENT, not {text!r}; treatments: {known}")
    if name not in tuple(Treatment):
        raise PolicyError(f"index policy, rule {place}: no such treatment: {name!r}; there are {known}")
    default = MOST_TRADES if (pattern, name) == (TRADE, Treatment.SAMPLED) else MOST
    if not colon:
        return Rule(pattern, Treatment(name), default)
    if name not in _BOUNDED or not most.isascii() or not most.isdigit() or not int(most[:9]):
        raise PolicyError(f"index policy, rule {place}: a number from 1 on goes behind each or sampled, not {text!r}")
    return Rule(pattern, Treatment(name), int(most[:9]))


def chosen(rows: Iterable[Row], policy: Policy, content_of: Callable[[Row], Hashable]) -> list[Row]:
    """Return the rows of a scope that get a chunk each, in their order. Pure; repeated rows change nothing.

    The rows of each event and owner are chosen from by themselves: what an owner's rows are changes nothing for all.

    Args:
        rows: of one scope, in their order.
        content_of: is equal for rows that say the same; called, in their order, for rows of events that
            `Policy.needs_content` names, until there are enough of them.
    """
    groups: defaultdict[tuple[str, str | None], list[tuple[int, Row]]] = defaultdict(list)
    for place, row in enumerate(rows):
        groups[row.event, row.owner].append((place, row))
    kept: list[tuple[int, Row]] = []
    for (event, _), group in groups.items():
        kept += _chosen_of_event(event, group, policy.rule_of(event), content_of)
    return [row for _, row in sorted(kept, key=lambda pair: pair[0])]


def _chosen_of_event(
    event: str, group: Sequence[tuple[int, Row]], rule: Rule, content_of: Callable[[Row], Hashable]
) -> list[tuple[int, Row]]:
    if rule.treatment not in _BOUNDED:
        return []
    if event == STATE and rule.treatment is Treatment.SAMPLED:
        return _telling_states(group)[: rule.most]
    distinct: dict[Hashable, tuple[int, Row]] = {}
    for place, row in group:
        if rule.treatment is Treatment.EACH and len(distinct) == rule.most:
            break
        distinct.setdefault(content_of(row), (place, row))
    found = list(distinct.values())
    if rule.treatment is Treatment.EACH:
        return found
    if event == TRADE:
        return nlargest(rule.most, found, key=lambda pair: (pair[1].amount or 0.0, -pair[0]))
    return [pair for place, pair in enumerate(found, start=1) if place & (place - 1) == 0][: rule.most]


def _telling_states(group: Sequence[tuple[int, Row]]) -> list[tuple[int, Row]]:
    """Return the first state of each phase, and the first that reaches each of `MULTIPLIERS`."""
    kept = []
    phases: set[str | None] = set()
    reached = 0
    for place, row in group:
        level = bisect_right(MULTIPLIERS, row.price) if row.price is not None else 0
        if row.phase not in phases or level > reached:
            kept.append((place, row))
        phases.add(row.phase)
        reached = max(reached, level)
    return kept
