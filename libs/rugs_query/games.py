"""Games, and how complete what is known of them is."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

import rugs_lake
from rugs_core.time import date_of, from_us
from rugs_lake.domains.games import completeness as completeness_query

_DAY: Final = dt.timedelta(days=1)


@dataclass(frozen=True)
class Game:
    """One game, whoever told of it. Times are microseconds, UTC.

    Attributes:
        ended: whether its last tick is known to be its last.
        ticks: how many it had, from 0 on; None where nobody knows.
        direct, filled, missing: of these, how many were received themselves, are known only from a later
            state, or not at all.
        missing_ticks: first and last of each run that is missing.
        history_prices: how many prices its history tells: they are in the view `game`, and no ticks.
    """

    game_id: str
    first_us: int
    last_us: int
    sources: list[str]
    ended: bool
    rugged: bool
    ticks: int | None
    peak: float | None
    direct: int
    filled: int
    missing: int
    missing_ticks: list[tuple[int, int]]
    complete: bool
    history_prices: int

    def as_dict(self) -> dict[str, Any]:
        """Return the attributes as `rugs games --json` prints them: times as ISO 8601 text."""
        told = asdict(self)
        first, last = (from_us(told.pop(name)) for name in ("first_us", "last_us"))
        return {"game_id": told.pop("game_id"), "first": first.isoformat(), "last": last.isoformat(), **told}


def list_games(
    root: Path,
    start: int | None = None,
    end: int | None = None,
    *,
    incomplete: bool = False,
    game_id: str | None = None,
) -> list[Game]:
    """Return the games that began between two times (microseconds, UTC; `end` is outside), oldest first.

    With `incomplete` only those that have ended and miss ticks; with `game_id` only that one.

    Raises:
        LakeError: if there is no lake under the data root, or it cannot be read.
    """
    first, last = None if start is None else date_of(start) - _DAY, None if end is None else date_of(end) + _DAY
    which = "date BETWEEN $first_day AND $last_day" + ("" if game_id is None else " AND game_id = $game_id")
    query = f"""
        SELECT game_id, epoch_us(first_ts), epoch_us(last_ts), sources, ended, rugged, last_tick + 1, peak, direct,
            filled, missing, missing_ticks, coalesce(complete, false), history_prices
        FROM ({completeness_query(which)})
        WHERE epoch_us(first_ts) >= $start AND epoch_us(first_ts) < $end
            AND (NOT $incomplete OR (ended AND missing > 0))
        ORDER BY first_ts, game_id
    """  # noqa: S608 - our own text
    values = {
        "first_day": first or dt.date.min,
        "last_day": last or dt.date.max,
        "start": -(2**62) if start is None else start,
        "end": 2**62 if end is None else end,
        "incomplete": incomplete,
        **({} if game_id is None else {"game_id": game_id}),
    }
    games = None if game_id is None else [game_id]
    with rugs_lake.open(root, doc_types=["game_tick", "game"], dates=(first, last), games=games) as lake:
        return [_game(*row) for row in lake.sql(query, values).fetchall()]


def _game(*told: Any) -> Game:
    known = dict(zip((each.name for each in fields(Game)), told, strict=True))
    return Game(**{**known, "missing_ticks": [(run["first"], run["last"]) for run in known["missing_ticks"]]})
