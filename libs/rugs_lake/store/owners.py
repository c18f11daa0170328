"""Whose a row is: null is public, anything else the one user who may see it.

The domains declare what is private (`rugs_lake.domains.PRIVATE`). The writer applies that to each new row. Files of a
schema version that has no owners get them from the same declaration when they are read (SQL) or compacted (Arrow).

A private row that names nobody belongs to its session. Where the doc type says so, it belongs to the owner that an
earlier row of the session named: the one with the highest `seq` that is not above its own. The catalog keeps these
names, written in the transaction that commits their rows, so the answer depends on the stream's order alone: neither on
how it was cut into commits nor on restarts.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Iterable
from typing import Final, NamedTuple

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from rugs_lake.domains import PRIVATE
from rugs_lake.domains.domain import FIELDS, Private
from rugs_lake.store.catalog import Catalog, make_once
from rugs_lake.store.rows import Row, scope_hash
from rugs_proto.domains.domain import Said

_TABLE: Final = "rugs_session_owner"
_CREATE: Final = """
CREATE TABLE rugs_session_owner (
    scope BLOB NOT NULL,                -- of the session
    seq INTEGER NOT NULL,               -- of the row that named the owner, in the session
    owner TEXT NOT NULL,
    PRIMARY KEY (scope, seq)
) WITHOUT ROWID
"""

OWNER_COLUMNS: Final = ("doc_type", "source", "session_id", "direction", "event", "player_id", "username", "extra")
"""The columns that `owner_column` reads."""


class Named(NamedTuple):
    """An owner that a row of a session named: the session's scope, and the row's `seq` there."""

    scope: bytes
    seq: int
    owner: str


def begin(catalog: Catalog) -> None:
    """Make the table of the owners of sessions in a lake that has none."""
    make_once(catalog, _TABLE, lambda connection: connection.execute(_CREATE))


def add(connection: sqlite3.Connection, named: Iterable[Named]) -> None:
    """Keep what rows named, inside the caller's transaction."""
    connection.executemany("INSERT OR IGNORE INTO rugs_session_owner VALUES (?, ?, ?)", named)


class Owners:
    """The owners of one batch's rows, which must be asked in the stream's order.

    Attributes:
        named: what these rows named, to be committed with them.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.named: list[Named] = []
        self._connection = connection
        self._sessions: dict[bytes, tuple[list[int], list[str]]] = {}

    def owned(self, row: Row) -> Row:
        """Return a new row with its owner."""
        said = row.event.envelope
        rule = PRIVATE[said.doc_type]
        named = rule.named_by(said)
        if named is None:
            return row
        if rule.by_session:
            named = self._in_session(said, named)
        return row._replace(owner=named or session_owner(said))

    def _in_session(self, said: Said, named: str) -> str:
        """Return the owner that a row named, or its session did before; note what is new."""
        scope = scope_hash(said.source, said.session_id)
        if scope not in self._sessions:
            query = "SELECT seq, owner FROM rugs_session_owner WHERE scope = ? ORDER BY seq"
            rows = self._connection.execute(query, (scope,)).fetchall()
            self._sessions[scope] = [seq for seq, _ in rows], [owner for _, owner in rows]
        seqs, owners = self._sessions[scope]
        place = bisect_right(seqs, said.seq)
        before = owners[place - 1] if place else ""
        if named in ("", before):
            return before
        if not place or seqs[place - 1] != said.seq:
            seqs.insert(place, said.seq)
            owners.insert(place, named)
            self.named.append(Named(scope, said.seq, named))
        return named


def session_owner(said: Said) -> str:
    """Return the owner of private rows whose session names nobody."""
    return f"{said.source}/{said.session_id}"


def owner_of(said: Said) -> str | None:
    """Return the owner of a row by its own columns, without what its session named; None if it is public."""
    rule = PRIVATE.get(said.doc_type)
    named = None if rule is None else rule.named_by(said)
    return None if named is None else named or session_owner(said)


def owner_sql() -> str:
    """Return `owner_of` as an SQL expression over the columns of a file that has no owners."""
    cases = (
        f"WHEN doc_type = {literal(doc_type)} AND {_is_private_sql(rule)}"
        f" THEN coalesce(nullif({_named_sql(rule)}, ''), source || '/' || session_id)"
        for doc_type, rule in PRIVATE.items()
    )
    return f"CASE {' '.join(cases)} END"


def _is_private_sql(rule: Private) -> str:
    if rule.is_always:
        return "true"
    lists = (("direction", rule.directions), ("event", rule.events))
    conditions = (f"{name} IN ({', '.join(map(literal, sorted(values)))})" for name, values in lists if values)
    return f"({' OR '.join(conditions)})"


def _named_sql(rule: Private) -> str:
    if not rule.owner.startswith(FIELDS):
        return rule.owner
    path = literal(f'$."{rule.owner.removeprefix(FIELDS)}"')
    return f"CASE json_type(extra, {path}) WHEN 'VARCHAR' THEN json_extract_string(extra, {path}) END"


def literal(text: str) -> str:
    """Return a text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def owner_column(table: pa.Table, before: pa.ChunkedArray | None = None) -> pa.ChunkedArray | pa.Array:
    """Return `owner_of` for each row of a table.

    Args:
        before: the owners that rows had before they were corrected: theirs are the private rows that name nobody.
    """
    owners = pa.nulls(table.num_rows, pa.string())
    session = pc.binary_join_element_wise(table["source"], table["session_id"], "/")
    unnamed = session if before is None else pc.coalesce(before, session)
    for doc_type, rule in PRIVATE.items():
        is_private = pc.equal(table["doc_type"], doc_type)
        if not pc.any(is_private).as_py():
            continue
        if not rule.is_always:
            listed = (_is_in(table["direction"], rule.directions), _is_in(table["event"], rule.events))
            is_private = pc.and_(is_private, pc.or_(*listed))
        named = _named_column(table, rule)
        named = pc.if_else(pc.equal(named, ""), pa.scalar(None, pa.string()), named)
        owners = pc.if_else(is_private, pc.coalesce(named, unnamed), owners)
    return owners


def _is_in(column: pa.ChunkedArray, values: Iterable[str]) -> pa.ChunkedArray:
    return pc.is_in(column, value_set=pa.array(sorted(values), pa.string()))


def _named_column(table: pa.Table, rule: Private) -> pa.ChunkedArray | pa.Array:
    if not rule.owner.startswith(FIELDS):
        return table[rule.owner]
    key = rule.owner.removeprefix(FIELDS)
    found = (orjson.loads(text).get(key) if text else None for text in table["extra"].to_pylist())
    return pa.array([each if isinstance(each, str) else None for each in found], pa.string())
