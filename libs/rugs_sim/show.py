"""What the simulator plays: cues in time, what newcomers are told, and what each client is told by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import orjson

Message = str | bytes
"""A whole WebSocket message, as on the wire: bytes are an attachment of the event before it."""


class Cue(NamedTuple):
    """Something that happens.

    Attributes:
        at: when, in microseconds since the show began.
        messages: what everybody is sent; empty for a moment before which nothing more happens.
        is_state: whether it is a game state, which players get something of their own with.
    """

    at: int
    messages: tuple[Message, ...] = ()
    is_state: bool = False


class Now(NamedTuple):
    """What is on: a line for people."""

    game_id: str = ""
    tick: int | None = None
    price: float | None = None


class Answer(NamedTuple):
    """What a client's event gives: the acknowledgement's arguments, if it asked for one, and messages to it alone."""

    reply: tuple[Any, ...] = ()
    messages: tuple[Message, ...] = ()


class Seat(Protocol):
    """What one client is to the show."""

    def welcome(self) -> tuple[Message, ...]:
        """Return what the client is sent first."""

    def ask(self, event: str, arguments: tuple[Any, ...]) -> Answer:
        """Take an event that the client has sent. Never fails."""

    def beside_state(self) -> tuple[Message, ...]:
        """Return what the client is sent with each game state."""


class Show(Protocol):
    """Something to play. Pure: the same show gives the same cues, whoever watches."""

    def cues(self) -> Iterator[Cue]:
        """Give what happens, in order; only going on changes what the rest of the show says."""

    def seat(self, number: int) -> Seat:
        """Return a place for a client; `number` counts connections from 1."""

    def now(self) -> Now:
        """Return what is on."""


def encode(event: str, *arguments: Any) -> tuple[Message, ...]:
    """Return an event as messages: one, and one more for each bytes object in its arguments."""
    attachments: list[bytes] = []
    content = [event, *(_without_bytes(argument, attachments) for argument in arguments)]
    try:
        text = orjson.dumps(content).decode()
    except TypeError:  # a recording may hold half a surrogate pair, or a number of 30 digits
        text = json.dumps(content, separators=(",", ":"))
    return (f"45{len(attachments)}-{text}" if attachments else f"42{text}", *attachments)


def _without_bytes(value: Any, attachments: list[bytes]) -> Any:
    """Put placeholders where bytes stand, as an argument or as a value in it."""
    if isinstance(value, bytes):
        attachments.append(value)
        return {"_placeholder": True, "num": len(attachments) - 1}
    if isinstance(value, dict) and any(isinstance(inner, bytes) for inner in value.values()):
        return {key: _without_bytes(inner, attachments) for key, inner in value.items()}
    return value
