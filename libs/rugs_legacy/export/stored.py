"""Events as they are read from the lake to be written again: streamed, in a total order, in bounded memory.

The order is by what events are, never by the files they lie in: so it is the same before and
after a compaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rugs_legacy.export.request import Format, Request

if TYPE_CHECKING:
    from rugs_lake.reader import Lake

PIECE: Final = 1_000
"""Rows that are fetched at once."""
MEMORY: Final = "384MiB"
"""What DuckDB may take; a sort that needs more goes through the disk."""

COLUMNS: Final = (
    "source, session_id, seq, id, epoch_us(ts) AS ts, doc_type, event, direction, game_id, raw, raw_bin,"
    " tick, price, phase, active, rugged, cooldown_timer, trade_count"
)
_WRITTEN_AS_TICKS: Final = (
    "source = 'import' AND (doc_type = 'game_tick' AND contains(raw, '\"type\"') OR doc_type = 'system_event'"
    " AND event IN ('game_start', 'game_end', 'session_start', 'game_complete', 'session_end'))"
)
"""Lines of per-game files (F1, F2): their bytes are the record. The ticks of other formats have no type."""
OLD_GAME_LINES: Final = f"cause IS NULL AND {_WRITTEN_AS_TICKS}"
TICKS_TOLD: Final = (
    "cause IS NULL AND game_id IS NOT NULL AND ("
    "(doc_type = 'ws_event' AND event = 'gameStateUpdate' AND direction = 'received'"
    " AND (raw IS NOT NULL OR raw_bin IS NOT NULL))"
    f" OR (doc_type = 'game_tick' AND NOT coalesce({_WRITTEN_AS_TICKS}, false)))"
)
"""What a game's ticks are read from: the feed's own states, and ticks that a program told of."""
FRAMES: Final = "cause IS NULL AND doc_type = 'ws_event'"


class Stored(NamedTuple):
    """A stored event. `ts` is in microseconds since the epoch, UTC; `raw` is text or, where it is none, bytes."""

    source: str
    session_id: str
    seq: int
    id: str
    ts: int
    doc_type: str
    event: str
    direction: str
    game_id: str | None
    raw: str | None
    raw_bin: bytes | None
    tick: int | None
    price: float | None
    phase: str | None
    active: bool | None
    rugged: bool | None
    cooldown_timer: int | None
    trade_count: int | None

    @property
    def bytes(self) -> str | bytes | None:
        """What was received, if anything was."""
        return self.raw if self.raw_bin is None else self.raw_bin


class Recording(NamedTuple):
    """A recording that becomes one file: an imported file's session, or a game or session that was captured.

    Attributes:
        key: source and session, and for a captured game its id.
        began: time of its first event, microseconds.
        file: the name that the imported file had.
        told_twice: a captured game of which both the feed's states and a program's ticks are there.
    """

    key: tuple[str, ...]
    began: int
    file: str | None
    told_twice: bool = False


def keep_small(lake: Lake, spill: Path) -> None:
    """Bound DuckDB's memory; what does not fit goes to `spill`, a folder on a disk with room."""
    lake.connection.execute(f"SET memory_limit = '{MEMORY}'")
    lake.connection.execute("SET temp_directory = ?", [str(spill)])
    lake.connection.execute("SET preserve_insertion_order = false")


def count(lake: Lake, request: Request) -> int:
    """Return how many events are to be read."""
    condition, values = request.condition
    wanted = {
        Format.GAME: f"(({OLD_GAME_LINES}) OR ({TICKS_TOLD}))",
        Format.RAW: FRAMES,
        Format.CLAUDE_FLOW: FRAMES,
    }.get(request.format, "true")
    row = lake.sql(f"SELECT count(*) FROM events WHERE {wanted} AND {condition}", values).fetchone()  # noqa: S608
    return int(row[0]) if row else 0


def recordings(lake: Lake, request: Request, wanted: str, *, by_game: bool) -> list[Recording]:
    """Return the recordings that the wanted events are of, in the order in which `stream` gives their events."""
    condition, values = request.condition
    key = "source, session_id, game_id" if by_game else "source, session_id"
    rows = lake.sql(
        f"SELECT {key}, min(epoch_us(ts)), min(origin_file), count(DISTINCT doc_type) > 1 FROM events"  # noqa: S608
        f" WHERE {wanted} AND {condition} GROUP BY {key} ORDER BY {key}",
        values,
    ).fetchall()
    return [Recording(tuple(row[:-3]), row[-3], row[-2], row[-1]) for row in rows]


def stream(lake: Lake, request: Request, wanted: str, order: str) -> Iterator[Stored]:
    """Give the wanted events; `order` has to be total together with the id, which ends it."""
    condition, values = request.condition
    yield from fetch(
        lake,
        f"SELECT {COLUMNS} FROM events WHERE {wanted} AND {condition} ORDER BY {order}, id",  # noqa: S608
        values,
    )


def fetch(lake: Lake, query: str, values: Sequence[Any]) -> Iterator[Stored]:
    """Give what a query over `COLUMNS` finds, piece by piece."""
    reader = lake.connection.sql(query, params=list(values)).to_arrow_reader(PIECE)
    for batch in reader:
        yield from map(Stored._make, zip(*(column.to_pylist() for column in batch.columns), strict=True))
