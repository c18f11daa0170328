"""Reads a file as lines, in flat memory, with the place of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from rugs_core.errors import RugsError
from rugs_legacy.packed import Readable

CHUNK: Final = 1 << 20
"""Bytes read at a time."""
MAX_LINE: Final = 32 << 20
"""Bytes; a longer line is given in pieces."""
PIECE: Final = 4 << 20
"""Bytes of a piece of such a line; each fits a message."""


class FileChangedError(RugsError):
    """The file is not the one that was looked at before: its bytes differ, or it is shorter."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some whole lines that follow each other, without their newlines; or a piece of one very long line.

    `number` (from 1) and `offset` (bytes, from 0) are the first line's, or the piece's.
    """

    number: int
    offset: int
    lines: list[bytes]
    piece: int = 0
    """From 1 for the pieces of a line longer than `MAX_LINE`; 0 for whole lines."""


def digest(stream: Readable, size: int) -> str:
    """Return the SHA-256 of the first `size` bytes, in hex.

    Raises:
        FileChangedError: if there are fewer.
    """
    state = sha256()
    for chunk in _chunks(stream, size):
        state.update(chunk)
    return state.hexdigest()


def measure(stream: Readable, most: int) -> tuple[int, str]:
    """Return the count of bytes up to the end, and their SHA-256, in hex; stop once there are more than `most`."""
    state, size = sha256(), 0
    while size <= most and (chunk := stream.read(CHUNK)):
        state.update(chunk)
        size += len(chunk)
    return size, state.hexdigest()


def read_whole(stream: Readable, size: int, expected: str | None = None) -> bytes:
    """Return the first `size` bytes.

    Raises:
        FileChangedError: if there are fewer, or their SHA-256 is not `expected`.
    """
    content = b"".join(_chunks(stream, size))
    if expected is not None and sha256(content).hexdigest() != expected:
        raise FileChangedError("it was changed while it was read")
    return content


def read_blocks(stream: Readable, size: int, expected: str | None = None) -> Iterator[Block]:
    """Give the lines within the first `size` bytes; what was added to the file since is not read.

    Raises:
        FileChangedError: if there are fewer bytes, or, at the end, if their SHA-256 is not `expected`.
    """
    number, offset, piece = 1, 0, 0
    state = sha256()
    pending: list[bytes] = []
    pending_size = 0
    for chunk in _chunks(stream, size):
        state.update(chunk)
        end = chunk.rfind(b"\n")
        if end >= 0:
            lines = b"".join((*pending, chunk[:end])).split(b"\n")
            if piece:  # the first of them is the rest of a very long line
                rest = lines.pop(0)
                yield Block(number, offset, [rest], piece + 1)
                number, offset, piece = number + 1, offset + len(rest) + 1, 0
            if lines:
                yield Block(number, offset, lines)
                number, offset = number + len(lines), offset + sum(map(len, lines)) + len(lines)
            pending, pending_size = [], 0
        pending.append(chunk[end + 1 :])
        pending_size += len(chunk) - end - 1
        if pending_size >= (PIECE if piece else MAX_LINE):
            joined = b"".join(pending)
            for start in range(0, len(joined), PIECE):
                piece += 1
                yield Block(number, offset, [joined[start : start + PIECE]], piece)
                offset += len(joined[start : start + PIECE])
            pending, pending_size = [], 0
    if rest := b"".join(pending):
        yield Block(number, offset, [rest], piece + 1 if piece else 0)
    if expected is not None and state.hexdigest() != expected:
        raise FileChangedError("it was changed while it was read")


def _chunks(stream: Readable, size: int) -> Iterator[bytes]:
    left = size
    while left > 0:
        chunk = stream.read(min(CHUNK, left))
        if not chunk:
            raise FileChangedError("it was cut while it was read")
        left -= len(chunk)
        yield chunk
