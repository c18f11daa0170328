"""Wait until the lake has taken what the stream holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import rugs_bus
from rugs_bus import BusError
from rugs_follow.commits import is_committed

if TYPE_CHECKING:
    from rugs_runtime.settings import Settings


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
