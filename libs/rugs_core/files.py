"""Durable files: what is written is whole or not there, also after the power fails."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO, Final

TEMPORARY_PREFIX: Final = ".tmp-"
"""How the names of files begin that are still being written; after a crash nobody finishes them."""


def fsync_file(file: IO[Any]) -> None:
    """Make what was written to an open file durable."""
    file.flush()
    os.fsync(file.fileno())


def fsync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, durably."""
    missing = [each for each in (folder, *folder.absolute().parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in missing:
        with suppress(PermissionError):  # a folder that may not be read cannot be fsynced
            fsync_folder(made.absolute().parent)


@contextmanager
def replacing(target: Path) -> Iterator[BinaryIO]:
    """Open a file beside `target` that takes its place, fsynced, when the body is done, and is gone if the body fails.

    Several processes may do so at once. The new name is durable after `fsync_folder(target.parent)`.
    """
    unfinished = target.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}")
    try:
        with unfinished.open("xb") as file:
            yield file
            fsync_file(file)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def write_durably(target: Path, content: bytes) -> None:
    """Write a small file whole, and make it and its name durable."""
    with replacing(target) as file:
        file.write(content)
    fsync_folder(target.parent)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
