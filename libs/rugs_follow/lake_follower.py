"""The follower of the lake: what is committed, and what is changed behind it, a bounded piece at a time.

It works from the rows that the lake has, not from messages: each row once and in stream order, however late it came,
through compaction, expiry and restored streams. A follower marks the scopes dirty that a piece has rows of, or changed
rows of, computes each again as a whole from the lake, and replaces it in one commit of its own store. Then any order of
pieces, and any piece a second time, leads to what a follower comes to that starts from nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import rugs_bus
from rugs_core.patience import Patience
from rugs_follow.lake_reader import attempt
from rugs_lake.read.pieces import EVERYTHING, Piece, Wanted, next_piece
from rugs_lake.store import checkpoints
from rugs_lake.store.positions import Position
from rugs_proto.subjects import COMMITTED

if TYPE_CHECKING:
    from nats.aio.client import Client

LOOK_SECONDS: Final = 5.0
"""How often the follower looks where no commit is announced."""

_T = TypeVar("_T")


class LakeFollower:
    """Gives what the lake has above the checkpoint of a follower, until told to stop.

    Args:
        root: the data root.
        name: of the follower; its checkpoint is kept under this name.
        store: id of the store that the follower keeps its results in: for another store there is no checkpoint.
        retry: must count `LakeUnavailableError` among what passes.
        nc: connection on which commits are announced; None: there is none, and the follower only looks.
        every: seconds between two looks where no commit is announced.
    """

    def __init__(
        self,
        root: Path,
        name: str,
        store: str,
        retry: Patience,
        stop: asyncio.Event,
        *,
        nc: Client | None = None,
        wanted: Wanted = EVERYTHING,
        every: float = LOOK_SECONDS,
    ) -> None:
        self._root = root
        self._name = name
        self._store = store
        self._retry = retry
        self._stop = stop
        self._nc = nc
        self._wanted = wanted
        self._every = every

    async def pieces(self) -> AsyncGenerator[Piece, None]:
        """Give piece after piece. Deal with each, then `commit` its position.

        Where there is no checkpoint, the first piece `starts_over`. Who leaves early does so inside
        `contextlib.aclosing`.

        Raises:
            LakeIncompatibleError: if this program cannot read the lake.
            GivenUpError: if told to stop while it cannot be read.
        """
        announced = asyncio.Event()
        position = await self._ask(partial(checkpoints.load, self._root, self._name, self._store))
        async with contextlib.AsyncExitStack() as stack:
            if self._nc is not None:
                listener = rugs_bus.listening(self._nc, COMMITTED, lambda _: announced.set())
                await stack.enter_async_context(listener)
            while not self._stop.is_set():
                announced.clear()
                piece = await self._ask(partial(next_piece, self._root, position, self._wanted))
                if piece is None:
                    await self._until_woken(announced)
                else:
                    yield piece
                    position = piece.position

    async def commit(self, position: Position) -> None:
        """Save a checkpoint: what is at or below it does not come again, unless another store is named.

        Raises:
            LakeAbsentError: if there is no lake any more.
            GivenUpError: if told to stop while it cannot be saved.
        """
        await self._retry.until_done(
            "cannot save a checkpoint",
            partial(asyncio.to_thread, checkpoints.save, self._root, self._name, self._store, position),
        )

    async def _ask(self, work: Callable[[], _T]) -> _T | None:
        return await self._retry.until_done("cannot read the lake", lambda: asyncio.to_thread(attempt, work))

    async def _until_woken(self, announced: asyncio.Event) -> None:
        """Wait until a commit is announced, it is time to look, or told to stop."""
        waiting = [asyncio.create_task(event.wait()) for event in (announced, self._stop)]
        await asyncio.wait(waiting, timeout=self._every, return_when=asyncio.FIRST_COMPLETED)
        for each in waiting:
            each.cancel()
