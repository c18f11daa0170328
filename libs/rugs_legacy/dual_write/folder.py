"""The folder of the old formats: additions to plain files, each exactly once.

The checkpoint says how far everything has come, and how long each file is then. Whatever
stands behind that was written by a process that died before it could say so, and is cut off.
A new file has another name until a checkpoint knows it: so one that none knows is told from
the old recorders' own, and what is there is never written over.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

import structlog

from rugs_core.errors import RugsError
from rugs_core.files import TEMPORARY_PREFIX, fsync_file, fsync_folder, write_durably
from rugs_follow.continuity import Checkpoint
from rugs_legacy.dual_write.recorder import Addition, Batch

CHECKPOINT: Final = ".dual-write.json"
_NEW: Final = ".jsonl.new"
_VERSION: Final = 1

log = structlog.get_logger(__name__)


class CheckpointError(RugsError):
    """The checkpoint cannot be used: one line that says why, and what to do."""


class Folder:
    """The files under `path`. One process at a time may have it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoint = Checkpoint()
        self.sessions: dict[str, Any] = {}
        self._sizes: dict[str, int] = {}

    def open(self) -> None:
        """Read the checkpoint, and bring the files to what it says.

        Raises:
            CheckpointError: if it is there and cannot be read.
            OSError: if the folder cannot be written.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self._read_checkpoint()
        for name in self._sizes:
            self._publish(name)
        for left in [*self.path.glob(f".*{_NEW}"), *self.path.glob(f"{TEMPORARY_PREFIX}*")]:
            left.unlink()
        for name, size in self._sizes.items():
            self._cut(name, size)
        fsync_folder(self.path)

    def sizes(self) -> dict[str, int]:
        """Return, by file, how many bytes the checkpoint on the disk says that it has."""
        self._read_checkpoint()
        return self._sizes

    def is_taken(self, name: str) -> bool:
        """Whether there is a file of that name."""
        return os.path.lexists(self.path / name)

    def read(self, name: str, size: int) -> bytes:
        """Return the first bytes of a file; nothing where it is gone."""
        try:
            with (self.path / name).open("rb") as file:
                return file.read(size)
        except FileNotFoundError:
            return b""

    def commit(self, batch: Batch, checkpoint: Checkpoint) -> None:
        """Write a batch, durably, and that everything up to `checkpoint` is written. Where it fails, do it again.

        Raises:
            OSError: if it cannot be written; nothing of it counts then.
        """
        created = [each.name for each in batch.additions if each.is_new]
        for addition in batch.additions:
            self._add(addition)
        if created:
            fsync_folder(self.path)  # before the checkpoint names them
        told = {"version": _VERSION, **checkpoint._asdict(), "sessions": batch.sessions, "sizes": batch.sizes}
        write_durably(self.path / CHECKPOINT, json.dumps(told).encode())
        for name in created:
            self._publish(name)
        if created:
            fsync_folder(self.path)
        self.checkpoint, self.sessions, self._sizes = checkpoint, batch.sessions, batch.sizes

    def _read_checkpoint(self) -> None:
        path = self.path / CHECKPOINT
        try:
            told = json.loads(path.read_bytes())
            if told["version"] != _VERSION:
                raise ValueError(f"version {told['version']}")
            self.checkpoint = Checkpoint(told["incarnation"], told["seq"], told["time_us"])
            self.sessions, self._sizes = told["sessions"], told["sizes"]
        except FileNotFoundError:
            return
        except (ValueError, LookupError, TypeError) as error:
            raise CheckpointError(f"{path} cannot be read ({error}): set another RUGS_LEGACY_DIR") from error

    def _add(self, addition: Addition) -> None:
        path = self._hidden(addition.name) if addition.is_new else self.path / addition.name
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if addition.is_new else 0), 0o644)
        with os.fdopen(handle, "wb") as file:
            there = os.fstat(handle).st_size
            if there < addition.start:
                log.error("a file was cut or taken away: it goes on without that", file=str(path), bytes=there)
            file.truncate(min(there, addition.start))
            file.seek(0, os.SEEK_END)
            file.write(addition.content)
            fsync_file(file)

    def _cut(self, name: str, size: int) -> None:
        path = self.path / name
        try:
            if (there := path.stat().st_size) > size:
                log.info("cut off what was written after the checkpoint", file=name, bytes=there - size)
                os.truncate(path, size)
        except FileNotFoundError:
            log.warning("a file is not there any more", file=name)

    def _publish(self, name: str) -> None:
        """Give a file that the checkpoint knows its name, unless it has it."""
        if (hidden := self._hidden(name)).exists():
            hidden.rename(self.path / name)

    def _hidden(self, name: str) -> Path:
        return self.path / f".{name.removesuffix('.jsonl')}{_NEW}"
