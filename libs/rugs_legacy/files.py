"""Which files are meant by the paths that somebody names."""

from __future__ import annotations

import errno
import glob
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

_SPECIAL: Final = (
    (stat.S_ISDIR, "a folder: name it itself, and it is entered"),
    (stat.S_ISFIFO, "a pipe, not a plain file"),
    (stat.S_ISSOCK, "a socket, not a plain file"),
    (stat.S_ISCHR, "a device, not a plain file"),
    (stat.S_ISBLK, "a device, not a plain file"),
)


def named_by(path: Path) -> list[Path]:
    """Return the files and folders that a path names; one that is not there may be a pattern, such as `dir/**/*.jsonl`.

    Raises:
        FileNotFoundError: if it names none.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        pass  # it may be a pattern
    except OSError:  # who reads it says why that cannot be
        return [path]
    else:
        return [path]
    names = glob.glob(str(path), recursive=True) if is_pattern(path) else []  # noqa: PTH207 - Path.glob wants a folder
    found = [Path(name) for name in sorted(names)]
    if not found:
        raise FileNotFoundError(f"no such file or folder: {path}")
    return found


def is_pattern(path: Path) -> bool:
    """Return whether a path can stand for others."""
    return glob.has_magic(str(path))


def find_files(paths: Iterable[Path], leave_out: Path, unreadable: Callable[[Path, OSError], None]) -> Iterator[Path]:
    """Give the files that are named and those in the folders that are named, each once, by name.

    A link to a folder is given, and not entered: it may lead in a circle. So is whatever else is no plain file.

    Args:
        paths: files and folders.
        leave_out: a folder that is not entered: the data root itself holds no recordings.
        unreadable: told of each folder that cannot be listed, and why.
    """
    seen = set()
    for path in paths:
        is_folder = os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises where it may not look
        for file in _walk(path, os.path.realpath(leave_out), unreadable) if is_folder else [path]:
            if (real := os.path.realpath(file)) not in seen:
                seen.add(real)
                yield file


def _walk(folder: Path, leave_out: str, unreadable: Callable[[Path, OSError], None]) -> Iterator[Path]:
    waiting = _listed(folder, unreadable)
    while waiting:  # a stack: folders may be nested deeper than calls can be
        path, is_folder = waiting.pop()
        if not is_folder:
            yield path
        elif os.path.realpath(path) != leave_out:
            waiting += _listed(path, unreadable)


def _listed(folder: Path, unreadable: Callable[[Path, OSError], None]) -> list[tuple[Path, bool]]:
    """Return what is in a folder, the last name first, and whether each is a folder itself."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries), reverse=True)
    except OSError as error:
        unreadable(folder, error)
        return []
    return [(folder / name, is_folder) for name, is_folder in found]


def special_kind(path: Path) -> str | None:
    """Return what a path is that is no plain file, for people; None if it is one.

    Raises:
        OSError: if that cannot be found out.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if error.errno == errno.ELOOP:
            return "a link that leads to itself"
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return "it points nowhere"
        raise
    if stat.S_ISREG(mode):
        return None
    kind = next((kind for is_kind, kind in _SPECIAL if is_kind(mode)), "not a plain file")
    return f"a link to {kind}" if path.is_symlink() else kind
