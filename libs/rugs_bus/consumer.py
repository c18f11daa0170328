"""Reading the stream in order, without a gap, whatever happens to the broker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple
from uuid import uuid4

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from rugs_bus.api import API, ask
from rugs_bus.errors import (
    CLIENT_ERRORS,
    CLOSED,
    BusClosedError,
    BusUnavailableError,
    RefusedError,
    translated,
)
from rugs_core.errors import TakenOverError
from rugs_proto.message import Message
from rugs_proto.subjects import EVENTS_STREAM, MAX_PAYLOAD

_HEARTBEAT: Final = 0.5
"""Seconds between two signs of life while a pull waits for messages."""
_PATIENCE: Final = 2.0
"""Seconds without any sign of life after which the consumer counts as lost."""
_EXPIRES: Final = 20.0
"""Seconds that the broker keeps a pull."""
_CHECK: Final = 5.0
"""Seconds without messages after which the broker is asked whether there are none."""
_INACTIVE: Final = 120.0
"""Seconds without a pull after which the broker forgets the consumer; we may be away for a long commit."""
_GOODBYE: Final = 0.5
"""Seconds that closing may take for telling the broker."""
_LARGEST_MESSAGE: Final = MAX_PAYLOAD + 64 * 1024
"""Bytes that a pull must allow, or the largest message would never come."""

_OWNER: Final = "rugs-owner"
"""Key in a durable consumer's metadata: which reader made it."""
_CONSUMER_NOT_FOUND: Final = 10014

log = structlog.get_logger(__name__)


class Durable(NamedTuple):
    """A consumer that stays when its reader ends: the broker's tools show how far that came.

    Where a reader starts is still its own to say: every time, the consumer is made anew.
    Of several readers with one `name` the one that came last goes on. `owner` is a name
    that no other reader has. One that begins again does not take over from who came after it: `takes_over` is false.
    """

    name: str
    owner: str
    takes_over: bool = True


async def consume(
    nc: Client,
    *,
    resume: Callable[[], Awaitable[int]],
    stop: asyncio.Event,
    subjects: Sequence[str] = (),
    durable: Durable | None = None,
    batch: int = 4096,
    max_bytes: int = 8 * 1024 * 1024,
    idle: float = 0.25,
) -> AsyncGenerator[list[Message], None]:
    """Yield the stream's messages in order, as lists; an empty one about every `idle` seconds when nothing comes.

    `resume` says the sequence to start from. It is awaited before the first message, and
    again whenever the thread was lost (reconnect, silence, consumer gone, a jump in what
    was delivered): then reading starts anew there. Sequences that the stream no longer
    holds are skipped by the broker, and so are messages that fit none of the `subjects`
    where there are any; that shows as a jump in `Message.seq`.

    Held in memory: what was yielded last, and up to `batch` messages or `max_bytes` bytes
    (at least one of the largest messages) that are on their way. Empty lists come also
    while the broker is away, but not while `resume` runs. Ends when `stop` is set; who
    leaves earlier does so inside `contextlib.aclosing`.

    Raises:
        TakenOverError: if another reader has taken the `durable` consumer over.
        BusClosedError: if the connection is closed for good.
        RefusedError: if the broker refuses.
            What `resume` raises passes through, except `BusUnavailableError`: it is tried again, and so it is
            while there is no stream.
    """
    max_bytes = max(max_bytes, _LARGEST_MESSAGE)
    is_first = True
    while not stop.is_set():
        if nc.is_closed:
            raise BusClosedError(CLOSED)
        feed = None
        try:
            if nc.is_connected:
                start = await resume()
                if durable is not None:
                    await _make_way(nc, durable, take_over=is_first and durable.takes_over)
                    is_first = False
                feed = await _Feed.open(nc, start, subjects, durable, batch, max_bytes)
                while not stop.is_set():
                    yield await feed.take(idle)
                return
        except (_LostError, BusUnavailableError) as error:
            log.warning("reading the stream starts anew", reason=str(error))
        finally:
            if feed is not None:
                await feed.close()
        yield []
        await asyncio.sleep(idle)


