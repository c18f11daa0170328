"""Many events into states: read fast, checked to be exact, and read again exactly where they may not be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final

from rugs_discovery import columns
from rugs_discovery.columns import Columns, Group
from rugs_discovery.messages import Message
from rugs_discovery.nodes import Node, Place
from rugs_discovery.paths import ANY, ITEM, Step
from rugs_discovery.shred import MOST_LEVELS, Shredder
from rugs_discovery.state import EventState, Fault, State, first_faults

_FEW: Final = 64
"""Events that are read exactly at once, rather than searched for the one that has to be."""
_KINDS: Final = {
    "null": type(None), "boolean": bool, "integer": int, "number": float, "string": str, "array": list, "object": dict,
}  # fmt: skip

IsPublic = Callable[[str, bool], bool]
"""Whether the values of an event may be shown: by its key, and whether it was sent."""
Placed = tuple[int, Any]
"""A value, and the index of the event that it is of."""


def take(
    texts: Sequence[bytes],
    place_of: Callable[[int], Place],
    is_public: IsPublic,
    read_exactly: Callable[[bytes], Message],
    levels: int = MOST_LEVELS,
    owned: Sequence[bool] | None = None,
) -> State:
    """Return what events say.

    Args:
        texts: lines, or stored bytes, in the order of their places.
        place_of: returns where an event is, by its index; asked for few of them.
        read_exactly: returns the event of a text; a ValueError says why it is none.
        levels: of objects and arrays that are entered.
        owned: which of the events somebody owns: their values may not be shown, either.
    """
    return _Batch(place_of, is_public, read_exactly, levels, owned).take(texts, 0)


class _Batch:
    def __init__(
        self,
        place_of: Callable[[int], Place],
        is_public: IsPublic,
        read_exactly: Callable[[bytes], Message],
        levels: int,
        owned: Sequence[bool] | None,
    ) -> None:
        self._owned = owned
        self._place_of = place_of
        self._is_public = is_public
        self._read_exactly = read_exactly
        self._levels = levels

    def take(self, texts: Sequence[bytes], offset: int) -> State:
        """Return what events say; `offset` is the first one's index in the batch."""
        found = columns.read(texts)
        state = self._checked(found, texts, offset)
        if state is None and len(texts) > _FEW:
            middle = len(texts) // 2
            state = self.take(texts[:middle], offset)
            state.merge(self.take(texts[middle:], offset + middle))
            return state
        if state is None:
            state = State()
            found = Columns(unread=list(range(len(texts))))
        for index in found.unread:
            state.merge(self._exactly(texts[index], offset + index))
        state.lines, state.size = len(texts), sum(map(len, texts))
        return state

    def _checked(self, found: Columns, texts: Sequence[bytes], offset: int) -> State | None:
        """Return what the columns say; None if the fast reader may have changed something."""
        state = State()
        colons = 0
        for (key, is_sent), group in found.groups.items():
            for part, is_public in self._by_visibility(key, is_sent, group, offset):
                shredder = Shredder(is_public=is_public, levels=self._levels)
                event = self._event(part, shredder, is_public, offset)
                event.sent = event.count if is_sent else 0
                if shredder.has_large:
                    return None
                colons += shredder.colons
                state.add(key, event)
        return state if colons == found.colons else None

    def _by_visibility(self, key: str, is_sent: bool, group: Group, offset: int) -> Iterable[tuple[Group, bool]]:
        if not self._is_public(key, is_sent):
            return [(group, False)]
        if self._owned is None:
            return [(group, True)]
        owned = [self._owned[offset + index] for index in group.indexes]
        if all(owned) or not any(owned):
            return [(group, not owned[0])]
        return [(_chosen(group, owned), False), (_chosen(group, [not each for each in owned]), True)]

    def _event(self, group: Group, shredder: Shredder, is_public: bool, offset: int) -> EventState:
        """Return what events of one key say."""

        def place(index: int) -> Place:
            return self._place_of(offset + index)

        event = EventState(len(group.indexes), 0 if is_public else len(group.indexes), len(group.traced))
        event.first, event.last = place(min(group.indexes)), place(max(group.indexes))
        if group.values:
            shredder.shred(event.data, group.values)
            placed = list(zip(group.indexes, group.values, strict=True))
            _set_places(event.data, placed if group.is_sorted else sorted(placed, key=_index), place)
        if group.others:
            shredder.shred(event.others, [arguments for _, arguments in group.others])
            _set_places(event.others, sorted(group.others, key=_index), place)
        return event

    def _exactly(self, text: bytes, index: int) -> State:
        """Return what one event says, by the exact reader."""
        place = self._place_of(index)
        try:
            message = self._read_exactly(text)
        except ValueError as error:
            return State(errors={str(error): 1}, faults=[Fault(place, str(error))])
        is_owned = self._owned is not None and self._owned[index]
        is_public = self._is_public(message.key, message.is_sent) and not is_owned
        others = [(0, list(message.others))] if message.others else []
        group = Group([0], list(message.values), others, [0] if message.is_traced else [])
        event = self._event(group, Shredder(is_public=is_public, levels=self._levels), is_public, index)
        event.sent = int(message.is_sent)
        if message.flaw is not None:
            event.not_json = {message.flaw: 1}
            event.faults = first_faults([Fault(place, message.flaw)])
        state = State()
        state.add(message.key, event)
        return state


