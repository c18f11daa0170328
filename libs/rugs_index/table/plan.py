"""What one commit has to write and delete, so that scopes have the rows that they shall have. Pure.

A row that goes gives its key to a row that comes, in whatever scope. So a scope whose chunks changed is one update by
key, which LanceDB does through the index; deleting and inserting in one commit would read the whole table.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from rugs_index.table.row import Row


class Stored(NamedTuple):
    """What is known of a row of the table."""

    key: str
    scope_key: str
    owner: str
    id: str
    content: bytes


@dataclass
class Plan:
    """One commit.

    Attributes:
        rows, keys: what is written, and under which keys.
        inserted: how many of the rows have a key that the table does not have.
        deleted: keys of rows that go.
        unchanged: how many rows are as they shall be.
    """

    rows: list[Row] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    inserted: int = 0
    deleted: list[str] = field(default_factory=list)
    unchanged: int = 0

    def __bool__(self) -> bool:
        """Whether anything has to be written."""
        return bool(self.rows or self.deleted)


def plan(
    stored: Iterable[Stored],
    wanted: Iterable[Row],
    *,
    keeps_others: bool = False,
) -> Plan:
    """Return what makes of the stored rows of some scopes the wanted ones.

    Args:
        stored: all rows of the scopes of `wanted`, and of those that shall be empty.
        wanted: each id once for each scope and owner.
        keeps_others: whether stored rows that are not wanted stay.
    """
    made = Plan()
    known: dict[tuple[str, str, str], Stored] = {}
    free: list[str] = []
    for each in stored:
        identity = each.scope_key, each.owner, each.id
        if identity in known:  # two writers without a common lock: one of the two is too many
            free.append(each.key)
        else:
            known[identity] = each
    new: list[Row] = []
    for row in wanted:
        old = known.pop((row.scope_key, row.owner, row.id), None)
        if old is None:
            new.append(row)
        elif old.content == row.content:
            made.unchanged += 1
        else:
            made.rows.append(row)
            made.keys.append(old.key)
    if not keeps_others:
        free += [each.key for each in known.values()]
    made.inserted = max(0, len(new) - len(free))
    made.rows += new
    made.keys += [free.pop() if free else uuid.uuid4().hex for _ in new]
    made.deleted = free
    return made
