"""Waiting until the lake has taken what the stream holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import rugs_bus
from rugs_lake.read.commits import is_taken
from rugs_proto.subjects import EVENTS_STREAM

if TYPE_CHECKING:
    from nats.aio.client import Client

COMMIT_SECONDS: Final = 30.0
"""How long to wait for a writer that takes nothing."""


async def is_committed(nc: Client, root: Path, seq: int) -> bool:
    """Wait until the lake has taken a message of the stream; False if it takes nothing for `COMMIT_SECONDS`."""
    incarnation = (await rugs_bus.stream_state(nc)).incarnation
    return await is_taken(root, EVENTS_STREAM, incarnation, seq, seconds=COMMIT_SECONDS)
