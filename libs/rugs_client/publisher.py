"""The publisher: whoever has events hands them over and is done."""

from __future__ import annotations

import asyncio
import atexit
import os
import traceback
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import structlog

from rugs_client.background import Background
from rugs_client.clock import Clock, Moment
from rugs_client.delivery import Delivery
from rugs_client.events import Ending, Loss, whole_entry
from rugs_client.intake import Intake
from rugs_client.link import BrokerLink, Link
from rugs_client.plain import described, plain
from rugs_client.plain import name as as_name
from rugs_client.records import Record, as_map, as_raw, is_capture_time, moment, snapshot
from rugs_client.sessions import Sessions
from rugs_client.spool import Spool
from rugs_client.spools import is_first, open_spool
from rugs_core.time import now_us
from rugs_proto.envelope import Envelope
from rugs_proto.rules import SOURCE_RULE, is_source

log = structlog.get_logger(__name__)


class Stats(NamedTuple):
    """Counts of events since the publisher began, and how it stands.

    Attributes:
        accepted: taken by `publish`.
        dropped: not taken, because the queue in memory was full, the publisher closed, or the event too large.
        sent: confirmed by the broker; gaps, and what an earlier process had left, among them.
        refused: lost later, because the spool was full, or for good; a gap tells of each run.
        spooled: on disk now.
        connected: whether there is a connection to the broker.
        trouble: why events are held back now, or None.
        delay_ms: milliseconds from capture to the broker's acknowledgement that 99 of 100 of
            the last ten thousand events did not exceed, or None.
    """

    accepted: int
    dropped: int
    sent: int
    refused: int
    spooled: int
    connected: bool
    trouble: str | None
    delay_ms: float | None


