"""Commands on a terminal of their own, as people run them: keys, and the terminal that is closed."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import subprocess
import termios
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from tests.support.stackkit import LIMIT, wait

CTRL_C: Final = b"\x03"
CTRL_BACKSLASH: Final = b"\x1c"


class Terminal:
    """A command with a terminal that is its controlling one."""

    def __init__(self, command: Sequence[str | Path], environment: Mapping[str, str]) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            command,
            env=environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 (one system call)
        )
        os.close(theirs)
        self.shown = b""
        self._closed = threading.Event()
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        with suppress(OSError):  # the command and all it has started are gone
            while not self._closed.is_set():
                if select.select([self._ours], [], [], 0.05)[0]:
                    self.shown += os.read(self._ours, 65536)

    def until_shown(self, text: str) -> None:
        """Return when the command has shown a text."""

        def shown() -> bool:
            assert text.encode() in self.shown or self.process.poll() is None, self.shown.decode()
            return text.encode() in self.shown

        wait(shown)

    def press(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._ours, keys)

    def close(self) -> None:
        """Close the terminal, as its window's cross does."""
        if not self._closed.is_set():
            self._closed.set()
            self._reading.join()  # a terminal that somebody reads from is not closed
            os.close(self._ours)

    def end(self) -> int:
        """Wait for the command to end; return its exit code."""
        return self.process.wait(LIMIT)


def processes_of(root: Path) -> list[psutil.Process]:
    """Return the processes that work on a data folder, whoever started them."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            ended = process.status() == psutil.STATUS_ZOMBIE
            if not ended and process.environ().get("RUGS_DATA_DIR") == str(root):
                found.append(process)
    return found
