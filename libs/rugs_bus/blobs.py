"""Frames too large for a message: objects in the bucket `RUGS_BLOBS`, named by their event's id.

Not by their content: two events may have the same bytes, and the writer deletes an
event's object as soon as it has stored that one event.

In the store's ordinary layout, for any client to read. Pieces are asked for one by one, in
requests that are answered: whatever somebody else has put there, nobody waits for what does
not come.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from hashlib import sha256
from typing import Any, Final, NamedTuple
from uuid import uuid4

import nats.js.errors
from nats.aio.client import Client
from nats.js import JetStreamContext

from rugs_bus import api
from rugs_bus.api import ask
from rugs_bus.errors import CLIENT_ERRORS, CLOSED, BusClosedError, BusUnavailableError, InvalidMessageError
from rugs_bus.topology import BLOBS_STREAM, stored_message
from rugs_proto.subjects import BLOBS_BUCKET, MAX_BLOB, TARGET_BODY

MAX_PIECES: Final = 4096
"""Pieces that an object may come in; a usual client's have 128 KiB, ours four times as much."""
FRESH_SECONDS: Final = 86400.0
"""An object younger than this is not put again: `forget_blobs` is to leave it alone for so long at the least."""
_TIMEOUT: Final = 60.0
"""Seconds that putting one object may take, the broker's restart included, but not while the bucket is full."""
_ATTEMPT: Final = 30.0
_PAUSE: Final = 0.25
_FULL: Final = 10077
_METAS: Final = f"$O.{BLOBS_BUCKET}.M."
_PIECES: Final = f"$O.{BLOBS_BUCKET}.C."


class _Object(NamedTuple):
    """What the bucket says of an object. `pieces` is their subject."""

    time_us: int
    size: int
    digest: str
    pieces: str


async def put_blob(nc: Client, name: str, data: bytes) -> None:
    """Store bytes under a name: the id of the event that they belong to. The same bytes again change nothing.

    While the bucket is full it waits: the writer makes room.

    Raises:
        BusUnavailableError: if the broker does not take them in time, or has no bucket yet.
        InvalidMessageError: if the bytes are more than `MAX_BLOB`.
        BusClosedError: if the connection is closed for good.
    """
    if len(data) > MAX_BLOB:
        raise InvalidMessageError(f"a frame of {len(data)} bytes is too large: the bus takes {MAX_BLOB}")
    found = await _find(nc, name)
    if found and found.digest == _digest(data) and found.time_us > (time.time() - FRESH_SECONDS) * 1e6:
        return
    clock = asyncio.get_running_loop().time
    deadline = clock() + _TIMEOUT
    while True:
        nuid = uuid4().hex
        try:
            async with asyncio.timeout(_ATTEMPT):
                await _put(nc.jetstream(), name, nuid, data)
                break
        except CLIENT_ERRORS as error:
            if nc.is_closed:
                raise BusClosedError(CLOSED) from error
            if isinstance(error, nats.js.errors.APIError) and error.err_code == _FULL:
                deadline = clock() + _TIMEOUT
            if clock() > deadline:
                raise BusUnavailableError(f"the object store does not take a frame: {error!r}") from error
        with suppress(BusUnavailableError):
            await _purge(nc, {"filter": _PIECES + nuid})
        await asyncio.sleep(_PAUSE)
    if found:
        await _purge(nc, {"filter": found.pieces})


async def _put(js: JetStreamContext, name: str, nuid: str, data: bytes) -> None:
    """Publish the pieces, and then what makes them an object, in place of the one before."""
    starts = range(0, len(data), TARGET_BODY)
    for start in starts:
        await js.publish(_PIECES + nuid, data[start : start + TARGET_BODY])
    told = {"name": name, "bucket": BLOBS_BUCKET, "nuid": nuid, "size": len(data), "chunks": len(starts)}
    meta = json.dumps({**told, "digest": _digest(data), "options": {"max_chunk_size": TARGET_BODY}})
    await js.publish(_meta_subject(name), meta.encode(), headers={"Nats-Rollup": "sub"})


async def get_blob(nc: Client, name: str) -> bytes | None:
    """Return the bytes under a name; None if the bucket does not hold them whole, or more than `MAX_BLOB` of them.

    Raises:
        BusUnavailableError: if the broker does not answer.
    """
    found = await _find(nc, name)
    while found is not None:
        data = await _read(nc, found)
        if data is not None:
            return data
        before, found = found, await _find(nc, name)
        if found == before:  # otherwise it was put again meanwhile
            return None
    return None


async def delete_blob(nc: Client, name: str) -> None:
    """Remove what is under a name, damaged or not.

    Raises:
        BusUnavailableError: if the broker does not answer.
    """
    found = await _find(nc, name)
    if found is not None:
        await _purge(nc, {"filter": found.pieces})
    await _purge(nc, {"filter": _meta_subject(name)})


async def forget_blobs(nc: Client, before_us: int) -> list[str]:
    """Remove all objects put before a time (microseconds since the epoch); return their names.

    Raises:
        BusUnavailableError: if the broker does not answer.
    """
    names = []
    last = 0
    while True:
        meta = await stored_message(nc, BLOBS_STREAM, {"seq": last + 1, "next_by_subj": f"{_METAS}>"})
        if meta is None or meta.time_us >= before_us:
            break
        names.append(_name(meta.subject))
        last = meta.seq
    if names:
        await _purge(nc, {"seq": last + 1})
    return names


async def _find(nc: Client, name: str) -> _Object | None:
    """Return what the bucket says of an object; None if there is none, or none that makes sense, or a link."""
    found = await stored_message(nc, BLOBS_STREAM, {"last_by_subj": _meta_subject(name)})
    if found is None:
        return None
    try:
        told: dict[str, Any] = json.loads(found.body)
        size, digest, nuid = told.get("size", 0), told.get("digest", ""), told.get("nuid", "")
        linked = (told.get("options") or {}).get("link")
    except (ValueError, AttributeError, RecursionError):
        return None
    if told.get("deleted") or linked or type(size) is not int or not _is_nuid(nuid):
        return None
    return _Object(found.time_us, size, str(digest), _PIECES + nuid)


async def _read(nc: Client, told: _Object) -> bytes | None:
    """Return an object's bytes; None if they are not all there, or others than was told."""
    pieces: list[bytes] = []
    size = last = 0
    while size < told.size <= MAX_BLOB and len(pieces) < MAX_PIECES:
        piece = await stored_message(nc, BLOBS_STREAM, {"seq": last + 1, "next_by_subj": told.pieces})
        if piece is None:
            return None
        pieces.append(piece.body)
        size, last = size + len(piece.body), piece.seq
    data = b"".join(pieces)
    return data if len(data) == told.size and _digest(data) == told.digest else None


async def _purge(nc: Client, which: dict[str, Any]) -> None:
    await ask(nc, f"STREAM.PURGE.{BLOBS_STREAM}", which, timeout=api.PURGED)


def _digest(data: bytes) -> str:
    return f"SHA-256={urlsafe_b64encode(sha256(data).digest()).decode()}"


def _meta_subject(name: str) -> str:
    return f"{_METAS}{urlsafe_b64encode(name.encode()).decode()}"


def _name(meta_subject: str) -> str:
    token = meta_subject.removeprefix(_METAS)
    try:
        return urlsafe_b64decode(token).decode()
    except ValueError:
        return token


def _is_nuid(nuid: object) -> bool:
    """Whether it is one token of a subject: a `>` would stand for every object's pieces."""
    return isinstance(nuid, str) and re.fullmatch("[A-Za-z0-9_-]{1,64}", nuid) is not None
