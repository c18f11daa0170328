"""A real terminal for a command: a pty of a given size, and what its screen shows."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pyte


class Terminal:
    """A command on a terminal of its own, while the body runs. `raw` is all that it has written."""

    def __init__(
        self, arguments: Sequence[str | Path], environment: Mapping[str, str], *, columns: int, lines: int = 24
    ) -> None:
        self.raw = b""
        self.screen = pyte.HistoryScreen(columns, lines, history=1000)
        self._stream = pyte.ByteStream(self.screen)
        self.pid, self._handle = pty.fork()
        if self.pid == 0:
            _set_size(0, lines, columns)
            environment = {**environment, "TERM": "xterm-256color"}
            environment.pop("COLUMNS", None)
            os.execve(arguments[0], [str(each) for each in arguments], environment)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        os.close(self._handle)  # whoever is left gets SIGHUP
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    @property
    def shown(self) -> list[str]:
        """The lines that are not empty."""
        return [line.rstrip() for line in self.screen.display if line.strip()]

    @property
    def has_scrolled(self) -> bool:
        return bool(self.screen.history.top)

    def resize(self, columns: int) -> None:
        """Make the terminal narrower or wider."""
        _set_size(self._handle, self.screen.lines, columns)
        self.screen.resize(columns=columns)

    def type(self, text: str) -> None:
        """Type on the keyboard."""
        os.write(self._handle, text.encode())

    def until(self, condition: Callable[[], object], limit: float = 60) -> None:
        """Read on until a condition holds."""
        deadline = time.monotonic() + limit
        while not condition():
            assert time.monotonic() < deadline, self.raw.decode(errors="replace")
            self._read(0.1)

    def ended(self, limit: float = 60) -> int:
        """Read on until the command ends; return its exit code."""
        deadline = time.monotonic() + limit
        while True:
            self._read(0.1)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                while self._read(0):
                    pass
                return os.waitstatus_to_exitcode(status)
            assert time.monotonic() < deadline, self.raw.decode(errors="replace")

    def _read(self, seconds: float) -> bool:
        if not select.select([self._handle], [], [], seconds)[0]:
            return False
        try:
            part = os.read(self._handle, 65536)
        except OSError:  # nobody has the other end any more
            return False
        self.raw += part
        self._stream.feed(part)
        return bool(part)


def _set_size(handle: int, lines: int, columns: int) -> None:
    fcntl.ioctl(handle, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
