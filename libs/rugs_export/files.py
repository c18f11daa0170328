"""Exported files on disk: whole or not at all, and never over what an export has not written itself.

All files are first written aside, fsynced, and then renamed. The manifest knows a file by its
SHA-256: while files are renamed it names the old ones and the new ones, so that whatever is
there after a crash is known. This is the one module of export that opens files for writing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from rugs_core.errors import RugsError
from rugs_core.files import fsync_file, fsync_folder, sha256_of
from rugs_core.locks import try_lock
from rugs_legacy.exported import manifest as manifests
from rugs_legacy.exported.manifest import FileEntry, Manifest

_ASIDE: Final = ".tmp-export-"


class ExportError(RugsError):
    """An export cannot be written: one line that says why, and what to do."""


class OutFile:
    """One file of an export, while it is written: a sink for bytes that counts and hashes."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self.lines = 0
        self._path = path
        self._stream: BinaryIO = path.open("xb")
        self._size = 0
        self._sha256 = hashlib.sha256()
        self.closed = False

    def write(self, content: bytes | memoryview) -> int:
        """Write bytes; return how many."""
        self._sha256.update(content)
        self._size += len(content)
        return self._stream.write(content)

    def write_line(self, content: bytes) -> None:
        """Write a line, given without its newline."""
        self.write(content + b"\n")
        self.lines += 1

    def flush(self) -> None:
        """Hand on what is buffered."""
        self._stream.flush()

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self._size

    def finish(self, runs: list[int] | None) -> FileEntry:
        """Make the file durable; return its entry."""
        if not self._stream.closed:
            fsync_file(self._stream)
            self._stream.close()
        return FileEntry(self.name, self._sha256.hexdigest(), self._size, self.lines, runs)

    def close(self) -> None:
        """Do nothing: writers of other formats close what they write to, and we still fsync it."""

    def abandon(self) -> None:
        """Close it without more."""
        self._stream.close()


class Target:
    """A folder that is being exported to; while it is open no other export writes there.

    Where `file` is given, that name is the only one. Exports of other names leave each other's files alone.
    """

    def __init__(self, folder: Path, name: str, file: str | None, *, force: bool) -> None:
        self.folder = folder
        self.file = file
        self.manifest = folder / f"{file or name}{manifests.SUFFIX}"
        self._force = force
        self._aside: Path | None = None

    @property
    def aside(self) -> Path:
        """The folder for what is not finished."""
        assert self._aside is not None  # noqa: S101 - only while it is open
        return self._aside

    @contextmanager
    def opened(self) -> Iterator[Target]:
        """Hold the target while the body writes; what it has not published is gone afterwards.

        Raises:
            ExportError: if another export holds it.
            OSError: if it cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if not try_lock(handle):
                raise ExportError(f"another export writes to {self.folder}: wait for it")
            for left in self.folder.glob(f"{_ASIDE}*"):  # of an export that was killed
                shutil.rmtree(left)
            self._aside = Path(tempfile.mkdtemp(prefix=_ASIDE, dir=self.folder))
            try:
                yield self
            finally:
                shutil.rmtree(self._aside)
        finally:
            os.close(handle)

    def create(self, name: str) -> OutFile:
        """Begin a file, which nobody sees before `publish`."""
        return OutFile(self.aside / name)

    def publish(self, manifest: Manifest) -> None:
        """Put the files where they belong, and the manifest beside them.

        Raises:
            ExportError: if a file of another origin is in the way. Nothing is changed then.
        """
        before = self._before()
        own = {entry.sha256 for known in manifests.beside(self.folder) for entry in known.files}
        new = {entry.name: entry for entry in manifest.files}
        for entry in manifest.files:
            self._admit(self.folder / entry.name, own | {entry.sha256})
        if before is not None:
            self._write_manifest(_both(before, manifest))
        fsync_folder(self.aside)
        if before is None:
            self._write_manifest(manifest)
        for name in new:
            (self.aside / name).replace(self.folder / name)
        for entry in before.files if before is not None else []:
            path = self.folder / entry.name
            if entry.name not in new and path.is_file() and sha256_of(path) == entry.sha256:
                path.unlink()
        fsync_folder(self.folder)
        if before is not None:
            self._write_manifest(manifest)

    def _write_manifest(self, manifest: Manifest) -> None:
        file = self.create(self.manifest.name)
        file.write(manifest.encode())
        file.finish(None)
        (self.aside / file.name).replace(self.manifest)
        fsync_folder(self.folder)

    def _before(self) -> Manifest | None:
        """Return the manifest of the export that was here before.

        Raises:
            ExportError: if something else has its name.
        """
        if not os.path.lexists(self.manifest):
            return None
        found = manifests.read(self.manifest)
        if found is None and not self._force:
            raise ExportError(f"{self.manifest} is no manifest of an export: --force overwrites it")
        names_fit = found is not None and all(_is_plain(entry.name) for entry in found.files)
        return found if names_fit else None

    def _admit(self, path: Path, own: set[str]) -> None:
        if path.is_dir():
            raise ExportError(f"{path} is a folder")
        if not self._force and os.path.lexists(path) and (path.is_symlink() or sha256_of(path) not in own):
            raise ExportError(f"{path} is not what an export wrote: --force overwrites it")


def _both(before: Manifest, now: Manifest) -> Manifest:
    """Return a manifest that knows the files of two exports."""
    shift = len(now.sessions)

    def shifted(entry: FileEntry) -> FileEntry:
        if entry.runs is None:
            return entry
        runs = [value + shift if place % 4 == 0 else value for place, value in enumerate(entry.runs)]
        return msgspec.structs.replace(entry, runs=runs)

    files = [*now.files, *map(shifted, before.files)]
    return msgspec.structs.replace(now, sessions=[*now.sessions, *before.sessions], files=files)


def _is_plain(name: str) -> bool:
    return name not in ("", ".", "..") and "/" not in name and "\0" not in name
