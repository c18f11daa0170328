"""Continuity: whether a stream is the one that a checkpoint belongs to, and what of it was not delivered. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from rugs_proto.message import Message

if TYPE_CHECKING:
    from rugs_bus import StreamState


class Checkpoint(NamedTuple):
    """How far a follower has come.

    Attributes:
        incarnation: of the stream that `seq` belongs to; None where nothing was followed yet.
        seq: the last sequence that is dealt with.
        time_us: the broker's time of that message, µs since the epoch, UTC; None where it is not known.
    """

    incarnation: str | None = None
    seq: int = 0
    time_us: int | None = None


class Gap(NamedTuple):
    """Sequences `first` to `last`, both included."""

    first: int
    last: int


class Match(Enum):
    """Whether a stream is the one that a checkpoint belongs to."""

    NOTHING_KNOWN = auto()
    SAME = auto()
    OTHER = auto()
    DOUBTFUL = auto()
    """It has the incarnation, and not the message: it was restored or made anew, and nobody has said so yet."""


def recognise(known: Checkpoint, state: StreamState, message: Message | None) -> Match:
    """Compare a stream with a checkpoint; `message` is what the stream has at the checkpoint's sequence."""
    if known.incarnation is None:
        return Match.NOTHING_KNOWN
    if state.incarnation != known.incarnation:
        return Match.OTHER
    if known.seq > state.last_seq:
        return Match.DOUBTFUL
    if message is not None and known.time_us is not None and message.time_us != known.time_us:
        return Match.DOUBTFUL
    return Match.SAME


def parts(messages: Sequence[Message], after: int, purged_below: int | None) -> Iterator[list[Message] | Gap]:
    """Divide what was delivered behind the sequence `after` at each gap; what is not above `after` is left out.

    Args:
        purged_below: the first sequence that the stream still has: what is missing from there on has another
            subject. None where every sequence is wanted: then each jump is a gap.
    """
    part: list[Message] = []
    for message in messages:
        if message.seq <= after:
            continue
        last = message.seq - 1 if purged_below is None else min(message.seq, purged_below) - 1
        if last > after:
            if part:
                yield part
                part = []
            yield Gap(after + 1, last)
        part.append(message)
        after = message.seq
    if part:
        yield part
