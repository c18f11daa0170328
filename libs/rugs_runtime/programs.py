"""One program kept running: started, started again when it dies, ended when told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import structlog

from rugs_bus.patience import stopped_within
from rugs_runtime.service import EXIT_SUPERSEDED, LIFELINE

State = Literal["starting", "running", "restarting", "superseded", "stopped"]

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0
STEADY_SECONDS: Final = 60.0
"""A program that ran this long is started again at once when it dies."""
LOG_LIMIT: Final = 16 * 1024**2
"""Size at which a log is put aside, when its program starts."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ProcessInfo:
    """How a program of the stack is doing. `started` is in seconds since the Unix epoch."""

    name: str
    state: State
    pid: int | None
    started: float | None
    restarts: int = 0
    exit_code: int | None = None
    error: str | None = None


class Program:
    """A program kept running. Its output goes to `log_file`."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        log_file: Path,
        lifeline: int,
        changed: Callable[[], None],
    ) -> None:
        self.name = name
        self.state: State = "starting"
        self.log_file = log_file
        self._command = command
        self._environment = {**os.environ, **environment, LIFELINE: str(lifeline)}
        self._lifeline = lifeline
        self._changed = changed
        self._stopping = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._started: float | None = None
        self._restarts = 0
        self._exit_code: int | None = None
        self._error: str | None = None
        self._log_start = 0

    @property
    def info(self) -> ProcessInfo:
        """How it is doing."""
        pid = self._process.pid if self._process is not None and self._process.returncode is None else None
        return ProcessInfo(
            self.name, self.state, pid, self._started if pid else None, self._restarts, self._exit_code, self._error
        )

    async def keep(self) -> None:
        """Run the program, again and again, until it is stopped or another process has taken its place."""
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            began = time.monotonic()
            self._exit_code = await self._run_once()
            if self._stopping.is_set():
                break
            self._error = last_error(self.log_file, self._log_start) or _ending(self._exit_code)
            if self._exit_code == EXIT_SUPERSEDED:
                log.warning("superseded by another process: left stopped", program=self.name)
                self._become("superseded")
                return
            if time.monotonic() - began > STEADY_SECONDS:
                pause = FIRST_PAUSE
            self._restarts += 1
            log.warning("died: starting it again", program=self.name, exit_code=self._exit_code, pause=pause)
            self._become("restarting")
            await stopped_within(self._stopping, pause)
            pause = min(pause * 2, LONGEST_PAUSE)
        self._become("stopped")

    async def stop(self, seconds: float) -> None:
        """Ask it to end, wait, and after `seconds` kill it. `keep` returns then."""
        self._stopping.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
            process.send_signal(signal.SIGCONT)  # a paused process would not see the first signal
        try:
            await asyncio.wait_for(process.wait(), seconds)
        except TimeoutError:
            log.warning("did not end in time: killed", program=self.name, seconds=seconds)
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _run_once(self) -> int:
        set_aside(self.log_file)
        with self.log_file.open("ab") as output:
            self._log_start = output.tell()
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment,
                pass_fds=[self._lifeline],
                start_new_session=True,  # Ctrl-C in the terminal is for the supervisor
            )
        self._started = time.time()
        if self._stopping.is_set():  # told to stop while it was being started: nobody else ends it now
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
        self._become("running" if self._restarts else "starting")
        return await self._process.wait()

    def _become(self, state: State) -> None:
        self.state = state
        self._changed()


def set_aside(log_file: Path) -> None:
    """Rename a log that has grown too long; the one before it goes."""
    with contextlib.suppress(FileNotFoundError):
        if log_file.stat().st_size > LOG_LIMIT:
            log_file.replace(log_file.with_suffix(".log.1"))


def last_error(log_file: Path, start: int = 0) -> str | None:
    """Return the last error that a log tells of from byte `start` on, or None.

    In a JSON line that is its event and reason; a line that is not JSON (a traceback's last) counts as one.
    """
    try:
        with log_file.open("rb") as file:
            file.seek(max(start, log_file.stat().st_size - 65536))
            lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    except OSError:
        return None
    for line in reversed(lines):
        try:
            told = json.loads(line)
        except ValueError:
            return line.strip()[:500]
        if isinstance(told, dict) and told.get("level") in ("error", "critical"):
            exception = str(told.get("exception", "")).strip().splitlines()[-1:]
            return ": ".join(str(part) for part in (told.get("event"), told.get("reason"), *exception) if part)
    return None


def _ending(code: int) -> str:
    return f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
