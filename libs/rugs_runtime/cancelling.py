"""A cancellation that is not lost, on Python 3.11 as on its successors.

There, `asyncio.wait_for` forgets a cancellation that comes in the same turn of the loop as what it waited for: the
task goes on as if nobody had ended it, and who waits for its end waits for ever. Libraries use it wherever they
connect. Python 3.12 made it of `asyncio.timeout`, which does not (python/cpython#86296); so do we.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


def keep_cancellations() -> None:
    """Give this process, which must be our own, the `asyncio.wait_for` of Python 3.12."""
    if sys.version_info < (3, 12):
        asyncio.wait_for = wait_for  # type: ignore[assignment]  # which takes a generator as well


async def wait_for(awaitable: Awaitable[T], timeout: float | None) -> T:  # noqa: ASYNC109 - as in the original
    """Wait for an awaitable as `asyncio.wait_for` does.

    Raises:
        TimeoutError: if it takes longer than `timeout` seconds; it was cancelled then.
    """
    if timeout is not None and timeout <= 0:
        future = asyncio.ensure_future(awaitable)
        if future.done():
            return future.result()
        awaitable, timeout = future, 0
    async with asyncio.timeout(timeout):
        return await awaitable


async def to_its_end(work: Awaitable[T]) -> T:
    """Await work that must not be cut short, and only then let a cancellation through that came meanwhile."""
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.done():
                break
            cancelled = True
        except BaseException:  # the work's own, which `result` raises
            break
    if cancelled:
        if not task.cancelled():
            task.exception()  # looked at, or Python would report it as forgotten
        raise asyncio.CancelledError
    return task.result()
