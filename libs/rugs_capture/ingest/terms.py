"""What the headers beside a body say: how to read it, and whose events it holds.

====================  ==========================================================================
header                meaning
====================  ==========================================================================
``Content-Type``      how to read the body: see `KINDS`; without it, by its look
``Rugs-Session``      session of the items that name none
``Rugs-Source``       their source, any name of `rugs_proto.rules.SOURCE_PATTERN`; ``manual`` if left out
``Rugs-Direction``    ``received`` (if left out), ``sent`` or ``internal``
``Idempotency-Key``   the same for every attempt to send the same body: sent twice, stored once
``Nats-Msg-Id``       the same, as the stock command line calls it
====================  ==========================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from hashlib import blake2b
from typing import Final, get_args

from rugs_core.errors import RugsError
from rugs_feed.kinds import text
from rugs_proto.rules import SOURCE_RULE, Direction, is_source

MAX_SESSION: Final = 400
"""Longest session that may be told, in characters: an Idempotency-Key appends to it."""
DEFAULT_SOURCE: Final = "manual"
DEFAULT_DIRECTION: Final[Direction] = "received"
DIRECTIONS: Final[dict[object, Direction]] = {direction: direction for direction in get_args(Direction)}
_MAX_KEY: Final = 1024


class Kind(Enum):
    """How a body is read."""

    BY_LOOK = "by its first byte"
    JSON = "an object, an array of objects, or an object a line"
    LINES = "an object a line"
    MSGPACK = "a map, or an array of maps"
    FRAMES = "WebSocket messages, unless it begins like JSON"


KINDS: Final = {
    "": Kind.BY_LOOK,
    "application/octet-stream": Kind.BY_LOOK,
    "application/x-www-form-urlencoded": Kind.BY_LOOK,  # what `curl -d` says of whatever it sends
    "application/json": Kind.JSON,
    "application/x-ndjson": Kind.LINES,
    "application/ndjson": Kind.LINES,
    "application/jsonl": Kind.LINES,
    "application/jsonlines": Kind.LINES,
    "application/msgpack": Kind.MSGPACK,
    "application/x-msgpack": Kind.MSGPACK,
    "application/vnd.msgpack": Kind.MSGPACK,
    "text/plain": Kind.FRAMES,
}


class RequestError(RugsError):
    """A whole request is refused: why, as a status of HTTP and for people.

    `retry_after` is in seconds, where the same request may be taken later.
    """

    def __init__(self, status: int, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.retry_after = retry_after


@dataclass(frozen=True)
class Terms:
    """What holds for all items of a body that do not say otherwise.

    `key` stands for the attempt: the same for every attempt to send the same body.
    """

    kind: Kind = Kind.BY_LOOK
    session: str | None = None
    source: str = DEFAULT_SOURCE
    direction: Direction = DEFAULT_DIRECTION
    key: str | None = None


def read_terms(headers: Mapping[str, str]) -> Terms:
    """Return what the headers say; others than those above are passed over.

    Raises:
        RequestError: naming the header that cannot be understood.
    """
    told = {name.lower(): value.strip() for name, value in headers.items()}
    source = told.get("rugs-source", DEFAULT_SOURCE)
    if not is_source(source):
        raise RequestError(400, f"Rugs-Source is not {SOURCE_RULE}")
    direction = DIRECTIONS.get(told.get("rugs-direction", DEFAULT_DIRECTION))
    if direction is None:
        raise RequestError(400, f"Rugs-Direction is none of {', '.join(DIRECTIONS.values())}")
    return Terms(
        kind=_kind(told.get("content-type", "")),
        session=_session(told.get("rugs-session")),
        source=source,
        direction=direction,
        key=_key(told.get("idempotency-key") or told.get("nats-msg-id")),
    )


def is_session(value: object) -> bool:
    """Return whether a value can name a session."""
    return text(value) is not None and 0 < len(str(value)) <= MAX_SESSION


def _kind(content_type: str) -> Kind:
    media_type, *parameters = (part.strip().lower() for part in content_type.split(";"))
    charsets = [value.strip('" ') for name, _, value in (p.partition("=") for p in parameters) if name == "charset"]
    if media_type not in KINDS:
        known = ", ".join(name for name, kind in KINDS.items() if kind is not Kind.BY_LOOK)
        raise RequestError(415, f"Content-Type {media_type[:80]!r} is not taken: one of {known}")
    if any(charset not in ("utf-8", "utf8", "us-ascii") for charset in charsets):
        raise RequestError(415, "text has to be UTF-8")
    return KINDS[media_type]


def _session(session: str | None) -> str | None:
    if session is None or is_session(session):
        return session
    raise RequestError(400, f"Rugs-Session is not text of 1 to {MAX_SESSION} characters")


def _key(key: str | None) -> str | None:
    """Return a key of fixed length that stands for the one told."""
    if not key:
        return None
    if len(key) > _MAX_KEY:
        raise RequestError(400, f"Idempotency-Key is longer than {_MAX_KEY} characters")
    return blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8, person=b"rugs.request.1").hexdigest()
