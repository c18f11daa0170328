"""What can go wrong on one connection: deterministic, by seed and by the number of the connection."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from rugs_sim.made_up.chance import Chance
from rugs_sim.show import Message

_SPREAD: Final = 1_000_003
_EVENT: Final = "42"
_JUNK: Final[tuple[Message, ...]] = (
    "7",
    "hello",
    "",
    "4",
    "42",
    "48[]",
    '42{"no":"list"}',
    "42[7,8]",
    '42["neverHeardOf",{"gameId":"20990101-0000000000000000","deep":[[[{}]]]}]',
    '42["neverHeardOf"]trailing',
    '42["gameStateUpdate",{"price":NaN,"tickCount":-1}]',
    '42["gameStateUpdate",null]',
    '43999999["nobody asked"]',
    '42/nowhere,["elsewhere",{}]',
    b"\x00\xff not an attachment",
)
"""Messages that are no packets, or packets that no client expects."""


@dataclass(frozen=True)
class Faults:
    """How often what goes wrong, counted in events on one connection: on average once in so many; 0 is never.

    Attributes:
        drop: the connection ends: half the times it is cut, else the server says so first.
        drop_seconds: the connection ends after so many seconds.
        duplicate: an event is sent twice.
        reorder: an event comes after the one that follows it.
        junk: something no client expects is sent after it; or its first half, before it.
        stall: nothing is sent for `stall_seconds`, pings included; then all that has piled up.
    """

    seed: int = 1
    drop: int = 0
    drop_seconds: float = 0
    duplicate: int = 0
    reorder: int = 0
    junk: int = 0
    stall: int = 0
    stall_seconds: float = 5


class Send(NamedTuple):
    """Put a message on the wire; `fault` says why, where it is not what was meant to be sent."""

    message: Message
    fault: str = ""


class Stall(NamedTuple):
    """Be silent."""

    seconds: float


class Drop(NamedTuple):
    """End the connection; an unclean end is a cut."""

    clean: bool


Action = Send | Stall | Drop


class Damage:
    """The faults of one connection. Only events are harmed; what belongs to the connection itself passes."""

    def __init__(self, faults: Faults, connection: int) -> None:
        self._faults = faults
        self._chance = Chance(faults.seed * _SPREAD + connection)
        counted = ("drop", "duplicate", "reorder", "junk", "stall")
        self._left = {name: self._next(every) for name in counted if (every := getattr(faults, name)) > 0}
        self._held: Message | None = None

    def take(self, message: Message) -> Iterator[Action]:
        """Give what becomes of a message."""
        if not isinstance(message, str) or not message.startswith(_EVENT):
            yield Send(message)
            return
        if self._due("stall"):
            yield Stall(self._faults.stall_seconds)
        torn = self._chance.happens(0.5)
        junk = self._due("junk")
        if junk and torn:
            yield Send(message[: self._chance.whole(2, len(message) // 2)], "torn")
        if self._held is None and self._due("reorder"):
            self._held = message
        else:
            yield Send(message)
            if self._held is not None:
                yield Send(self._held, "reordered")
                self._held = None
        if self._due("duplicate"):
            yield Send(message, "duplicate")
        if junk and not torn:
            yield Send(self._chance.one(_JUNK), "junk")
        if self._due("drop"):
            yield Drop(self._chance.happens(0.5))

    def rest(self) -> Iterator[Action]:
        """Give what is still held back, at the end of the show."""
        if self._held is not None:
            yield Send(self._held, "reordered")
            self._held = None

    def _due(self, name: str) -> bool:
        if name not in self._left:
            return False
        self._left[name] -= 1
        if self._left[name] > 0:
            return False
        self._left[name] = self._next(getattr(self._faults, name))
        return True

    def _next(self, every: int) -> int:
        return self._chance.whole(max(1, every // 2), every + every // 2)
