"""Bodies of HTTP long polling: several Engine.IO packets with the character 0x1e between them."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Iterable
from typing import Final, NamedTuple

_SEPARATOR: Final = b"\x1e"
_BINARY: Final = b"b"


class BadText(NamedTuple):
    """A text message that is not UTF-8: its bytes."""

    data: bytes


Message = str | bytes | BadText
"""A message as it was on the wire: text, binary, or text that cannot be decoded."""


def text(data: bytes) -> str | BadText:
    """Return a text message from its bytes."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return BadText(data)


def split(body: bytes) -> list[Message]:
    """Return the packets of a body as the messages that a WebSocket would carry.

    ``b<base64>`` is a binary message; where it is no base64, the packet is kept as the text that it is.
    """
    return [_message(packet) for packet in body.split(_SEPARATOR)] if body else []


def join(messages: Iterable[str | bytes]) -> bytes:
    """Return the body that carries messages; the reverse of `split`."""
    return _SEPARATOR.join(
        _BINARY + b64encode(message) if isinstance(message, bytes) else message.encode() for message in messages
    )


def _message(packet: bytes) -> Message:
    if packet.startswith(_BINARY):
        try:
            return b64decode(packet[1:], validate=True)
        except binascii.Error:
            pass
    return text(packet)
