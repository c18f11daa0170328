"""Content encodings: gzip and zstd, never unpacked beyond a limit."""

from __future__ import annotations

import gzip
import zlib
from io import BytesIO
from typing import Final

import zstandard

from rugs_capture.ingest.terms import RequestError

_PIECE: Final = 512
"""Bytes of zstd that are unpacked at a time: the most that can come of them is 16 MiB."""
_MAX_WINDOW: Final = 1 << 27


def check_encoding(told: str) -> str:
    """Return `Content-Encoding` in its one form: ``gzip``, ``zstd``, or empty.

    Raises:
        RequestError: if it is another one.
    """
    encoding = told.strip().lower().removeprefix("x-")
    if encoding in ("", "identity"):
        return ""
    if encoding not in ("gzip", "zstd"):
        raise RequestError(415, f"Content-Encoding {encoding[:80]!r} is not taken: gzip or zstd")
    return encoding


def unpack(body: bytes, encoding: str, limit: int) -> bytes:
    """Return a body unpacked; `encoding` is one that `check_encoding` has returned.

    Raises:
        RequestError: if it is not what it says, or has more than `limit` bytes.
    """
    if not encoding:
        return body
    try:
        if not body:
            raise EOFError("it is empty")
        unpacked = _gunzip(body, limit) if encoding == "gzip" else _unzstd(body, limit)
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise RequestError(400, f"the body is no whole {encoding}: {error}") from error
    if len(unpacked) > limit:
        raise too_large(limit)
    return unpacked


def too_large(limit: int) -> RequestError:
    """Return the refusal of a body that is larger than `limit` bytes."""
    return RequestError(413, f"the body has more than {limit} bytes: send less at a time")


def _gunzip(body: bytes, limit: int) -> bytes:
    with gzip.GzipFile(fileobj=BytesIO(body)) as file:
        return file.read(limit + 1)


def _unzstd(body: bytes, limit: int) -> bytes:
    """Unpack one frame behind the other, skippable ones too. The size that a frame says is not trusted with memory."""
    unpacked, at = bytearray(), 0
    while at < len(body):
        frame = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).decompressobj()
        while not frame.eof:
            piece = body[at : at + _PIECE]
            if not piece:
                raise EOFError("it ends too early")
            unpacked += frame.decompress(piece)
            at += len(piece)
            if len(unpacked) > limit:
                raise too_large(limit)
        at -= len(frame.unused_data)
    return bytes(unpacked)
