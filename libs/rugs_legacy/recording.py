"""One old file as envelopes: every line is a record, blank, or a reject with its reason."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

from rugs_legacy.errors import UnreadableError
from rugs_legacy.lines import MAX_LINE, Block, digest, read_blocks
from rugs_legacy.recognise import BLANKS, BYTE_ORDER_MARK, UnknownFormatError, recognise
from rugs_legacy.record import Format, Parse, Record
from rugs_legacy.salvage import salvage
from rugs_proto import ids
from rugs_proto.subjects import MAX_BODY

SOURCE: Final = "import"
MAX_INLINE: Final = MAX_BODY - 64 * 1024
"""Bytes of `raw` that fit a message beside the rest of an envelope; above, they go to the object store."""


@dataclass
class Counts:
    """What was in a file: lines = records + rejected + blank; salvaged records come out of rejected lines.

    `read` says how many bytes of the file are dealt with, about, for those who watch.
    """

    lines: int = 0
    blank: int = 0
    records: int = 0
    rejected: int = 0
    salvaged: int = 0
    read: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Recording:
    """An old file, looked at: the first `size` bytes of it, which are what is imported."""

    path: Path
    size: int
    sha256: str
    format: Format
    timezone: str
    session_id: str


def look_at(path: Path, timezone: str) -> Recording:
    """Look at a file: its size now, its SHA-256, its format.

    Raises:
        UnknownFormatError: if its format is not one that can be read, or it is no file.
        FileChangedError: if it was cut meanwhile.
        OSError: if it cannot be read.
        ValueError: if there is no such time zone.
    """
    if not path.is_file():
        raise UnknownFormatError("not a plain file" if path.exists() else "it points nowhere")
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        format_, first = recognise(stream, size, path.name, timezone)
        stream.seek(0)
        sha = digest(stream, size)
    return Recording(path, size, sha, format_, timezone, ids.import_session_id(format_.id, first))


def read(recording: Recording, counts: Counts) -> Iterator[dict[str, Any]]:
    """Give the recording's envelopes in the file's order, as the maps that travel; `counts` is kept up.

    They keep the contract of `rugs_proto.envelope` without being validated again. Where
    `raw` is longer than `MAX_INLINE`, the bytes are still in it; the sender parks them.

    Raises:
        FileChangedError: if the bytes are not those that `look_at` saw. What was given until then
            is true, but the file has to be imported again.
        OSError: if it cannot be read.
    """
    with recording.path.open("rb") as stream:
        yield from _Reader(recording, counts).read(stream)


def read_line(recording: Recording, line: bytes, number: int, offset: int) -> dict[str, Any] | None:
    """Read one line of a recording again; return its envelope, or None if it is still no record.

    Of `recording` the file itself is not looked at.
    """
    return _Reader(recording, Counts()).line(line, number, offset)


class _Reader:
    def __init__(self, recording: Recording, counts: Counts) -> None:
        self._recording = recording
        self._counts = counts
        self._parse: Parse = recording.format.reader(recording.timezone)
        self._file = printable(recording.path.name)

    def read(self, stream: BinaryIO) -> Iterator[dict[str, Any]]:
        counts, parse = self._counts, self._parse
        for block in read_blocks(stream, self._recording.size, self._recording.sha256):
            counts.read = block.offset
            if block.piece:
                yield self._piece(block)
                continue
            number, offset = block.number, block.offset
            counts.lines += len(block.lines)
            for line in block.lines:
                content = line if offset else line.removeprefix(BYTE_ORDER_MARK)
                try:
                    text = line.decode()
                    record = parse(content)
                except (UnreadableError, UnicodeDecodeError) as error:
                    if content.strip(BLANKS):
                        yield from self._damaged(line, number, offset, error)
                    else:
                        counts.blank += 1
                else:
                    counts.records += 1
                    yield self._envelope(record, text, number, offset)
                number += 1
                offset += len(line) + 1
        counts.read = self._recording.size

    def line(self, line: bytes, number: int, offset: int) -> dict[str, Any] | None:
        try:
            return self._envelope(self._parse(line), line.decode(), number, offset)
        except (UnreadableError, UnicodeDecodeError):
            return None

    def _damaged(self, line: bytes, number: int, offset: int, error: ValueError) -> Iterator[dict[str, Any]]:
        self._counts.rejected += 1
        reason = f"not UTF-8 at byte {error.start}" if isinstance(error, UnicodeDecodeError) else str(error)
        yield self._reject(line, number, offset, reason)
        for piece in salvage(line, self._recording.format.record_start, self._parse):
            self._counts.salvaged += 1
            piece.record.fields["salvaged"] = True
            yield self._envelope(piece.record, piece.raw.decode(), number, offset + piece.start)

    def _piece(self, block: Block) -> dict[str, Any]:
        """Reject a line that is too long to be held: all its bytes are kept, in pieces."""
        if block.piece == 1:
            self._counts.lines += 1
            self._counts.rejected += 1
        reason = f"longer than {MAX_LINE >> 20} MiB: piece {block.piece}"
        return self._reject(block.lines[0], block.number, block.offset, reason)

    def _envelope(self, record: Record, text: str, number: int, offset: int) -> dict[str, Any]:
        envelope = {
            "v": 1,
            "ts": record.ts,
            "doc_type": record.doc_type,
            "source": SOURCE,
            "session_id": self._recording.session_id,
            "seq": offset + 1,
            "direction": record.direction,
            "event": record.event,
            "fields": record.fields,
            "raw": text,
            "origin": self._origin(number, offset, record.zone),
        }
        if record.recv_ts is not None:
            envelope["recv_ts"] = record.recv_ts
        if record.game_id is not None:
            envelope["game_id"] = record.game_id
        if record.player_id is not None:
            envelope["player_id"] = record.player_id
        if record.username is not None:
            envelope["username"] = record.username
        return envelope

    def _reject(self, line: bytes, number: int, offset: int, reason: str) -> dict[str, Any]:
        now = time.time_ns() // 1000
        try:
            raw: str | bytes = line.decode()
        except UnicodeDecodeError:
            raw = line
        return {
            "v": 1,
            "ts": now,
            "recv_ts": now,
            "doc_type": "reject",
            "source": SOURCE,
            "session_id": self._recording.session_id,
            "seq": offset + 1,
            "direction": "received",
            "event": "line",
            "fields": {"reason": printable(reason), "format": self._recording.format.id},
            "raw": raw,
            "origin": self._origin(number, offset, self._recording.timezone),
        }

    def _origin(self, number: int, offset: int, zone: str) -> dict[str, Any]:
        return {
            "sha256": self._recording.sha256,
            "file": self._file,
            "line": number,
            "offset": offset,
            "tz": zone,
        }


def printable(text: str) -> str:
    """Return text that UTF-8 can carry; file names may hold bytes that are none."""
    return text.encode(errors="backslashreplace").decode()
