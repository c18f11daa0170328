"""Message bodies: msgpack, one envelope or an array of them.

`encode` trusts what it is given: an `Envelope` was validated when it was made.
`decode` validates. What reads bodies by the million uses `rugs_proto.wire`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgpack

from rugs_proto.envelope import Envelope
from rugs_proto.packing import pack


def to_map(envelope: Envelope) -> dict[str, Any]:
    """Return the map that travels: keys whose value is the default are left out, the order is always the same."""
    event_id = envelope.id or envelope.computed_id()
    return {"v": envelope.v, "id": event_id} | envelope.model_dump(exclude_defaults=True)


def encode(envelopes: Envelope | Iterable[Envelope]) -> bytes:
    """Return a message body: one map for one envelope, an array for several."""
    if isinstance(envelopes, Envelope):
        return pack(to_map(envelopes))
    return pack([to_map(envelope) for envelope in envelopes])


def unpack(body: bytes) -> list[Any]:
    """Return a body's elements, not yet validated.

    Raises:
        ValueError: if the body is not one whole msgpack map or array.
    """
    try:
        content = msgpack.unpackb(body, strict_map_key=False)
    except (msgpack.UnpackException, ValueError, TypeError) as error:  # TypeError: a map or list as key
        raise ValueError(f"not msgpack: {error or type(error).__name__}") from error
    if isinstance(content, dict):
        return [content]
    if isinstance(content, list):
        return content
    raise ValueError(f"neither a map nor an array: {type(content).__name__}")


def decode(body: bytes) -> list[Envelope]:
    """Return the envelopes of a body, each validated.

    Raises:
        ValueError: if the body is not msgpack, or an envelope breaks the contract
            (`pydantic.ValidationError` is a ValueError).
    """
    return [Envelope.model_validate(element) for element in unpack(body)]
