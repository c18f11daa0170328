"""Frames too large for a message: objects in the bucket `RUGS_BLOBS`, named by their SHA-256."""

from __future__ import annotations

import asyncio
import io
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

_TIMEOUT: Final = 60.0
"""Seconds that putting or getting one object may take, the broker's restart included."""
_ATTEMPT: Final = 30.0
_PAUSE: Final = 0.25

_T = TypeVar("_T")


async def put_blob(nc: Client, data: bytes) -> str:
    """Store the bytes, and return their SHA-256 as hex. The same bytes again change nothing.

    Raises:
        BusUnavailableError: if the broker does not take them in time.
        BusError: if there is no bucket.
    """
    digest = sha256(data).hexdigest()

    async def put(store: ObjectStore) -> str:
        try:
            await store.get_info(digest)
        except ObjectNotFoundError:
            options = ObjectMetaOptions(max_chunk_size=TARGET_BODY)
            await store.put(digest, data, ObjectMeta(name=digest, options=options))
        return digest

    return await _until_done(nc, put)


async def get_blob(nc: Client, digest: str) -> bytes | None:
    """Return the bytes with this SHA-256, or None if the bucket does not hold them.

    Raises:
        BusUnavailableError: if the broker does not deliver them in time.
        BusError: if what it delivers is something else.
    """

    async def get(store: ObjectStore) -> bytes | None:
        content = io.BytesIO()
        try:
            await store.get(digest, writeinto=content)
        except ObjectNotFoundError:
            return None
        return content.getvalue()

    data = await _until_done(nc, get)
    if data is not None and sha256(data).hexdigest() != digest:
        raise BusError(f"the object {digest} holds other bytes than its name says")
    return data


async def delete_blob(nc: Client, digest: str) -> None:
    """Remove the object, if it is there.

    Raises:
        BusUnavailableError: if the broker does not answer in time.
    """

    async def delete(store: ObjectStore) -> None:
        try:
            await store.delete(digest)
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
