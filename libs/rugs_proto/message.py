"""A message of the stream, as it is read back from the broker."""

from __future__ import annotations

from typing import NamedTuple


class Message(NamedTuple):
    """A stored message.

    Attributes:
        seq: its sequence in the stream, from 1.
        time_us: the broker's time of storing it, microseconds since the Unix epoch, UTC.
        headers: empty where there are none.
    """

    seq: int
    time_us: int
    subject: str
    headers: dict[str, str]
    body: bytes
