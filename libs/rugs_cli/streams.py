"""Standard error of a command that outlives its terminal."""

from __future__ import annotations

import contextlib
import io
import sys


class _Forgiving(io.TextIOWrapper):
    """Text to a stream that may be gone: a closed terminal or pipe loses the text, and disturbs nobody."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except (OSError, ValueError):  # gone, or closed
            return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().flush()


def forgive_standard_error() -> None:
    """Have messages to standard error never fail: work has to come to its orderly end without them, too."""
    if sys.stderr is sys.__stderr__ and isinstance(sys.stderr, io.TextIOWrapper):  # which nobody else holds then
        sys.stderr = _Forgiving(
            sys.stderr.buffer, encoding=sys.stderr.encoding, errors="backslashreplace", line_buffering=True
        )
