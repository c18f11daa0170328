"""The publisher's background: a thread with an event loop, woken and asked from any thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Final

import structlog

from rugs_client.delivery import Delivery

_GRACE: Final = 5.0
"""Seconds beside its time-out that anything may take for the disk."""

Work = Callable[[Delivery], Coroutine[Any, Any, None]]

log = structlog.get_logger(__name__)


class Background:
    """Runs a delivery, which is made in the thread itself, from now until `end`."""

    def __init__(self, make: Callable[[], Delivery], name: str) -> None:
        self.delivery: Delivery | None = None
        """None until it has begun."""
        self._make = make
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._end_seconds = 0.0
        self._ready = threading.Event()
        self._nudges: SimpleQueue[bool] = SimpleQueue()
        self._nudged = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def begun(self) -> Delivery | None:
        """Return the delivery when it has begun; None if it does not in time."""
        self._ready.wait(_GRACE)
        return self.delivery

    def nudge(self) -> None:
        """Have the intake looked into, soon."""
        if not self._nudged:
            self._nudged = True
            self._nudges.put(True)

    def wait_for(self, work: Work, timeout: float) -> bool:
        """Return whether the work was done in time."""
        if not self._ready.wait(timeout) or (waiting := self._begin(work, timeout)) is None:
            return False
        with suppress(CancelledError, TimeoutError):  # closed meanwhile, or the disk hangs
            return waiting.result(timeout + _GRACE)
        return False

    async def awaited(self, work: Work, timeout: float) -> bool:  # noqa: ASYNC109 (as `wait_for`)
        """Do what `wait_for` does, for asyncio: nothing is blocked meanwhile."""
        if not self._ready.is_set() and not await asyncio.to_thread(self._ready.wait, timeout):
            return False
        if (waiting := self._begin(work, timeout)) is None:
            return False
        result = asyncio.wrap_future(waiting)
        await asyncio.wait([result], timeout=timeout + _GRACE)
        return result.done() and not result.cancelled() and result.result()

    def end(self, seconds: float) -> None:
        """Give the delivery so many seconds to finish, and end."""
        if self._ready.wait(_GRACE) and (loop := self._loop) is not None and self._end is not None:
            self._end_seconds = seconds
            with suppress(RuntimeError):  # ended before
                loop.call_soon_threadsafe(self._end.set)
            self._thread.join(seconds + _GRACE)

    def _run(self) -> None:
        try:
            asyncio.run(self._deliver())
        except Exception:
            log.exception("publisher ended")

    async def _deliver(self) -> None:
        self._end = asyncio.Event()
        self.delivery = self._make()
        self._loop = asyncio.get_running_loop()
        self.delivery.start()
        self._ready.set()
        threading.Thread(target=self._pass_nudges_on, args=[self._loop], name=f"{self._name}-wake", daemon=True).start()
        await self._end.wait()
        await self.delivery.finish(self._end_seconds)
        self._loop = None
        self._nudges.put(False)

    def _pass_nudges_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wake the loop for those who publish: writing to its socket would cost them the interpreter's lock."""
        with suppress(RuntimeError):  # the loop is closed
            while self._nudges.get():
                loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._nudged = False
        if self.delivery is not None:
            self.delivery.wake()

    def _begin(self, work: Work, timeout: float) -> Future[bool] | None:
        """Begin to wait for the work; None if the background does not run."""
        if (delivery := self.delivery) is None or (loop := self._loop) is None:
            return None

        async def in_time() -> bool:
            try:
                async with asyncio.timeout(timeout):
                    await work(delivery)
            except TimeoutError:
                return False
            return True

        waiting = in_time()
        try:
            return asyncio.run_coroutine_threadsafe(waiting, loop)
        except RuntimeError:  # ended before
            waiting.close()
            return None
