"""Files that are packed with gzip or zstd, read as what is in them, in flat memory.

Whether a file is packed its first bytes tell, not its name. What is in it is what counts: a packed
copy of a file has the same lines in the same places.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Protocol, Self

import zstandard

_MAGIC: Final = {b"\x1f\x8b\x08": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_LONGEST_MAGIC: Final = 4
SUFFIXES: Final = (".gz", ".zst", ".zstd")
_PIECE: Final = 512
"""Bytes that are unpacked at a time: the most that can come of them is 16 MiB."""
_MAX_WINDOW: Final = 1 << 27
_ERRORS: Final = (zlib.error, zstandard.ZstdError)


class PackedError(OSError):
    """Nothing of a packed file can be unpacked."""


class Readable(Protocol):
    """What can be read in order."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, none at the end."""


class _Unpacker(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


class Unpacked:
    """The content of a packed file, as far as it can be unpacked; what stands behind the last part is given as it is.

    Attributes:
        method: how it is packed.

    Known at the end:
        is_cut: whether the file ends before what was packed into it does.
        fault: why the rest could not be unpacked, or what was unpacked fails its check; None if all is well.
        behind: bytes that stand behind what was packed, and are no padding.
    """

    def __init__(self, packed: BinaryIO, method: str) -> None:
        self.is_cut = False
        self.fault: str | None = None
        self.behind = 0
        self._packed = packed
        self.method = method
        self._unpacker: _Unpacker | None = None
        self._part_at = 0
        self._ahead = b""
        self._ready = bytearray()

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, none at the end."""
        while len(self._ready) < size and (more := self._unpack_more()):
            self._ready += more
        given = bytes(self._ready[:size])
        del self._ready[:size]
        return given

    def _unpack_more(self) -> bytes:
        """Return some more of the content; none at the end."""
        while self.fault is None:
            data = self._ahead or self._packed.read(_PIECE)
            self._ahead = b""
            if self.behind:
                self.behind += len(data)
                return data
            if self._unpacker is None:  # before the file's first part, or between two of them
                data = self._at_next_part(data)
            if not data:
                self.is_cut = self._unpacker is not None
                return b""
            if self._unpacker is None:
                if method_of(data) != self.method:
                    self.behind = len(data)
                    return data
                self._unpacker = _unpacker(self.method)
                self._part_at = self._packed.tell() - len(data)
            try:
                content = self._unpacker.decompress(data)
            except _ERRORS as error:
                self.fault = f"not whole {self.method}: {error}"
                return self._before_error(data)
            if self._unpacker.eof:
                self._ahead, self._unpacker = self._unpacker.unused_data, None
            if content:
                return content
        return b""

    def _at_next_part(self, data: bytes) -> bytes:
        """Return what the next part begins with; zeros behind the last one are no part."""
        while data and not data.strip(b"\0"):
            data = self._packed.read(_PIECE)
        data = data.lstrip(b"\0")
        return data + self._packed.read(max(0, _LONGEST_MAGIC - len(data))) if data else data

    def _before_error(self, data: bytes) -> bytes:
        """Return what the piece that was read last gives before its error: a failed call gives nothing.

        The part is unpacked once more, that piece byte by byte.
        """
        piece_at = self._packed.tell() - len(data)
        unpacker = _unpacker(self.method)
        self._packed.seek(self._part_at)
        while before := self._packed.read(min(_PIECE, piece_at - self._packed.tell())):
            unpacker.decompress(before)
        given = []
        try:
            for place in range(len(data)):
                given.append(unpacker.decompress(data[place : place + 1]))
        except _ERRORS:
            pass
        return b"".join(given)


class Content:
    """A file, open for reading what is in it.

    Attributes:
        stream: what is in it; `Unpacked` if it is packed.
        file_size: its size as it lies, when it was opened.
    """

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("rb")
        self.file_size = os.fstat(self._file.fileno()).st_size
        method = method_of(self._file.read(_LONGEST_MAGIC))
        self._file.seek(0)
        self.stream: Readable = self._file if method is None else Unpacked(self._file, method)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._file.close()


def method_of(begin: bytes) -> str | None:
    """Return how bytes are packed that begin so; None if they are not."""
    return next((method for magic, method in _MAGIC.items() if begin.startswith(magic)), None)


def unpacked_name(name: str) -> str:
    """Return the name that a file had before it was packed."""
    suffix = next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")
    return name.removesuffix(suffix)


def _unpacker(method: str) -> _Unpacker:
    if method == "gzip":
        return zlib.decompressobj(wbits=31)
    unpacker: _Unpacker = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).decompressobj()
    return unpacker
