"""Scopes of the lake's rows: what is computed again as a whole, and which of them rows and changes make dirty. Pure.

A row with a game id belongs to the scope of its game, any other one to that of its session and hour; and every row to
its session, whose summary counts it. A reject belongs to its session alone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from enum import StrEnum
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from rugs_core.time import from_us
from rugs_lake.store.change_scope import Touched
from rugs_lake.store.rows import message_session

HOUR_US: Final = 3_600_000_000
MOST_HOURS: Final = 50_000
"""Hour scopes that changes may make dirty: beyond, everything is computed again instead."""
COLUMNS: Final = ("doc_type", "source", "session_id", "game_id", "ts")
"""The columns that `dirty_by_rows` needs."""

_REJECT: Final = "reject"


class Kind(StrEnum):
    """The kinds of scopes."""

    GAME = "game"
    SESSION = "session"
    HOUR = "hour"


class Scope(NamedTuple):
    """A scope of rows; of the attributes, those that do not belong to its kind are empty.

    Attributes:
        hour: hours since the Unix epoch, UTC; -1 where it has none.
    """

    kind: Kind
    game_id: str = ""
    source: str = ""
    session_id: str = ""
    hour: int = -1

    @property
    def key(self) -> str:
        """The name by which the index knows it: `hour:public_ws/SESSION@2025-12-21T14`."""
        if self.kind is Kind.GAME:
            return f"game:{self.game_id}"
        session = f"{self.kind}:{self.source}/{self.session_id}"
        return f"{session}@{from_us(self.hour * HOUR_US):%Y-%m-%dT%H}" if self.kind is Kind.HOUR else session


def game(game_id: str) -> Scope:
    """Return the scope of the rows of a game."""
    return Scope(Kind.GAME, game_id=game_id)


def session(source: str, session_id: str) -> Scope:
    """Return the scope of a session's summary."""
    return Scope(Kind.SESSION, source=source, session_id=session_id)


def hour(source: str, session_id: str, number: int) -> Scope:
    """Return the scope of the rows without a game of one hour of a session; hours count since the Unix epoch."""
    return Scope(Kind.HOUR, source=source, session_id=session_id, hour=number)


def dirty_by_rows(rows: pa.Table) -> set[Scope]:
    """Return the scopes that rows belong to.

    Args:
        rows: `COLUMNS` of the lake's files.
    """
    hours = pc.divide(rows["ts"].cast(pa.int64()), HOUR_US)
    is_reject = pc.equal(rows["doc_type"], _REJECT)
    found = rows.select(["source", "session_id", "game_id"])
    found = found.append_column("hour", pc.if_else(pc.is_valid(found["game_id"]), None, hours))
    found = found.append_column("is_reject", is_reject)
    groups = found.group_by(found.column_names, use_threads=False).aggregate([])
    columns = (groups[name].to_pylist() for name in found.column_names)
    scopes: set[Scope] = set()
    for source, session_id, game_id, number, is_damaged in zip(*columns, strict=True):
        if is_damaged and message_session(session_id) is not None:
            continue  # a message that could not be parsed belongs to no session
        scopes.add(session(source, session_id))
        if not is_damaged:
            scopes.add(hour(source, session_id, number) if game_id is None else game(game_id))
    return scopes


def dirty_by_change(touched: Touched) -> set[Scope] | None:
    """Return the scopes that a change of stored rows may have changed; None: so many that all are to be made anew.

    A change names games, sessions and days, but not which hours.
    """
    sessions = [each for each in touched.sessions if message_session(each[1]) is None]
    scopes = {session(*each) for each in sessions}
    if touched.doc_types == {_REJECT}:
        return scopes
    if 24 * len(sessions) * len(touched.dates) > MOST_HOURS:
        return None
    scopes |= {game(game_id) for game_id in touched.games}
    scopes |= {hour(*each, number) for each in sessions for number in _hours(touched)}
    return scopes


def _hours(touched: Touched) -> Iterator[int]:
    """Give the hours of the days that a change touched."""
    for day in touched.dates:
        first = (day - dt.date(1970, 1, 1)).days * 24
        yield from range(first, first + 24)
