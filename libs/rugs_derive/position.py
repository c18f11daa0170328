"""How far derivation has come: told by the derived messages themselves, so nothing else has to be kept.

Every derived message says in its headers up to which sequence of the stream everything that
follows stands, now that it stands; and where the unfinished games began. Whoever goes on reads
those again, and then continues. A message without events tells it where nothing was derived for
a while.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from nats.aio.client import Client

import rugs_bus
from rugs_bus import Message, StreamState
from rugs_bus.topology import stored_message, stored_subjects
from rugs_feed.derive import EVENTS as DERIVED_FROM
from rugs_follow.continuity import Checkpoint
from rugs_proto.rules import is_source
from rugs_proto.subjects import EVENTS, EVENTS_STREAM, HEADER_CAUSE_SEQ, HEADER_CAUSE_STATE, event_subject, token

MARK_SUBJECT: Final = event_subject("system_event", "manual", "derived_so_far")
MARK_BODY: Final = b"\x90"
"""An empty msgpack array: no event, and so no row."""

Spans = dict[str, tuple[int, int]]
"""By source, the first and last sequence of the events that unfinished games stand in.

The first is 0 where they began before this stream.
"""

_SEQ: Final = re.compile("[1-9][0-9]{0,18}|0")


@dataclass(frozen=True)
class Position:
    """Up to where everything is derived.

    Attributes:
        seq: the last sequence of the stream that is dealt with.
        time_us: the broker's time of that message; None where it was read from the lake.
        incarnation: the life of the stream that all sequences belong to, as far as it was known.
        spans: what has to be read again, to know what was known of the games.
    """

    seq: int = 0
    time_us: int | None = None
    incarnation: str | None = None
    spans: Spans = field(default_factory=dict)

    @property
    def checkpoint(self) -> Checkpoint:
        """The same without the spans."""
        return Checkpoint(self.incarnation, self.seq, self.time_us)

    @property
    def headers(self) -> dict[str, str]:
        """What a message says of it."""
        state = {"time": self.time_us, "incarnation": self.incarnation, "games": self.spans}
        return {HEADER_CAUSE_SEQ: str(self.seq), HEADER_CAUSE_STATE: json.dumps(state, separators=(",", ":"))}


def read_headers(headers: Mapping[str, str]) -> Position | None:
    """Return what a message's headers say; None where they say nothing that makes sense."""
    told = headers.get(HEADER_CAUSE_SEQ, "")
    if not _SEQ.fullmatch(told):
        return None
    try:
        state = json.loads(headers.get(HEADER_CAUSE_STATE, ""))
        return Position(int(told), state["time"], state["incarnation"], _read_spans(state["games"], int(told)))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def _read_spans(told: dict[str, Any], last: int) -> Spans:
    spans: Spans = {}
    for source, (start, end) in told.items():
        if not is_source(source) or type(start) is not int or type(end) is not int or not 0 <= start <= end <= last:
            raise ValueError(f"no span: {start!r} to {end!r}")
        spans[source] = (start, end)
    return spans


async def find(nc: Client, state: StreamState) -> Position | None:
    """Return how far derivation had come in this stream; None if none of its messages says so."""
    found: Position | None = None
    async for subject in _subjects(nc):
        message = await stored_message(nc, EVENTS_STREAM, {"last_by_subj": subject})
        told = read_headers(message.headers) if message is not None else None
        if told is None or (found is not None and told.seq <= found.seq):
            continue
        if message is not None and told.seq < message.seq and await is_of(nc, state, told):
            found = told
    return found


async def is_of(nc: Client, state: StreamState, position: Position) -> bool:
    """Return whether a position belongs to this stream, and not to one that was there before it."""
    if position.seq > state.last_seq:
        return False
    message: Message | None = None
    if position.time_us is not None and position.seq >= state.first_seq:
        message = await rugs_bus.get_message(nc, position.seq)
    if message is not None:
        return message.time_us == position.time_us
    return position.incarnation == state.incarnation


async def _subjects(nc: Client) -> AsyncIterator[str]:
    """Give every subject that the last derived message may be on: any source may have had something derived."""
    yield MARK_SUBJECT
    for pattern in _patterns():
        for subject in await stored_subjects(nc, pattern):
            yield subject


def _patterns() -> Iterator[str]:
    kinds = [("game_tick", "tick"), ("game", "gameHistory")]
    for event in ("", *sorted(DERIVED_FROM)):
        kinds += [("server_state", event), ("system_event", event)]
    for doc_type, event in kinds:
        yield f"{EVENTS}.{doc_type}.*.{token(event)}"