def _chosen(group: Group, chosen: Sequence[bool]) -> Group:
    kept = {index for index, is_one in zip(group.indexes, chosen, strict=True) if is_one}
    pairs = [pair for pair in zip(group.indexes, group.values, strict=True) if pair[0] in kept]
    return Group(
        [index for index, _ in pairs],
        [value for _, value in pairs],
        [each for each in group.others if each[0] in kept],
        [index for index in group.traced if index in kept],
    )


def _index(placed: Placed) -> int:
    return placed[0]


def _set_places(root: Node, values: Sequence[Placed], place: Callable[[int], Place]) -> None:
    """Set of each node below a root the first event that has each type, and the last one.

    Args:
        values: of the root, in the order of their places.
    """
    waiting = [(root, values)]
    while waiting:
        node, around = waiting.pop()
        _set_place(node, partial(iter, around), partial(reversed, around), place)
        for step, child in _children(node):
            members = _MEMBERS.get(step, _of_key)
            forward = partial(members, around, step)
            if child.is_leaf:
                backward = partial(members, _Reversed(around), step)
                _set_place(child, forward, backward, place)
            elif child.types:
                waiting.append((child, list(forward())))


def _set_place(
    node: Node,
    forward: Callable[[], Iterator[Placed]],
    backward: Callable[[], Iterator[Placed]],
    place: Callable[[int], Place],
) -> None:
    node.last = place(next(backward())[0])
    if len(node.types) == 1:
        node.first[next(iter(node.types))] = place(next(forward())[0])
        return
    for name in node.types:
        kind = _KINDS[name]
        node.first[name] = place(next(index for index, value in forward() if type(value) is kind))


def _children(node: Node) -> Iterator[tuple[Step, Node]]:
    yield from (node.fields or {}).items()
    if node.anything is not None and node.anything.types:
        yield ANY, node.anything
    if node.items is not None:
        yield ITEM, node.items


class _Reversed:
    """A sequence, iterated from its end."""

    def __init__(self, values: Sequence[Placed]) -> None:
        self._values = values

    def __iter__(self) -> Iterator[Placed]:
        return reversed(self._values)


def _of_key(values: Iterable[Placed], key: Step) -> Iterator[Placed]:
    return ((index, value[key]) for index, value in values if type(value) is dict and key in value)


def _of_map(values: Iterable[Placed], step: Step) -> Iterator[Placed]:
    return ((index, member) for index, value in values if type(value) is dict for member in value.values())


def _of_array(values: Iterable[Placed], step: Step) -> Iterator[Placed]:
    return ((index, element) for index, value in values if type(value) is list for element in value)


_MEMBERS: Final[dict[Step, Callable[[Iterable[Placed], Step], Iterator[Placed]]]] = {ANY: _of_map, ITEM: _of_array}
