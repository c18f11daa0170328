"""What the contract knows of a domain: its doc types, and how their events are identified."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

KeyPart = str | int | bool | None
"""A part of an event's key."""


class Said(Protocol):
    """What a domain may read of an envelope; both validators' envelopes have it."""

    @property
    def doc_type(self) -> str: ...  # noqa: D102
    @property
    def source(self) -> str: ...  # noqa: D102
    @property
    def session_id(self) -> str: ...  # noqa: D102
    @property
    def seq(self) -> int: ...  # noqa: D102
    @property
    def direction(self) -> str: ...  # noqa: D102
    @property
    def event(self) -> str: ...  # noqa: D102
    @property
    def game_id(self) -> str | None: ...  # noqa: D102
    @property
    def player_id(self) -> str | None: ...  # noqa: D102
    @property
    def username(self) -> str | None: ...  # noqa: D102
    @property
    def blob(self) -> str | None: ...  # noqa: D102
    @property
    def fields(self) -> Mapping[str, Any]: ...  # noqa: D102


@dataclass(frozen=True)
class Natural:
    """The natural key of a derived doc type. It is unique within the envelope's `game_id`, which is part of it.

    Attributes:
        key: returns the key's parts, from source, game id and fields.
        position: the key of `fields` (an int) that orders the events of one game; None where a game has one event.
        text: the key for people, as the contract writes it.
    """

    key: Callable[[str, str, Mapping[str, Any]], tuple[KeyPart, ...]]
    text: str
    position: str | None = None


@dataclass(frozen=True)
class Keyed:
    """A doc type whose events have a key of their own, and no place in a session: `session_id` is their scope.

    Attributes:
        key: returns the key's parts, from the envelope. Raises ValueError if the envelope has no key.
        content: keys of `fields`. Two events of one key are the same event if these are equal; if not, the later one
            is rejected as `conflicting_key`.
        text: the key for people, as the contract writes it.
    """

    key: Callable[[Said], tuple[KeyPart, ...]]
    content: frozenset[str]
    text: str


@dataclass(frozen=True)
class Domain:
    """What the contract knows of one domain.

    Attributes:
        natural: natural keys of derived doc types. A derived event of any other is identified by its cause.
        keyed: keys of keyed doc types.
        examples: (doc type, natural key) of events, for the test vectors.
    """

    name: str
    doc_types: tuple[str, ...]
    natural: Mapping[str, Natural] = field(default_factory=dict)
    keyed: Mapping[str, Keyed] = field(default_factory=dict)
    examples: tuple[tuple[str, tuple[KeyPart, ...]], ...] = ()
