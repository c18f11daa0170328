"""One line on a terminal that is rewritten in place, drawn by one program at a time."""

from __future__ import annotations

import os
import sys
from typing import Final, Self, TextIO

from rugs_cli.output import printable
from rugs_core.locks import try_lock

_ERASE_TO_END: Final = "\x1b[K"
_ERASE: Final = "\r" + _ERASE_TO_END


def is_foreground(stream: TextIO) -> bool:
    """Return whether a stream is a terminal, and this program is in its foreground: a shell's `&` puts it behind."""
    try:
        if not stream.isatty() or os.environ.get("TERM") == "dumb":
            return False
        return os.tcgetpgrp(stream.fileno()) == os.getpgrp()
    except ValueError:  # closed
        return False
    except OSError:  # a terminal, but not the one that controls this program
        return True


class LiveLine:
    """A line on a terminal, standard error if no other is given, while the body runs.

    Of several programs in the foreground of one terminal, the first draws: it holds a lock on the terminal.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._lock: int | None = None
        self._is_drawn = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_drawn and is_foreground(self._stream):
            self._write(_ERASE)
        self._let_go()

    def show(self, text: str) -> bool:
        """Draw a line over the last one, cut to the terminal's width; return False where that is not ours to do."""
        if not is_foreground(self._stream) or not self._holds_terminal():
            self._let_go()
            return False
        # The cursor waits at the line's beginning: what is typed, such as ^C, does not make the line wrap.
        self._write("\r" + _fitted(printable(text), self._stream) + _ERASE_TO_END + "\r")
        self._is_drawn = True
        return True

    def say(self, text: str) -> None:
        """Print a line that stays; on a terminal it takes the place of a line that is drawn, by whomever."""
        self._write((_ERASE if self._stream.isatty() else "") + printable(text) + "\n")

    def _holds_terminal(self) -> bool:
        if self._lock is not None:
            return True
        try:
            lock = os.open(os.ttyname(self._stream.fileno()), os.O_RDONLY | os.O_NOCTTY)
        except OSError:  # a terminal without a name, as in some containers
            return True
        try:
            is_ours = try_lock(lock)
        except OSError:  # a terminal that takes no locks
            is_ours = False
        if not is_ours:
            os.close(lock)
            return False
        self._lock = lock
        return True

    def _let_go(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:  # the terminal is gone, and the work goes on
            self._is_drawn = False


def _fitted(line: str, stream: TextIO) -> str:
    """Return a line cut to one less than the terminal's width: a full one would wrap."""
    from rich.cells import cell_len, set_cell_size

    try:
        columns = os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        columns = 80
    return line if cell_len(line) < columns else set_cell_size(line, columns - 1)
