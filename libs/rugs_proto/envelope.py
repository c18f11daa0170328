"""Envelope v1: one event on the bus.

The strict model in this module is the contract; `proto/envelope.schema.json` is
generated from it. Producers validate with it once, at the edge. Consumers that read
millions of envelopes decode with `rugs_proto.wire`, which keeps the same rules.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, Self, cast, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from rugs_proto import ids

WIRE_VERSION: Final = 1

DOC_TYPES: Final = ("ws_event", "game_tick", "player_action", "server_state", "system_event", "game", "reject")
"""The doc types known today. The set is open: any that fits `DOC_TYPE_PATTERN` is stored."""

Source = Literal["cdp", "public_ws", "replay", "ui", "bot", "import", "manual"]
Direction = Literal["received", "sent", "internal"]
SOURCES: Final[tuple[str, ...]] = get_args(Source)
DIRECTIONS: Final[tuple[str, ...]] = get_args(Direction)

DOC_TYPE_PATTERN: Final = r"^[a-z0-9_]{1,64}$"
HEX_ID_PATTERN: Final = r"^[0-9a-f]{32}$"
BLOB_PATTERN: Final = r"^[0-9a-f]{64}$"

TS_MIN_US: Final = 946_684_800_000_000
"""2000-01-01T00:00:00Z in microseconds since the Unix epoch: the first `ts` allowed."""
TS_END_US: Final = 7_258_118_400_000_000
"""2200-01-01T00:00:00Z in microseconds since the Unix epoch: the first `ts` refused."""
MAX_SEQ: Final = 2**63 - 1
MAX_NAME: Final = 512
"""Longest event name, session id, game id, player id and user name, in characters."""
MAX_DEPTH: Final = 32
"""Deepest nesting of `fields`."""
MAX_PLACE: Final = 120
"""Longest place in an error message, in characters."""

HexId = Annotated[str, StringConstraints(pattern=HEX_ID_PATTERN)]
Name = Annotated[str, StringConstraints(max_length=MAX_NAME)]
Int64 = Annotated[int, Field(ge=-(2**63), lt=2**64)]
"""What msgpack can carry."""
Micros = Annotated[int, Field(ge=TS_MIN_US, lt=TS_END_US)]


def check_plain(value: object, path: tuple[str | int, ...] = ("fields",)) -> None:
    """Check that a value is what JSON can say: finite numbers, text, lists, maps with text keys.

    `path` leads to the value; `fields` itself is its first part.

    Raises:
        ValueError: naming the place of the first value that is something else.
    """
    if value is None or isinstance(value, str | bool):
        return
    if isinstance(value, int):
        if not -(2**63) <= value < 2**64:
            raise ValueError(f"{_place(path)} does not fit 64 bits")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{_place(path)} is not a finite number")
    elif len(path) > MAX_DEPTH:
        raise ValueError(f"{_place(path)} is nested deeper than {MAX_DEPTH}")
    elif isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise ValueError(f"{_place(path)} has a key that is not text")
            check_plain(inner, (*path, key))
    elif type(value) in (list, tuple):  # not the named tuples that msgpack makes of extension types
        for place, inner in enumerate(cast(Sequence[object], value)):
            check_plain(inner, (*path, place))
    else:
        raise ValueError(f"{_place(path)} has a value of type {type(value).__name__}")


def _place(path: tuple[str | int, ...]) -> str:
    """Write a path for people: only for errors, and short, since keys may be megabytes long."""
    steps = [f"[{step}]" if isinstance(step, int) else f".{step[:40]}" for step in path]
    text = "".join(steps).removeprefix(".")
    return text if len(text) <= MAX_PLACE else f"{text[:MAX_PLACE]}…"


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
    source: Source = Field(description="vantage point that the event was taken from")
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
        default=None, description="SHA-256 of raw, where raw is too large for a message and lies in the object store"
    )
    cause: HexId | None = Field(default=None, description="derived events: id of the event they were read from")
    origin: dict[str, str | Int64 | None] | None = Field(
        default=None, description="imports: sha256, file, line, offset, tz"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.raw is not None and (self.blob is not None or self.cause is not None):
            raise ValueError("raw excludes blob and cause")
        if self.id is None:
            if self.computed_id() is None:
                raise ValueError("id is missing and cannot be computed")
        elif self.computed_id() not in (None, self.id):
            raise ValueError("id does not match the content")
        return self

    def computed_id(self) -> str | None:
        """Return the id that the content stands for, or None where the content does not tell."""
        if self.cause is not None:
            return ids.natural_id(self.doc_type, self.source, self.game_id, self.fields)
        if self.blob is not None:
            return None
        raw = self.raw.encode() if isinstance(self.raw, str) else self.raw
        make = ids.reject_id if self.doc_type == "reject" else ids.event_id
        return make(self.source, self.session_id, self.seq, raw)
