"""Which sessions, games and incarnations each file holds rows of, for readers: see `rugs_lake.read.pruning`.

`rugs_scope` knows the scopes in which the ids of a file are unique. A derived row's session, and the game of a frame,
are no such scopes: they get entries without positions, which no look-up for ids finds. An incarnation's entry has the
first and last stream sequence that the file holds of it. A file has all its entries if it has the entry `ALL`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from rugs_lake.store.rows import message_session, scope_hash, scope_of
from rugs_proto.domains import NATURAL

Entry = tuple[bytes, int, int]
"""A scope, and the first and last position that a file holds there."""

ALL: Final = b""
"""The scope of the entry that says that a file has all its entries. Its positions are the file's count of rows.

A program that does not know these entries may merge files of which only some have them. The entry that it carries over
then has another count than the merged file, and says nothing.
"""
_NOWHERE: Final = (2**63 - 1, -(2**63))
"""No position is at or above the first and at or below the last."""


def with_held(positions: Iterable[Entry], table: pa.Table) -> list[Entry]:
    """Return all entries of a file: the positions of its rows' scopes, and what else it holds."""
    found = {scope: (first, last) for scope, first, last in positions}
    for scope in _sessions(table):
        found.setdefault(scope, _NOWHERE)
    for game_id in pc.unique(table["game_id"]).to_pylist():
        if game_id is not None:
            found.setdefault(game_scope(game_id), _NOWHERE)
    lives = table.select(["incarnation", "stream_seq"]).group_by("incarnation", use_threads=False)
    for ends in lives.aggregate([("stream_seq", "min"), ("stream_seq", "max")]).to_pylist():
        found[incarnation_scope(ends["incarnation"])] = (ends["stream_seq_min"], ends["stream_seq_max"])
    found[ALL] = (table.num_rows, table.num_rows)
    return [(scope, first, last) for scope, (first, last) in found.items()]


def positions_of(table: pa.Table) -> list[Entry]:
    """Return for each scope the first and last position that the rows of a file have there, as `Row.scope` has them."""
    is_derived = pc.is_valid(table["cause"])
    places = pc.if_else(is_derived, _natural_places(table), table["seq"])
    keys = ["doc_type", "source", "session_id", "game_id"]
    columns = table.select(keys).append_column("is_derived", is_derived).append_column("place", places)
    groups = columns.group_by([*keys, "is_derived"], use_threads=False).aggregate([("place", "min"), ("place", "max")])
    found: dict[bytes, tuple[int, int]] = {}
    for group in groups.to_pylist():
        first, last = group.pop("place_min"), group.pop("place_max")
        scope = scope_of(**group)
        if scope is None:
            continue
        if group["doc_type"] == "reject" and (place := message_session(group["session_id"])):
            first = last = int(place[2])
        known_first, known_last = found.get(scope, (first, last))
        found[scope] = (min(first, known_first), max(last, known_last))
    return [(scope, first, last) for scope, (first, last) in found.items()]


def _natural_places(table: pa.Table) -> pa.ChunkedArray | pa.Array:
    """Return the position that each row's natural key gives it; 0 where it gives none."""
    places = pa.repeat(0, table.num_rows)
    for doc_type, natural in NATURAL.items():
        if natural.position is not None:
            position = pc.fill_null(table[natural.position], 0)
            places = pc.if_else(pc.equal(table["doc_type"], doc_type), position, places)
    return places


def _sessions(table: pa.Table) -> Iterator[bytes]:
    is_reject = pc.any(pc.equal(table["doc_type"], "reject")).as_py()
    keys = ["source", "session_id"]
    for session in table.select(keys).group_by(keys, use_threads=False).aggregate([]).to_pylist():
        own, *shared = session_scopes(session["source"], session["session_id"])
        yield shared[0] if is_reject and shared else own


def session_scopes(source: str, session_id: str) -> list[bytes]:
    """Return the scopes that rows of a session can have an entry in: its own, and the stream's if it is a message."""
    place = message_session(session_id)
    scopes = [scope_hash(source, session_id)]
    return scopes if place is None else [*scopes, scope_hash("stream", place[1])]


def game_scope(game_id: str) -> bytes:
    """Return the scope of a game."""
    return scope_hash("game", game_id)


def incarnation_scope(incarnation: str) -> bytes:
    """Return the scope of an incarnation, whose positions are stream sequences."""
    return scope_hash("incarnation", incarnation)
