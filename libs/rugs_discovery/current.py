"""Bring the store up to what the lake has: once, as `rugs discovery build` does, or for ever, as the indexer does."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import IO, Final

from rugs_core.locks import try_lock
from rugs_core.patience import Patience
from rugs_core.time import now_us
from rugs_discovery.drift import Drift, changes_of
from rugs_discovery.lake import WANTED, apply
from rugs_discovery.maps import NO_PINS, Pins
from rugs_discovery.state import State
from rugs_discovery.store import FOLDER, Store
from rugs_discovery.summary import Summary, summarise
from rugs_follow.lake_follower import LakeFollower
from rugs_lake.read.files import pin
from rugs_lake.read.pieces import Wanted, next_piece
from rugs_lake.store import checkpoints
from rugs_lake.store.catalog import reading_catalog
from rugs_lake.store.positions import Position, position_at
from rugs_proto.subjects import EVENTS_STREAM

FOLLOWER: Final = "discovery"
"""The follower's name: its checkpoint in the lake says how far discovery has come."""
_LOCK: Final = f"{FOLDER}/.lock"
_LOOK_SECONDS: Final = 0.1


def open_lock(root: Path) -> IO[str]:
    """Open the file that is locked by whoever takes rows into the store."""
    (root / FOLDER).mkdir(parents=True, exist_ok=True)
    return (root / _LOCK).open("a")


def build(
    root: Path, store: Store, wanted: Wanted = WANTED, progress: Callable[[int], None] = lambda rows: None
) -> int:
    """Take in everything that the lake has above the store's position; return how many rows that were.

    Where the indexer runs, it does the work, and is waited for.

    Args:
        progress: is told how many rows were taken so far.

    Raises:
        LakeAbsentError, LakeUnavailableError, LakeIncompatibleError: if the lake cannot be read.
    """
    end = end_of(root)
    with open_lock(root) as lock:
        while not try_lock(lock):
            if not is_behind(root, store, end):
                return 0
            time.sleep(_LOOK_SECONDS)
        return _build(root, store, wanted, progress)


def _build(root: Path, store: Store, wanted: Wanted, progress: Callable[[int], None]) -> int:
    rows = 0
    while (piece := next_piece(root, store.position, wanted)) is not None:
        apply(root, store, piece)
        rows += 0 if piece.rows is None else piece.rows.num_rows
        progress(rows)
    if store.position is not None:
        checkpoints.save(root, FOLLOWER, store.id, store.position)
    return rows


async def follow(
    follower: LakeFollower,
    root: Path,
    store: Store,
    retry: Patience,
    committed: Callable[[Position], None] = lambda position: None,
) -> None:
    """Take in what the lake gets until the follower stops.

    Args:
        follower: made with `FOLLOWER`, the store's id and `WANTED`.
        retry: must count `LakeUnavailableError` among what passes.
        committed: is told of each position that the store has come to.

    Raises:
        LakeIncompatibleError: if this program cannot read the lake.
        GivenUpError: if told to stop while it cannot be read.
    """
    if (position := store.position) is not None:  # killed before the checkpoint was saved, the store is ahead of it
        await follower.commit(position)
    async with aclosing(follower.pieces()) as pieces:
        async for piece in pieces:
            taking = partial(asyncio.to_thread, apply, root, store, piece)
            await retry.until_done("cannot take in what the lake has", taking)
            await follower.commit(piece.position)
            committed(piece.position)


def is_behind(root: Path, store: Store, end: Position | None = None) -> bool:
    """Return whether the store has not come to a position yet; without one, to the end of the lake.

    Raises:
        LakeAbsentError, LakeUnavailableError: if the lake cannot be read.
    """
    return store.position is None or not (end or end_of(root)).is_within(store.position)


def end_of(root: Path) -> Position:
    """Return the position of the lake's newest snapshot.

    Raises:
        LakeAbsentError, LakeUnavailableError: if the lake cannot be read.
    """
    with reading_catalog(root) as catalog, catalog.reading():
        return position_at(catalog, pin(catalog, None, None), EVENTS_STREAM)


def notice(store: Store, pins: Pins = NO_PINS) -> tuple[Summary, list[Drift], Position | None]:
    """Return what the store says, what is new in it since it was asked last, and up to which position.

    What is new is recorded. The first time, everything is the baseline.
    """
    parts, position = store.snapshot()
    by_day: defaultdict[str, dict[dt.date, int]] = defaultdict(dict)
    whole = State()
    for part, state in parts.items():
        day = dt.date.fromisoformat(part.date)
        for key, event in state.events.items():
            by_day[key][day] = by_day[key].get(day, 0) + event.count
        whole.merge(state)
    summary = summarise(whole, pins)
    return summary, store.notice(changes_of(summary, by_day), now_us()), position


def summary_of(store: Store, pins: Pins = NO_PINS) -> Summary:
    """Return what the store says now."""
    whole = State()
    for state in store.parts().values():
        whole.merge(state)
    return summarise(whole, pins)
