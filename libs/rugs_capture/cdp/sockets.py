"""From what Chrome tells of WebSockets to sessions: one for each socket that is wanted.

A socket is known from its creation or, at the latest, its handshake: each of them says its URL.
One that was open before we came has neither. Where every URL is wanted, so is that one. Otherwise
its first text message decides, which is Socket.IO or is not; binary messages wait for it, as an
attachment does not say whose it is. Its session begins with a note that its beginning is missing.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Any, Final, NamedTuple

import msgspec
import structlog

from rugs_capture.cdp import polling
from rugs_capture.cdp.clock import Clock
from rugs_capture.cdp.patterns import UrlPatterns
from rugs_capture.cdp.polling import UPGRADE, Polling, sid_of
from rugs_capture.cdp.protocol import Event
from rugs_capture.cdp.targets import Targets
from rugs_capture.cdp.urls import bare
from rugs_capture.tap import Session, Tap
from rugs_client.clock import moment
from rugs_core.time import now_us
from rugs_feed import frames

TEXT: Final = 1
BINARY: Final = 2
_SWITCHING: Final = 101
_MOST_HELD: Final = 32
"""Messages that wait for a text: Socket.IO never sends as many attachments in a row."""
_MOST_HELD_CHARACTERS: Final = 16 * 1024 * 1024

_EARLIER: Final = "the socket was open before it could be seen"
_ELSEWHERE: Final = "the socket's page was not followed before"

log = structlog.get_logger(__name__)


class _Created(msgspec.Struct):
    url: str
    id: str = msgspec.field(name="requestId")


class _Request(msgspec.Struct):
    id: str = msgspec.field(name="requestId")
    timestamp: float
    wall: float = msgspec.field(name="wallTime")


class _Response(msgspec.Struct):
    status: int
    request: str = msgspec.field(default="", name="requestHeadersText")


class _Answered(msgspec.Struct):
    id: str = msgspec.field(name="requestId")
    response: _Response


class _Content(msgspec.Struct):
    opcode: float
    payload: str = msgspec.field(name="payloadData")


class _Framed(msgspec.Struct):
    id: str = msgspec.field(name="requestId")
    timestamp: float
    content: _Content = msgspec.field(name="response")


class _Failed(msgspec.Struct):
    id: str = msgspec.field(name="requestId")
    timestamp: float
    message: str = msgspec.field(name="errorMessage")


class _Closed(msgspec.Struct):
    id: str = msgspec.field(name="requestId")


_TOLD: Final[dict[str, type[msgspec.Struct]]] = {
    "Network.webSocketCreated": _Created,
    "Network.webSocketWillSendHandshakeRequest": _Request,
    "Network.webSocketHandshakeResponseReceived": _Answered,
    "Network.webSocketFrameReceived": _Framed,
    "Network.webSocketFrameSent": _Framed,
    "Network.webSocketFrameError": _Failed,
    "Network.webSocketClosed": _Closed,
}
EVENTS: Final = frozenset({*_TOLD, polling.EVENT})


class _Frame(NamedTuple):
    direction: str
    ts: int
    opcode: int
    payload: str


class _Socket:
    """A WebSocket of the browser, wanted or not."""

    def __init__(self, url: str | None = None, missed: str | None = None) -> None:
        self.url = url
        self.missed = missed
        """Why its beginning is missing, if it is."""
        self.session: Session | None = None
        self.fits: bool | None = None
        """Whether it is wanted, as far as that depends on itself; None while it is not known."""
        self.held: list[_Frame] = []
        """What waits until that is known."""
        self.told: dict[str, Any] = {}
        """What is told of it where its session begins."""


class Sockets:
    """All WebSockets of the targets that we are attached to."""

    def __init__(self, tap: Tap, targets: Targets, wanted: UrlPatterns, product: str) -> None:
        self._tap = tap
        self._targets = targets
        self._wanted = wanted
        self._product = product
        self._clock = Clock()
        self._attached = moment()
        self._polling = Polling(tap, targets, wanted)
        self._sockets: dict[tuple[str, str], _Socket] = {}
        """By the session of the target, and the number that Chrome gave them there."""

    def take(self, event: Event) -> None:
        """Take one of `EVENTS`."""
        if event.method == polling.EVENT:
            self._polling.take(event)
            return
        try:
            told = msgspec.json.decode(event.params, type=_TOLD[event.method])
        except msgspec.DecodeError as error:
            log.error("Chrome told something of a socket that is not understood", method=event.method, error=str(error))
            return
        match told:
            case _Created():
                self._sockets[event.session, told.id] = _Socket(told.url)
            case _Request():
                self._clock.told(told.timestamp, told.wall)
                self._sockets.setdefault((event.session, told.id), _Socket())
            case _Answered():
                self._answered((event.session, told.id), told.response)
            case _Framed():
                direction = "sent" if event.method == "Network.webSocketFrameSent" else "received"
                ts = self._clock.wall_us(told.timestamp, now_us())
                frame = _Frame(direction, ts, int(told.content.opcode), told.content.payload)
                self._framed((event.session, told.id), frame)
            case _Failed():
                self._failed((event.session, told.id), told)
            case _Closed():
                self._end((event.session, told.id), "the socket was closed")

    def left(self, session: str, reason: str) -> None:
        """End the sockets of a target: Chrome does not tell of each when their page goes."""
        for key in [key for key in self._sockets if key[0] == session]:
            self._end(key, reason)

    def warning(self) -> str | None:
        """Return what is not recorded now, as people are told."""
        return self._polling.warning()

    def gone(self, place: str) -> None:
        """Take note that a page is gone for good, and so are its connections."""
        self._polling.left(place)
        self._tap.leave(place)

    def _answered(self, key: tuple[str, str], response: _Response) -> None:
        socket = self._sockets.setdefault(key, _Socket())
        if socket.url is None:
            socket.url = _url_of(response.request)
        if response.status != _SWITCHING:
            log.info("a WebSocket was refused", status=response.status, url=bare(socket.url))
        elif self._is_wanted(key, socket):
            self._begin(key, socket)

    def _framed(self, key: tuple[str, str], frame: _Frame) -> None:
        if (socket := self._sockets.get(key)) is None:
            socket = self._sockets[key] = _Socket(missed=_EARLIER)
        if socket.session is None and self._is_wanted(key, socket, frame):
            self._begin(key, socket)
        if socket.session is not None:
            _pour(socket.session, frame)
            if not socket.session.connected and frame[2:] == (TEXT, UPGRADE) and frame.direction == "sent":
                self._taken_over(socket)
        elif socket.fits is None and self._targets.followed(key[0]):
            socket.held.append(frame)
        else:
            socket.missed = socket.missed or _ELSEWHERE

    def _is_wanted(self, key: tuple[str, str], socket: _Socket, frame: _Frame | None = None) -> bool:
        if not self._targets.followed(key[0]):
            return False
        if socket.fits is None:
            if self._wanted.every:
                socket.fits = True
            elif socket.url is not None:
                socket.fits = self._wanted.fit(socket.url)
            elif frame is not None:
                socket.fits = _fits(frame, socket.held)
                if socket.fits is False:
                    log.info("a socket of a page that is followed is left out: it does not speak Socket.IO")
                    socket.held.clear()
        return socket.fits is True

    def _begin(self, key: tuple[str, str], socket: _Socket) -> None:
        target = self._targets.get(key[0])
        assert target is not None  # noqa: S101 - it is followed
        socket.told = {
            "url": bare(socket.url),
            "page": bare(self._targets.page(key[0])),
            "target": target.kind,
            "browser": self._product,
        }
        # One that takes over from HTTP polling is connected when it has.
        takes_over = sid_of(socket.url) is not None
        socket.session = self._tap.begin(connected=not takes_over, place=self._targets.place(key[0]), **socket.told)
        if socket.missed is not None:
            socket.session.note("beginning_missed", reason=socket.missed)
        if socket.missed == _EARLIER:
            socket.session.miss_beginning(self._attached, _EARLIER)
        for frame in socket.held:
            _pour(socket.session, frame)
        socket.held.clear()

    def _taken_over(self, socket: _Socket) -> None:
        """Count a session as connected: from now on the feed comes through its WebSocket."""
        assert socket.session is not None  # noqa: S101 - it has just had a message
        socket.session.connect(**socket.told)
        self._polling.taken_over(socket.session.place, socket.url)

    def _failed(self, key: tuple[str, str], failed: _Failed) -> None:
        socket = self._sockets.get(key)
        if socket is None or socket.session is None:
            log.info("a WebSocket failed", error=failed.message, url=bare(socket.url) if socket else None)
        else:
            ts = self._clock.wall_us(failed.timestamp, now_us())
            socket.session.note("socket_error", ts=ts, reason=failed.message)

    def _end(self, key: tuple[str, str], reason: str) -> None:
        socket = self._sockets.pop(key, None)
        if socket is not None and socket.session is not None:
            socket.session.end(reason)
            if not self._targets.exists(place := socket.session.place):
                self.gone(place)


def _pour(session: Session, frame: _Frame) -> None:
    """Put a frame into its session; what is no message goes there as a note, with all that was told of it."""
    if frame.opcode == TEXT:
        session.frame(frame.payload, direction=frame.direction, ts=frame.ts)
        return
    told: dict[str, Any] = {"ts": frame.ts, "sent": frame.direction == "sent", "opcode": frame.opcode}
    if frame.opcode != BINARY:
        session.note("control_frame", **told, payload=frame.payload)
        return
    try:
        message = b64decode(frame.payload, validate=True)
    except binascii.Error:
        session.note("frame_unreadable", **told, payload=frame.payload)
        return
    session.frame(message, direction=frame.direction, ts=frame.ts)
    if not message and frame.direction == "sent":  # so Chrome tells of a Blob, whatever is in it
        session.note("payload_unseen", **told, reason="Chrome does not show the content of a Blob that is sent")


def _fits(frame: _Frame, held: list[_Frame]) -> bool | None:
    """Return whether a socket of unknown URL speaks Socket.IO; None while only binary messages have come."""
    if frame.opcode == TEXT:
        return _is_socketio(frame.payload)
    size = sum(len(each.payload) for each in held) + len(frame.payload)
    return None if len(held) < _MOST_HELD and size < _MOST_HELD_CHARACTERS else False


def _is_socketio(text: str) -> bool:
    frame = frames.decode(text)
    if frame.packet in frames.SOCKET_PACKETS:
        return frame.problem is None or frame.event is not None
    if frame.packet == "open":
        return frame.problem is None and isinstance(frame.payload, dict)
    return frame.packet in frames.ENGINE_PACKETS and frame.payload in (None, "probe")


def _url_of(request: str) -> str | None:
    """Return the URL in the first line of a request, if Chrome shows that."""
    words = request.partition("\r\n")[0].split(" ")
    return words[1] if len(words) > 1 and "://" in words[1] else None
