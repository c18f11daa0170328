"""The rows of a scope that may get a chunk each: thinned while they are read, so that a scope of any size fits."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from rugs_index.policy import STATE, TRADE, Policy, Treatment, chosen
from rugs_index.rows import StoredRow

THINNED_AT: Final = 4096
"""Rows of one event and owner at which those that cannot be chosen any more are forgotten."""
LOOKED_AT: Final = 8
"""Of an event that repeats itself, the first so many times as many rows are looked at as get a chunk."""
_WITHOUT: Final = (Treatment.SUMMARISED, Treatment.NONE)


@dataclass(eq=False, slots=True)
class _Group:
    """The rows of one event and owner.

    Attributes:
        most: rows that are kept at the same time.
        is_thinned: whether, when there are so many, the chosen ones of them are kept, and later ones as well.
    """

    most: int
    is_thinned: bool
    rows: list[StoredRow] = field(default_factory=list)


class Candidates:
    """Rows of one scope, which come in their order; which ones they are does not depend on anything else."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._groups: dict[tuple[str, str | None], _Group] = {}

    def __len__(self) -> int:
        return sum(len(group.rows) for group in self._groups.values())

    def add(self, row: StoredRow) -> None:
        """Take the next row."""
        key = (row.event, row.owner)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = self._group_of(row.event)
        if len(group.rows) < group.most:
            group.rows.append(row)
        elif group.is_thinned:
            self._thin(group)
            group.rows.append(row)

    def settle(self) -> None:
        """Forget the rows that will not be chosen, as far as that is known already: no more rows come."""
        for group in self._groups.values():
            if group.is_thinned:
                self._thin(group)

    def needing_content(self) -> Iterator[StoredRow]:
        """Give those of which it must be known what they say before they can be chosen."""
        for (event, _), group in self._groups.items():
            if event != TRADE and self._policy.needs_content(event):
                yield from group.rows

    def chosen(self, contents: Mapping[str, Hashable]) -> list[StoredRow]:
        """Return the rows that get a chunk each, in their order.

        Args:
            contents: equal for rows that say the same, by id; of those that `needing_content` gives.
        """

        def content_of(row: StoredRow) -> Hashable:
            return content_of_columns(row) if row.event == TRADE else contents.get(row.id, row.id)

        rows = sorted((row for group in self._groups.values() for row in group.rows), key=lambda row: row.order)
        return chosen(rows, self._policy, content_of)

    def _thin(self, group: _Group) -> None:
        group.rows = chosen(group.rows, self._policy, content_of_columns)

    def _group_of(self, event: str) -> _Group:
        """Return an empty group: of game states and trades, the chosen ones of some stand for all of these."""
        rule = self._policy.rule_of(event)
        if rule.treatment in _WITHOUT:
            return _Group(0, is_thinned=False)
        if event in (STATE, TRADE) and rule.treatment is Treatment.SAMPLED:
            return _Group(max(THINNED_AT, 2 * rule.most), is_thinned=True)
        return _Group(LOOKED_AT * rule.most, is_thinned=False)


def content_of_columns(row: StoredRow) -> Hashable:
    """Return what is equal for rows of the same trade, whoever recorded it: its id, or what its columns say."""
    trade_id = row.extras.get("trade_id")
    if isinstance(trade_id, str):
        return trade_id
    said = (row.player_id, row.username, row.action, row.amount, row.price, row.tick)
    return row.id if all(each is None for each in said) else said
