"""Envelope v1: one event on the bus.

The strict model in this module is the contract; `proto/envelope.schema.json` is
generated from it. Producers validate with it once, at the edge. Consumers that read
millions of envelopes decode with `rugs_proto.wire`, which keeps the same rules.
"""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from rugs_proto import ids
from rugs_proto.rules import (
    BLOB_PATTERN,
    DIRECTIONS,
    DOC_TYPE_PATTERN,
    HEX_ID_PATTERN,
    MAX_DEPTH,
    MAX_NAME,
    MAX_SEQ,
    SOURCE_PATTERN,
    SOURCES,
    TS_END_US,
    TS_MIN_US,
    WIRE_VERSION,
    Direction,
    check_plain,
)

__all__ = [
    "DIRECTIONS",
    "MAX_DEPTH",
    "MAX_NAME",
    "MAX_SEQ",
    "SOURCES",
    "TS_END_US",
    "TS_MIN_US",
    "WIRE_VERSION",
    "Envelope",
    "check_plain",
]

HexId = Annotated[str, StringConstraints(pattern=HEX_ID_PATTERN)]
Name = Annotated[str, StringConstraints(max_length=MAX_NAME)]
Int64 = Annotated[int, Field(ge=-(2**63), lt=2**64)]
"""What msgpack can carry."""
Micros = Annotated[int, Field(ge=TS_MIN_US, lt=TS_END_US)]


def _plain_fields(fields: dict[str, Any]) -> dict[str, Any]:
    check_plain(fields)
    return fields


class Envelope(BaseModel):
    """One event, as it travels in a message body.

    Times are microseconds since the Unix epoch, UTC. `id` is computed where it is
    left out; one that does not match the content is refused (see `rugs_proto.ids`).

    Raises:
        pydantic.ValidationError: if a key is missing, unknown, of the wrong type or
            out of range, or if `id` does not match.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    # Not a Literal: that would take True and 1.0 as well.
    v: Annotated[int, Field(ge=WIRE_VERSION, le=WIRE_VERSION)] = Field(description="wire version")
    id: HexId | None = Field(default=None, description="event id; computed when left out")
    ts: Micros = Field(description="event time, microseconds, UTC")
    recv_ts: Micros | None = Field(default=None, description="capture time, microseconds, UTC")
    doc_type: Annotated[str, StringConstraints(pattern=DOC_TYPE_PATTERN)] = Field(description="kind of event; open set")
    source: Annotated[str, StringConstraints(pattern=SOURCE_PATTERN)] = Field(
        description="vantage point that the event was taken from; open set"
    )
    session_id: Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME)] = Field(
        description="one recording session"
    )
    seq: Annotated[int, Field(ge=1, le=MAX_SEQ)] = Field(description="position in the session, from 1")
    direction: Direction = Field(description="as seen from the recorder")
    event: Name = Field(default="", description="event name, as received; may be empty")
    game_id: Name | None = Field(default=None, description="game that the event belongs to")
    player_id: Name | None = Field(default=None, description="player that it is about")
    username: Name | None = Field(default=None, description="that player's name, as shown")
    fields: Annotated[dict[str, Any], AfterValidator(_plain_fields)] = Field(
        default_factory=dict, description="stable typed extracts; what JSON can say"
    )
    raw: str | bytes | None = Field(default=None, description="what was received, byte for byte; nil if derived")
    blob: Annotated[str, StringConstraints(pattern=BLOB_PATTERN)] | None = Field(
        default=None,
        description="SHA-256 of raw, where raw is too large for a message and lies in the object store, under id",
    )
    cause: HexId | None = Field(default=None, description="derived events: id of the event they were read from")
    origin: dict[str, str | Int64 | None] | None = Field(
        default=None, description="imports: sha256, file, line, offset, tz"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.raw is not None and (self.blob is not None or self.cause is not None):
            raise ValueError("raw excludes blob and cause")
        computed = self.computed_id()
        if self.id is None:
            if computed is None:
                raise ValueError("id is missing and cannot be computed")
        elif computed is None and self.cause is not None:
            if not ids.is_derived_id(self.id, self.doc_type, self.cause):
                raise ValueError("id does not match the cause")
        elif computed not in (None, self.id):
            raise ValueError("id does not match the content")
        return self

    def computed_id(self) -> str | None:
        """Return the id that the content stands for, or None where the content does not tell."""
        if (of_key := ids.id_of_key(self)) is not None:
            return of_key
        if self.cause is not None:
            return ids.natural_id(self.doc_type, self.source, self.game_id, self.fields)
        if self.blob is not None:
            return None
        raw = self.raw.encode() if isinstance(self.raw, str) else self.raw
        make = ids.reject_id if self.doc_type == "reject" else ids.event_id
        return make(self.source, self.session_id, self.seq, raw)
