"""Where a source pours into: sessions of whole frames, each published as it came, and the gaps between."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import uuid4

from rugs_capture.outages import Outage, Outages
from rugs_client import Publisher
from rugs_client.clock import Moment, boot_us, moment, slip, spans
from rugs_core.secrets import mask_secrets
from rugs_core.time import now_us
from rugs_feed import frames
from rugs_feed.frames import Frame
from rugs_feed.normalise import Normal, normalise_frame

STOPPED: Final = "stopped"
"""Why a session ends that we end ourselves, in order: that is no outage."""
_PAYLOAD: Final = "payload"
"""The field with what was received itself: it stays as it was."""
_ON_ITS_WAY_US: Final = 1_000_000
"""How long before the last frame, and after the end of a page, frames may have been sent that did not come."""
_MOST_PING_MS: Final = 10**9
_SAFE_US: Final = 1_000_000
"""How long after it was published an event is certainly at the broker or in the spool."""


class Seen(NamedTuple):
    """The last game state that came. `at` is in microseconds, UTC."""

    at: int
    game_id: str
    price: float | None
    tick: int | None
    phase: str | None


class Tap:
    """One source's way into the bus; `source` is the envelope's. Nothing in it ever blocks or raises.

    The end of each session begins an outage of that connection: a `gap` event says since when, until when
    and why. It begins a moment before the last frame, for nobody knows what was on its way then. It
    ends when the same place, such as a page of a browser, connects again, or when that place is gone. Where
    no session is open by then it is the source's outage, and ends with the next session, wherever that is.
    """

    def __init__(self, publisher: Publisher, source: str) -> None:
        self.publisher = publisher
        self.source = source
        self.frames = 0
        self.bytes = 0
        self.refused = 0
        """Frames that the publisher could not take: a gap tells of them."""
        self.gaps = 0
        self.connections = 0
        """Sessions that were connected so far."""
        self.sessions: dict[str, Session] = {}
        """Those that are open, by their ids."""
        self.last_at: int | None = None
        """When the last frame came, microseconds, UTC."""
        self.last_event = ""
        self.seen: Seen | None = None
        self.serving = False
        """Whether a source that has no sessions of its own is ready to take events."""
        self.warn: Callable[[], str | None] = lambda: None
        """Says what the source cannot record now, although it is connected."""
        self._outages = Outages()
        self._told: deque[tuple[int, str]] = deque()
        """When each outage was told of, on the clock that nobody sets, and its session: a crash may lose the last."""

    def resume(self) -> None:
        """Begin with an outage where an earlier process has ended without closing: the gap it left ends now."""
        if (until := self.publisher.gap_until) is not None:
            self._outages.add(Outage(until, "starting again after a crash", None))

    def close(self) -> None:
        """Tell of the outages that go on: nobody will begin again soon."""
        self._tell(self._outages.take(lambda _: True), self.publisher.session_id, moment())
        self._forget_told(at_once=True)

    @property
    def live(self) -> bool:
        """Whether events can come now."""
        return self._connected or (self.serving and self.warn() is None)

    @property
    def _connected(self) -> bool:
        return any(session.connected for session in self.sessions.values())

    def begin(self, *, announced: bool = True, connected: bool = True, place: str = "", **told: Any) -> Session:
        """Open a session: a connection is up. What is `told` of it goes into its first event.

        One that is not `announced` has no events for its beginning and its end. One that is not `connected`
        yet records, but does not count as live, and ends no outage: see `Session.connect`.
        """
        session_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{uuid4().hex[:12]}"
        session = Session(self, session_id, place, told.get("url"), told.get("page"), announced=announced)
        if connected:
            session.connect(**told)
        elif announced:
            session.note("source_connecting", **told)
        self.sessions[session_id] = session
        return session

    def end_all(self, reason: str) -> None:
        """End every session that is still open: the source is gone, and so are all its places."""
        for session in [*self.sessions.values()]:
            session.end(reason)
        self._outages.widen()
        self.serving = False

    def leave(self, place: str) -> None:
        """Say that a place is gone for good: what ends there has no successor."""
        if self._connected:
            until = moment().later(_ON_ITS_WAY_US)
            self._tell(self._outages.take(lambda outage: outage.place == place), self.publisher.session_id, until)
        else:
            self._outages.widen(place)

    def miss(self, since: Moment, cause: str, *, place: str, url: str | None, page: str | None) -> None:
        """Begin an outage that no session precedes: something connects that cannot be recorded."""
        session_id = uuid4().hex
        self._begin_outage(session_id, Outage(since, cause, session_id, place, url, page, follows=False))

    def _began(self, session: Session, now: Moment, *, recovered: bool) -> None:
        self.connections += 1
        ended = self._outages.take(lambda outage: outage.ends_with(session.place, session.url))
        self._tell(ended, session.session_id, now, **({"recovered": True} if recovered else {}))

    def _ended(self, session: Session, reason: str) -> None:
        self.sessions.pop(session.session_id, None)
        if reason == STOPPED or not session.connected:
            self.publisher.end_session(session.session_id, self.source)
            return
        since = session.last.earlier(_ON_ITS_WAY_US)
        outage = Outage(since, reason, session.session_id, session.place, session.url, session.page, follows=True)
        self._begin_outage(session.session_id, outage)

    def _begin_outage(self, session_id: str, outage: Outage) -> None:
        """Note an outage, also for the next process: should this one crash, that one tells of it."""
        self._outages.add(outage)
        since = outage.since.wall_at(moment())
        self.publisher.end_session(session_id, self.source, missing_since=since)
        self._forget_told()

    def _tell(self, outages: Sequence[Outage], session_id: str, until: Moment, **more: Any) -> None:
        """Publish what was not recorded; twice where the clock was set meanwhile (see `rugs_client.clock.spans`)."""
        for outage in outages:
            told = {"url": outage.url, "page": outage.page, **more} if outage.page else more.copy()
            if outage.follows:
                told["after_session"] = outage.session_id
            for since, to in spans(outage.since.wall, until.wall, slip(outage.since, until)):
                self.note_gap(session_id, since, to, outage.cause, **told)
            if outage.session_id is not None:
                self._told.append((until.boot, outage.session_id))

    def _forget_told(self, *, at_once: bool = False) -> None:
        """Nobody has to tell of outages any more that were told of some time ago."""
        safe = boot_us() - _SAFE_US
        while self._told and (at_once or self._told[0][0] < safe):
            self.publisher.end_session(self._told.popleft()[1], self.source)

    def note_gap(self, session_id: str, since: int, until: int, cause: str, **told: Any) -> None:
        """Publish that something was not recorded between two times, microseconds, UTC."""
        self.gaps += 1
        self.note(session_id, "gap", ts=since, cause=cause, lost=None, since=since, until=until, **told)

    def note(self, session_id: str, event: str, *, ts: int | None = None, **fields: Any) -> None:
        """Publish a `system_event` of a session: what happened, and was no frame. Secrets in its texts are masked."""
        self.publisher.publish(
            event,
            doc_type="system_event",
            fields={
                name: mask_secrets(value) if isinstance(value, str) and name != _PAYLOAD else value
                for name, value in fields.items()
            },
            ts=ts,
            direction="internal",
            source=self.source,
            session=session_id,
        )


class Session:
    """One connection, from its beginning to its end. `place` is where it is, and `url` what it is connected to."""

    def __init__(
        self, tap: Tap, session_id: str, place: str, url: str | None, page: str | None, *, announced: bool
    ) -> None:
        self.session_id = session_id
        self.place = place
        self.url = url
        self.page = page
        self.connected = False
        self.last = moment()
        """When something last came."""
        self._tap = tap
        self._announced = announced
        self._open = True

    @property
    def last_at(self) -> int:
        """When something last came, microseconds, UTC."""
        return self.last.wall

    @last_at.setter
    def last_at(self, wall: int) -> None:
        self.last = Moment(wall, boot_us())

    def connect(self, *, recovered: bool = False, **told: Any) -> None:
        """Count the session as live: from now on events come, and the outage before it ends.

        `recovered` says that the other side sends again what it sent meanwhile. What is `told` goes into the event.
        """
        self.connected = True
        now = moment()
        if self._announced:
            self.note("source_connected", **told, **({"recovered": True} if recovered else {}))
        self._tap._began(self, now, recovered=recovered)

    def frame(
        self,
        message: str | bytes,
        *,
        direction: str = "received",
        ts: int | None = None,
        frame: Frame | None = None,
    ) -> Frame:
        """Publish a whole WebSocket message, sent or received at `ts` (microseconds, UTC; now if left out).

        `frame` is what it is, where that is known already.

        Returns:
            What it is.
        """
        tap, now = self._tap, now_us()
        frame = frame or frames.decode(message)
        said = normalise_frame(frame)
        if frame.packet == "open":
            said.fields.update(_pings(frame.payload))
        taken = tap.publisher.publish(
            said.event,
            raw=message,
            fields=said.fields,
            doc_type=said.doc_type,
            ts=now if ts is None else ts,
            recv_ts=now,
            direction=direction,
            game_id=said.game_id,
            player_id=said.player_id,
            username=said.username,
            source=tap.source,
            session=self.session_id,
            copy=False,
        )
        tap.frames += 1
        tap.bytes += len(message)
        tap.refused += not taken
        tap.last_event = said.event
        if direction == "received":
            tap.last_at = self.last_at = now
        if tap._told:
            tap._forget_told()
        if said.game_id is not None and said.event == "gameStateUpdate":
            tap.seen = _seen(now, said, tap.seen)
        return frame

    def miss_beginning(self, since: Moment, cause: str) -> None:
        """Publish that what came between a moment and now was not recorded."""
        now = moment()
        for began, until in spans(since.wall, now.wall, slip(since, now)):
            self._tap.note_gap(self.session_id, began, until, cause)

    def note(self, event: str, *, ts: int | None = None, **fields: Any) -> None:
        """Publish a `system_event`: what happened to the connection, and was no frame."""
        self._tap.note(self.session_id, event, ts=ts, **fields)

    def end(self, reason: str) -> None:
        """Close the session; again is harmless. From its last frame on there is an outage."""
        if self._open:
            self._open = False
            if self._announced:
                self.note("source_disconnected", reason=reason)
            self._tap._ended(self, reason)


def _pings(opened: object) -> dict[str, int]:
    """Return what the other side says of its pings, milliseconds: coverage knows by it how long a silence may be."""
    names = {"pingInterval": "ping_interval", "pingTimeout": "ping_timeout"}
    said = opened if isinstance(opened, dict) else {}
    return {
        ours: value
        for name, ours in names.items()
        if type(value := said.get(name)) is int and 0 < value < _MOST_PING_MS
    }


def _seen(now: int, said: Normal, before: Seen | None) -> Seen:
    """Return the last game state; a countdown says no price and no tick, so what was said before stands."""
    price, tick, phase = (said.fields.get(name) for name in ("price", "tick", "phase"))
    if before is not None and before.game_id == said.game_id:
        price = before.price if price is None else price
        tick = before.tick if tick is None else tick
    return Seen(now, said.game_id or "", price, tick, phase)
