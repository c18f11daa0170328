"""Why something failed, on one line."""

from __future__ import annotations

from typing import Final

_MOST: Final = 300


def one_line(error: BaseException) -> str:
    """Return what an error says on one line; of the file system's, the path and the reason."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())


def refusal(error: Exception) -> str:
    """Return why something is refused, in a bounded length: the error may quote a name that is megabytes long."""
    return " ".join(str(error)[:_MOST].split()) or type(error).__name__