class Publisher:
    """Publishes events of one session from any thread, without ever blocking or failing its caller.

    `publish` puts an event into a bounded queue; a background thread brings it to the broker,
    or, while that is away, into the spool below `spool_dir`, from where it goes to the
    broker later, even by another process. What is published less than 0.1 s before
    a crash may be lost; what was lost is told of by `gap` events.

    `source` is the program's own name, or one of `rugs_proto.SOURCES`. `session_id` is made up if it is not given; one
    that is given is gone on with after a restart. Events of another source than the
    publisher's own are numbered for themselves, in the session `<session_id>-<source>`.

    `queue_events` and `queue_bytes` bound the memory that waiting events hold, `spool_bytes` the disk. `close_timeout`
    is how many seconds `close` gives the broker; what is unsent then stays in the spool.

    Raises:
        ValueError: if `source` is not 1 to 64 of the characters a to z, 0 to 9 and _.
    """

    def __init__(
        self,
        url: str,
        *,
        source: str,
        spool_dir: str | os.PathLike[str],
        session_id: str | None = None,
        name: str = "rugs-client",
        queue_events: int = 20_000,
        queue_bytes: int = 64 * 1024 * 1024,
        spool_bytes: int = 1024 * 1024 * 1024,
        close_timeout: float = 2.0,
    ) -> None:
        if not is_source(source):
            raise ValueError(f"not a source's name: {source!r}; it has {SOURCE_RULE}")
        self.source = source
        self._close_timeout = close_timeout
        self._intake = Intake(queue_events, queue_bytes)
        self._clock = Clock(self._intake.change)
        link, self._spool, known = self._outlet(url, name, spool_dir, spool_bytes)
        self._sessions = Sessions(session_id, source, self._spool, known=known)
        self._failed = False
        self._process = os.getpid()
        self._background = Background(
            lambda: Delivery(link, self._intake, self._sessions, self._spool, self._clock), name
        )
        atexit.register(self.close)

    def _outlet(
        self, url: str, name: str, spool_dir: str | os.PathLike[str], spool_bytes: int
    ) -> tuple[Link, Spool | None, bool]:
        """Return where events go, where they wait, and whether it is known how far any session has come."""
        spool = open_spool(Path(spool_dir).expanduser().absolute(), spool_bytes)
        return BrokerLink(url, name), spool, spool is not None and is_first(spool) and not spool.damaged

    @property
    def session_id(self) -> str:
        """The session that the events of the publisher's own source are numbered in."""
        return self._sessions.session_id

    @property
    def gap_until(self) -> Moment | None:
        """Until when there is a gap for what crashed processes may have lost; None without one."""
        delivery = self._background.begun()
        return delivery.gap_until if delivery is not None else None

    def publish(
        self,
        event: str,
        *,
        raw: str | bytes | None = None,
        fields: Mapping[str, Any] | None = None,
        doc_type: str = "ws_event",
        ts: int | None = None,
        recv_ts: int | None = None,
        direction: str = "received",
        game_id: str | None = None,
        player_id: str | None = None,
        username: str | None = None,
        source: str | None = None,
        session: str | None = None,
        copy: bool = True,
    ) -> bool:
        """Hand over an event; return whether it was taken. Never blocks, never raises.

        `raw` is what was received, unchanged. `fields` are copied, and made plain: they may hold
        Decimals, paths, dataclasses. `ts` is the event's time and `recv_ts` that of its
        capture, in microseconds since the Unix epoch, UTC; both are now if they are left out.
        `session` numbers the event in a session of that name, and not in the publisher's own.
        `copy=False` is quicker, for a dict of fields that is plain already.
        An event that breaks the contract is stored all the same, as a reject with the reason. One
        whose fields are larger than any event may be is refused, and told of by a gap.
        """
        if os.getpid() != self._process:  # a fork has no background thread
            return False
        try:
            now = self._clock.now()
            if raw is not None and type(raw) is not str and type(raw) is not bytes:
                given, raw = raw, as_raw(raw)
                if raw is None:
                    fields = as_map(fields) | {"raw": plain(given)}
            if source is None:
                source = self.source
            elif type(source) is not str or not is_source(source):
                fields, source = as_map(fields) | {"source": as_name(source)}, self.source
            if recv_ts is None:
                recv_ts = now
            elif not is_capture_time(recv_ts):
                fields, recv_ts = as_map(fields) | {"recv_ts": as_name(recv_ts)}, now
            kept, held = snapshot(fields, copy=copy)
            taken = self._intake.put(
                Record(
                    source,
                    doc_type if type(doc_type) is str else as_name(doc_type),
                    as_name(event),
                    None if ts is None else moment(ts),
                    recv_ts,
                    direction if type(direction) is str else as_name(direction),
                    None if game_id is None else as_name(game_id),
                    None if player_id is None else as_name(player_id),
                    None if username is None else as_name(username),
                    kept,
                    held,
                    raw,
                    None if session is None else as_name(session) or None,
                )
            )
        except Exception as error:
            self._refuse(now_us(), error)
            taken = False
        self._background.nudge()
        return taken

    def _refuse(self, now: int, error: Exception) -> None:
        """Count an event that cannot be taken, have a gap tell of it, and say so once. Never fails."""
        reason = described(error)
        self._intake.drop(Loss(self.source, 1, now, now, reason))
        if not self._failed:
            self._failed = True
            where = "".join(traceback.format_tb(error.__traceback__))
            log.error("an event cannot be taken; told of once", reason=reason, where=where)

    def publish_envelope(self, envelope: Envelope) -> bool:
        """Hand over an event that has its session and number already; return whether it was taken. Never blocks.

        One that is not taken is counted in `stats.dropped` and not told of anywhere else: its sender has to hear it.

        Raises:
            ValueError: if it is larger than the bus takes.
        """
        if os.getpid() != self._process:
            return False
        self._clock.now()
        taken = self._intake.put(whole_entry(envelope))
        self._background.nudge()
        return taken

    def end_session(self, session: str, source: str | None = None, *, missing_since: int | None = None) -> None:
        """Say that nobody will go on with a session that `publish` has named: then it needs no remembering.

        Who will tell later of something that is missing since a time (microseconds, UTC) says so here, and
        ends the session once more when he has told: should this process be gone by then, the next one tells of it.
        """
        self._clock.now()
        self._intake.end(Ending(source or self.source, session, missing_since))
        self._background.nudge()

    @property
    def stats(self) -> Stats:
        """Counts, and how the publisher stands."""
        delivery = self._background.delivery
        return Stats(
            accepted=self._intake.accepted,
            dropped=self._intake.dropped,
            sent=delivery.line.done if delivery else 0,
            refused=delivery.refused + (self._spool.refused if self._spool else 0) if delivery else 0,
            spooled=self._spool.count if self._spool else 0,
            connected=delivery.connected if delivery else False,
            trouble=delivery.trouble if delivery else "starting",
            delay_ms=_most(delivery.delays) if delivery else None,
        )

    def flush(self, timeout: float) -> bool:
        """Wait until the broker has all that was published before; return False if `timeout` seconds are not enough.

        It blocks: from asyncio, use `await asyncio.to_thread(publisher.flush, timeout)`.
        """
        return self._background.wait_for(Delivery.flushed, timeout)

    def secure(self, timeout: float) -> bool:
        """Wait until all that was published before is at the broker or in the spool, and so survives a crash.

        What a full spool refused meanwhile is counted in `stats.refused`. It blocks, like `flush`.
        """
        return self._background.wait_for(Delivery.secured, timeout)

    async def secured(self, timeout: float) -> bool:  # noqa: ASYNC109 (as `secure`)
        """Do what `secure` does, for asyncio: nothing is blocked meanwhile."""
        return await self._background.awaited(Delivery.secured, timeout)

    def close(self, timeout: float | None = None) -> None:
        """Send what can be sent within `timeout` seconds, leave the rest in the spool, and end."""
        if os.getpid() != self._process:
            return
        self._intake.close()
        self._background.end(self._close_timeout if timeout is None else timeout)
        atexit.unregister(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)


def _most(delays: deque[int]) -> float | None:
    ordered = sorted(delays.copy())
    return ordered[len(ordered) * 99 // 100] / 1000 if ordered else None
