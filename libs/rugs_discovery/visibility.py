"""Which events of a recording are private: those that the lake would give an owner."""

from __future__ import annotations

from typing import Final

from rugs_discovery.messages import PACKET
from rugs_lake.domains import PRIVATE

_FRAMES: Final = PRIVATE["ws_event"]


def is_public(key: str, is_sent: bool) -> bool:
    """Return whether values of recorded events may be shown to everyone."""
    return not is_sent and key.removeprefix(PACKET) not in _FRAMES.events
