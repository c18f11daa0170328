"""The follower of the lake beside a real broker: woken by commits, patient with a lake that cannot be read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

import rugs_bus
from rugs_core.patience import Patience
from rugs_follow.lake_follower import LakeFollower
from rugs_lake import LakeUnavailableError
from rugs_lake.read.pieces import Piece
from rugs_proto.subjects import COMMITTED
from tests.support import lakekit
from tests.support.lakekit import commit, envelope, message, open_writer

pytestmark = pytest.mark.slow

NEVER = 3600.0
Until = Callable[[Callable[[], bool]], Awaitable[None]]


class Following:
    """A follower at work, and what it has got."""

    def __init__(self, root: Path, store: str = "store", **options: Any) -> None:
        self.stop = asyncio.Event()
        retry = Patience(self.stop, (LakeUnavailableError,), 0.05)
        self.follower = LakeFollower(root, "test", store, retry, self.stop, **options)
        self.pieces: list[Piece] = []
        self.retry = retry

    @property
    def seqs(self) -> list[int]:
        """Sequences of the rows that came."""
        return [seq for piece in self.pieces if piece.rows is not None for seq in piece.rows["stream_seq"].to_pylist()]

    async def run(self) -> None:
        async for piece in self.follower.pieces():
            self.pieces.append(piece)
            await self.follower.commit(piece.position)


@asynccontextmanager
async def following(root: Path, **options: Any) -> AsyncIterator[Following]:
    """Follow while the body runs; then tell the follower to stop, which it does at once."""
    started = Following(root, **options)
    task = asyncio.create_task(started.run())
    try:
        yield started
    finally:
        started.stop.set()
        async with asyncio.timeout(5):
            await task


async def test_a_commit_that_is_announced_wakes_the_follower(nc: Client, tmp_path: Path, until: Until) -> None:
    writer = open_writer(tmp_path)
    commit(writer, message(1, envelope(1)))
    async with following(tmp_path, nc=nc, every=NEVER) as started:
        await until(lambda: started.seqs == [1])
        commit(writer, message(2, envelope(2)))
        await rugs_bus.announce(nc, COMMITTED, b"{}")
        await until(lambda: started.seqs == [1, 2])
    assert [piece.starts_over for piece in started.pieces] == [True, False, False]


async def test_without_announcements_it_looks_now_and_then(tmp_path: Path, until: Until) -> None:
    async with following(tmp_path, every=0.05) as started:
        await asyncio.sleep(0)  # there is no lake yet
        writer = open_writer(tmp_path)
        for seq in range(1, 4):
            commit(writer, message(seq, envelope(seq)))
            await until(lambda seq=seq: started.seqs == list(range(1, seq + 1)))  # type: ignore[misc]


async def test_it_goes_on_behind_its_checkpoint_and_starts_over_for_another_store(tmp_path: Path, until: Until) -> None:
    lakekit.store(tmp_path, message(1, envelope(1)), message(2, envelope(2)))
    async with following(tmp_path, every=0.05) as first:
        await until(lambda: first.seqs == [1, 2])
    writer = open_writer(tmp_path, at_cursor=message(2, envelope(2)))
    commit(writer, message(3, envelope(3)))
    async with following(tmp_path, every=0.05) as again:
        await until(lambda: again.seqs == [3])
    assert not any(piece.starts_over for piece in again.pieces)
    async with following(tmp_path, store="another", every=0.05) as other:
        await until(lambda: other.seqs == [1, 2, 3])
    assert other.pieces[0].starts_over


async def test_a_lake_that_cannot_be_read_is_waited_for(tmp_path: Path, until: Until) -> None:
    lakekit.store(tmp_path, message(1, envelope(1)))
    (path,) = lakekit.live_paths(tmp_path)
    hidden = path.rename(path.with_suffix(".hidden"))
    async with following(tmp_path, every=0.05) as started:
        await until(lambda: started.retry.trouble is not None)
        assert started.seqs == []
        hidden.rename(path)
        await until(lambda: started.seqs == [1])
