"""A cancellation is not lost when it comes together with what was waited for; else all is as in `asyncio.wait_for`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rugs_runtime.cancelling import wait_for

WaitFor = Callable[[Awaitable[Any], float | None], Awaitable[Any]]
BOTH = pytest.mark.parametrize("wait", [asyncio.wait_for, wait_for])


async def test_a_cancellation_in_the_moment_of_the_answer_is_kept() -> None:
    future = asyncio.get_running_loop().create_future()

    async def ask() -> None:
        await wait_for(future, 10)
        await asyncio.Event().wait()  # for ever, if the cancellation was lost

    task = asyncio.create_task(ask())
    await asyncio.sleep(0)
    future.set_result("answer")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)


@BOTH
@pytest.mark.parametrize("seconds", [None, 10, 0, -1])
async def test_what_is_done_is_returned(wait: WaitFor, seconds: float | None) -> None:
    future = asyncio.get_running_loop().create_future()
    future.set_result("answer")
    assert await wait(future, seconds) == "answer"


@BOTH
@pytest.mark.parametrize("seconds", [0.01, 0, -1])
async def test_what_takes_too_long_is_cancelled(wait: WaitFor, seconds: float) -> None:
    task = asyncio.create_task(asyncio.sleep(60))
    with pytest.raises(TimeoutError):
        await wait(task, seconds)
    assert task.cancelled()


@BOTH
async def test_an_error_comes_through(wait: WaitFor) -> None:
    async def fail() -> None:
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        await wait(fail(), 10)
