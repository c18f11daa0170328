"""The door on the bus: `rugs.ingest.>`, for the stock command line and whoever speaks NATS.

A message is a body; its headers are those of `rugs_capture.ingest.terms`. What cannot be
understood is kept as a reject. A request is answered, like `POST /ingest`, when its events are safe.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from typing import Final, NamedTuple

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from rugs_bus import BusError, connect
from rugs_bus.errors import CLIENT_ERRORS
from rugs_capture.ingest.receiving import Outcome, Receiver
from rugs_capture.ingest.terms import RequestError, Terms, read_terms
from rugs_capture.source import SourceError
from rugs_capture.tap import Session, Tap
from rugs_client.clock import moment
from rugs_core.time import now_us

SUBJECTS: Final = "rugs.ingest.>"
GROUP: Final = "rugs-ingest"
"""Gateways of one group share the messages: none is taken twice."""
_LOOK: Final = 0.1
_GOODBYE: Final = 5.0
"""Seconds that what has come already has to be taken when the door closes."""
_TELL_EVERY: Final = 1.0
"""Seconds of loss that one gap stands for, while more comes than can be taken."""

log = structlog.get_logger(__name__)


class BusDoor:
    """A source that takes what others publish on `rugs.ingest.>`.

    `url` is the broker's. At most `pending_messages` and `pending_bytes` wait here while more
    comes than can be taken; what goes beyond is lost, counted, and told of by a gap.
    `safe_seconds` is how long an answer waits until all is safe, and `max_unanswered` how many wait.
    """

    name = "bus"
    url = None
    """The broker's is a secret, and everybody's."""

    def __init__(
        self,
        url: str,
        *,
        pending_messages: int = 65_536,
        pending_bytes: int = 64 * 1024 * 1024,
        max_unanswered: int = 1024,
        safe_seconds: float = 10.0,
        connect_seconds: float = 10.0,
    ) -> None:
        self._url = url
        self._pending_messages = pending_messages
        self._pending_bytes = pending_bytes
        self._max_unanswered = max_unanswered
        self._safe_seconds = safe_seconds
        self._connect_seconds = connect_seconds

    async def run(self, tap: Tap) -> None:
        """Take messages until cancelled, or until the connection to the broker is lost.

        Raises:
            SourceError: if it was lost, or there is none.
        """
        try:
            nc = await connect(self._url, name="capture-bus", timeout=self._connect_seconds)
        except BusError as error:
            raise SourceError(str(error)) from error
        post = _Post(nc, tap, self._max_unanswered, self._safe_seconds)
        answering = asyncio.create_task(post.answer())
        try:
            subscription = await nc.subscribe(
                SUBJECTS,
                queue=GROUP,
                cb=post.take,
                pending_msgs_limit=self._pending_messages,
                pending_bytes_limit=self._pending_bytes,
            )
            post.listen(subscription)
            await nc.flush()
            post.begin()
            while nc.is_connected and nc.stats["reconnects"] == 0:  # noqa: ASYNC110 (seen from outside)
                await asyncio.sleep(_LOOK)
            raise SourceError("the connection to the broker was lost")
        except CLIENT_ERRORS as error:
            raise SourceError(f"the broker does not let us listen on {SUBJECTS}: {error!r}") from error
        finally:
            await post.end()
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)
            with suppress(*CLIENT_ERRORS):
                async with asyncio.timeout(_GOODBYE):
                    await nc.close()


class _Waiting(NamedTuple):
    """A request whose answer waits until its events are safe."""

    message: Msg
    outcome: Outcome


class _Post:
    """One life of the door: takes messages one by one, and answers those that ask for it."""

    def __init__(self, nc: Client, tap: Tap, max_unanswered: int, safe_seconds: float) -> None:
        self._nc = nc
        self._tap = tap
        self._receiver = Receiver(tap, "bus", keep_refused=True)
        self._safe_seconds = safe_seconds
        self._unanswered: asyncio.Queue[_Waiting] = asyncio.Queue(max_unanswered)
        self._subscription: Subscription | None = None
        self._session: Session | None = None
        self._taken = 0
        self._done = 0
        self._lost = 0
        self._whole_until = moment()
        """Until when nothing was lost beside what was told."""
        self._told_at = 0.0

    def listen(self, subscription: Subscription) -> None:
        """Say where messages come from."""
        self._subscription = subscription

    def begin(self) -> None:
        """Say that the broker knows of it: whatever is published from now on comes."""
        self._session = self._tap.begin(announced=False)

    async def take(self, message: Msg) -> None:
        """Take one message in."""
        self._taken += 1
        try:
            self._notice_loss()
            while self._receiver.is_full:  # noqa: ASYNC110 (seen from outside)
                await asyncio.sleep(_LOOK)
            outcome = await self._take_in(message)
            if message.reply:
                await self._unanswered.put(_Waiting(message, outcome))
        finally:
            self._done += 1
        if self._session is not None:
            self._session.last_at = now_us()

    async def answer(self) -> None:
        """Answer for ever; what has come meanwhile is made safe together."""
        while True:
            waiting = [await self._unanswered.get()]
            while not self._unanswered.empty():
                waiting.append(self._unanswered.get_nowait())
            await self._receiver.secure([each.outcome for each in waiting], self._safe_seconds)
            for each in waiting:
                told = each.outcome.reply()
                if not told["errors"]:
                    del told["errors"]
                with suppress(*CLIENT_ERRORS):  # whoever asked will ask again
                    await each.message.respond(json.dumps(told, separators=(",", ":")).encode())
                self._unanswered.task_done()

    async def end(self) -> None:
        """Take what has come already, and answer it, but not for long."""
        subscription = self._subscription
        if subscription is None:
            return
        with suppress(*CLIENT_ERRORS):
            async with asyncio.timeout(_GOODBYE):
                if self._nc.is_connected:
                    await subscription.drain()  # type: ignore[no-untyped-call]
                while subscription.pending_msgs or self._done < self._taken:  # noqa: ASYNC110 (seen from outside)
                    await asyncio.sleep(_LOOK)
                await self._unanswered.join()

    async def _take_in(self, message: Msg) -> Outcome:
        try:
            terms, bad = read_terms(message.headers or {}), None
        except RequestError as error:
            terms, bad = Terms(), str(error)
        try:
            return await self._receiver.take(message.data, terms, bad=bad)
        except Exception as error:  # a fault of ours must not lose what came
            log.exception("a message could not be read")
            return await self._receiver.take(message.data, Terms(), bad=f"reading failed: {error!r}")

    def _notice_loss(self) -> None:
        """Find out what the connection has dropped because too much was waiting, and tell of it."""
        subscription, session, now = self._subscription, self._session, moment()
        if subscription is None or session is None:
            return
        lost = subscription.delivered - self._taken - subscription.pending_msgs - self._lost
        if lost <= 0:
            self._whole_until = now
        elif not subscription.pending_msgs or time.monotonic() - self._told_at > _TELL_EVERY:
            log.warning("messages are lost: more comes than can be taken", lost=lost)
            since, cause = self._whole_until.wall_at(now), "more came than could be taken"
            session.note("gap", ts=since, cause=cause, lost=lost, since=since, until=now.wall)
            self._tap.gaps += 1
            self._lost += lost
            self._whole_until, self._told_at = now, time.monotonic()
