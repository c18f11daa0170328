"""What an export is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

import orjson

from rugs_core.time import date_of, from_us
from rugs_proto.rules import TS_END_US, TS_MIN_US

DEFAULT_TIMEZONE: Final = "America/New_York"


class Format(StrEnum):
    """How events are written."""

    GAME = "game-jsonl"
    RAW = "raw-jsonl"
    CLAUDE_FLOW = "claude-flow-jsonl"
    PARQUET = "parquet"
    ARROW = "arrow"

    @property
    def suffix(self) -> str:
        """What the names of its files end with."""
        return ".jsonl" if self.is_lines else f".{self.value}"

    @property
    def is_lines(self) -> bool:
        """Whether its files have lines, each an event."""
        return self in (Format.GAME, Format.RAW, Format.CLAUDE_FLOW)


@dataclass(frozen=True)
class Request:
    """Which events, in which form.

    Attributes:
        since, until: microseconds since the epoch, UTC; `until` is the first that is left out.
        source: the envelope's.
        timezone: zone of the local times that old formats have, where lines are made anew.
        damaged: also lines of imported files that were rejected, as they stood. They say no time and no game.
    """

    format: Format
    game: str | None = None
    since: int | None = None
    until: int | None = None
    source: str | None = None
    timezone: str = DEFAULT_TIMEZONE
    damaged: bool = False

    def __post_init__(self) -> None:
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ValueError("the period is empty: its begin is not before its end")
        if self.damaged and (
            self.format not in (Format.GAME, Format.RAW) or (self.game, self.since, self.until) != (None,) * 3
        ):
            raise ValueError(
                "damaged lines belong to whole files: to game-jsonl or raw-jsonl, of no one game or period"
            )

    @property
    def filters(self) -> dict[str, Any]:
        """The filters as the manifest has them."""
        return {"game": self.game, "from": _iso(self.since), "to": _iso(self.until), "source": self.source}

    @property
    def name(self) -> str:
        """A name for the export that says what it is: the same for the same request."""
        asked = {key: value for key, value in self.filters.items() if value is not None}
        if self.timezone != DEFAULT_TIMEZONE:
            asked["timezone"] = self.timezone
        if self.damaged:
            asked["damaged"] = True
        if not asked:
            return self.format.value
        return f"{self.format.value}-{sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]}"

    @property
    def condition(self) -> tuple[str, list[Any]]:
        """The filters as SQL over the lake's views, with its parameters; dates are named so that files stay closed."""
        parts = ["true"]
        values: list[Any] = []
        if self.game is not None:
            parts.append("game_id = ?")
            values.append(self.game)
        if self.source is not None:
            parts.append("source = ?")
            values.append(self.source)
        for limit, operator in ((self.since, ">="), (self.until, "<")):
            if limit is not None:
                bounded = max(TS_MIN_US, min(limit, TS_END_US))
                parts.append(f"epoch_us(ts) {operator} ? AND date {operator[0]}= ?")
                values += [bounded, date_of(bounded)]
        return " AND ".join(parts), values


def _iso(micros: int | None) -> str | None:
    return None if micros is None else from_us(micros).isoformat()
