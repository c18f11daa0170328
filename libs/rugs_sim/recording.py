"""The show that somebody recorded: an old capture, the simulator's own log, or a file of frames, one a line.

=====================  ===========================================================================
a line                 is
=====================  ===========================================================================
``{"ts", "event",      a record of a raw or CDP capture, or with `timestamp` and `event_type` of
"data", …}``           samples. What the client sent, and the recorder's own connect and
                       disconnect, are left out; a `raw` frame goes before `data`.
``{"connection",       the simulator's own log; its first connection is played
"at", "frame"}``
``42["name", …]``      a frame as it was on the wire; four of them a second
=====================  ===========================================================================

Packets of the connection itself (handshakes, pings, acknowledgements) are left out: the
connection that plays the recording has its own. A line that is none of these is sent as it is.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rugs_core.errors import RugsError
from rugs_core.time import to_us
from rugs_feed import frames
from rugs_feed.normalise import normalise_frame
from rugs_sim.show import Answer, Cue, Message, Now, encode

_UNTIMED_US: Final = 250_000
_OF_THE_CONNECTION: Final = frozenset(
    {"open", "close", "ping", "pong", "upgrade", "noop", "connect", "disconnect", "connect_error", "ack", "binary_ack"}
)
_OF_THE_RECORDER: Final = frozenset({"connect", "disconnect", "connect_error"})


class RecordingError(RugsError):
    """A recording cannot be played: one line that says why."""


@dataclass(frozen=True)
class Recording:
    """A recording file."""

    path: Path

    def play(self) -> RecordingShow:
        """Begin.

        Raises:
            RecordingError: if there is nothing in it to play.
        """
        try:
            empty = next(RecordingShow(self.path).cues(), None) is None
        except OSError as error:
            raise RecordingError(f"cannot read {self.path}: {error.strerror}") from error
        if empty:
            raise RecordingError(f"nothing to play in {self.path}")
        return RecordingShow(self.path)


class RecordingShow:
    """A recording that is being played; see `rugs_sim.show.Show`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._now = Now()

    def cues(self) -> Iterator[Cue]:
        """Give the recorded messages with the times between them."""
        first: int | None = None
        at = 0
        with self._path.open("rb") as file:
            for line in file:
                micros, messages = _read(line.decode("utf-8", "replace").rstrip("\r\n"))
                if not messages:
                    continue
                if micros is None:
                    at += _UNTIMED_US
                else:
                    first = micros if first is None else first
                    at = max(at, micros - first)
                is_state = self._note(messages[0])
                yield Cue(at, messages, is_state)

    def seat(self, number: int) -> Silence:
        """Return a place for somebody who only listens."""
        return Silence()

    def now(self) -> Now:
        """Return the game that the last game state told of."""
        return self._now

    def _note(self, message: Message) -> bool:
        if not isinstance(message, str) or not message.startswith('42["gameStateUpdate"'):
            return False
        said = normalise_frame(frames.decode(message))
        if said.game_id is not None:
            before = self._now if self._now.game_id == said.game_id else Now()
            tick, price = said.fields.get("tick", before.tick), said.fields.get("price", before.price)
            self._now = Now(said.game_id, tick, price)
        return True


class Silence:
    """A client of a recording: what it asks is not answered, but an acknowledgement it gets."""

    def welcome(self) -> tuple[Message, ...]:
        """Nothing: a recording begins with what its recorder was told."""
        return ()

    def ask(self, event: str, arguments: tuple[Any, ...]) -> Answer:
        """Take anything."""
        return Answer()

    def beside_state(self) -> tuple[Message, ...]:
        """Nothing."""
        return ()


def _read(line: str) -> tuple[int | None, tuple[Message, ...]]:
    """Return a line's time in microseconds, if it has one, and what to send."""
    if not line.strip():
        return None, ()
    record: Any = None
    if line.startswith("{"):
        try:
            record = json.loads(line)
        except ValueError:
            return None, (line,)
    if not isinstance(record, dict):
        return None, _to_send(line)
    if "connection" in record:
        return _read_log(record)
    event, data = record.get("event", record.get("event_type")), record.get("data")
    at = _moment(record.get("ts", record.get("timestamp")))
    if isinstance(record.get("raw"), str):
        return at, _to_send(record["raw"])
    if not isinstance(event, str):
        return None, (line,)
    if record.get("direction") == "sent" or event in _OF_THE_RECORDER:
        return None, ()
    arguments = data if isinstance(data, list) else [] if data is None else [data]
    return at, encode(event, *arguments)


def _read_log(record: Mapping[str, Any]) -> tuple[int | None, tuple[Message, ...]]:
    if record["connection"] != 1 or not isinstance(record.get("at"), int):
        return None, ()
    if isinstance(record.get("base64"), str):
        return record["at"], (base64.b64decode(record["base64"]),)
    frame = record.get("frame")
    return record["at"], _to_send(frame) if isinstance(frame, str) else ()


def _to_send(frame: str) -> tuple[Message, ...]:
    return () if frames.decode(frame).packet in _OF_THE_CONNECTION else (frame,)


def _moment(ts: object) -> int | None:
    """Return a time in microseconds; without a zone it is taken as UTC, as only differences count."""
    try:
        moment = datetime.fromisoformat(str(ts))
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return to_us(aware)
