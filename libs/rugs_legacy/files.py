"""Which files are meant by the paths that somebody names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path


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
