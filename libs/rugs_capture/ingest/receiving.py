"""What every door does with a body: read it, publish its events, and say when they are safe."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

from rugs_capture.ingest.reading import Desk, Refused, Taken, read, refuse, reject_of
from rugs_capture.ingest.terms import RequestError, Terms
from rugs_capture.tap import Tap
from rugs_core.reasons import refusal
from rugs_core.time import now_us
from rugs_proto.envelope import Envelope

MOST_IDS: Final = 50_000
"""Ids that a reply lists: it has to fit a message."""
MOST_ERRORS: Final = 1_000
_SLICE: Final = 0.005
"""Seconds of work on one body, after which others have their turn."""
_LOOK: Final = 0.01
_FULL: Final = "the spool is full"
_AGAIN: Final = 2.0
"""Seconds after which a sender may try again what could not be taken."""


class Numbers:
    """Numbers for items that have none, none twice: the time, in microseconds, and never back.

    So they go on rising after a restart, in whatever session, and nothing has to be remembered.
    """

    def __init__(self) -> None:
        self._last = 0

    def next(self) -> int:
        """Return the next number."""
        self._last = max(self._last + 1, now_us())
        return self._last


_NUMBERS: Final = Numbers()


@dataclass
class Outcome:
    """What became of one body.

    Attributes:
        ids: of the events that were accepted, in order; the first `MOST_IDS`.
        errors: position and reason of items that were refused, in order; the first `MOST_ERRORS`.
        trouble: why not all of it was taken, or what was taken is not safe.
        lost_before: what the publisher had refused when it began.
    """

    accepted: int = 0
    rejected: int = 0
    ids: list[str] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    trouble: RequestError | None = None
    lost_before: int = 0

    @property
    def status(self) -> int:
        """200: all was taken. 202: some of it. 400: nothing, for all of it is bad. Else what the trouble says."""
        if self.trouble is not None:
            return self.trouble.status
        if not self.rejected:
            return 200
        return 202 if self.accepted else 400

    def reply(self) -> dict[str, Any]:
        """Return what its sender is told. Counts are of all, also of what is not listed."""
        told: dict[str, Any] = {
            "accepted": self.accepted,
            "rejected": self.rejected,
            "ids": self.ids,
            "errors": self.errors,
        }
        if self.trouble is not None:
            told["error"] = str(self.trouble)
        return told

    def accept(self, event_id: str) -> None:
        """Count an event that was published."""
        self.accepted += 1
        if len(self.ids) < MOST_IDS:
            self.ids.append(event_id)

    def refuse(self, refused: Refused) -> None:
        """Count an item that was not."""
        self.rejected += 1
        if len(self.errors) < MOST_ERRORS:
            self.errors.append({"position": refused.position, "reason": refused.reason})

    def fail(self, trouble: RequestError) -> None:
        """Say that nothing of it is safe."""
        self.accepted, self.ids, self.trouble = 0, [], trouble


class Receiver:
    """Takes bodies in for one door. Their events go to the tap's publisher, in order.

    `keep_refused` also publishes a reject for what is refused. `patience` is how many seconds
    to wait at the most where the publisher's queue is full; None waits for ever.
    """

    def __init__(self, tap: Tap, name: str, *, keep_refused: bool = False, patience: float | None = None) -> None:
        self._tap = tap
        self._publisher = tap.publisher
        self._session = f"{name}-{uuid4().hex[:16]}"
        self._keep_refused = keep_refused
        self._patience = patience

    @property
    def is_full(self) -> bool:
        """Whether what is published now would be lost: neither broker nor spool takes it."""
        return _FULL in (self._publisher.stats.trouble or "")

    async def take(self, body: bytes, terms: Terms, *, frame_a_line: bool = False, bad: str | None = None) -> Outcome:
        """Publish what a body holds; with `bad`, refuse all of it for that reason. It is not safe yet: see `secure`."""
        outcome = Outcome(lost_before=self._publisher.stats.refused)
        now, since = now_us(), time.monotonic()
        desk = Desk(self._session, _NUMBERS.next, now, frame_a_line)
        for result in read(body, terms, desk) if bad is None else [refuse(body, terms, desk, bad)]:
            if not await self._enter(result, terms, now, outcome):
                reason = f"more comes than can be taken: nothing was from position {result.position} on"
                outcome.trouble = RequestError(429, reason, _AGAIN)
                break
            if time.monotonic() - since > _SLICE:
                await asyncio.sleep(0)
                since = time.monotonic()
        self._tap.frames += outcome.accepted
        self._tap.bytes += len(body)
        self._tap.last_at = now
        return outcome

    async def secure(self, outcomes: Sequence[Outcome], timeout: float) -> None:  # noqa: ASYNC109 (as the publisher's)
        """Wait until what was published is at the broker or in the spool; an outcome that is not safe then fails."""
        if not any(outcome.accepted or (self._keep_refused and outcome.rejected) for outcome in outcomes):
            return
        deadline = time.monotonic() + timeout
        while not (safe := await self._publisher.secured(timeout)) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK)  # it has just been made, and is not at work yet
        lost = self._publisher.stats.refused
        for outcome in outcomes:
            if not safe:
                reason = f"not safe within {timeout:g} s: it may be stored later, all the same"
                outcome.fail(RequestError(503, reason, _AGAIN))
            elif lost > outcome.lost_before:
                outcome.fail(RequestError(503, "neither the broker nor the spool takes it", _AGAIN))

    async def _enter(self, result: Taken | Refused, terms: Terms, now: int, outcome: Outcome) -> bool:
        """Publish an item, or count its refusal; return False if there is no place for it."""
        if isinstance(result, Taken):
            envelope = result.envelope
            try:
                if not await self._put(envelope):
                    return False
            except ValueError as error:  # too large for the bus, for instance
                result = Refused(result.position, result.raw, envelope.session_id, envelope.seq, refusal(error))
            else:
                outcome.accept(str(envelope.id))
                self._tap.last_event = envelope.event
                return True
        outcome.refuse(result)
        return not self._keep_refused or await self._put(reject_of(result, terms, now))

    async def _put(self, envelope: Envelope) -> bool:
        """Publish an event; wait for a place where there is none.

        Raises:
            ValueError: if it can never be published.
        """
        deadline = None if self._patience is None else time.monotonic() + self._patience
        while not self._publisher.publish_envelope(envelope):
            if deadline is not None and time.monotonic() > deadline:
                return False
            await asyncio.sleep(_LOOK)
        return True
