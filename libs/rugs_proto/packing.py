"""msgpack with a buffer as large as its content: the 256 KB that msgpack takes by itself cost more than the packing."""

from __future__ import annotations

from typing import Any

import msgpack


def pack(content: Any, size: int = 256) -> bytes:
    """Return content as msgpack. `size` is about how many bytes that will be; more is no error."""
    return bytes(msgpack.Packer(buf_size=size).pack(content))


def array_header(count: int) -> bytes:
    """Return the bytes with which an array of so many elements begins."""
    return bytes(msgpack.Packer(buf_size=16).pack_array_header(count))
