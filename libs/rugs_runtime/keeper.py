"""A keeper: keeps one process running, whatever happens, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic, time
from typing import Final, Literal, Protocol

import structlog

from rugs_core.patience import stopped_within
from rugs_core.reasons import one_line
from rugs_runtime.service import EXIT_SUPERSEDED

State = Literal["starting", "running", "restarting", "superseded", "stopped"]

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 15.0
STEADY_SECONDS: Final = 10.0
"""A process that ran this long is started again at once when it ends; pauses grow only for one that ran shorter."""
_END_AGAIN: Final = 0.5
"""Seconds until a process that is still there is asked once more to end."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ProcessInfo:
    """How a process of the stack is doing. `started` is in seconds since the Unix epoch.

    `error` is why it last ended or could not start, `trouble` what is in its way while it runs.
    """

    name: str
    state: State
    pid: int | None
    started: float | None
    restarts: int = 0
    exit_code: int | None = None
    error: str | None = None
    trouble: str | None = None


class Kept(Protocol):
    """What a keeper keeps running. Any method may raise anything."""

    name: str

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        ...

    @property
    def exit_code(self) -> int | None:
        """How it last ended; negative for a signal."""
        ...

    @property
    def trouble(self) -> str | None:
        """What is in its way while it runs."""
        ...

    async def start(self) -> None:
        """Start it. Where this raises, nothing of it is left running."""
        ...

    async def ended(self) -> str:
        """Return when it has ended: why."""
        ...

    async def end(self, seconds: float, hurry: asyncio.Event) -> None:
        """Ask it to end and wait; kill it after `seconds`, or soon after `hurry` is set."""
        ...


class Keeper:
    """Keeps a process running: an error of any kind is noted, and tried again after a pause.

    `changed` is called at each change of `info`. Pauses, in seconds, double from the first to the longest.
    """

    def __init__(
        self,
        process: Kept,
        changed: Callable[[], None] = lambda: None,
        *,
        first_pause: float = FIRST_PAUSE,
        longest_pause: float = LONGEST_PAUSE,
    ) -> None:
        self.state: State = "starting"
        self._process = process
        self._changed = changed
        self._pauses = first_pause, longest_pause
        self._stopping = asyncio.Event()
        self._tried = asyncio.Event()
        self._first_error: BaseException | None = None
        self._task: asyncio.Task[None] | None = None
        self._starts = 0
        self._started: float | None = None
        self._error: str | None = None

    @property
    def name(self) -> str:
        """Whom it keeps."""
        return self._process.name

    @property
    def info(self) -> ProcessInfo:
        """How the process is doing."""
        kept, pid = self._process, self._process.pid
        return ProcessInfo(
            name=kept.name,
            state=self.state,
            pid=pid,
            started=self._started if pid else None,
            restarts=max(0, self._starts - 1),
            exit_code=kept.exit_code,
            error=self._error,
            trouble=kept.trouble,
        )

    def begin(self) -> asyncio.Task[None]:
        """Keep the process running from now on. Return the task that does, which ends after `stop`."""
        self._task = asyncio.create_task(self._keep(), name=f"keeper of {self.name}")
        self._task.add_done_callback(self._note_end)
        return self._task

    async def started(self) -> None:
        """Return when the process has been started for the first time.

        Raises:
            Exception: what the first start has raised. It is tried again until `stop`.
        """
        await self._tried.wait()
        if self._first_error is not None:
            raise self._first_error

    async def stop(self, seconds: float, hurry: asyncio.Event | None = None) -> None:
        """Have the process end, and wait until it is gone; kill it after `seconds`, or soon after `hurry` is set."""
        self._stopping.set()
        hurry = hurry or asyncio.Event()
        await self._end(seconds, hurry)
        while self._task is not None and not self._task.done():  # it may have been about to start it
            await asyncio.wait((self._task,), timeout=_END_AGAIN)
            await self._end(seconds, hurry)
        self._become("stopped" if self.state != "superseded" else self.state)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        """Say that nobody keeps the process running any more, where that is not what was asked for."""
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or error is not None:
            log.critical("the keeper has failed: nobody starts the process again", program=self.name, exc_info=error)
            self._error = f"its keeper has failed: {error!r}"
            self._become("stopped")

    async def _end(self, seconds: float, hurry: asyncio.Event) -> None:
        try:
            await self._process.end(seconds, hurry)
        except Exception as error:
            log.error("cannot be ended", program=self.name, reason=one_line(error))

    async def _keep(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            began = monotonic()
            reason = await self._run_once()
            if self._stopping.is_set():
                return
            self._error = reason
            if self._process.exit_code == EXIT_SUPERSEDED and self._process.pid is None:
                log.warning("superseded by another process: left stopped", program=self.name)
                self._become("superseded")
                return
            failures = 0 if monotonic() - began > STEADY_SECONDS else failures + 1
            pause = self._pause_after(failures)
            log.warning("ended: starting it again", program=self.name, reason=reason, pause=pause)
            self._become("restarting")
            await stopped_within(self._stopping, pause)

    async def _run_once(self) -> str:
        """Start the process and wait for its end; return why it ended, or did not start."""
        try:
            if self._process.pid is None:  # else waiting for its end has failed, and not the process
                await self._process.start()
                self._starts += 1
                self._started = time()
            self._become("running")
            self._tried.set()
            return await self._process.ended()
        except (Exception, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            if not self._tried.is_set():
                self._first_error = error
            return one_line(error) or type(error).__name__
        finally:
            self._tried.set()

    def _pause_after(self, failures: int) -> float:
        first, longest = self._pauses
        return 0.0 if failures == 0 else min(longest, first * 2.0 ** min(failures - 1, 30))

    def _become(self, state: State) -> None:
        self.state = state
        with contextlib.suppress(Exception):  # telling can wait, keeping it alive cannot
            self._changed()


def why_ended(exit_code: int) -> str:
    """Say how a process ended."""
    return f"ended by {signal.Signals(-exit_code).name}" if exit_code < 0 else f"ended with exit code {exit_code}"
