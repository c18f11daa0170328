"""Which files are meant by the paths that somebody names."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator
from pathlib import Path


def named_by(path: Path) -> list[Path]:
    """Return the files and folders that a path names; one that is not there may be a pattern, such as `dir/**/*.jsonl`.

    Raises:
        FileNotFoundError: if it names none.
    """
    if path.exists():
        return [path]
    names = glob.glob(str(path), recursive=True) if is_pattern(path) else []  # noqa: PTH207 - Path.glob wants a folder
    found = [Path(name) for name in sorted(names)]
    if not found:
        raise FileNotFoundError(f"no such file or folder: {path}")
    return found


def is_pattern(path: Path) -> bool:
    """Return whether a path can stand for others."""
    return glob.has_magic(str(path))


def find_files(paths: Iterable[Path], leave_out: Path) -> Iterator[Path]:
    """Give the files that are named and those in the folders that are named, each once, by name.

    `leave_out` is a folder that is not entered: the data root itself holds no recordings.
    """
    seen = set()
    for path in paths:
        for file in [path] if not path.is_dir() else _walk(path, leave_out):
            if (real := file.resolve()) not in seen:
                seen.add(real)
                yield file


def _walk(folder: Path, leave_out: Path) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()):
        if (
            not entry.is_dir() or entry.is_symlink()
        ):  # a link to a folder may lead in a circle: it is named, not entered
            yield entry
        elif entry.resolve() != leave_out.resolve():
            yield from _walk(entry, leave_out)
