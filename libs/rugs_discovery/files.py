"""Recording files into states: each file by its hash, in parallel processes, in flat memory."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

import orjson

from rugs_discovery import exact
from rugs_discovery.batch import take
from rugs_discovery.messages import TIME_KEYS, elements_of, read_line
from rugs_discovery.nodes import Place
from rugs_discovery.shred import MOST_LEVELS
from rugs_discovery.state import State
from rugs_discovery.visibility import is_public
from rugs_legacy.clock import Clock
from rugs_legacy.errors import UnreadableError
from rugs_legacy.files import special_kind
from rugs_legacy.lines import CHUNK
from rugs_legacy.not_recordings import why_no_recording
from rugs_legacy.packed import Content, unpacked_name
from rugs_proto.rules import TS_END_US, TS_MIN_US

BATCH_LINES: Final = 4000
BATCH_BYTES: Final = 4 << 20
"""A batch has no more lines and no more bytes than these; a single line may have more."""
_MARK: Final = b"\xef\xbb\xbf"


class NoRecordingError(ValueError):
    """A file is known to be no recording; the message says what it is."""


@dataclass(eq=False)
class Scanned:
    """One file, scanned.

    Attributes:
        sha256: of its content, in hex: a packed copy has the same.
        skipped: why it was not scanned; None if it was.
    """

    path: str
    state: State = field(default_factory=State)
    sha256: str = ""
    blank: int = 0
    skipped: str | None = None


def scan_file(path: Path, *, timezone: str = "UTC", levels: int = MOST_LEVELS) -> Scanned:
    """Scan one file. It fails for no content of a file: what cannot be read is counted."""
    try:
        if (kind := special_kind(path)) is not None:
            return Scanned(str(path), skipped=kind)
        scan = _Scan(path, timezone, levels)
        with Content(path) as content:
            scan.run(content)
    except OSError as error:
        return Scanned(str(path), skipped=error.strerror or str(error))
    except NoRecordingError as error:
        return Scanned(str(path), skipped=str(error))
    return scan.done


class _Scan:
    def __init__(self, path: Path, timezone: str, levels: int) -> None:
        self.done = Scanned(str(path))
        self._name = path.name
        self._levels = levels
        self._clock = Clock(timezone, aware=True).read
        self._times: dict[int, int] = {}

    def run(self, content: Content) -> None:
        digest = sha256()
        numbers: list[int] = []
        lines: list[bytes] = []
        size = number = 0
        with without_collector():
            for block in _blocks(content, self._name, digest.update):
                at = range(number + 1, number + len(block) + 1)
                number += len(block)
                kept = [pair for pair in zip(at, block, strict=True) if pair[1] and not pair[1].isspace()]
                self.done.blank += len(block) - len(kept)
                numbers += [pair[0] for pair in kept]
                lines += [pair[1] for pair in kept]
                size += sum(map(len, block))
                if size >= BATCH_BYTES or len(lines) >= BATCH_LINES:
                    self._take(numbers, lines)
                    numbers, lines, size = [], [], 0
            if lines:
                self._take(numbers, lines)
        self.done.sha256 = digest.hexdigest()
        self.done.state.stamp(lambda place: self._times[place.line])

    def _take(self, numbers: list[int], lines: list[bytes]) -> None:
        def place_of(index: int) -> Place:
            number = numbers[index]
            if number not in self._times:
                self._times[number] = self._time_of(lines[index])
            return Place(0, self._name, number)  # in a file, the order is that of the lines

        self.done.state.merge(take(lines, place_of, is_public, read_line, self._levels))

    def _time_of(self, line: bytes) -> int:
        """Return the time that a line tells; 0 where it tells none that can be read."""
        try:
            record = orjson.loads(line)
            told = next((record[key] for key in TIME_KEYS if key in record), None)
        except (ValueError, TypeError):
            return 0
        if isinstance(told, int | float) and not isinstance(told, bool):
            micros = told * (1000 if told > 1 << 33 else 1_000_000)
            return int(micros) if TS_MIN_US <= micros < TS_END_US else 0
        try:
            return self._clock(told)[0] if isinstance(told, str) else 0
        except (UnreadableError, ValueError):
            return 0


@contextmanager
def without_collector() -> Iterator[None]:
    """Keep the collector of circles away: a batch makes a million values, and no circles."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _blocks(content: Content, name: str, seen: Callable[[bytes], None]) -> Iterator[list[bytes]]:
    """Give the lines of a file, some at a time; the elements of an array, where that is what the file is."""
    stream = content.stream
    chunk = stream.read(CHUNK)
    seen(chunk)
    if _is_document(chunk):
        chunks = [chunk]
        while chunk := stream.read(CHUNK):
            seen(chunk)
            chunks.append(chunk)
        yield _of_document(b"".join(chunks), name)
        return
    pending: list[bytes] = []
    chunk = chunk.removeprefix(_MARK)
    while chunk:
        begin, *lines = chunk.split(b"\n")
        pending.append(begin)
        if lines:
            last = lines.pop()
            yield [b"".join(pending), *lines]
            pending = [last]
        chunk = stream.read(CHUNK)
        seen(chunk)
    if rest := b"".join(pending):
        yield [rest]


def _is_document(begin: bytes) -> bool:
    """Return whether a file is one JSON value over several lines, or an array, by its beginning."""
    text = begin.removeprefix(_MARK).lstrip()
    if text[:1] == b"[":
        return True
    first = text.partition(b"\n")[0].strip()
    return first in (b"{", b'{"') or (first.startswith(b"{") and first.endswith((b",", b"{", b"[")))


def _of_document(whole: bytes, name: str) -> list[bytes]:
    """Return the records of a file that is one JSON value; its lines, where it is none.

    Raises:
        NoRecordingError: if it is known to be something else.
    """
    text = whole.removeprefix(_MARK).strip()
    elements = elements_of(text)
    try:
        value = exact.read(text).value if elements is None else None
    except ValueError:
        return text.split(b"\n")
    if (why := why_no_recording(unpacked_name(name), value)) is not None:
        raise NoRecordingError(why)
    return [text] if elements is None else elements
