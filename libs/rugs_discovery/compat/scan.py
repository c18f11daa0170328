"""Recordings, one JSON record a line: each file is read once, in memory that does not grow with the count of records.

Memory grows with the distinct field paths, and with the longest line.
"""

from __future__ import annotations

import errno
from collections import defaultdict
from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

import msgspec

from rugs_discovery import exact
from rugs_discovery.compat.fields import clean, get_type, take_records
from rugs_discovery.compat.results import UNKNOWN, DiscoveryResult, EventInfo
from rugs_discovery.files import BATCH_BYTES, BATCH_LINES
from rugs_legacy.files import special_kind

LONGEST_LINE: Final = 64 << 20
"""Bytes; a line of as many, or more, is an error."""
_PIECE: Final = 1 << 20
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

Progress = Callable[[int, int], None]
"""Is called with how many bytes are done, and of how many."""


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...


def scan_jsonl_file(file_path: Path | str, *, progress: Progress | None = None) -> DiscoveryResult:
    """Return what is in one file. What cannot be read of its content is an error in the result.

    Raises:
        OSError: if the file cannot be read.
    """
    path = Path(file_path)
    result, _ = _scan(path, _reporter(progress, path.stat().st_size if progress else 0))
    result.sort()
    return result


def scan_recordings(
    directory: Path | str, pattern: str = "*.jsonl", *, progress: Progress | None = None
) -> DiscoveryResult:
    """Return what is in the files of a folder that match a pattern, in the order of their names.

    A file with the content of one before it changes nothing; only of empty files is each counted. A file that cannot
    be read is an error in the result.

    Raises:
        OSError: if the folder cannot be read.
    """
    folder = Path(directory)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "no such folder", str(folder))
    paths = sorted(path for path in folder.glob(pattern) if not path.is_dir())
    report = _reporter(progress, sum(path.stat().st_size for path in paths if path.is_file()))
    result = DiscoveryResult()
    known: set[str] = set()
    for path in paths:
        try:
            found, digest = _scan(path, report)
        except OSError as error:
            result.add_errors(f"{clean(str(path))}:0: {error.strerror or error}")
            continue
        if digest not in known or not found.total_lines:
            known.add(digest)
            result.merge(found)
    result.sort()
    return result


def _reporter(progress: Progress | None, total: int) -> Callable[[int], None]:
    """Return what takes the bytes that were read since the last call."""
    done = 0

    def report(size: int) -> None:
        nonlocal done
        done += size
        if progress is not None:
            progress(done, max(done, total))

    return report


def _scan(path: Path, report: Callable[[int], None]) -> tuple[DiscoveryResult, str]:
    """Return what is in a file, and the SHA-256 of its content, in hex."""
    path.stat()  # a file that is not there is no special one
    if (kind := special_kind(path)) is not None:
        raise OSError(errno.EINVAL, kind, str(path))
    result = DiscoveryResult(files_scanned=1)
    digest = sha256()
    with path.open("rb") as file:
        batch: list[dict[str, Any]] = []
        lines = size = 0
        for number, line in _lines(file, digest):
            size += len(line)
            lines += 1
            try:
                record = _read(line)
            except ValueError as error:
                result.rejects += 1
                result.add_errors(f"{clean(str(path))}:{number}: {error}")
            else:
                if record is not None:
                    batch.append(record)
            if size >= BATCH_BYTES or lines >= BATCH_LINES:
                _take(result, batch)
                report(size)
                batch, lines, size = [], 0, 0
        _take(result, batch)
        report(size)
    result.total_lines += result.rejects
    return result, digest.hexdigest()


def _lines(file: BinaryIO, digest: _Digest) -> Iterator[tuple[int, bytes]]:
    """Give the lines of a file with their numbers; of one that is too long, only the beginning."""
    for number in count(1):
        line = file.readline(LONGEST_LINE)
        if not line:
            return
        digest.update(line)
        yield number, line
        piece = line
        while _is_cut(line) and piece and not piece.endswith(b"\n"):
            piece = file.readline(_PIECE)
            digest.update(piece)


def _is_cut(line: bytes) -> bool:
    return len(line) == LONGEST_LINE and not line.endswith(b"\n")


_decode: Final = msgspec.json.Decoder().decode


def _read(line: bytes) -> dict[str, Any] | None:
    """Return the record of a line; None if the line is blank.

    Raises:
        ValueError: if it has none; the message says why.
    """
    if _is_cut(line):
        raise ValueError(f"a line of {LONGEST_LINE >> 20} MiB or more")
    text = line.removeprefix(_BYTE_ORDER_MARK).strip()
    if not text:
        return None
    try:
        value = _decode(text)
    except RecursionError:  # its limit depends on the caller's depth
        value = exact.read(text).value
    except (msgspec.MsgspecError, UnicodeDecodeError):
        value = exact.read(text).value
    if not isinstance(value, dict):
        raise ValueError(f"not a JSON object, but of type {get_type(value)}")
    return value


def _take(result: DiscoveryResult, records: list[dict[str, Any]]) -> None:
    """Add records to a result, those of one event together."""
    groups: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        name = record.get("event")
        groups[clean(name) if isinstance(name, str) and name else UNKNOWN].append(record)
    for name, group in groups.items():
        event = result.events.setdefault(name, EventInfo(name))
        event.count += len(group)
        result.total_lines += len(group)
        take_records(event.fields, group)
