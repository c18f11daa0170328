"""The life of one Socket.IO connection, without I/O: what to answer, and how long to wait.

A connection goes through three states. It is `opening` until the server has sent its Engine.IO open packet,
`connecting` until the server has answered the Socket.IO connect, and `connected` from then on. Only a
connected one counts as live. `Connection.ending` is set when the other side has ended it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from rugs_capture.socketio.endings import quoted
from rugs_core.secrets import mask_values
from rugs_feed.frames import EVENT_PACKETS, SOCKET_PACKETS, Frame, encode

State = Literal["opening", "connecting", "connected"]

PING_INTERVAL: Final = 25.0
PING_TIMEOUT: Final = 20.0
"""Seconds that Socket.IO servers use by default; they stand for values that are missing or absurd."""
LEAST_SILENCE: Final = 0.5
MOST_SILENCE: Final = 600.0
"""Seconds: bounds of the silence that a server can ask a client to bear."""
_LONGEST_TOKEN: Final = 512
"""Characters of a private id or an offset; what is longer is something else."""


class Recovery(NamedTuple):
    """What a server needs to send again what a client has missed (Socket.IO's connection state recovery).

    Attributes:
        pid: private id of the session, from the answer to the connect packet.
        offset: of the last event that came, from behind its payload.
    """

    pid: str
    offset: str


class Ending(NamedTuple):
    """Why the other side ended a connection. A refused one was not wanted, and is tried again later each time."""

    reason: str
    refused: bool = False


@dataclass
class _Incomplete:
    """A binary packet whose attachments have not all come."""

    frame: Frame
    left: int


class Connection:
    """One connection to a namespace.

    Args:
        limit: seconds from the first step of connecting until the server has answered the connect packet.
        auth: payload of the connect packet.
        recovery: of the connection before, so that the server can send again what was missed.
    """

    def __init__(
        self,
        *,
        limit: float,
        namespace: str = "/",
        auth: Mapping[str, Any] | None = None,
        recovery: Recovery | None = None,
    ) -> None:
        self.state: State = "opening"
        self.ending: Ending | None = None
        self.recovered = False
        """Whether the server has gone on with the session of the connection before."""
        self._limit = limit
        self._namespace = namespace
        self._auth = dict(auth or {})
        self._asked = recovery
        self._silence = MOST_SILENCE
        self._pid: str | None = None
        self._offset: str | None = None
        self._incomplete: _Incomplete | None = None
        self._packet: str | None = None
        """The connect packet."""
        self._owed: list[str] = []
        """Acknowledgements of events that came before the answer to the connect packet: a server takes none yet."""

    @property
    def recovery(self) -> Recovery | None:
        """What the next connection needs to have the server send again what comes after this one."""
        offset = self._offset
        if offset is None and self.recovered and self._asked is not None:
            offset = self._asked.offset
        return None if self._pid is None or offset is None else Recovery(self._pid, offset)

    def due(self, began: float, heard: float) -> float:
        """Return when the connection is given up, if nothing more comes.

        Args:
            began: time of the first step of connecting.
            heard: time at which something last came.
        """
        if self.state == "opening":
            return began + self._limit
        silent = heard + self._silence
        return silent if self.state == "connected" else min(silent, began + self._limit)

    def overdue(self) -> str:
        """Return why a connection was given up that is over its time."""
        if self.state == "connected":
            return "the server has stopped answering"
        if self.state == "opening":
            return f"no open packet within {self._limit:.4g} s"
        return f"no answer to the Socket.IO connect packet within {min(self._limit, self._silence):.4g} s"

    def take(self, frame: Frame) -> list[str]:
        """Take a frame that was received; return the messages to be sent because of it."""
        if frame.packet == "close":
            self.ending = Ending("the server closed the connection")
        elif self.state == "opening":
            return self._open(frame) if frame.packet == "open" else []
        elif frame.packet == "ping":
            return ["3" + "".join(map(str, frame.args))]
        elif frame.packet == "attachment":
            return self._attach()
        elif frame.packet in SOCKET_PACKETS:
            self._incomplete = None
            if frame.namespace == self._namespace:
                return self._take_packet(frame)
        return []

    def stored(self, message: str) -> str:
        """Return a message that was sent as it is to be stored: the values of the auth payload are masked."""
        return self._connect_packet(mask_values(self._auth)) if message == self._packet else message

    def _open(self, frame: Frame) -> list[str]:
        said = frame.payload
        if frame.problem is not None or not isinstance(said, dict):
            return []
        silence = _seconds(said.get("pingInterval"), PING_INTERVAL) + _seconds(said.get("pingTimeout"), PING_TIMEOUT)
        self._silence = min(max(silence, LEAST_SILENCE), MOST_SILENCE)
        self.state = "connecting"
        self._packet = self._connect_packet(self._auth)
        return [self._packet]

    def _connect_packet(self, auth: Mapping[str, Any]) -> str:
        payload = {**(self._asked._asdict() if self._asked else {}), **auth}
        return str(encode(Frame("connect", (payload,), namespace=self._namespace)))

    def _take_packet(self, frame: Frame) -> list[str]:
        if frame.packet == "connect_error":
            self.ending = Ending(f"the server refuses the connection: {_message(frame)}", refused=True)
        elif frame.packet == "disconnect":
            self.ending = Ending("the server ended the session (Socket.IO disconnect)")
        elif frame.problem is not None:
            return []
        elif frame.packet == "connect":
            return self._connect(frame.payload)
        elif frame.attachments:
            self._incomplete = _Incomplete(frame, frame.attachments)
        else:
            return self._complete(frame)
        return []

    def _connect(self, said: Any) -> list[str]:
        if self.state == "connected":
            return []
        self.state = "connected"
        self._pid = _token(said.get("pid")) if isinstance(said, dict) else None
        self.recovered = self._asked is not None and self._pid == self._asked.pid
        owed, self._owed = self._owed, []
        return owed

    def _attach(self) -> list[str]:
        incomplete = self._incomplete
        if incomplete is None:
            return []
        incomplete.left -= 1
        if incomplete.left > 0:
            return []
        self._incomplete = None
        return self._complete(incomplete.frame)

    def _complete(self, frame: Frame) -> list[str]:
        """Note the offset of an event that has come whole, and acknowledge it if it asks for that."""
        if frame.packet not in EVENT_PACKETS:
            return []
        if frame.ack_id is None:
            self._offset = _token(frame.args[-1] if frame.args else None) or self._offset
            return []
        answer = str(encode(Frame("ack", namespace=self._namespace, ack_id=frame.ack_id)))
        if self.state == "connected":
            return [answer]
        self._owed.append(answer)
        return []


def _seconds(milliseconds: object, default: float) -> float:
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float) or not milliseconds > 0:
        return default
    return min(milliseconds, MOST_SILENCE * 1000) / 1000


def _token(said: object) -> str | None:
    return said if isinstance(said, str) and 0 < len(said) <= _LONGEST_TOKEN else None


def _message(frame: Frame) -> str:
    """Return what a connect_error says: ``{"message": ...}``, or the message itself from older servers."""
    said = frame.payload if frame.args else frame.junk
    if isinstance(said, dict):
        said = said.get("message")
    return quoted(said) if isinstance(said, str) and said else "it does not say why"
