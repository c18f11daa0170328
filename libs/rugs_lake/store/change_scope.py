"""Which stored rows a change is about, and what the rows that it changed belonged to."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass, fields
from functools import reduce
from typing import Any, Final, NamedTuple, Self

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from rugs_core.time import EPOCH_DAY
from rugs_lake.store.owners import OWNER_COLUMNS
from rugs_lake.store.rows import Row

MASK_COLUMNS: Final = ("id", "date", "game_id", "owner", *OWNER_COLUMNS)
"""The columns of a file that `ChangeScope.mask` needs; those of the owner, where the file has no owners."""
_IMPORT: Final = "import"


@dataclass(frozen=True)
class ChangeScope:
    """Which rows are meant: those that meet every condition given; one without conditions means no row at all.

    Attributes:
        dates: first and last date of the rows, UTC, both included; None: no end.
        session: source and session id.
        ids: event ids, 32 hex digits each.
        imported: whether the rows were imported; None: either.
    """

    doc_type: str | None = None
    dates: tuple[dt.date | None, dt.date | None] | None = None
    session: tuple[str, str] | None = None
    game: str | None = None
    owner: str | None = None
    ids: frozenset[str] | None = None
    imported: bool | None = None

    @property
    def is_empty(self) -> bool:
        """Whether no condition is given."""
        return all(getattr(self, each.name) is None for each in fields(self))

    def as_dict(self) -> dict[str, Any]:
        """Return the conditions that are given, as JSON can say them."""
        given = {each.name: getattr(self, each.name) for each in fields(self)}
        if self.dates is not None:
            given["dates"] = [None if date is None else date.isoformat() for date in self.dates]
        if self.ids is not None:
            given["ids"] = sorted(self.ids)
        return {name: value for name, value in given.items() if value is not None}

    def dump(self) -> str:
        """Return the text that the catalog keeps."""
        return orjson.dumps(self.as_dict()).decode()

    @classmethod
    def load(cls, text: str) -> Self:
        """Return the scope of a text from `dump`."""
        given = orjson.loads(text)
        if "dates" in given:
            first, last = (None if date is None else dt.date.fromisoformat(date) for date in given["dates"])
            given["dates"] = (first, last)
        if "session" in given:
            given["session"] = tuple(given["session"])
        if "ids" in given:
            given["ids"] = frozenset(given["ids"])
        return cls(**given)

    def admits(self, doc_type: str, date: dt.date) -> bool:
        """Return whether a file of this partition may hold rows of the scope."""
        first, last = self.dates or (None, None)
        return (
            (self.doc_type is None or doc_type == self.doc_type)
            and (first is None or first <= date)
            and (last is None or date <= last)
        )

    def mask(self, table: pa.Table) -> pa.ChunkedArray | pa.Array:
        """Return for each row of a lake's table (columns of `ARROW_SCHEMA`) whether it is meant: true or false."""
        if self.is_empty:
            return pa.repeat(False, table.num_rows)
        masks = [pa.chunked_array([pa.repeat(True, table.num_rows)])]
        for name, value in (("doc_type", self.doc_type), ("game_id", self.game), ("owner", self.owner)):
            if value is not None:
                masks.append(pc.equal(table[name], value))
        if self.session is not None:
            masks += [pc.equal(table["source"], self.session[0]), pc.equal(table["session_id"], self.session[1])]
        for end, compare in zip(self.dates or (None, None), (pc.greater_equal, pc.less_equal), strict=True):
            if end is not None:
                masks.append(compare(table["date"], pa.scalar(end, pa.date32())))
        if self.ids is not None:
            wanted = pa.array([bytes.fromhex(each) for each in self.ids], table.schema.field("id").type)
            masks.append(pc.is_in(table["id"], value_set=wanted))
        if self.imported is not None:
            masks.append((pc.equal if self.imported else pc.not_equal)(table["source"], _IMPORT))
        return pc.fill_null(reduce(pc.and_, masks), False)

    def matches(self, row: Row) -> bool:
        """Return whether a row that is about to be stored is meant."""
        envelope = row.event.envelope
        _, day = row.partition
        return (
            not self.is_empty
            and (self.game is None or envelope.game_id == self.game)
            and (self.session is None or (envelope.source, envelope.session_id) == self.session)
            and (self.owner is None or row.owner == self.owner)
            and (self.ids is None or row.event.digest.hex() in self.ids)
            and (self.imported is None or (envelope.source == _IMPORT) == self.imported)
            and self.admits(envelope.doc_type, EPOCH_DAY + dt.timedelta(days=day))
        )


class Touched(NamedTuple):
    """What the rows of a change belonged to, before it and after it."""

    games: frozenset[str]
    sessions: frozenset[tuple[str, str]]
    doc_types: frozenset[str]
    dates: frozenset[dt.date]

    def dump(self) -> str:
        """Return the text that the catalog keeps."""
        lists = {
            "games": sorted(self.games),
            "sessions": sorted(self.sessions),
            "doc_types": sorted(self.doc_types),
            "dates": sorted(self.dates),
        }
        return orjson.dumps(lists).decode()

    @classmethod
    def load(cls, text: str) -> Self:
        """Return what a text from `dump` says."""
        loaded = orjson.loads(text)
        dates = frozenset(map(dt.date.fromisoformat, loaded["dates"]))
        sessions = frozenset((source, session_id) for source, session_id in loaded["sessions"])
        return cls(frozenset(loaded["games"]), sessions, frozenset(loaded["doc_types"]), dates)


def touched_by(tables: Collection[pa.Table]) -> Touched:
    """Return what the rows of some tables belong to."""
    games: set[str] = set()
    sessions: set[tuple[str, str]] = set()
    doc_types: set[str] = set()
    dates: set[dt.date] = set()
    for table in tables:
        games.update(game for game in pc.unique(table["game_id"]).to_pylist() if game is not None)
        keys = ["source", "session_id"]
        for key in table.select(keys).group_by(keys, use_threads=False).aggregate([]).to_pylist():
            sessions.add((key["source"], key["session_id"]))
        doc_types.update(pc.unique(table["doc_type"]).to_pylist())
        dates.update(pc.unique(table["date"]).to_pylist())
    return Touched(frozenset(games), frozenset(sessions), frozenset(doc_types), frozenset(dates))


def merged(parts: Collection[Touched]) -> Touched:
    """Return what all parts together touched."""
    return Touched(*(frozenset().union(*each) for each in zip(*parts, strict=True))) if parts else NOTHING


NOTHING: Final = Touched(frozenset(), frozenset(), frozenset(), frozenset())
