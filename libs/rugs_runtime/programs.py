"""A program of the stack: a process with a log file, which hangs on a pipe and ends when its supervisor is gone."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

import structlog

from rugs_runtime.keeper import why_ended
from rugs_runtime.log_files import LOG_FILE, last_error, mark, rotate
from rugs_runtime.service import LIFELINE

_LOOK_SECONDS: Final = 0.05
HURRY_SECONDS: Final = 2.0
"""How long a process has to end once that is urgent."""

log = structlog.get_logger(__name__)


class Program:
    """A program to keep running. It logs to `log_file`, and prints to `output`, where that is given."""

    trouble: str | None = None

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        log_file: Path,
        lifeline: int,
        output: IO[bytes] | None = None,
    ) -> None:
        self.name = name
        self.log_file = log_file
        self._command = command
        self._environment = {**os.environ, **environment, LIFELINE: str(lifeline), LOG_FILE: str(log_file)}
        self._lifeline = lifeline
        self._output = output
        self._process: subprocess.Popen[bytes] | None = None
        self._mark = mark(log_file)

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def exit_code(self) -> int | None:
        """How it last ended; negative for a signal."""
        return None if self._process is None else self._process.poll()

    async def start(self) -> None:
        """Start it. Where the disk does not allow a log, it runs without one."""
        with self._open_log() as logging:
            self._mark = mark(self.log_file)
            self._process = launch(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=self._output or logging,
                stderr=logging,
                env=self._environment,
                pass_fds=[self._lifeline],
            )

    async def ended(self) -> str:
        """Return when it has ended: the last error in its log, or how it ended."""
        while (code := self.exit_code) is None:  # noqa: ASYNC110 (seen from outside)
            await asyncio.sleep(_LOOK_SECONDS)
        return last_error(self.log_file, self._mark) or why_ended(code)

    async def end(self, seconds: float, hurry: asyncio.Event) -> None:
        """Ask it to end and wait; kill it after `seconds`, or soon after `hurry` is set."""
        if self._process is not None:
            await end_process(self._process, seconds, hurry, self.name)

    def _open_log(self) -> IO[bytes]:
        try:
            rotate(self.log_file)
            return self.log_file.open("ab")
        except OSError as error:
            log.warning("cannot write a log: going on without", program=self.name, reason=str(error))
            return Path(os.devnull).open("ab")


def launch(command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a process that no signal of the terminal reaches: these are for its supervisor."""
    return subprocess.Popen(command, start_new_session=True, **options)  # noqa: S603 (our own programs)


async def end_process(process: subprocess.Popen[bytes], seconds: float, hurry: asyncio.Event, name: str) -> None:
    """Ask a process to end and wait until it is gone; kill it after `seconds`, or soon after `hurry` is set."""
    if process.poll() is not None:
        return
    process.terminate()
    process.send_signal(signal.SIGCONT)  # a paused process would not see the first signal
    deadline = time.monotonic() + seconds
    hurrying = False
    while process.poll() is None:
        if hurry.is_set() and not hurrying:
            hurrying, deadline = True, min(deadline, time.monotonic() + HURRY_SECONDS)
        if time.monotonic() > deadline:
            log.warning("did not end in time: killed", program=name)
            process.kill()
            process.wait()
        await asyncio.sleep(_LOOK_SECONDS)
