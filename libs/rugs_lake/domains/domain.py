"""What the lake knows of a domain: typed columns, views, who owns which rows, and for how long rows are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa

from rugs_proto.domains import domain as contract

FieldType = tuple[pa.DataType, str]
"""A column's type in Arrow and in DuckLake."""

TEXT: Final[FieldType] = (pa.string(), "varchar")
INT: Final[FieldType] = (pa.int64(), "int64")
REAL: Final[FieldType] = (pa.float64(), "float64")
BOOL: Final[FieldType] = (pa.bool_(), "boolean")

FIELDS: Final = "fields."
"""What the name of a key of `fields` begins with, where keys of the envelope are named beside it."""


@dataclass(frozen=True)
class Private:
    """Which rows of a doc type are private, and whose they are. Rows of other doc types are public.

    It is data and no function: it is applied to envelopes, by DuckDB and by Arrow, see `rugs_lake.store.owners`.

    Attributes:
        owner: the key of the envelope, or `fields.KEY`, that names the owner. A row that names nobody belongs to
            its session, `SOURCE/SESSION_ID`.
        directions, events: a row with one of these is private. Where both are empty, every row is.
        by_session: whether a row that names nobody belongs to the owner that its session named before, if any.
    """

    owner: str
    directions: frozenset[str] = frozenset()
    events: frozenset[str] = frozenset()
    by_session: bool = False

    @property
    def is_always(self) -> bool:
        """Whether every row is private."""
        return not self.directions and not self.events

    def named_by(self, said: contract.Said) -> str | None:
        """Return the owner that a row names, empty if it names nobody; None if the row is public."""
        is_listed = said.direction in self.directions or said.event in self.events
        if not is_listed and (self.directions or self.events):  # not `is_always`: this is the writer's hot path
            return None
        if self.owner.startswith(FIELDS):
            named = said.fields.get(self.owner.removeprefix(FIELDS))
            return named if type(named) is str else ""
        return getattr(said, self.owner) or ""


@dataclass(frozen=True)
class Domain:
    """What the lake knows of one domain.

    Attributes:
        contract: the contract's half, which has the doc types.
        columns: keys of `fields` that have a column of their own. All others are in `extra`: a domain that came
            after schema version 1.0.0 has views over it, because columns need a new version of the schema.
        views: queries over the views of the doc types, by the name of their own view.
        private: the private doc types.
        retention: days for which rows of a doc type are kept by default; for ever where it is not named.
    """

    contract: contract.Domain
    columns: Mapping[str, FieldType] = field(default_factory=dict)
    views: Mapping[str, str] = field(default_factory=dict)
    private: Mapping[str, Private] = field(default_factory=dict)
    retention: Mapping[str, int] = field(default_factory=dict)
