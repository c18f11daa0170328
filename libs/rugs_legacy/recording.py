"""One old file as envelopes: every line is a record, blank, or a reject with its reason.

A file that is one JSON value counts as one line: it is a record or a reject as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rugs_legacy.documents import envelopes_of, read_document
from rugs_legacy.envelopes import Envelope, Envelopes, printable
from rugs_legacy.errors import UnreadableError
from rugs_legacy.files import special_kind
from rugs_legacy.lines import MAX_LINE, Block, digest, measure, read_blocks, read_whole
from rugs_legacy.packed import Content, Converted, PackedError, Readable, unpacked_name
from rugs_legacy.recognise import BLANKS, CONFLICT_MARK, UnknownFormatError, recognise
from rugs_legacy.record import DocumentFormat, Format, LineFormat, Parse
from rugs_legacy.salvage import salvage
from rugs_legacy.strict_json import BYTE_ORDER_MARK
from rugs_proto import ids

_MOST_TIMES: Final = 2000
_ANY_TIMES: Final = 1 << 30
"""Bytes that a packed file may hold, however small it is; beyond, no more than `_MOST_TIMES` its own."""


@dataclass
class Counts:
    """What was in a file: lines = records + rejected + blank; salvaged records come out of rejected lines.

    `derived` events are read out of records; they are none themselves. `read` says how many bytes of
    the file's content are dealt with, about, for those who watch.
    """

    lines: int = 0
    blank: int = 0
    records: int = 0
    rejected: int = 0
    salvaged: int = 0
    derived: int = 0
    read: int = field(default=0, compare=False)


def why_without_records(lines: int, records: int) -> str | None:
    """Return what is wrong with a file that has lines that are not blank, and no record or salvaged one among them."""
    if records or not lines:
        return None
    them = "its one line is no record, and is" if lines == 1 else f"none of its {lines} lines is a record: they are"
    return f"{them} kept as {'a reject' if lines == 1 else 'rejects'} (see `rugs rejects list`)"


@dataclass(frozen=True)
class Recording:
    """An old file, looked at: the first `size` bytes of its content, which are what is imported.

    `sha256` is that of these bytes: a packed copy of a file has the same. `packed_sha256` is that of the file on
    disk, where it is packed or in UTF-16, and `packed_size` its size; `is_cut` says that such a file ends too early,
    and `fault` why no more could be unpacked of it, or that it fails its check. `behind` bytes that are not packed
    stand behind the others: in a file of lines they are the last of the content.
    """

    path: Path
    size: int
    sha256: str
    format: Format
    timezone: str
    session_id: str
    packed_sha256: str | None = None
    packed_size: int = 0
    is_cut: bool = False
    fault: str | None = None
    behind: int = 0

    def lying(self, done: int) -> int:
        """Return about how many bytes of the file as it lies are dealt with, where `done` of its content are."""
        return done if self.packed_sha256 is None else self.packed_size * done // max(1, self.size)

    def envelopes(self) -> Envelopes:
        """Return what makes its envelopes."""
        origin = {"sha256": self.sha256, "file": printable(self.path.name)}
        if self.packed_sha256 is not None:
            origin["packed"] = self.packed_sha256
        if self.fault is not None:  # any of its bytes may be the wrong ones
            origin["fault"] = self.fault
        return Envelopes(self.session_id, origin, self.timezone, self.format.id)


def look_at(path: Path, timezone: str) -> Recording:
    """Look at a file: its size now, its SHA-256, its format.

    Raises:
        UnknownFormatError: if its format is not one that can be read, or it is no file.
        FileChangedError: if it was cut meanwhile.
        OSError: if it cannot be read, or nothing of it be unpacked.
        ValueError: if there is no such time zone.
    """
    if (kind := special_kind(path)) is not None:
        raise UnknownFormatError(kind)
    with Content(path) as content:
        if content.converted is not None:
            return _look_into(path, content.converted, content.file_size, timezone)
        format_, first = recognise(path, content.file_size, timezone)
        sha = digest(content.stream, content.file_size)
    session_id = ids.import_session_id(format_.id, first)
    return Recording(path, content.file_size, sha, format_, timezone, session_id)


def _look_into(path: Path, packed: Converted, packed_size: int, timezone: str) -> Recording:
    """Look at a packed or encoded file: how much is in it is known at its end only."""
    most = max(_ANY_TIMES, _MOST_TIMES * packed_size)
    size, sha = measure(packed, most)
    if size > most:
        raise UnknownFormatError(f"{packed.method} that unpacks to more than {_MOST_TIMES} times its size")
    if packed.fault is not None and not size:
        raise PackedError(packed.fault)
    with path.open("rb") as file:
        packed_sha = digest(file, packed_size)
    format_, first = recognise(path, size - packed.behind, timezone)
    if packed.behind and isinstance(format_, DocumentFormat):  # it would be none with them
        size -= packed.behind
        with Content(path) as content:
            sha = digest(content.stream, size)
    session_id = ids.import_session_id(format_.id, first)
    told = (packed_sha, packed_size, packed.is_cut, packed.fault, packed.behind)
    return Recording(path, size, sha, format_, timezone, session_id, *told)


def read(recording: Recording, counts: Counts) -> Iterator[Envelope]:
    """Give the recording's envelopes in the file's order, as the maps that travel; `counts` is kept up.

    They keep the contract of `rugs_proto.envelope` without being validated again. Where
    `raw` is longer than `MAX_INLINE`, the bytes are still in it; the sender parks them.

    Raises:
        FileChangedError: if the bytes are not those that `look_at` saw. What was given until then
            is true, but the file has to be imported again.
        OSError: if it cannot be read.
    """
    with Content(recording.path) as content:
        if isinstance(recording.format, DocumentFormat):
            whole = read_whole(content.stream, recording.size, recording.sha256)
            yield from _read_document(recording, recording.format, whole, counts)
        elif isinstance(recording.format, LineFormat):
            yield from _Lines(recording, recording.format, counts).read(content.stream)
    counts.read = recording.size


def read_again(recording: Recording, content: bytes, number: int, offset: int) -> list[Envelope]:
    """Read again what was rejected: one line, or a whole document; return its envelopes, none if it is still refused.

    Of `recording` the file itself is not looked at. What was salvaged out of a line is not read again.
    """
    if isinstance(recording.format, DocumentFormat):
        envelopes = list(_read_document(recording, recording.format, content, Counts()))
        return [] if envelopes[0]["doc_type"] == "reject" else envelopes
    if isinstance(recording.format, LineFormat):
        envelope = _Lines(recording, recording.format, Counts()).line(content, number, offset)
        return [] if envelope is None else [envelope]
    return []


def _read_document(recording: Recording, format_: DocumentFormat, content: bytes, counts: Counts) -> Iterator[Envelope]:
    if not content.strip():
        counts.lines = counts.blank = content.count(b"\n") + (not content.endswith(b"\n") and content != b"")
        return
    counts.lines = 1
    make = recording.envelopes()
    try:
        found = read_document(content, format_, recording.timezone)
    except UnreadableError as error:
        counts.rejected = 1
        yield make.reject(content, 1, 0, str(error))
        if format_.salvage is not None:
            yield from _salvaged(content, *format_.salvage, make, counts)
        return
    counts.records = 1
    for envelope in envelopes_of(found, make):
        counts.derived += "cause" in envelope
        yield envelope


def _salvaged(
    content: bytes, record_start: re.Pattern[bytes], parse: Parse, make: Envelopes, counts: Counts
) -> Iterator[Envelope]:
    """Give the whole records of a damaged document."""
    for piece in salvage(content, record_start, parse):
        counts.salvaged += 1
        piece.record.fields["salvaged"] = True
        yield make.record(piece.record, piece.raw.decode(), 1 + content.count(b"\n", 0, piece.start), piece.start)


class _Lines:
    def __init__(self, recording: Recording, format_: LineFormat, counts: Counts) -> None:
        self._recording = recording
        self._format = format_
        self._counts = counts
        self._make = recording.envelopes()
        self._parse = format_.reader(recording.timezone, unpacked_name(recording.path.name))

    def read(self, stream: Readable) -> Iterator[Envelope]:
        counts, parse, make = self._counts, self._parse, self._make.record
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
                    yield make(record, text, number, offset)
                number += 1
                offset += len(line) + 1

    def line(self, line: bytes, number: int, offset: int) -> Envelope | None:
        """Return the envelope of a line, None if it is no record."""
        try:
            return self._make.record(self._parse(line), line.decode(), number, offset)
        except (UnreadableError, UnicodeDecodeError):
            return None

    def _damaged(self, line: bytes, number: int, offset: int, error: ValueError) -> Iterator[Envelope]:
        self._counts.rejected += 1
        reason = f"not UTF-8 at byte {error.start}" if isinstance(error, UnicodeDecodeError) else str(error)
        if CONFLICT_MARK.fullmatch(line):
            reason = "a mark of version control, where two versions of the file were in conflict"
        yield self._make.reject(line, number, offset, reason)
        for piece in salvage(line, self._format.record_start, self._parse):
            self._counts.salvaged += 1
            piece.record.fields["salvaged"] = True
            yield self._make.record(piece.record, piece.raw.decode(), number, offset + piece.start)

    def _piece(self, block: Block) -> Envelope:
        """Reject a line that is too long to be held: all its bytes are kept, in pieces."""
        if block.piece == 1:
            self._counts.lines += 1
            self._counts.rejected += 1
        reason = f"longer than {MAX_LINE >> 20} MiB: piece {block.piece}"
        return self._make.reject(block.lines[0], block.number, block.offset, reason)
