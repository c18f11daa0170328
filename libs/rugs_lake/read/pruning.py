"""Which files need not be opened: what the catalog knows of each file, asked before DuckDB sees it.

Conditions leave files out, never rows: what they let pass holds every row that was asked for, and others. A file of
which the catalog does not know enough stays.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator
from typing import Final, NamedTuple

from rugs_lake.store import held
from rugs_lake.store.catalog import Catalog
from rugs_lake.store.schema import BY_NAME


class Conditions(NamedTuple):
    """What rows are asked for; None: all. See `rugs_lake.open`."""

    doc_types: Collection[str] | None = None
    dates: tuple[dt.date | None, dt.date | None] | None = None
    games: Collection[str] | None = None
    sessions: Collection[tuple[str, str]] | None = None
    above: tuple[str, int] | None = None

    def check(self) -> None:
        """Raise TypeError where one text stands for several: its letters would be taken for names."""
        for name, values in (("doc_types", self.doc_types), ("games", self.games), ("sessions", self.sessions)):
            if isinstance(values, str):
                raise TypeError(f"{name} is one text, and not a collection of them: {values!r}")

    def admit(self, doc_type: str, date: dt.date) -> bool:
        """Whether a file of this partition may hold rows that are asked for."""
        first, last = self.dates or (None, None)
        return (
            (self.doc_types is None or doc_type in self.doc_types)
            and (first is None or first <= date)
            and (last is None or date <= last)
        )


ALL: Final = Conditions()
"""Everything is asked for."""


def excluded_files(catalog: Catalog, asked: Conditions) -> set[int]:
    """Return the files that are known to hold nothing of the games, sessions and sequences asked for."""
    excluded: set[int] = set()
    if asked.games is not None:
        excluded.update(_without_games(catalog, sorted(asked.games)))
    if asked.above is not None:
        excluded.update(_not_above(catalog, asked.above[1]))
    if asked.games is not None or asked.sessions is not None or asked.above is not None:
        known = {file_id for (file_id,) in catalog.all(_WITH_ALL_ENTRIES, held.ALL)}
        for holders in _holders(catalog, asked):
            excluded |= known - holders
    return excluded


def _without_games(catalog: Catalog, games: list[str]) -> Iterator[int]:
    """Give the files whose least and greatest game leave none of the games between them."""
    keys = [game.encode() for game in games]  # compared as the statistics were made: by bytes
    keys.sort()
    for file_id, least, greatest in catalog.all(_STATISTICS, BY_NAME["game_id"].field_id):
        place = bisect_left(keys, least.encode())
        if place == len(keys) or keys[place] > greatest.encode():
            yield file_id


def _not_above(catalog: Catalog, seq: int) -> Iterator[int]:
    """Give the files whose sequences are all at or below one, whatever their incarnation."""
    for file_id, _, greatest in catalog.all(_STATISTICS, BY_NAME["stream_seq"].field_id):
        if int(greatest) <= seq:
            yield file_id


def _holders(catalog: Catalog, asked: Conditions) -> Iterator[set[int]]:
    """Give for each condition the files that have an entry for it."""
    if asked.games is not None:
        yield _with_entry(catalog, (held.game_scope(game) for game in asked.games))
    if asked.sessions is not None:
        scopes = (scope for session in asked.sessions for scope in held.session_scopes(*session))
        yield _with_entry(catalog, scopes)
    if asked.above is not None:
        incarnation, seq = asked.above
        rows = catalog.all(f"{_ENTRY} AND last_pos > ?", held.incarnation_scope(incarnation), seq)
        yield {file_id for (file_id,) in rows}


def _with_entry(catalog: Catalog, scopes: Iterable[bytes]) -> set[int]:
    return {file_id for scope in scopes for (file_id,) in catalog.all(_ENTRY, scope)}


_ENTRY: Final = "SELECT data_file_id FROM rugs_scope WHERE scope = ?"
_STATISTICS: Final = (
    "SELECT data_file_id, min_value, max_value FROM ducklake_file_column_stats"
    " WHERE column_id = ? AND min_value IS NOT NULL AND max_value IS NOT NULL"
)
_WITH_ALL_ENTRIES: Final = (
    "SELECT data_file_id FROM rugs_scope JOIN ducklake_data_file USING (data_file_id)"
    " WHERE scope = ? AND last_pos = record_count AND end_snapshot IS NULL"
)
"""Files whose entries are all there: a file that was replaced has lost them, and older snapshots still read it."""
