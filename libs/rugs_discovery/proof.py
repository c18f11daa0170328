"""Prove the documents of recordings, or those of the lake: read the data again, in parallel, and compare."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from rugs_discovery.current import end_of
from rugs_discovery.documented import Documents, DocumentsError, read_documents
from rugs_discovery.lake import rows_of
from rugs_discovery.nodes import Place
from rugs_discovery.reference_reader import Checked, checked_of_stored, records_of
from rugs_discovery.scan import SMALL
from rugs_discovery.tally import Tallier, Tally
from rugs_discovery.verify import Report, verify
from rugs_lake.store.positions import Position

Progress = Callable[[int, int], None]

_tallier: Tallier | None = None
"""Of a process of the pool."""
_LISTS: Final = (b"[", b"\xef\xbb\xbf[")


def verify_files(folder: Path, paths: Sequence[Path], progress: Progress, processes: int | None = None) -> Report:
    """Prove the documents that a scan of recordings wrote.

    Args:
        progress: is told how many bytes of the files, as they are on disk, are done, and of how many.

    Raises:
        DocumentsError: if there are no documents in the folder, or they cannot be read.
    """
    documents = read_documents(folder)
    files = sorted(set(paths))
    return verify(folder, _tallies(folder, documents, files, progress, processes or os.cpu_count() or 1))


def _tallies(
    folder: Path, documents: Documents, files: Sequence[Path], progress: Progress, processes: int
) -> Iterator[Tally]:
    sizes = [_size(path) for path in files]
    done, total = 0, sum(sizes)
    with _tally_files(folder, documents, files, processes if total > SMALL else 1) as tallies:
        for size, tally in zip(sizes, tallies, strict=True):
            done += size
            progress(done, total)
            yield tally


class _tally_files:  # noqa: N801 - used as a function
    """Gives the tally of each file, in order, from this process or from several."""

    def __init__(self, folder: Path, documents: Documents, files: Sequence[Path], processes: int) -> None:
        self._folder = folder
        self._documents = documents
        self._files = files
        self._processes = min(processes, len(files))
        self._open: Tallier | ProcessPoolExecutor

    def __enter__(self) -> Iterable[Tally]:
        if self._processes <= 1:
            tallier = Tallier(self._documents)
            self._open = tallier
            return map(tallier.file, self._files)
        pool = ProcessPoolExecutor(self._processes, get_context("spawn"), _begin, (self._folder,))
        self._open = pool
        return pool.map(_tally_file, self._files)

    def __exit__(self, *error: Any) -> None:
        self._open.__exit__(*error)


def _begin(folder: Path) -> None:
    global _tallier
    _tallier = Tallier(read_documents(folder))


def _tally_file(path: Path) -> Tally:
    assert _tallier is not None  # noqa: S101 - the pool began with it
    return _tallier.file(path)


def verify_lake(root: Path, folder: Path, progress: Progress) -> Report:
    """Prove the documents of the lake, up to the position that they were written at.

    Args:
        progress: is told how many rows are done, twice.

    Raises:
        DocumentsError: if there are no documents in the folder, they cannot be read, or rows of theirs have been
            changed or removed since.
        LakeAbsentError, LakeUnavailableError, LakeIncompatibleError: if the lake cannot be read.
    """
    position = _position(folder)
    if end_of(root).change != position.change:
        raise DocumentsError(f"{folder}: rows were changed since it was written: run `rugs discovery build`")
    with Tallier(read_documents(folder)) as tallier:
        return verify(folder, [tallier.events(_stored(root, position, progress))])


def _position(folder: Path) -> Position:
    try:
        manifest = orjson.loads((folder / "manifest.json").read_bytes())
        return Position(**manifest["position"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DocumentsError(f"{folder}: no documents of a lake: run `rugs discovery build`") from error


def _stored(root: Path, position: Position, progress: Progress) -> Iterator[Checked]:
    done = 0
    for rows in rows_of(root, None, None, position):
        done += rows.num_rows
        progress(done, done)
        received = rows.filter(pc.or_(pc.is_valid(rows["raw"]), pc.is_valid(rows["raw_bin"])))
        texts = pc.coalesce(received["raw"].cast(pa.binary()), received["raw_bin"].cast(pa.binary())).to_pylist()
        ids, times = received["id"].to_pylist(), received["ts"].cast(pa.int64()).to_pylist()
        for raw, id_, ts in zip(texts, ids, times, strict=True):
            place = Place(ts, bytes(id_).hex())
            for record in _records(raw):
                yield checked_of_stored(record, place)


def _records(raw: bytes) -> list[bytes]:
    """Return the records of a row: those of an array, where it is a document that is one; else the row itself."""
    if not raw.startswith(_LISTS):
        return [raw]
    found = records_of(raw.decode(errors="surrogateescape"))
    return [raw] if found is None else [each.encode(errors="surrogateescape") for each in found]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
