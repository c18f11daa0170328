"""Where a source pours into: sessions of whole frames, each published as it came, and the gaps between."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import uuid4

from rugs_client import Publisher
from rugs_client.clock import now_us
from rugs_feed import frames
from rugs_feed.frames import Frame
from rugs_feed.normalise import Normal, normalise_frame

STOPPED: Final = "stopped"
"""Why a session ends that we end ourselves, in order: that is no gap."""
_ON_ITS_WAY_US: Final = 1_000_000
"""How long before a frame came another may have been sent that did not come."""
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

    A time in which none of its sessions is open is a gap: it is told of, with its cause, when
    the next one begins. It begins a moment before the last frame that came, for nobody knows
    what was on its way then.
    """

    def __init__(self, publisher: Publisher, source: str) -> None:
        self.publisher = publisher
        self.source = source
        self.frames = 0
        self.bytes = 0
        self.refused = 0
        """Frames that the publisher could not take: a gap tells of them."""
        self.gaps = 0
        self.sessions: dict[str, Session] = {}
        """Those that are open, by their ids."""
        self.last_at: int | None = None
        """When the last frame came, microseconds, UTC."""
        self.last_event = ""
        self.seen: Seen | None = None
        self.serving = False
        """Whether a source that has no sessions of its own is ready to take events."""
        self._dark_since: int | None = None
        self._dark_cause = ""
        self._dark_session: str | None = None
        """The session that the gap began with, until it is safe that the gap was told of: so a crash tells of it."""
        self._told_at = 0

    def resume(self) -> None:
        """Begin with a gap where an earlier process has ended without closing: the gap it left ends now."""
        self._dark_since, self._dark_cause = self.publisher.gap_until, "starting again after a crash"

    def close(self) -> None:
        """Tell of the gap that there is, if there is one: nobody will begin again soon."""
        if self._dark_since is not None:
            self._note_gap(self.publisher.session_id, now_us())
        self._forget_gap()

    @property
    def live(self) -> bool:
        """Whether events can come now."""
        return self.serving or bool(self.sessions)

    def begin(self, *, announced: bool = True, **told: Any) -> Session:
        """Open a session: a connection is up. What is `told` of it goes into its first event.

        One that is not `announced` has no events for its beginning and its end.
        """
        session = Session(self, f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{uuid4().hex[:12]}", announced=announced)
        until = now_us()
        if announced:
            session.note("source_connected", **told)
        if self._dark_since is not None:
            self._note_gap(session.session_id, until)
        self.sessions[session.session_id] = session
        return session

    def end_all(self, reason: str) -> None:
        """End every session that is still open."""
        for session in [*self.sessions.values()]:
            session.end(reason)
        self.serving = False

    def _ended(self, session: Session, reason: str) -> None:
        self.sessions.pop(session.session_id, None)
        missing_since = None
        if not self.sessions and reason != STOPPED:
            self._forget_gap()
            missing_since = session.last_at - _ON_ITS_WAY_US
            self._dark_since, self._dark_cause, self._dark_session = missing_since, reason, session.session_id
        self.publisher.end_session(session.session_id, self.source, missing_since=missing_since)

    def _note_gap(self, session_id: str, until: int) -> None:
        since, self._dark_since = min(self._dark_since or until, until), None
        self._told_at = until
        self.gaps += 1
        self.note(session_id, "gap", ts=since, cause=self._dark_cause, lost=None, since=since, until=until)

    def _forget_gap(self) -> None:
        """Nobody has to tell of the last gap any more."""
        if self._dark_session is not None:
            self.publisher.end_session(self._dark_session, self.source)
            self._dark_session = None

    def note(self, session_id: str, event: str, *, ts: int | None = None, **fields: Any) -> None:
        """Publish a `system_event` of a session: what happened, and was no frame."""
        self.publisher.publish(
            event,
            doc_type="system_event",
            fields=fields,
            ts=ts,
            direction="internal",
            source=self.source,
            session=session_id,
        )


class Session:
    """One connection, from its beginning to its end."""

    def __init__(self, tap: Tap, session_id: str, *, announced: bool) -> None:
        self.session_id = session_id
        self.last_at = now_us()
        """When something last came, microseconds, UTC."""
        self._tap = tap
        self._announced = announced
        self._open = True

    def frame(self, message: str | bytes, *, direction: str = "received", ts: int | None = None) -> Frame:
        """Publish a whole WebSocket message, sent or received at `ts` (microseconds, UTC; now if left out).

        Returns:
            What it is.
        """
        tap, now = self._tap, now_us()
        frame = frames.decode(message)
        said = normalise_frame(frame)
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
        if tap._dark_session is not None and now - tap._told_at > _SAFE_US:
            tap._forget_gap()
        if said.game_id is not None and said.event == "gameStateUpdate":
            tap.seen = _seen(now, said, tap.seen)
        return frame

    def note(self, event: str, *, ts: int | None = None, **fields: Any) -> None:
        """Publish a `system_event`: what happened to the connection, and was no frame."""
        self._tap.note(self.session_id, event, ts=ts, **fields)

    def end(self, reason: str) -> None:
        """Close the session; again is harmless. From its last frame on there is a gap."""
        if self._open:
            self._open = False
            if self._announced:
                self.note("source_disconnected", reason=reason)
            self._tap._ended(self, reason)


def _seen(now: int, said: Normal, before: Seen | None) -> Seen:
    """Return the last game state; a countdown says no price and no tick, so what was said before stands."""
    price, tick, phase = (said.fields.get(name) for name in ("price", "tick", "phase"))
    if before is not None and before.game_id == said.game_id:
        price = before.price if price is None else price
        tick = before.tick if tick is None else tick
    return Seen(now, said.game_id or "", price, tick, phase)
