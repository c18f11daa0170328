"""Wait until the lake has taken what the stream holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import rugs_bus
from rugs_bus import BusError
from rugs_lake.read.commits import is_taken
from rugs_proto.subjects import EVENTS_STREAM

if TYPE_CHECKING:
    from nats.aio.client import Client

    from rugs_runtime.settings import Settings

COMMIT_SECONDS: Final = 30.0
"""How long to wait for a writer that takes nothing."""


async def is_committed(nc: Client, root: Path, seq: int) -> bool:
    """Wait until the lake has taken a message of the stream; False if it takes nothing for `COMMIT_SECONDS`."""
    incarnation = (await rugs_bus.stream_state(nc)).incarnation
    return await is_taken(root, EVENTS_STREAM, incarnation, seq, seconds=COMMIT_SECONDS)


async def catch_up(settings: Settings) -> bool:
    """Wait until the lake has what the stream holds now. Return False if it does not come so far in time.

    Where no stack runs there is nothing to wait for.
    """
    from rugs_runtime.stack import running_stack

    stack = running_stack(settings.data_dir)
    if stack is None and settings.nats_url is None:
        return True
    try:
        url = stack.nats_url if stack else settings.broker_url
        nc = await rugs_bus.connect(url, name="rugs-catch-up", timeout=settings.connect_timeout)
    except BusError:
        return False
    try:
        last = (await rugs_bus.stream_state(nc)).last_seq
        return last == 0 or await is_committed(nc, settings.data_dir, last)
    except BusError:
        return False
    finally:
        await nc.close()
