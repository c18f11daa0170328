"""Read files as what is in them, in flat memory: packed with gzip or zstd, or written as UTF-16.

A file's first bytes say how it is packed or encoded, not its name. Its content counts: a packed copy of a file,
or one in UTF-16, has the same lines in the same places.
"""

from __future__ import annotations

import codecs
import os
import stat
import zlib
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Protocol, Self

import zstandard

from rugs_core.errors import RugsError

_MAGIC: Final = {b"\x1f\x8b\x08": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_SKIPPABLE: Final = b"\x2a\x4d\x18"
"""The end of the magic number of zstd's skippable frames (RFC 8878, 3.1.2); the first byte is 0x50 to 0x5f."""
_LONGEST_MAGIC: Final = 4
_UTF16: Final = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
SUFFIXES: Final = (".gz", ".zst", ".zstd")
_PIECE: Final = 512
"""Bytes that are unpacked at a time: the most that can come of them is 16 MiB."""
_MAX_WINDOW: Final = 1 << 27
_ERRORS: Final = (zlib.error, zstandard.ZstdError)


class PackedError(RugsError, OSError):
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


class Converted(Readable, Protocol):
    """The content of a file that is not the file's own bytes."""

    @property
    def method(self) -> str:
        """How it is packed, or encoded."""

    @property
    def is_cut(self) -> bool:
        """Whether the file ends before its content does. Known at the end, as what follows is."""

    @property
    def fault(self) -> str | None:
        """Why the rest could not be unpacked, or what was unpacked fails its check; None if all is well."""

    @property
    def behind(self) -> int:
        """Bytes that stand behind what was packed, and are no padding."""


class Unpacked:
    """The content of a packed file, as far as it can be unpacked; what stands behind the last part follows as it is."""

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

    def peek(self, size: int) -> bytes:
        """Return the next `size` bytes, fewer at the end; they are read again."""
        begin = self.read(size)
        self._ready[:0] = begin
        return begin

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


class Transcoded:
    """UTF-16 text as UTF-8, without its byte order mark.

    Half a surrogate pair stays what it is, as three bytes that are not UTF-8: a line that holds one is a reject.
    """

    def __init__(self, stream: Readable, encoding: str) -> None:
        self._stream = stream
        self._inner = stream if isinstance(stream, Unpacked) else None
        self._decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
        self._ready = bytearray()
        self._is_at_end = False
        self._ends_early = False
        self.method = encoding if self._inner is None else f"{encoding} in {self._inner.method}"
        self.behind = 0
        stream.read(len(codecs.BOM_UTF16))

    @property
    def is_cut(self) -> bool:
        """Whether the file, or the last character, ends too early."""
        return self._ends_early or (self._inner is not None and self._inner.is_cut)

    @property
    def fault(self) -> str | None:
        """Why the rest could not be unpacked, where the text is packed."""
        return None if self._inner is None else self._inner.fault

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, none at the end."""
        while len(self._ready) < size and not self._is_at_end:
            data = self._stream.read(size)
            self._is_at_end = not data
            try:
                self._ready += self._decoder.decode(data, not data).encode(errors="surrogatepass")
            except UnicodeDecodeError:  # half a character, and nothing behind it
                self._ends_early = True
        given = bytes(self._ready[:size])
        del self._ready[:size]
        return given


class Content:
    """A file, open for reading what is in it.

    Attributes:
        stream: what is in it.
        converted: the same, where it is not the file's own bytes.
        file_size: its size on disk, when it was opened.

    Raises:
        OSError: if it cannot be opened, or is no plain file.
    """

    def __init__(self, path: Path) -> None:
        # A pipe that has taken the file's place must not block.
        self._file: BinaryIO = os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb")
        try:
            status = os.fstat(self._file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise OSError(f"not a plain file: {path}")
            self.file_size = status.st_size
            self.converted = _converted(self._file)
        except BaseException:
            self._file.close()
            raise
        self.stream: Readable = self.converted or self._file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._file.close()


def _converted(file: BinaryIO) -> Converted | None:
    """Return the content of a file at its start; None if that is the file's own bytes."""
    method = method_of(begin := file.read(_LONGEST_MAGIC))
    file.seek(0)
    if method is None:
        encoding = _utf16(begin)
        return None if encoding is None else Transcoded(file, encoding)
    unpacked = Unpacked(file, method)
    encoding = _utf16(unpacked.peek(_LONGEST_MAGIC))
    return unpacked if encoding is None else Transcoded(unpacked, encoding)


def method_of(begin: bytes) -> str | None:
    """Return how bytes are packed that begin so; None if they are not."""
    if begin[1:4] == _SKIPPABLE and begin[0] >> 4 == 0x5:
        return "zstd"
    return next((method for magic, method in _MAGIC.items() if begin.startswith(magic)), None)


def unpacked_name(name: str) -> str:
    """Return the name that a file had before it was packed."""
    suffix = next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")
    return name.removesuffix(suffix)


def _utf16(begin: bytes) -> str | None:
    """Return the encoding that a text's byte order mark says, where it is UTF-16."""
    if begin.startswith(codecs.BOM_UTF32_LE):
        return None
    return next((encoding for mark, encoding in _UTF16.items() if begin.startswith(mark)), None)


def _unpacker(method: str) -> _Unpacker:
    if method == "gzip":
        return zlib.decompressobj(wbits=31)
    unpacker: _Unpacker = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).decompressobj()
    return unpacker
