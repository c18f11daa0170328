"""Publishing: pipelined, bounded, in order per key, and never giving up on a message."""

from __future__ import annotations

import asyncio
import json
import re
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from math import inf
from typing import Final, NamedTuple

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from rugs_bus.errors import (
    CLIENT_ERRORS,
    CLOSED,
    BusClosedError,
    BusError,
    BusUnavailableError,
    InvalidMessageError,
    RefusedError,
    translated,
)
from rugs_proto.subjects import (
    EVENTS_STREAM,
    HEADER_MSG_ID,
    HEADER_SCHEMA,
    MAX_BODY,
    MAX_PAYLOAD,
    SCHEMA_VERSION,
)

_TICK: Final = 0.05
"""Seconds between two looks for messages that have to be sent again."""
_BACK_OFF: Final = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Seconds to wait after the first, second, ... refusal of a message; the last stands for all later ones."""
_GOODBYE: Final = 0.5
"""Seconds that closing may take for telling the broker."""
_MAX_HEADERS: Final = (MAX_PAYLOAD - MAX_BODY) // 2
_NO_RESPONDERS: Final = "503"
_ABOUT_THE_MESSAGE: Final = (10054, 10097)
"""JetStream's refusals of the message itself: body or headers too large. Any other is about the stream, and passes."""

log = structlog.get_logger(__name__)


class PubAck(NamedTuple):
    """The broker has the message, fsynced. `duplicate`: it had it before, at `seq`."""

    seq: int
    duplicate: bool


class _Refusal(NamedTuple):
    reason: str
    code: int
    err_code: int
    for_good: bool


@dataclass(slots=True, eq=False)
class _Entry:
    """A message between `publish` and the broker's answer."""

    token: str
    subject: str
    body: bytes
    headers: dict[str, str]
    key: str
    taken: asyncio.Future[PubAck]
    due: float = inf
    """When to send it (again), in the loop's time; inf while it is ready or its key's turn has not come."""
    attempt: int = 0
    refusals: int = 0
    connection: int = -1
    """The connection that it was last sent over: how often the client had reconnected."""


