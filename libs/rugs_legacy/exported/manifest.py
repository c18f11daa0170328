"""The manifest beside exported files: which data set they are of, and which event each line is.

Consecutive lines are kept as runs of four numbers: the session's place in `sessions`, the first
line's seq, how many lines, and their kind. In a run of kind `RAW` each line is an imported line as
it stood, and the next one's seq is further by its bytes and its newline, as it was in the old file.
In a run of kind `TOLD` each line was made of the event with the next seq. So a whole file is one run.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson

from rugs_legacy.line_formats.lines import Line
from rugs_proto.rules import MAX_NAME, MAX_SEQ

SUFFIX: Final = ".manifest.json"
VERSION: Final = 1
RAW, TOLD = 0, 1
MAX_BYTES: Final = 1 << 29
"""A manifest that is larger is none of ours."""


class FileEntry(msgspec.Struct, forbid_unknown_fields=True):
    """An exported file. `runs` says which event each line is; None where the rows say so themselves."""

    name: str
    sha256: str
    bytes: int
    lines: int
    runs: list[int] | None = None


class Manifest(msgspec.Struct, forbid_unknown_fields=True):
    """What one export wrote.

    Attributes:
        rugs_export: version of this form.
        filters: `game`, `from`, `to`, `source`, each null where it was not given.
        dataset: number of the snapshot, and (stream, incarnation, last sequence) that it had come to.
        sessions: source and session.
        left_out: events that the format cannot say, by reason.
    """

    rugs_export: int
    format: str
    timezone: str
    filters: dict[str, str | None]
    dataset: dict[str, Any]
    left_out: dict[str, int]
    sessions: list[tuple[str, str]]
    files: list[FileEntry]

    def encode(self) -> bytes:
        """Return the manifest as JSON, the same bytes for the same content."""
        return orjson.dumps(msgspec.to_builtins(self)) + b"\n"


def decode(content: bytes) -> Manifest | None:
    """Return the manifest that JSON says; None if it is none, or one whose numbers cannot be."""
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except (ValueError, RecursionError):
        return None
    is_sound = manifest.rugs_export == VERSION and all(
        _is_sound(entry.runs, len(manifest.sessions)) for entry in manifest.files
    )
    names_fit = all(0 < len(session) <= MAX_NAME for _, session in manifest.sessions)
    return manifest if is_sound and names_fit else None


def read(path: Path) -> Manifest | None:
    """Return the manifest in a file; None if there is none that can be read."""
    try:
        if path.stat().st_size > MAX_BYTES:
            return None
        return decode(path.read_bytes())
    except OSError:
        return None


def beside(folder: Path) -> Iterator[Manifest]:
    """Give the manifests that lie in a folder."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        if (found := read(path)) is not None:
            yield found


def _is_sound(runs: list[int] | None, sessions: int) -> bool:
    if runs is None:
        return True
    if len(runs) % 4:
        return False
    return all(
        0 <= runs[place] < sessions
        and 1 <= runs[place + 1] <= MAX_SEQ
        and runs[place + 2] >= 1
        and runs[place + 3] in (RAW, TOLD)
        for place in range(0, len(runs), 4)
    )


class Runs:
    """Gathers the runs of files, and the sessions that they name."""

    def __init__(self) -> None:
        self._sessions: dict[tuple[str, str], int] = {}
        self._runs = array("q")
        self._next = 0

    @property
    def sessions(self) -> list[tuple[str, str]]:
        """Source and session of all lines so far, in the order in which they came first."""
        return list(self._sessions)

    def add(self, line: Line) -> None:
        """Take the next line of the file."""
        runs, kind = self._runs, RAW if line.is_raw else TOLD
        session = self._sessions.setdefault((line.source, line.session_id), len(self._sessions))
        if runs and (runs[-4], runs[-1]) == (session, kind) and line.seq == self._next:
            runs[-2] += 1
        else:
            runs.extend((session, line.seq, 1, kind))
        self._next = line.seq + (len(line.content) + 1 if line.is_raw else 1)

    def take(self) -> list[int]:
        """Return the file's runs, and begin the next file."""
        runs, self._runs = self._runs.tolist(), array("q")
        return runs


class Claim(msgspec.Struct, frozen=True):
    """The event that a manifest says a line is."""

    source: str
    session_id: str
    seq: int
    is_raw: bool

    def further(self, size: int) -> Claim:
        """Return the claim for what stands so many bytes further on in the same line."""
        return msgspec.structs.replace(self, seq=self.seq + size)


class Claims:
    """What a manifest says of a file's lines, asked for line by line."""

    def __init__(self, manifest: Manifest, entry: FileEntry) -> None:
        self.manifest = manifest
        self._runs = entry.runs or []
        self._claims = self._expand()
        self._size = 0
        self._line = 0

    def of(self, number: int, size: int) -> Claim | None:
        """Return the claim for a line, which has that many bytes; each line is asked for, from 1 on."""
        if number != self._line + 1:  # the file is not the one: nothing is known any more
            self._claims = iter(())
        self._line = number
        claim = next(self._claims, None)
        self._size = size  # by which the next one is further
        return claim

    def sessions(self) -> set[tuple[str, str, bool]]:
        """Return source and session of all lines, and whether they are imported lines as they stood."""
        return {(*self.manifest.sessions[session], kind == RAW) for session, _, _, kind in self._each_run()}

    def _each_run(self) -> Iterator[list[int]]:
        return (self._runs[place : place + 4] for place in range(0, len(self._runs), 4))

    def _expand(self) -> Iterator[Claim]:
        for session, first, count, kind in self._each_run():
            source, session_id = self.manifest.sessions[session]
            seq = first
            for _ in range(count):
                if seq > MAX_SEQ:
                    return
                yield Claim(source, session_id, seq, kind == RAW)
                seq += self._size + 1 if kind == RAW else 1
