"""Frames too large for a message: objects in the bucket `RUGS_BLOBS`, named by their event's id.

Not by their content: two events may have the same bytes, and the writer deletes an
event's object as soon as it has stored that one event.
"""

from __future__ import annotations

import asyncio
import io
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Final, TypeVar

import nats.errors
from nats.aio.client import Client
from nats.js.api import ObjectMeta, ObjectMetaOptions
from nats.js.errors import BucketNotFoundError, ObjectNotFoundError
from nats.js.object_store import ObjectStore

from rugs_bus.errors import BusError, BusUnavailableError
from rugs_proto.subjects import BLOBS_BUCKET, TARGET_BODY

MAX_BLOB: Final = 64 * 1024 * 1024
"""Bytes that one frame may have; whoever reads it holds it in memory."""
_TIMEOUT: Final = 60.0
"""Seconds that putting or getting one object may take, the broker's restart included."""
_ATTEMPT: Final = 30.0
_PAUSE: Final = 0.25

_T = TypeVar("_T")


async def put_blob(nc: Client, name: str, data: bytes) -> None:
    """Store bytes under a name: the id of the event that they belong to. The same bytes again change nothing.

    Raises:
        BusUnavailableError: if the broker does not take them in time.
        BusError: if there is no bucket, or the bytes are more than `MAX_BLOB`.
    """
    if len(data) > MAX_BLOB:
        raise BusError(f"a frame of {len(data)} bytes is too large: the bus takes {MAX_BLOB}")
    digest = f"SHA-256={urlsafe_b64encode(sha256(data).digest()).decode()}"

    async def put(store: ObjectStore) -> None:
        try:
            if (await store.get_info(name)).digest == digest:
                return
        except ObjectNotFoundError:
            pass
        options = ObjectMetaOptions(max_chunk_size=TARGET_BODY)
        await store.put(name, data, ObjectMeta(name=name, options=options))

    await _until_done(nc, put)


async def get_blob(nc: Client, name: str) -> bytes | None:
    """Return the bytes under a name, or None if the bucket does not hold them, or more than `MAX_BLOB`.

    Raises:
        BusUnavailableError: if the broker does not deliver them in time.
    """

    async def get(store: ObjectStore) -> bytes | None:
        content = io.BytesIO()
        try:
            if ((await store.get_info(name)).size or 0) > MAX_BLOB:
                return None
            await store.get(name, writeinto=content)
        except ObjectNotFoundError:
            return None
        return content.getvalue()

    return await _until_done(nc, get)


async def delete_blob(nc: Client, name: str) -> None:
    """Remove the object, if it is there.

    Raises:
        BusUnavailableError: if the broker does not answer in time.
    """

    async def delete(store: ObjectStore) -> None:
        try:
            await store.delete(name)
        except ObjectNotFoundError:
            return

    await _until_done(nc, delete)


async def _until_done(nc: Client, work: Callable[[ObjectStore], Awaitable[_T]]) -> _T:
    """Do the work, from its beginning each time, until the broker goes along."""
    deadline = asyncio.get_running_loop().time() + _TIMEOUT
    while True:
        try:
            async with asyncio.timeout(_ATTEMPT):
                return await work(await nc.jetstream().object_store(BLOBS_BUCKET))
        except BucketNotFoundError as error:
            raise BusError(f"there is no object store {BLOBS_BUCKET}: ensure_streams makes it") from error
        except (nats.errors.Error, TimeoutError) as error:
            if nc.is_closed:
                raise BusError("the connection to the broker is closed") from error
            if asyncio.get_running_loop().time() > deadline:
                raise BusUnavailableError(f"the object store does not answer: {error!r}") from error
        await asyncio.sleep(_PAUSE)
