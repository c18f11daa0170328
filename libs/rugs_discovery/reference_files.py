"""Recording files as the proof reads them: lines with their numbers, or the elements of a JSON array."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from rugs_discovery.reference_reader import records_of
from rugs_legacy.lines import CHUNK
from rugs_legacy.not_recordings import why_no_recording
from rugs_legacy.packed import Content, Readable, unpacked_name

_MARK: Final = b"\xef\xbb\xbf"


class NoRecordingError(ValueError):
    """A file is known to be no recording; the message says what it is."""


class ReferenceFile:
    """The lines of one file.

    Attributes:
        sha256: of the content, in hex; empty until all of it is read.
    """

    def __init__(self, path: Path) -> None:
        self.sha256 = ""
        self._path = path

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Give the lines that are not blank, with their numbers from 1; elements of an array have theirs.

        Raises:
            OSError: if the file cannot be read.
            NoRecordingError: if it is no recording.
        """
        with Content(self._path) as content:
            chunks = _Chunks(content.stream)
            for number, line in enumerate(_lines(chunks, unpacked_name(self._path.name)), 1):
                if line.strip():
                    yield number, line
            self.sha256 = chunks.digest.hexdigest()


class _Chunks:
    """Reads a stream to its end, in chunks, and hashes it."""

    def __init__(self, stream: Readable) -> None:
        self.digest = sha256()
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        while chunk := self._stream.read(CHUNK):
            self.digest.update(chunk)
            yield chunk


def _lines(chunks: _Chunks, name: str) -> Iterator[bytes]:
    pending: list[bytes] = []
    for at, chunk in enumerate(chunks):
        if at == 0 and _is_document(chunk):
            yield from _of_document(b"".join([chunk, *chunks]), name)
            return
        begin, *lines = chunk.split(b"\n")
        pending.append(begin)
        if lines:
            yield b"".join(pending)
            pending = [lines.pop()]
            yield from lines
    yield b"".join(pending)


def _is_document(begin: bytes) -> bool:
    """Return whether a file may be one JSON value over several lines, or an array, by its beginning."""
    text = begin.removeprefix(_MARK).lstrip()
    first = text.partition(b"\n")[0].rstrip()
    return text.startswith(b"[") or first in (b"{", b'{"') or (text.startswith(b"{") and first[-1:] in b",{[")


def _of_document(whole: bytes, name: str) -> list[bytes]:
    """Return the records of a file that is one JSON value; its lines, where it is none."""
    try:
        records = records_of(whole.decode())
    except UnicodeDecodeError:
        records = None
    if records is None:
        return whole.strip().split(b"\n")
    if (why := why_no_recording(name, _object(records))) is not None:
        raise NoRecordingError(why)
    return [record.encode() for record in records]


def _object(records: list[str]) -> dict[str, Any] | None:
    """Return the object that a file is, if it is one."""
    try:
        value = json.loads(records[0]) if len(records) == 1 else None
    except RecursionError:
        return None
    return value if isinstance(value, dict) else None
