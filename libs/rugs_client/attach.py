"""Listening to a REPLAYER-style event bus, without knowing the program that it belongs to."""

from __future__ import annotations

import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Final, Protocol, Self

import structlog

from rugs_client.clock import moment
from rugs_client.mapping import Mapper
from rugs_client.plain import TooLargeError, described, plain, text
from rugs_client.publisher import Publisher

_EVERY: Final = 1.0
"""Seconds between two looks at how many events the bus has dropped."""
_LONGEST: Final = 100_000
"""Characters that are kept of an event that cannot be mapped."""

Callback = Callable[[Any], None]

log = structlog.get_logger(__name__)


class EventBus(Protocol):
    """What is needed of a bus. Callbacks get ``{"name": ..., "data": ...}`` in the bus's own thread."""

    def subscribe(self, event: Any, callback: Callback, weak: bool = True) -> Any:
        """Call `callback` for every `event`, a member of the bus's enum."""

    def unsubscribe(self, event: Any, callback: Callback) -> Any:
        """Stop calling this very object."""


def attach(event_bus: EventBus, publisher: Publisher, *, events: Iterable[Any] | None = None) -> Attachment:
    """Publish every event of a bus from now on.

    `events` is the bus's enum of events; left out, it is `Events` in the module that
    the bus's class is from. Members are known by their names; one that nobody has heard of is
    a `system_event`. Live events of the feed get the publisher's source, other ones
    `cdp`, `public_ws`, `ui`, `bot`, or `replay` while a file is played back.

    The bus forgets what it has queued when it is stopped: let it run empty first, then
    `detach`. What it drops because it is full becomes a gap.

    Raises:
        ValueError: if the bus's enum cannot be found.
    """
    if events is None:
        events = getattr(sys.modules.get(type(event_bus).__module__), "Events", None)
        if events is None:
            raise ValueError("cannot find the bus's enum of events: pass it as `events`")
    return Attachment(event_bus, publisher, list(events))


class Attachment:
    """A bus that is listened to, until `detach`."""

    def __init__(self, event_bus: EventBus, publisher: Publisher, events: list[Any]) -> None:
        self.failed = 0
        """Events that could not be mapped: they are stored as rejects."""
        self._bus = event_bus
        self._publisher = publisher
        self._mapper = Mapper()
        self._looked = time.monotonic()
        self._dropped = self._dropped_by_bus()
        self._since = moment()
        # The bus knows a callback by the object: each is made once, and kept.
        self._callbacks = [(event, self._callback(event)) for event in events]
        for event, callback in self._callbacks:
            event_bus.subscribe(event, callback, weak=False)

    @property
    def left_out(self) -> Counter[str]:
        """How many events were not to be stored, by reason."""
        return Counter(self._mapper.left_out)

    def detach(self) -> None:
        """Listen no more."""
        callbacks, self._callbacks = self._callbacks, []
        for event, callback in callbacks:
            self._bus.unsubscribe(event, callback)
        if callbacks:
            self._tell_what_the_bus_dropped()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.detach()

    def _callback(self, event: Any) -> Callback:
        member = str(getattr(event, "name", event))
        value = str(getattr(event, "value", event))

        def publish(message: Any) -> None:
            self._publish(member, value, message)

        return publish

    def _publish(self, member: str, value: str, message: Any) -> None:
        try:
            data = message.get("data") if isinstance(message, dict) else message
            publication = self._mapper.publication(member, value, data)
            if publication is not None:
                self._publisher.publish(**publication, copy=False)  # the mapper has made it plain
        except Exception as error:  # whatever is in there, it must not be lost, and not disturb the bus
            self.failed += 1
            if self.failed == 1:
                where = "".join(traceback.format_tb(error.__traceback__))
                log.error(
                    "an event of the bus cannot be mapped; told of once",
                    event_name=value,
                    reason=described(error),
                    where=where,
                )
            self._publisher.publish(value, doc_type="reject", raw=_said(message), fields={"reason": described(error)})
        if time.monotonic() - self._looked > _EVERY:
            self._tell_what_the_bus_dropped()

    def _tell_what_the_bus_dropped(self) -> None:
        self._looked = time.monotonic()
        dropped, now = self._dropped_by_bus(), moment()
        if dropped > self._dropped:
            since = self._since.wall_at(now)
            self._publisher.publish(
                "gap",
                doc_type="system_event",
                direction="internal",
                ts=since,
                fields={
                    "cause": "event bus full",
                    "lost": dropped - self._dropped,
                    "since": since,
                    "until": now.wall,
                },
            )
        self._dropped, self._since = dropped, now

    def _dropped_by_bus(self) -> int:
        try:
            return int(self._bus.get_stats()["events_dropped"])  # type: ignore[attr-defined]
        except Exception:  # not every bus counts
            return 0


def _said(message: object) -> str:
    try:
        return text(str(plain(message)))[:_LONGEST]
    except TooLargeError:
        return described(message)
