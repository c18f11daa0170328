"""Which objects are maps: their keys are data, such as tick numbers or ids of players, and say nothing of the protocol.

An object is a map by evidence, and the evidence is kept with the answer. A file of the user can say otherwise.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from rugs_discovery.formats import kind_of_keys
from rugs_discovery.nodes import MOST_KEYS, Node, types_of

MANY_KEYS: Final = 24
"""Keys from which on an object can be a map by how rarely each of them occurs."""
RARE: Final = 0.25
"""Share of its keys that such an object has at a time, on average, at the most."""


@dataclass(frozen=True)
class Pins:
    """What the user says of objects, by path: `data.values`, or `EVENT:data.values` for one event."""

    maps: Collection[str] = field(default=frozenset())
    objects: Collection[str] = field(default=frozenset())

    def of(self, event: str, path: str) -> bool | None:
        """Return whether an object is said to be a map; None if nothing is said of it."""
        names = {path, f"{event}:{path}"}
        if names & set(self.objects):
            return False
        return True if names & set(self.maps) else None


NO_PINS: Final = Pins()


def evidence(node: Node, pinned: bool | None = None) -> str | None:
    """Return why an object is a map, for people; None if it is none.

    Args:
        pinned: what the user says; an object of too many keys is a map all the same.
    """
    if node.fields is None:
        return f"more than {MOST_KEYS} distinct keys"
    if pinned is not None:
        return "the notes file says so" if pinned else None
    keys = list(node.fields)
    if (kind := kind_of_keys(keys)) is not None:
        return f"all {len(keys)} keys are {kind}" if len(keys) > 1 else f"its one key is a {kind.removesuffix('s')}"
    objects = node.types.get("object", 0)
    members = sum(child.count for child in node.fields.values())
    is_rare = len(keys) >= MANY_KEYS and members <= RARE * len(keys) * objects
    if is_rare and len(types_of(node.fields.values())) == 1:
        return f"{len(keys)} distinct keys, {members / objects:.1f} at a time, with values of one type"
    return None
