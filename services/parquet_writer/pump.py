"""From the stream to the lake: gather, flush by rows, bytes or time, commit, announce.

While one batch is being written and committed in a thread, the next one is gathered.
Nothing is acknowledged to the broker: the lake's cursor alone says what was taken.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import Counter
from typing import Any, Final

import nats.errors
import orjson
import structlog
from nats.aio.client import Client

import rugs_bus
from rugs_bus import BusError, Message
from rugs_lake import LakeError, blobs, faults
from rugs_lake.commit import FileVanishedError
from rugs_lake.cursor import Cursor, SupersededError
from rugs_lake.writer import Committed, LakeWriter, Pending
from rugs_proto.subjects import COMMITTED
from rugs_runtime.settings import Settings

RETRY_SECONDS: Final = 1.0
"""How long the writer waits before it tries a failed commit again."""
IDLE_SECONDS: Final = 0.1
"""How often it looks at the clock while nothing comes."""

log = structlog.get_logger(__name__)


class Pump:
    """Moves messages from the stream into the lake until told to stop."""

    def __init__(self, nc: Client, writer: LakeWriter, settings: Settings, stop: asyncio.Event) -> None:
        self._nc = nc
        self._writer = writer
        self._settings = settings
        self._stop = stop
        self._commit: asyncio.Task[None] | None = None
        self._since = 0.0  # when the first pending message came, on the monotonic clock
        self.error: str | None = None
        self.totals: Counter[str] = Counter()
        self.committed: Committed | None = None

    @property
    def cursor(self) -> Cursor:
        """How far the lake has come."""
        return self._writer.cursor

    async def run(self) -> None:
        """Take messages until stopped; then commit what was gathered.

        Raises:
            SupersededError: if another writer has taken over.
            LakeError, BusError: if going on would risk the lake.
        """
        batches = rugs_bus.consume(self._nc, resume=self._resume, stop=self._stop, idle=IDLE_SECONDS)
        async for messages in batches:
            for message in messages:
                await self._take(message)
            if self._commit is not None and self._commit.done():
                await self._committed()
            if self._is_due():
                await self._flush()
        await self._flush()
        await self._committed()

    async def _resume(self) -> int:
        """Meet the stream anew, after a start, a reconnect or a stall; return where to go on."""
        await self._committed()
        state = await rugs_bus.stream_state(self._nc)
        before = self._writer.cursor
        at_cursor = await rugs_bus.get_message(self._nc, before.last_seq) if before.last_seq else None
        cursor = self._writer.meet(state.incarnation, at_cursor)
        if before.last_seq and cursor.incarnation != before.incarnation:
            log.warning("the stream is not the one known: starting at its first message", had=before.last_seq)
        if state.incarnation != cursor.incarnation:
            await rugs_bus.set_incarnation(self._nc, cursor.incarnation)
        return cursor.last_seq + 1

    async def _take(self, message: Message) -> None:
        if message.seq > self._writer.next_seq:
            await self._look_into_jump(message.seq)
        if not self._writer.pending.taken:
            self._since = time.monotonic()
        rows = self._writer.judge(message)
        wanted = blobs.wanted(rows)
        if wanted:  # large: nothing else is held beside it, so memory stays bounded
            await self._flush()
            await self._committed()
        found = {name: await rugs_bus.get_blob(self._nc, name) for name in wanted}
        self._writer.add(message, rows, found)
        pending = self._writer.pending
        if pending.rows >= self._settings.flush_rows or pending.bytes >= self._settings.flush_bytes:
            await self._flush()

    async def _look_into_jump(self, seq: int) -> None:
        """Make sure that what was jumped over is not in the stream any more.

        Raises:
            LakeError: if it is: going on would leave it out.
        """
        expected = self._writer.next_seq
        if await rugs_bus.get_message(self._nc, expected) is not None:
            raise LakeError(f"message {expected} was not delivered, {seq} came instead: starting over at the cursor")
        log.warning("messages are gone from the stream", first=expected, last=seq - 1)

    def _is_due(self) -> bool:
        waited = time.monotonic() - self._since
        return bool(self._writer.pending.taken) and waited >= self._settings.flush_seconds

    async def _flush(self) -> None:
        """Start to commit what is pending; first wait for the commit before it."""
        await self._committed()
        if self.error is not None:  # that one was given up, told to stop: what follows it cannot go before it
            return
        pending = self._writer.take()
        if pending is not None:
            self._commit = asyncio.create_task(self._commit_until_done(pending))

    async def _committed(self) -> None:
        """Wait until no commit is on its way; raise what it raised."""
        task, self._commit = self._commit, None
        if task is not None:
            await task

    async def _commit_until_done(self, pending: Pending) -> None:
        while True:
            try:
                done = await asyncio.to_thread(self._writer.commit, pending)
                break
            except FileVanishedError as error:
                log.warning("writing the files of a batch again", reason=str(error))
            except (OSError, sqlite3.OperationalError) as error:
                self._complain(error)
                if await self._stopped_within(RETRY_SECONDS):
                    return  # the stream still has it all
        if self.error is not None:
            log.info("the lake can be written again")
            self.error = None
        await self._after(done)

    def _complain(self, error: Exception) -> None:
        """Say what is wrong: once, and again in every status, until it is over."""
        reason = f"cannot write the lake: {error}; nothing is lost, trying again every {RETRY_SECONDS:g} s"
        if self.error != reason:
            log.error(reason)
        self.error = reason

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return False
        return True

    async def _after(self, done: Committed) -> None:
        """Tell followers, and delete what the lake holds now. Neither matters to what is stored."""
        self.committed = done
        self.totals.update(done.totals)
        told = {"snapshot": done.snapshot, "last_seq": done.cursor.last_seq, **done.totals}
        log.debug("committed", files=done.files, **told)
        try:
            await self._nc.publish(COMMITTED, orjson.dumps({**told, "incarnation": done.cursor.incarnation}))
            for name in done.blobs:
                await rugs_bus.delete_blob(self._nc, name)
        except (BusError, nats.errors.Error) as error:
            log.warning("committed, but could not tell", reason=str(error))
        faults.reached("after_purge")

    def status(self) -> dict[str, Any]:
        """Return what `rugs status` shows of the writer."""
        pending = self._writer.pending
        return {
            "state": "blocked" if self.error else "running",
            "error": self.error,
            "snapshot": self.committed.snapshot if self.committed else None,
            "incarnation": self.cursor.incarnation,
            "epoch": self.cursor.epoch,
            "last_seq": self.cursor.last_seq,
            "pending_rows": pending.rows,
            "pending_bytes": pending.bytes,
            "totals": dict(self.totals),
        }


__all__ = ["Pump", "SupersededError"]
