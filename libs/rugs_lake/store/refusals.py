"""Rows that must not be stored again: what the writer asks for every batch."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

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
        self._others: list[ChangeScope] = []
        self._has_tombstones = False

    def refresh(self, connection: sqlite3.Connection) -> None:
        """Read the rules, if there was a change since the last time."""
        newest = last_change(connection)
        if newest == self.seen:
            return
        self._by_game, self._by_session, self._by_owner, self._others = {}, {}, {}, []
        for rule in rules_in(connection):
            scope = rule.scope
            if scope.game is not None:
                self._by_game.setdefault(scope.game, []).append(scope)
            elif scope.session is not None:
                self._by_session.setdefault(scope.session, []).append(scope)
            elif scope.owner is not None:
                self._by_owner.setdefault(scope.owner, []).append(scope)
            else:
                self._others.append(scope)
        self._has_tombstones = connection.execute("SELECT 1 FROM rugs_tombstone LIMIT 1").fetchone() is not None
        self.seen = newest

    def refused(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> set[bytes]:
        """Return the ids of those rows that a rule or a tombstone keeps out, as far as their owners are known."""
        found: set[bytes] = set()
        if self._by_game or self._by_session or self._by_owner or self._others:
            found.update(row.event.digest for row in rows if self.refuses(row))
        if self._has_tombstones:
            found.update(_entombed(connection, rows))
        return found

    def refuses(self, row: Row) -> bool:
        """Return whether a rule keeps a row out."""
        envelope = row.event.envelope
        by_game = self._by_game.get(envelope.game_id, ()) if envelope.game_id is not None else ()
        by_session = self._by_session.get((envelope.source, envelope.session_id), ()) if self._by_session else ()
        by_owner = self._by_owner.get(row.owner, ()) if row.owner is not None else ()
        return any(scope.matches(row) for scopes in (by_game, by_session, by_owner, self._others) for scope in scopes)


def tombstone_scope(row: Row) -> bytes:
    """Return the scope that the tombstone of a row's id is found by."""
    scope = row.scope
    return BY_ENTRY if scope is None else scope[0]


def _entombed(connection: sqlite3.Connection, rows: Sequence[Row]) -> set[bytes]:
    """Return the ids of the rows that have a tombstone; most scopes have none."""
    by_scope: dict[bytes, list[bytes]] = {}
    for row in rows:
        by_scope.setdefault(tombstone_scope(row), []).append(row.event.digest)
    found: set[bytes] = set()
    for scope, digests in by_scope.items():
        if connection.execute("SELECT 1 FROM rugs_tombstone WHERE scope = ? LIMIT 1", (scope,)).fetchone() is None:
            continue
        for digest in digests:
            wanted = (scope, digest)
            if connection.execute("SELECT 1 FROM rugs_tombstone WHERE scope = ? AND id = ?", wanted).fetchone():
                found.add(digest)
    return found
