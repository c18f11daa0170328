"""What has changed rows that were stored, what must never come back, and how long each doc type is kept.

A change rewrites or removes the rows of a scope in one commit (`rugs_lake.maintain.change`); its number orders it among
all changes. A removal leaves a rule (every row of its scope is refused from then on) or tombstones (the ids of the
removed rows), and the writer asks both for each batch.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterable
from typing import Final, NamedTuple

from rugs_lake.store.catalog import Catalog, execute_script, has_table, make_once
from rugs_lake.store.change_scope import NOTHING, ChangeScope, Touched

REMOVED: Final = "removed"
"""The total of rows that were removed."""
RETENTION: Final = "retention"
"""The kind of a change that removes what is older than its doc type is kept."""
MAX_TOUCHED: Final = 10_000
"""Games and sessions that a change lists; one that touches more says nothing."""


class Change(NamedTuple):
    """A change that is committed.

    Attributes:
        snapshot: the first one that shows it.
        scope: None for kinds that have no such scope: a lost file, a migration.
        touched: None where anything may have changed.
        rows: how many rows it rewrote or removed.
    """

    number: int
    snapshot: int
    kind: str
    scope: ChangeScope | None
    touched: Touched | None
    rows: int


class Rule(NamedTuple):
    """What is refused for ever: rows of the scope of the change with this number."""

    number: int
    kind: str
    scope: ChangeScope


def begin(catalog: Catalog) -> None:
    """Make the tables in a lake from before there were any."""
    make_once(catalog, "rugs_rule", lambda connection: execute_script(connection, "changes.sql"))


def has_tables(connection: sqlite3.Connection) -> bool:
    """Return whether the lake has these tables; one that no writer has opened since may not."""
    return has_table(connection, "rugs_rule")


def last_change(connection: sqlite3.Connection) -> int:
    """Return the number of the last change, 0 before the first."""
    (number,) = connection.execute("SELECT coalesce(max(number), 0) FROM rugs_change").fetchone()
    return int(number)


def changes_above(catalog: Catalog, number: int) -> list[Change]:
    """Return the changes behind a number, in their order."""
    columns = "rows, touched" if has_tables(catalog.connection) else "0, NULL"
    found = catalog.all(
        f"SELECT number, snapshot_id, kind, scope, {columns} FROM rugs_change WHERE number > ? ORDER BY number",  # noqa: S608
        number,
    )
    return [
        Change(
            number,
            snapshot,
            kind,
            ChangeScope.load(scope) if scope.startswith("{") else None,
            None if touched is None else Touched.load(touched),
            rows,
        )
        for number, snapshot, kind, scope, rows, touched in found
    ]


def insert_change(
    connection: sqlite3.Connection, snapshot: int, kind: str, scope: ChangeScope, rows: int, touched: Touched
) -> int:
    """Note a change, inside the caller's transaction; return its number."""
    is_much = len(touched.games) + len(touched.sessions) > MAX_TOUCHED
    number = connection.execute(
        "INSERT INTO rugs_change (snapshot_id, kind, scope, rows, touched) VALUES (?, ?, ?, ?, ?)",
        (snapshot, kind, scope.dump(), rows, None if is_much else touched.dump()),
    ).lastrowid
    return int(number or 0)


def insert_rule(connection: sqlite3.Connection, rule: Rule) -> None:
    """Refuse rows of a scope from now on, inside the caller's transaction.

    A rule of retention takes the place of the one before it for the same doc type.
    """
    if rule.kind == RETENTION:
        _drop_retention_rules(connection, rule.scope.doc_type)
    connection.execute("INSERT INTO rugs_rule VALUES (?, ?, ?)", (rule.number, rule.kind, rule.scope.dump()))


def _drop_retention_rules(connection: sqlite3.Connection, doc_type: str | None) -> None:
    older = [rule for rule in rules_in(connection) if (rule.kind, rule.scope.doc_type) == (RETENTION, doc_type)]
    connection.executemany("DELETE FROM rugs_rule WHERE number = ?", [(rule.number,) for rule in older])


def insert_tombstones(connection: sqlite3.Connection, tombstones: Iterable[tuple[bytes, bytes]]) -> None:
    """Refuse ids from now on, each given with its scope, inside the caller's transaction."""
    connection.executemany("INSERT OR IGNORE INTO rugs_tombstone VALUES (?, ?)", tombstones)


def rules(catalog: Catalog) -> list[Rule]:
    """Return all rules, the oldest first."""
    return rules_in(catalog.connection) if has_tables(catalog.connection) else []


def tombstones(catalog: Catalog) -> set[bytes]:
    """Return the ids of all tombstones."""
    if not has_tables(catalog.connection):
        return set()
    return {digest for (digest,) in catalog.all("SELECT id FROM rugs_tombstone")}


def rules_in(connection: sqlite3.Connection) -> list[Rule]:
    """Return all rules, the oldest first, inside the caller's transaction; the lake has the tables."""
    rows = connection.execute("SELECT number, kind, scope FROM rugs_rule ORDER BY number").fetchall()
    return [Rule(number, kind, ChangeScope.load(scope)) for number, kind, scope in rows]


class Retention(NamedTuple):
    """How long rows of a doc type are kept: so many days; `imported`: imported rows too."""

    doc_type: str
    days: int
    imported: bool

    def scope(self, today: dt.date) -> ChangeScope:
        """Return what is too old on a day."""
        last = today - dt.timedelta(days=self.days + 1)
        return ChangeScope(doc_type=self.doc_type, dates=(None, last), imported=None if self.imported else False)


def retention(catalog: Catalog) -> list[Retention]:
    """Return the policy, by doc type; what is not named is kept for ever."""
    if not has_tables(catalog.connection):
        return []
    rows = catalog.all("SELECT doc_type, days, imported FROM rugs_retention ORDER BY doc_type")
    return [Retention(doc_type, days, bool(imported)) for doc_type, days, imported in rows]


def set_retention(catalog: Catalog, policy: Retention) -> None:
    """Keep rows of a doc type for so many days from now on; `rugs retention apply` removes the others."""
    begin(catalog)
    with catalog.transaction() as connection:
        connection.execute("INSERT OR REPLACE INTO rugs_retention VALUES (?, ?, ?)", policy)


def drop_retention(catalog: Catalog, doc_type: str) -> bool:
    """Keep rows of a doc type for ever from now on, and let old ones be stored again; return whether it was named."""
    begin(catalog)
    with catalog.transaction() as connection:
        dropped = connection.execute("DELETE FROM rugs_retention WHERE doc_type = ?", (doc_type,)).rowcount > 0
        (snapshot,) = connection.execute("SELECT max(snapshot_id) FROM ducklake_snapshot").fetchone()
        _drop_retention_rules(connection, doc_type)
        scope = ChangeScope(doc_type=doc_type)
        insert_change(connection, snapshot, RETENTION, scope, 0, NOTHING)  # its number has writers read the rules again
    return dropped
