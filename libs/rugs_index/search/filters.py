"""Which chunks a search may find: conditions on their metadata, and whose they may be.

Conditions are values all the way down to the store; no text of a user becomes part of a query's text.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import reduce
from operator import and_
from typing import Any, Final, NamedTuple

from rugs_index.table import lance, schema
from rugs_index.table.row import storable

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_FIRST: Final = dt.datetime.min.replace(tzinfo=dt.UTC)
_LAST: Final = dt.datetime.max.replace(tzinfo=dt.UTC)


class Owners(Enum):
    """Whose chunks, where it is not one user's."""

    EVERYONE = "everyone"


EVERYONE: Final = Owners.EVERYONE
"""All chunks, whoever owns them: for files of one's own, and for the owner of the machine."""


class Range(NamedTuple):
    """Numbers from `least` to `most`, both included; None: no limit."""

    least: float | None = None
    most: float | None = None


ANY_NUMBER: Final = Range()
"""No limit."""


@dataclass(frozen=True)
class Filters:
    """Conditions that a chunk has to fulfil, all of them. By default: every public chunk.

    Attributes:
        owner: None: public chunks only; a user: theirs as well; `EVERYONE`: all.
        since, until: microseconds since the Unix epoch. A chunk is about a moment or a span; it is found where that has
            a moment with since <= moment < until. Chunks that are about no time are then not found.
        kinds, doc_types, events: one of these; empty: any.
        game_id, session_id, field_path: exactly this; None: any.
        player: the id or the name of a player.
        source: a part of the source's name.
        ticks, peak, rug_tick, duration_s: of a game; with a limit, only chunks that have such a number are found.
    """

    owner: str | Owners | None = None
    since: int | None = None
    until: int | None = None
    kinds: Collection[str] = ()
    doc_types: Collection[str] = ()
    events: Collection[str] = ()
    game_id: str | None = None
    session_id: str | None = None
    field_path: str | None = None
    player: str | None = None
    source: str | None = None
    ticks: Range = ANY_NUMBER
    peak: Range = ANY_NUMBER
    rug_tick: Range = ANY_NUMBER
    duration_s: Range = ANY_NUMBER


PUBLIC: Final = Filters()
"""Every public chunk."""


def expression(filters: Filters) -> Any | None:
    """Return filters as a condition of LanceDB; None if they let everything through."""
    conditions = list(_conditions(filters))
    return reduce(and_, conditions) if conditions else None


def _conditions(filters: Filters) -> Iterator[Any]:
    expr = lance.part("expr")
    col, lit = expr.col, expr.lit

    def equals(name: str, value: str) -> Any:
        return col(name) == lit(storable(value))

    if not isinstance(filters.owner, Owners):
        owners = {schema.PUBLIC, storable(filters.owner or schema.PUBLIC)}
        yield col("owner").isin(sorted(owners))
    if filters.since is not None:
        yield col(schema.ENDS) >= lit(_moment(filters.since))
    if filters.until is not None:
        yield col(schema.STARTS) < lit(_moment(filters.until))
    for name, values in (("kind", filters.kinds), ("doc_type", filters.doc_types), ("event_type", filters.events)):
        if values:
            yield col(name).isin(sorted({storable(value) for value in values}))
    for name in ("game_id", "session_id", "field_path"):
        value = getattr(filters, name)
        if value is not None:
            yield equals(name, value)
    if filters.player is not None:
        yield equals("player", filters.player) | equals("username", filters.player)
    if filters.source:
        yield col("source").contains(lit(storable(filters.source)))
    for name in schema.NUMBERS:
        least, most = getattr(filters, name)
        if least is not None:
            yield col(name) >= lit(float(least))
        if most is not None:
            yield col(name) <= lit(float(most))


def _moment(microseconds: int) -> dt.datetime:
    """Return a moment as a `datetime`; those that it cannot say as the first or the last that it can."""
    try:
        return _EPOCH + dt.timedelta(microseconds=microseconds)
    except OverflowError:
        return _FIRST if microseconds < 0 else _LAST
