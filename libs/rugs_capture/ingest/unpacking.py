"""Content encodings: gzip and zstd, never unpacked beyond a limit."""

from __future__ import annotations

import gzip
import zlib
from io import BytesIO
from typing import Final

import zstandard

from rugs_capture.ingest.terms import RequestError

_NO_SIZE: Final = (zstandard.CONTENTSIZE_UNKNOWN, zstandard.CONTENTSIZE_ERROR)


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
    """Unpack the one frame. The size that it tells is not trusted with memory before it is known to be small."""
    size = zstandard.get_frame_parameters(body).content_size
    if size not in _NO_SIZE and size > limit:
        raise too_large(limit)
    unpacker = zstandard.ZstdDecompressor()
    try:
        return unpacker.decompress(body, max_output_size=limit, allow_extra_data=False)
    except zstandard.ZstdError:  # torn, or larger than the limit: reading as far as that tells which
        with unpacker.stream_reader(body) as reader:
            if len(reader.read(limit + 1)) > limit:
                raise too_large(limit) from None
        raise