class Publisher:
    """Sends messages to the stream, many at a time, and knows what became of each.

    Messages with the same `key` are stored in the order of their `publish`: one of them is
    on the wire at a time. Different keys are pipelined and keep no order. What the broker
    refuses for now (stream full, no stream, restart, no answer in time) is sent again, with
    the same `Nats-Msg-Id`, until it is taken; `publish` then waits, and that is the
    back-pressure.

    At most `max_in_flight` messages and `max_in_flight_bytes` of bodies are held; one larger
    message passes alone. `ack_timeout` is in seconds.
    """

    def __init__(
        self,
        nc: Client,
        *,
        max_in_flight: int = 64,
        max_in_flight_bytes: int = 16 * 1024 * 1024,
        ack_timeout: float = 10.0,
    ) -> None:
        self._nc = nc
        self._max_in_flight = max_in_flight
        self._max_in_flight_bytes = max_in_flight_bytes
        self._ack_timeout = ack_timeout
        self._inbox = nc.new_inbox()
        self._entries: dict[str, _Entry] = {}
        self._bytes = 0
        self._queues: dict[str, deque[_Entry]] = {}
        """Per key, in order; the first of each is on the wire or about to be."""
        self._ready: deque[_Entry] = deque()
        self._count = 0
        self._admission = asyncio.Lock()
        self._room = asyncio.Event()
        self._idle = asyncio.Event()
        self._wake = asyncio.Event()
        self._replies: Subscription | None = None
        self._sender: asyncio.Task[None] | None = None
        self._ticking = False
        self._end: str | None = None
        self._trouble: str | None = None

    @property
    def in_flight(self) -> int:
        """Messages that the broker has not yet confirmed."""
        return len(self._entries)

    @property
    def trouble(self) -> str | None:
        """Why the broker does not take messages now; None while all is well."""
        return self._trouble

    async def publish(
        self, subject: str, body: bytes, *, msg_id: str, headers: Mapping[str, str] | None = None, key: str = ""
    ) -> asyncio.Future[PubAck]:
        """Take a message for sending, as soon as there is room; the future tells when the broker has it.

        The future fails with `RefusedError` if the broker refuses the message for good, with
        `InvalidMessageError` if it cannot even be sent, and with `BusClosedError` if the publisher is closed
        before the broker has answered. A `publish` that is cancelled has taken nothing.

        Raises:
            InvalidMessageError: if the message can never be stored (too large, not an event's subject, no id).
            BusClosedError: if the publisher, or its connection, is closed.
        """
        self._check(subject, body, msg_id, headers)
        async with self._admission:  # first come, first served
            while self._end is None and not self._has_room(len(body)):
                self._room.clear()
                await self._room.wait()
            if self._end is None and self._sender is None:
                await self._start()
            if self._end is not None:
                raise BusClosedError(self._end)
            return self._take(
                subject, body, {HEADER_MSG_ID: msg_id, HEADER_SCHEMA: SCHEMA_VERSION, **(headers or {})}, key
            )

    async def flush(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 (part of the contract)
        """Wait until the broker has answered for every message.

        Raises:
            BusUnavailableError: if `timeout` seconds are not enough. The messages are still being sent.
        """
        try:
            async with asyncio.timeout(timeout):
                while self._entries:
                    self._idle.clear()
                    await self._idle.wait()
        except TimeoutError:
            why = f": {self._trouble}" if self._trouble else ""
            raise BusUnavailableError(f"the broker has not taken {len(self._entries)} messages{why}") from None

    async def close(self) -> None:
        """Stop at once. Call `flush` first: what is not confirmed yet fails, though the broker may have it."""
        self._finish("the publisher is closed")
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.gather(self._sender, return_exceptions=True)
        if self._replies is not None:
            with suppress(*CLIENT_ERRORS):
                async with asyncio.timeout(_GOODBYE):  # a paused broker takes nothing
                    await self._replies.unsubscribe()
            self._replies = None

    def _check(self, subject: str, body: bytes, msg_id: str, headers: Mapping[str, str] | None) -> None:
        """Refuse here what would make the broker cut the connection, or be sent again for ever."""
        limit = min(MAX_BODY, self._nc.max_payload - (MAX_PAYLOAD - MAX_BODY))
        if len(body) > limit:
            raise InvalidMessageError(f"a body of {len(body)} bytes is too large: the bus takes {limit}")
        try:
            size = sum(len(name) + len(value.encode()) + 4 for name, value in (headers or {}).items())
        except UnicodeEncodeError as error:
            raise InvalidMessageError(f"a header is not text: {error}") from error
        if size > _MAX_HEADERS:
            raise InvalidMessageError(f"the headers are too large: the bus takes {_MAX_HEADERS} bytes of them")
        if not _is_event_subject(subject):
            raise InvalidMessageError(f"not an event's subject: {subject!r}")
        if not msg_id:
            raise InvalidMessageError("a message needs a msg_id: without it, sending again would store it twice")

    def _has_room(self, size: int) -> bool:
        if not self._entries:
            return True
        return len(self._entries) < self._max_in_flight and self._bytes + size <= self._max_in_flight_bytes

    async def _start(self) -> None:
        try:
            self._replies = await self._nc.subscribe(f"{self._inbox}.*.*", cb=self._on_reply)
        except CLIENT_ERRORS as error:
            raise translated(error, "cannot listen for the broker's answers") from error
        self._sender = asyncio.create_task(self._send_ready(), name="publisher")

    def _take(self, subject: str, body: bytes, headers: dict[str, str], key: str) -> asyncio.Future[PubAck]:
        if not self._ticking:
            self._ticking = True
            asyncio.get_running_loop().call_later(_TICK, self._tick)
        self._count += 1
        taken = asyncio.get_running_loop().create_future()
        entry = _Entry(str(self._count), subject, body, headers, key, taken)
        self._entries[entry.token] = entry
        self._bytes += len(body)
        queue = self._queues.setdefault(key, deque())
        queue.append(entry)
        if len(queue) == 1:
            self._make_ready(entry)
        return entry.taken

    def _make_ready(self, entry: _Entry) -> None:
        entry.due = inf
        self._ready.append(entry)
        self._wake.set()

    async def _send_ready(self) -> None:
        """Send what is ready, one after the other, until the publisher ends."""
        try:
            while self._end is None:  # the client swallows cancellation, so that alone would not end this
                if not self._ready:
                    self._wake.clear()
                    await self._wake.wait()
                elif (entry := self._ready.popleft()).token in self._entries:
                    await self._send(entry)
        except Exception as error:  # nobody would ever hear of their messages
            log.exception("publisher failed")
            self._finish(f"the publisher failed: {error!r}")

    async def _send(self, entry: _Entry) -> None:
        now = asyncio.get_running_loop().time
        if not self._nc.is_connected:  # the client would keep it in its own buffer, which is small
            entry.due = now() + _BACK_OFF[0]
            return
        entry.attempt += 1
        entry.connection = self._nc.stats["reconnects"]
        reply = f"{self._inbox}.{entry.token}.{entry.attempt}"
        try:
            await self._nc.publish(entry.subject, entry.body, reply=reply, headers=entry.headers)
        except CLIENT_ERRORS as error:
            failed = translated(error, "the message cannot be sent")
            if isinstance(failed, BusClosedError):
                self._finish(CLOSED)
            elif entry.token not in self._entries:  # an earlier attempt has come through meanwhile
                pass
            elif isinstance(failed, InvalidMessageError):
                self._settle(entry, failed)
            else:  # disconnected just now
                entry.due = now() + _BACK_OFF[0]
        else:
            entry.due = now() + self._ack_timeout

    def _tick(self) -> None:
        """Find what has to be sent again: refused a while ago, unanswered, or lost with a connection."""
        if self._entries and self._nc.is_closed:
            self._finish(CLOSED)
        if not self._entries:
            self._ticking = False
            return
        loop = asyncio.get_running_loop()
        now, connection = loop.time(), self._nc.stats["reconnects"]
        for queue in self._queues.values():
            entry = queue[0]
            lost = entry.connection != connection and self._nc.is_connected
            if entry.due <= now or (lost and entry.due < inf):
                self._make_ready(entry)
        loop.call_later(_TICK, self._tick)

    async def _on_reply(self, message: Msg) -> None:
        token, _, attempt = message.subject.removeprefix(f"{self._inbox}.").partition(".")
        entry = self._entries.get(token)
        if entry is None:
            return
        outcome = _read_reply(message)
        if isinstance(outcome, PubAck):
            if self._trouble is not None:
                log.info("broker takes messages again")
                self._trouble = None
            self._settle(entry, outcome)
        elif outcome is None or attempt != str(entry.attempt):
            return  # not the broker's, or a refusal of an attempt that another has followed
        elif outcome.for_good:
            reason = f"the broker refused the message: {outcome.reason}"
            self._settle(entry, RefusedError(reason, outcome.code, outcome.err_code))
        else:
            if self._trouble != outcome.reason:
                log.warning("broker does not take messages; sending again until it does", reason=outcome.reason)
                self._trouble = outcome.reason
            back_off = _BACK_OFF[min(entry.refusals, len(_BACK_OFF) - 1)]
            entry.refusals += 1
            entry.due = asyncio.get_running_loop().time() + back_off

    def _settle(self, entry: _Entry, outcome: PubAck | BusError) -> None:
        """Give the message's outcome, make room, and let the next of its key go."""
        del self._entries[entry.token]
        self._bytes -= len(entry.body)
        queue = self._queues[entry.key]
        queue.popleft()
        if queue:
            self._make_ready(queue[0])
        else:
            del self._queues[entry.key]
        if not entry.taken.done():  # it may have been cancelled
            if isinstance(outcome, PubAck):
                entry.taken.set_result(outcome)
            else:
                entry.taken.set_exception(outcome)
        self._room.set()
        if not self._entries:
            self._idle.set()

    def _finish(self, why: str) -> None:
        """End for good: whatever is not confirmed fails."""
        self._end = self._end or why
        for entry in list(self._in_order()):
            self._settle(entry, BusClosedError(why))
        self._ready.clear()
        for event in (self._wake, self._room, self._idle):
            event.set()

    def _in_order(self) -> Iterator[_Entry]:
        for queue in self._queues.values():
            yield from queue


@lru_cache(maxsize=4096)
def _is_event_subject(subject: str) -> bool:
    return re.fullmatch(r"rugs\.events(\.[A-Za-z0-9_-]+){3,}", subject) is not None


def _read_reply(message: Msg) -> PubAck | _Refusal | None:
    """Return what the broker says; None if it is not the broker who says it."""
    if not message.data:
        status = (message.headers or {}).get("Status")
        return _Refusal("no stream takes events now", 503, 0, for_good=False) if status == _NO_RESPONDERS else None
    try:
        answer = json.loads(message.data)
        if error := answer.get("error"):
            code, err_code = int(error["code"]), int(error.get("err_code", 0))
            return _Refusal(str(error.get("description", error)), code, err_code, err_code in _ABOUT_THE_MESSAGE)
        if answer["stream"] != EVENTS_STREAM:
            return _Refusal(f"another stream took it: {answer['stream']}", 0, 0, for_good=True)
        return PubAck(int(answer["seq"]), bool(answer.get("duplicate", False)))
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
