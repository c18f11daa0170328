"""The two decoders of the contract in the same terms, so that one set of cases runs against both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from rugs_proto import codec, wire

GOOD: dict[str, Any] = {
    "v": 1,
    "ts": 1_764_633_600_123_456,
    "doc_type": "ws_event",
    "source": "public_ws",
    "session_id": "s-1",
    "seq": 7,
    "direction": "received",
    "event": "gameStateUpdate",
    "raw": '42["gameStateUpdate",{}]',
}


class Seen(NamedTuple):
    """What a decoder made of one envelope, in terms that both share."""

    id: str
    content: dict[str, Any]
    raw: bytes | None


def by_codec(body: bytes) -> list[Seen]:
    """Decode with the strict model."""
    seen = []
    for envelope in codec.decode(body):
        content = envelope.model_dump(exclude={"id", "raw"})
        raw = envelope.raw.encode() if isinstance(envelope.raw, str) else envelope.raw
        event_id = envelope.id or envelope.computed_id()
        assert event_id is not None
        seen.append(Seen(event_id, content, raw))
    return seen


def by_wire(body: bytes) -> list[Seen]:
    """Decode at full speed; any fault is an error, as in the codec."""
    judged = wire.judge(body)
    if judged.faults:
        raise ValueError(judged.faults[0].reason)
    seen = []
    for event in judged.events:
        content = msgspec.structs.asdict(event.envelope)
        del content["id"], content["raw"]
        seen.append(Seen(event.digest.hex(), content, event.raw))
    return seen


Decoder = Callable[[bytes], list[Seen]]
