"""An event's arguments, and which of them is its payload: one rule for capture, ingest, old files and producers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

MARK_KEYS: Final = ("__trace", "_placeholder")
"""The keys that `payload_of` looks at: a decoder may skip all others of an argument that is no payload."""


def payload_of(data: object) -> object:
    """Return the payload of an event, from its one argument or the list of all.

    The payload is the last argument that is an object. A trace may precede it (`[{"__trace": true, ...}, payload]`).
    The transport may append to it: with Socket.IO's connection state recovery, a server appends an offset, a text, to
    each broadcast. Traces and placeholders of attachments are objects but no payload. Where no argument is a payload
    by this rule, the last argument is; None where there is none.
    """
    if not isinstance(data, list | tuple):
        return data
    for argument in reversed(data):
        if isinstance(argument, dict | Mapping) and not is_trace(argument) and not is_placeholder(argument):
            return argument
    return data[-1] if data else None


def is_trace(argument: object) -> bool:
    """Return whether an argument is the trace of an event."""
    return isinstance(argument, dict | Mapping) and argument.get("__trace") is True


def is_placeholder(argument: object) -> bool:
    """Return whether an argument stands for an attachment, which is a message of its own."""
    return isinstance(argument, dict | Mapping) and argument.get("_placeholder") is True
