"""Waiting until the lake has taken what was published."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from rugs_lake.errors import LakeAbsentError, LakeError, LakeUnavailableError
from rugs_lake.read import stats

_LOOK_SECONDS: Final = 0.1
"""How often the lake is looked at where no commit is announced."""

log = structlog.get_logger(__name__)


class NotCommittedError(LakeError):
    """The lake does not take what was published: one line that says why."""


async def until_committed(
    look: Callable[[], object],
    why: Callable[[], Awaitable[str | None]],
    *,
    seconds: float,
    announced: asyncio.Event | None = None,
    every: float = _LOOK_SECONDS,
) -> None:
    """Return when everything is committed that `look` looks for.

    `look` runs in a thread. It returns None when all is there; until then it returns how far the lake has come. A
    lake that cannot be read now is waited for. When it has come no further for so many `seconds`, `why` is asked:
    None means that the reason will pass. The lake is looked at `every` so many seconds, and when `announced` is set.

    Raises:
        NotCommittedError: with the reason that `why` gave.
        LakeError: if `look` raises one that does not pass.
    """
    clock = asyncio.get_running_loop().time
    announced = announced or asyncio.Event()
    before, since = object(), clock()
    while True:
        announced.clear()
        try:
            seen = await asyncio.to_thread(look)
        except LakeUnavailableError as error:
            log.warning("waiting for the lake", reason=str(error))
            seen = before
        if seen is None:
            return
        if seen != before:
            before, since = seen, clock()
        elif clock() - since > seconds:
            if (reason := await why()) is not None:
                raise NotCommittedError(reason)
            since = clock()
        with suppress(TimeoutError):
            async with asyncio.timeout(every):
                await announced.wait()


async def is_taken(root: Path, stream: str, incarnation: str | None, seq: int, *, seconds: float) -> bool:
    """Wait until the lake has taken a message of a stream; False when it has come no further for so many seconds."""

    def look() -> int | None:
        taken = 0
        with suppress(LakeAbsentError):  # its writer is about to make it
            for cursor in stats.cursors(root):
                if (cursor.stream, cursor.incarnation) == (stream, incarnation):
                    taken = cursor.last_seq
        return None if taken >= seq else taken

    async def why() -> str:
        return f"the lake has not come to {seq} in {stream}"

    try:
        await until_committed(look, why, seconds=seconds)
    except NotCommittedError:
        return False
    return True
