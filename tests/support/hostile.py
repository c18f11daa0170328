"""Objects that a program may hand over, and that nobody can follow to their end, describe or compare."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any


@dataclass
class Pair:
    """Two objects."""

    left: object
    right: object


class Endless(dict[str, int]):
    """A map that never ends."""

    def items(self) -> Any:
        def forever() -> Iterator[tuple[str, int]]:
            number = 0
            while True:
                number += 1
                yield str(number), number

        return forever()


class Mute:
    """An object that cannot be described."""

    __slots__ = ()

    def __repr__(self) -> str:
        raise RuntimeError

    __str__ = __repr__


def circle() -> dict[str, object]:
    """A map that holds itself twice: followed to its end it has a billion values."""
    held: dict[str, object] = {}
    held["a"] = held["b"] = held
    return held


def doubled(make: Callable[[object, object], object], times: int = 60) -> object:
    """An object that holds another one twice, and so on."""
    held: object = 1
    for _ in range(times):
        held = make(held, held)
    return held


def nested(times: int = 100_000) -> object:
    """A list in a list, and so on."""
    held: object = 1
    for _ in range(times):
        held = [held]
    return held


EXPLOSIVE: dict[str, Callable[[], object]] = {
    "a circle": circle,
    "lists": lambda: doubled(lambda left, right: [left, right]),
    "tuples": lambda: doubled(lambda left, right: (left, right)),
    "maps": lambda: doubled(lambda left, right: {"l": left, "r": right}),
    "user maps": lambda: doubled(lambda left, right: UserDict(l=left, r=right)),
    "dataclasses": lambda: doubled(Pair),
    "objects": lambda: doubled(lambda left, right: SimpleNamespace(left=left, right=right)),
    "a map without an end": Endless,
    "many numbers": lambda: list(range(2_000_000)),
    "much text": lambda: ["x" * 20_000_000, "y" * 20_000_000],
    "a key of many characters": lambda: {"x" * 40_000_000: 1},
    "many bytes": lambda: b"\xff" * 20_000_000,
    "an integer of many digits": lambda: 1 << 200_000_000,
}
