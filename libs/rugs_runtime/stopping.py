"""A request to stop: who asks, how urgent it is, and how work is given up for it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from rugs_core.errors import RugsError

_T = TypeVar("_T")

INTERRUPTED: Final = "interrupted"
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


class StoppedError(RugsError):
    """Work was given up, because of a request to stop: one line that says why."""


class Stop(asyncio.Event):
    """Set by the first request to stop. A second request sets `hurry`: end in order still, but wait for nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.hurry = asyncio.Event()
        self.reason: str | None = None
        """Why the first request came."""

    def ask(self, reason: str = INTERRUPTED) -> None:
        """Ask to stop; where that was asked before, ask to hurry."""
        if self.is_set():
            self.hurry.set()
        else:
            self.reason = reason
            self.set()

    async def first(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do work unless asked to stop before it is done: then cancel it and wait for its end.

        Raises:
            StoppedError: if it was given up.
        """
        return await _unless(self, work, lambda: StoppedError(self.reason or INTERRUPTED))

    async def patiently(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do work, also after a request to stop, unless asked to hurry.

        Raises:
            StoppedError: if it was given up.
        """
        return await _unless(self.hurry, work, lambda: StoppedError(self.reason or INTERRUPTED))


async def _unless(event: asyncio.Event, work: Coroutine[Any, Any, _T], error: Any) -> _T:
    working = asyncio.ensure_future(work)
    waiting = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait((working, waiting), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        working.cancel()
        await asyncio.wait((working,))
        if working.cancelled():
            raise error()
        return working.result()  # it came to its end all the same, or failed
    finally:
        waiting.cancel()
        working.cancel()


def stop_on_signals(*, in_order: bool = False) -> Stop:
    """Return a request to stop that SIGTERM, SIGINT, SIGHUP and SIGQUIT make from now on.

    `in_order` is for a process that has started others: a second signal asks to hurry, and further ones change
    nothing. Otherwise a second SIGINT kills the process, whatever it is doing. A signal that whoever started this
    process ignores (`nohup`) stays ignored.
    """
    stop = Stop()
    loop = asyncio.get_running_loop()

    def asked(number: signal.Signals) -> None:
        stop.ask()
        if number == signal.SIGQUIT:
            stop.hurry.set()
        if not in_order and number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.SIG_DFL)

    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, asked, number)
    return stop
