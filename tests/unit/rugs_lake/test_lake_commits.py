"""Waiting for commits goes on as long as the lake comes further, and as long as the reason why not will pass."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from rugs_lake import LakeUnavailableError
from rugs_lake.read.commits import NotCommittedError, is_taken, until_committed
from tests.support.lakekit import INCARNATION, STREAM, commit, envelope, message, open_writer

STALLED = 0.05


async def wait(seen: Iterator[object], why: Iterator[str | None], *, every: float = 0.001) -> None:
    """Wait with a lake that is found so, and reasons why it stalls."""

    def look() -> object:
        found = next(seen)
        if isinstance(found, Exception):
            raise found
        return found

    async def reason() -> str | None:
        return next(why)

    async with asyncio.timeout(20):
        await until_committed(look, reason, seconds=STALLED, every=every)


async def test_as_long_as_it_comes_further_nobody_asks_why() -> None:
    busy = LakeUnavailableError("busy")
    await wait(iter([1, busy, 2, 3, None]), iter([]))


async def test_a_reason_that_passes_is_waited_for_and_another_is_raised() -> None:
    def stalled() -> Iterator[object]:
        while True:
            yield 7

    with pytest.raises(NotCommittedError, match="no writer"):
        await wait(stalled(), iter([None, None, "no writer"]))


async def test_an_announced_commit_is_looked_at_at_once() -> None:
    announced, looks = asyncio.Event(), 0

    def look() -> object:
        nonlocal looks
        looks += 1
        return None if looks == 2 else looks

    async def why() -> str | None:
        raise AssertionError("nothing stalls")

    waiting = asyncio.create_task(until_committed(look, why, seconds=60, announced=announced, every=60))
    async with asyncio.timeout(20):
        while not waiting.done():
            announced.set()
            await asyncio.sleep(0.001)
    await waiting


async def test_a_message_is_taken_where_its_own_life_of_the_stream_has_come_so_far(tmp_path: Path) -> None:
    assert not await is_taken(tmp_path, STREAM, INCARNATION, 1, seconds=STALLED), "there is no lake yet"
    writer = open_writer(tmp_path)
    commit(writer, message(1, envelope(1)), message(2, envelope(2)))
    writer.close()
    assert await is_taken(tmp_path, STREAM, INCARNATION, 2, seconds=STALLED)
    assert not await is_taken(tmp_path, STREAM, INCARNATION, 3, seconds=STALLED)
    assert not await is_taken(tmp_path, STREAM, "another", 1, seconds=STALLED)