async def _make_way(nc: Client, durable: Durable, *, take_over: bool) -> None:
    """Remove the durable consumer that is there.

    Raises:
        TakenOverError: if it is another reader's, and `take_over` is not wanted.
    """
    try:
        info = await ask(nc, f"CONSUMER.INFO.{EVENTS_STREAM}.{durable.name}")
        owner = (info["config"].get("metadata") or {}).get(_OWNER)
        if owner != durable.owner and not take_over:
            raise TakenOverError(f"another reader has taken over the consumer {durable.name}")
        await ask(nc, f"CONSUMER.DELETE.{EVENTS_STREAM}.{durable.name}")
    except RefusedError as refusal:
        if refusal.err_code != _CONSUMER_NOT_FOUND:
            raise


class _LostError(Exception):
    """The consumer does not say any more what comes next."""


class _Feed:
    """One ephemeral consumer, and what it has delivered. Used once: when it is lost, another is made."""

    def __init__(self, nc: Client, durable: Durable | None, batch: int, max_bytes: int) -> None:
        self._nc = nc
        self._name = durable.name if durable is not None else f"reader-{uuid4().hex}"
        self._stays = durable is not None
        self._inbox = nc.new_inbox()
        self._batch = batch
        self._max_bytes = max_bytes
        self._connection = nc.stats["reconnects"]
        self._arrived: list[Message] = []
        self._event = asyncio.Event()
        self._consumer_seq = 0
        self._pull = 0
        self._pull_open = False
        self._lost: str | None = None
        self._heard = self._last_message = self._checked = self._now()
        self._doubt: int | None = None
        self._subscription: Subscription | None = None

    @classmethod
    async def open(
        cls, nc: Client, start: int, subjects: Sequence[str], durable: Durable | None, batch: int, max_bytes: int
    ) -> _Feed:
        """Make a consumer that begins at the sequence `start`."""
        feed = cls(nc, durable, batch, max_bytes)
        config: dict[str, Any] = {
            "name": feed._name,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": max(start, 1),
            "ack_policy": "none",
            "num_replicas": 1,
        }
        if subjects:
            config["filter_subjects"] = list(subjects)
        if durable is not None:
            config |= {"durable_name": durable.name, "metadata": {_OWNER: durable.owner}}
        else:
            config |= {"mem_storage": True, "inactive_threshold": round(_INACTIVE * 1e9)}
        await ask(nc, f"CONSUMER.CREATE.{EVENTS_STREAM}.{feed._name}", {"stream_name": EVENTS_STREAM, "config": config})
        # Limits of the client's own would drop messages; ours is in the pull.
        try:
            feed._subscription = await nc.subscribe(
                f"{feed._inbox}.*", cb=feed._on_message, pending_msgs_limit=0, pending_bytes_limit=0
            )
        except CLIENT_ERRORS as error:
            raise translated(error, "cannot listen for messages") from error
        return feed

    async def take(self, idle: float) -> list[Message]:
        """Return what has arrived, waiting at the most `idle` seconds for the first of it.

        Raises:
            _LostError: if what comes next cannot be trusted to be next. Nothing before it is held back.
        """
        if self._lost is None and not self._pull_open:
            await self._ask_for_more()
        if not self._arrived and self._lost is None:
            try:
                async with asyncio.timeout(idle):
                    await self._event.wait()
            except TimeoutError:
                await self._look_for_trouble()
        self._event.clear()
        if not self._arrived and self._lost is not None:
            raise _LostError(self._lost)
        taken, self._arrived = self._arrived, []
        return taken

    async def close(self) -> None:
        """Leave nothing behind, as far as the broker can be reached."""
        if self._subscription is None:
            return
        with suppress(*CLIENT_ERRORS):
            async with asyncio.timeout(_GOODBYE):  # a paused broker takes nothing
                await self._subscription.unsubscribe()
                if self._nc.is_connected and not self._stays:
                    await self._nc.publish(f"{API}.CONSUMER.DELETE.{EVENTS_STREAM}.{self._name}")

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _lose(self, reason: str) -> None:
        self._lost = self._lost or reason
        self._event.set()

    async def _ask_for_more(self) -> None:
        if not self._nc.is_connected:
            self._lose("disconnected")
            return
        self._pull += 1
        self._pull_open = True
        self._heard = self._now()
        request = {
            "batch": self._batch,
            "max_bytes": self._max_bytes,
            "expires": round(_EXPIRES * 1e9),
            "idle_heartbeat": round(_HEARTBEAT * 1e9),
        }
        subject = f"{API}.CONSUMER.MSG.NEXT.{EVENTS_STREAM}.{self._name}"
        try:
            await self._nc.publish(subject, json.dumps(request).encode(), reply=f"{self._inbox}.{self._pull}")
        except CLIENT_ERRORS as error:
            self._lose(f"cannot ask for messages: {error!r}")

    async def _on_message(self, message: Msg) -> None:
        self._heard = self._now()
        if not message.reply.startswith("$JS.ACK."):
            self._on_status(message)
            return
        seq, consumer_seq, time_ns = _ack_tokens(message.reply)
        if self._lost is not None:
            return
        if int(consumer_seq) != self._consumer_seq + 1:
            self._lose(f"delivery {consumer_seq} came after {self._consumer_seq}")
            return
        self._consumer_seq += 1
        self._last_message = self._heard
        self._arrived.append(
            Message(int(seq), int(time_ns) // 1000, message.subject, message.headers or {}, message.data)
        )
        self._event.set()

    def _on_status(self, message: Msg) -> None:
        """Deal with what the broker says about a pull: a sign of life, its end, or that there is no consumer."""
        headers = message.headers or {}
        status, description = headers.get("Status"), headers.get("Description", "")
        if status == "100":
            if int(headers.get("Nats-Last-Consumer", 0)) > self._consumer_seq:
                self._lose("a delivered message did not arrive")
        elif status in ("404", "408") or description in ("Batch Completed", "Message Size Exceeds MaxBytes"):
            if message.subject == f"{self._inbox}.{self._pull}":
                self._pull_open = False
                self._event.set()
        else:
            self._lose(f"the consumer ended: {status} {description}".strip())

    async def _look_for_trouble(self) -> None:
        """After a silence: find out whether there is nothing to read, or somebody is missing."""
        now = self._now()
        if not self._nc.is_connected:
            self._lose("disconnected")
        elif self._nc.stats["reconnects"] != self._connection:
            self._lose("reconnected")
        elif self._pull_open and now - self._heard > _PATIENCE:
            self._lose(f"no sign of life for {now - self._heard:.1f} s")
        elif now - max(self._last_message, self._checked) > _CHECK:
            self._checked = now
            await self._check_for_stall()

    async def _check_for_stall(self) -> None:
        """Ask for the consumer's own view. It may be a moment ahead of what arrives, so doubt has to arise twice."""
        try:
            info = await ask(self._nc, f"CONSUMER.INFO.{EVENTS_STREAM}.{self._name}", timeout=_PATIENCE)
        except RefusedError as refusal:
            self._lose(str(refusal))
            return
        behind = info["num_pending"] > 0 or info["delivered"]["consumer_seq"] > self._consumer_seq
        if behind and self._doubt == self._consumer_seq:
            self._lose(f"{info['num_pending']} messages are there, and none comes")
        self._doubt = self._consumer_seq if behind else None


def _ack_tokens(reply: str) -> list[str]:
    """Return stream sequence, consumer sequence and time (ns), from a delivery's reply subject."""
    tokens = reply.split(".")
    first = 5 if len(tokens) == 9 else 7  # a domain and an account may come before
    return tokens[first : first + 3]
