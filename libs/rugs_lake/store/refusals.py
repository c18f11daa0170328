"""Rows that must not be stored again: what the writer asks for every batch."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rugs_lake.store.change_scope import ChangeScope
from rugs_lake.store.changes import last_change, rules_in
from rugs_lake.store.rows import Row

REFUSED: Final = "refused_by_rule"
"""The total of rows that a rule or a tombstone kept out."""
BY_ENTRY: Final = b"entry"
"""The scope of tombstones whose ids are made of their cause or key alone, which no scope narrows down."""


class Refusals:
    """Which rows of a batch must not be stored. Rules are read again when there is a new change; a look-up is cheap.

    The rules of a game, a session or an owner are found by that; only the others are compared with every row.
    """

    def __init__(self) -> None:
        self.seen = -1
        """Number of the last change that the rules are of."""
        self._by_game: dict[str, list[ChangeScope]] = {}
        self._by_session: dict[tuple[str, str], list[ChangeScope]] = {}
        self._by_owner: dict[str, list[ChangeScope]] = {}
        self._others: dict[str | None, list[ChangeScope]] = {}
        """By doc type; None: of all."""
        self._hints: bytearray | None = None

    def refresh(self, connection: sqlite3.Connection) -> None:
        """Read the rules, if there was a change since the last time."""
        newest = last_change(connection)
        if newest == self.seen:
            return
        self._by_game, self._by_session, self._by_owner, self._others = {}, {}, {}, {}
        for rule in rules_in(connection):
            scope = rule.scope
            if scope.game is not None:
                self._by_game.setdefault(scope.game, []).append(scope)
            elif scope.session is not None:
                self._by_session.setdefault(scope.session, []).append(scope)
            elif scope.owner is not None:
                self._by_owner.setdefault(scope.owner, []).append(scope)
            else:
                self._others.setdefault(scope.doc_type, []).append(scope)
        self._hints = _hints(connection)
        self.seen = newest

    def refused(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> set[bytes]:
        """Return the ids of those rows that a rule or a tombstone keeps out, as far as their owners are known."""
        found: set[bytes] = set()
        if self._may_concern(rows):
            found.update(row.event.digest for row in rows if self.refuses(row))
        if self._hints is not None:
            found.update(_entombed(connection, rows, self._hints))
        return found

    def _may_concern(self, rows: Sequence[Row]) -> bool:
        """Return whether a rule is about a game, a session, an owner or a doc type of the rows: mostly none is."""
        return (
            _has_any(self._by_game, (row.event.envelope.game_id for row in rows))
            or _has_any(self._by_session, ((row.event.envelope.source, row.event.envelope.session_id) for row in rows))
            or _has_any(self._by_owner, (row.owner for row in rows))
            or _has_any(self._others, (row.event.envelope.doc_type for row in rows))
            or None in self._others
        )

    def refuses(self, row: Row) -> bool:
        """Return whether a rule keeps a row out."""
        envelope = row.event.envelope
        by_game = self._by_game.get(envelope.game_id, ()) if envelope.game_id is not None else ()
        by_session = self._by_session.get((envelope.source, envelope.session_id), ()) if self._by_session else ()
        by_owner = self._by_owner.get(row.owner, ()) if row.owner is not None else ()
        others = (*self._others.get(envelope.doc_type, ()), *self._others.get(None, ()))
        return any(scope.matches(row) for scopes in (by_game, by_session, by_owner, others) for scope in scopes)


def tombstone_scope(row: Row) -> bytes:
    """Return the scope that the tombstone of a row's id is found by."""
    scope = row.scope
    return BY_ENTRY if scope is None else scope[0]


def _has_any(rules: Mapping[Any, object], keys: Iterable[object]) -> bool:
    return bool(rules) and not rules.keys().isdisjoint(keys)


_HINT_BITS: Final = 22
"""The first bits of an id: four million bytes say of each whether a tombstone begins so."""


def _hint(digest: bytes) -> int:
    """Return the first bits of an id."""
    return int.from_bytes(digest[:3]) >> (24 - _HINT_BITS)


def _hints(connection: sqlite3.Connection) -> bytearray | None:
    """Return for the first bits of an id whether a tombstone begins so; None where there are no tombstones."""
    hints: bytearray | None = None
    for (digest,) in connection.execute("SELECT id FROM rugs_tombstone"):
        if hints is None:
            hints = bytearray(1 << _HINT_BITS)
        hints[_hint(digest)] = 1
    return hints


def _entombed(connection: sqlite3.Connection, rows: Sequence[Row], hints: bytearray) -> set[bytes]:
    """Return the ids of the rows that have a tombstone; of most the first bits say that they have none."""
    found: set[bytes] = set()
    for row in rows:
        digest = row.event.digest
        if hints[_hint(digest)]:
            wanted = (tombstone_scope(row), digest)
            if connection.execute("SELECT 1 FROM rugs_tombstone WHERE scope = ? AND id = ?", wanted).fetchone():
                found.add(digest)
    return found
