"""Content encodings: gzip and zstd, never unpacked beyond a limit."""

from __future__ import annotations

from io import BytesIO

from rugs_capture.ingest.terms import RequestError
from rugs_legacy.packed import Unpacked, method_of


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
    content = Unpacked(BytesIO(body), encoding)
    unpacked = content.read(limit + 1)
    if len(unpacked) > limit:
        raise too_large(limit)
    if method_of(body) != encoding or content.behind:
        raise RequestError(400, f"the body is no {encoding}, or not all of it is")
    if content.is_cut or content.fault is not None:
        raise RequestError(400, f"the body is no whole {encoding}: {content.fault or 'it ends too early'}")
    return unpacked


def too_large(limit: int) -> RequestError:
    """Return the refusal of a body that is larger than `limit` bytes."""
    return RequestError(413, f"the body has more than {limit} bytes: send less at a time")
