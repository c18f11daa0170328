"""A request to stop gives work up in order; a second one hurries; nothing cuts short what must come to its end."""

from __future__ import annotations

import asyncio

import pytest

from rugs_runtime.cancelling import to_its_end
from rugs_runtime.stopping import Stop, StoppedError


async def test_work_is_done_or_given_up_in_order() -> None:
    stop, ended = Stop(), []

    async def work() -> str:
        try:
            await asyncio.sleep(600)
        finally:
            await asyncio.sleep(0)  # its end takes time, too
            ended.append(True)
        return "done"

    async def quick() -> str:
        return "done"

    async def wrong() -> str:
        raise ZeroDivisionError

    assert await stop.first(quick()) == "done"
    with pytest.raises(ZeroDivisionError):
        await stop.first(wrong())
    asyncio.get_running_loop().call_soon(stop.ask, "the stack was stopped")
    with pytest.raises(StoppedError, match="the stack was stopped"):
        await stop.first(work())
    assert ended == [True]


async def test_a_second_request_hurries_and_further_ones_change_nothing() -> None:
    stop = Stop()
    stop.ask("first")
    assert not stop.hurry.is_set()
    assert await stop.patiently(asyncio.sleep(0, "done")) == "done"
    for _ in range(3):
        stop.ask("again")
    assert (stop.hurry.is_set(), stop.reason) == (True, "first")
    with pytest.raises(StoppedError):
        await stop.patiently(asyncio.sleep(600))


async def test_what_must_come_to_its_end_does_however_often_it_is_cancelled() -> None:
    go, ended = asyncio.Event(), []

    async def work() -> None:
        await go.wait()
        ended.append(True)

    task = asyncio.create_task(to_its_end(work()))
    for _ in range(5):
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]
    with pytest.raises(ZeroDivisionError):
        await to_its_end(_raise())


async def _raise() -> None:
    raise ZeroDivisionError
