"""From the stream to the lake: gather, flush by rows, bytes or time, commit, announce.

While one batch is being written and committed in a thread, the next one is gathered.
Nothing is acknowledged to the broker: the lake's cursor alone says what was taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections import Counter
from typing import Any, Final

import orjson
import structlog
from nats.aio.client import Client

import rugs_bus
from rugs_bus import BusError, BusUnavailableError, Message, StreamAbsentError, StreamState
from rugs_core.patience import GivenUpError, Patience
from rugs_follow.continuity import Checkpoint, Gap
from rugs_follow.stream import StreamFollower
from rugs_lake.store import faults
from rugs_lake.store.commit import FileVanishedError
from rugs_lake.store.cursor import Cursor
from rugs_lake.store.parquet import TornFileError
from rugs_lake.store.rows import Row
from rugs_lake.write import blobs
from rugs_lake.write.writer import Committed, LakeWriter, Pending
from rugs_proto.subjects import COMMITTED, HEADER_IMPORT_DONE
from rugs_runtime.settings import WriterSettings

RETRY_SECONDS: Final = 2.0
"""How long the writer waits before it tries again what failed."""
GONE_SECONDS: Final = 10.0
"""How long a stream may be gone, as it is while a backup of it is restored, before it is made anew."""
IDLE_SECONDS: Final = 0.1
"""How often it looks at the clock while nothing comes."""

_PASSING: Final = (OSError, sqlite3.OperationalError, FileVanishedError, TornFileError, BusUnavailableError)
"""What can be put right from outside: a full disk, a file that is missing or damaged, a broker that is away."""

log = structlog.get_logger(__name__)


class Pump:
    """Moves messages from the stream into the lake until told to stop."""

    def __init__(self, nc: Client, writer: LakeWriter, settings: WriterSettings, stop: asyncio.Event) -> None:
        self._nc = nc
        self._writer = writer
        self._settings = settings
        self._stop = stop
        self._retry = Patience(stop, _PASSING, RETRY_SECONDS)
        self._stream = StreamFollower(nc, self, self._retry, stop, idle=IDLE_SECONDS)
        self._commit: asyncio.Task[None] | None = None
        self._gone_since: float | None = None  # when the stream was first found gone, on the monotonic clock
        self._since = 0.0  # when the first pending message came, on the monotonic clock
        self._ends_import = False  # whether the last message of an import is pending
        self._fetched: set[str] = set()  # objects whose bytes are in what is pending or being committed
        self.totals: Counter[str] = Counter()
        self.committed: Committed | None = None

    @property
    def cursor(self) -> Cursor:
        """How far the lake has come."""
        return self._writer.cursor

    @property
    def taken(self) -> int:
        """The last sequence that was taken from the stream; the lake may not have it yet."""
        return self._stream.taken

    @property
    def error(self) -> str | None:
        """What is in the way now; it is tried again."""
        return self._retry.trouble

    @property
    def trouble(self) -> str | None:
        """What is in the way of coming to the end of the stream."""
        return self._stream.trouble

    async def last(self) -> int:
        """Return the last sequence that the stream has; 0 where it is empty."""
        return await self._stream.last()

    async def run(self) -> None:
        """Take messages until stopped; then commit what was gathered. No commit is on its way when this returns.

        It returns as well when told to stop while something is in the way, and sets the
        event itself when it fails.

        Raises:
            SupersededError: if another writer has taken over.
            LakeError, BusError: if going on would risk the lake.
        """
        try:
            await self._stream.run()
            await self._flush()
            await self._committed()
        except GivenUpError as given_up:
            log.warning("stopped with this in the way; the stream has what was not taken", reason=str(given_up))
        finally:
            self._stop.set()
            with contextlib.suppress(Exception):  # what is raised already came first
                await self._committed()

    async def resume(self) -> Checkpoint:
        """Meet the stream, at the start and after a reconnect or a stall; return where to go on."""
        await self._committed()
        return await self._retry.until_done("cannot meet the stream", self._meet)

    async def _meet(self) -> Checkpoint:
        state = await self._state()
        before = self._writer.cursor
        at_cursor = await rugs_bus.get_message(self._nc, before.last_seq) if before.last_seq else None
        cursor = self._writer.meet(state.incarnation, at_cursor)
        if before.last_seq and cursor.incarnation != before.incarnation:
            log.warning("the stream is not the one known: starting at its first message", had=before.last_seq)
        if state.incarnation != cursor.incarnation:
            await rugs_bus.set_incarnation(self._nc, cursor.incarnation)
        return Checkpoint(cursor.incarnation, cursor.last_seq, cursor.last_time_us)

    async def _state(self) -> StreamState:
        """Return the stream's state; one that has been gone for too long is made anew first."""
        try:
            state = await rugs_bus.stream_state(self._nc)
        except StreamAbsentError:
            self._gone_since = self._gone_since or time.monotonic()
            if time.monotonic() - self._gone_since < GONE_SECONDS:
                raise
            await ensure_streams(self._nc, self._settings)
            state = await rugs_bus.stream_state(self._nc)
        self._gone_since = None
        return state

    async def take(self, messages: list[Message]) -> None:
        """Add messages to the batch."""
        for message in messages:
            await self._add(message)

    async def read_lake(self, gap: Gap) -> int:
        """Take nothing from the lake: what the writer has not taken, it does not have."""
        return gap.first - 1

    async def lose(self, gap: Gap) -> None:
        """Say that messages are gone; the batch notes the gap by itself."""
        log.warning("messages are gone from the stream", **gap._asdict())

    async def after_batch(self, *, is_idle: bool) -> None:
        """Begin the next commit, when it is time."""
        if self._commit is not None and self._commit.done():
            await self._committed()
        if self._is_due(is_idle=is_idle):
            await self._flush()

    async def _add(self, message: Message) -> None:
        if not self._writer.pending.taken:
            self._since = time.monotonic()
        self._ends_import |= HEADER_IMPORT_DONE in message.headers
        rows = self._writer.judge(message)
        self._writer.add(message, rows, await self._fetch(message, rows))
        pending = self._writer.pending
        if pending.rows >= self._settings.flush_rows or pending.bytes >= self._settings.flush_bytes:
            await self._flush()

    async def _fetch(self, message: Message, rows: list[Row]) -> dict[str, bytes | None]:
        """Return the bytes that lie in the object store, None where they cannot be had.

        They are large: nothing else is held beside them, so memory stays bounded. That takes
        an envelope that is alone in its message; of several, none gets its bytes.
        """
        wanted = blobs.wanted(rows)
        if not wanted:
            return {}
        await self._flush()
        await self._committed()
        if len(rows) > 1:
            log.warning("an envelope with a blob must be alone in its message", seq=message.seq, blobs=len(wanted))
            return dict.fromkeys(wanted)
        (name,) = wanted
        data = await self._retry.until_done("cannot read the bus", lambda: rugs_bus.get_blob(self._nc, name))
        if data is not None:
            self._fetched.add(name)
        return {name: data}

    def _is_due(self, *, is_idle: bool) -> bool:
        """Whether it is time to commit. Somebody waits for an import's end: at once, where nothing comes behind it."""
        waited = time.monotonic() - self._since
        in_time = waited >= self._settings.flush_seconds
        return bool(self._writer.pending.taken) and (in_time or (is_idle and self._ends_import))

    async def _flush(self) -> None:
        """Start to commit what is pending; first wait for the commit before it."""
        await self._committed()
        pending, self._ends_import = self._writer.take(), False
        if pending is not None:
            self._commit = asyncio.create_task(self._commit_until_done(pending))

    async def _committed(self) -> None:
        """Wait until no commit is on its way; raise what it raised."""
        if self._commit is not None:
            await asyncio.wait((self._commit,))  # who is cancelled meanwhile leaves it alone
            task, self._commit = self._commit, None
            task.result()

    async def _commit_until_done(self, pending: Pending) -> None:
        done = await self._retry.until_done(
            "cannot write the lake", lambda: asyncio.to_thread(self._writer.commit, pending)
        )
        await self._after(done)

    async def _after(self, done: Committed) -> None:
        """Tell followers, and delete what the lake holds now. Neither matters to what is stored."""
        self.committed = done
        self.totals.update(done.totals)
        told = {"snapshot": done.snapshot, "last_seq": done.cursor.last_seq, **done.totals}
        log.debug("committed", files=done.files, **told)
        try:
            await rugs_bus.announce(self._nc, COMMITTED, orjson.dumps({**told, "incarnation": done.cursor.incarnation}))
            for name in done.blobs & self._fetched:
                await rugs_bus.delete_blob(self._nc, name)
        except BusError as error:
            log.warning("committed, but could not tell", reason=str(error))
        self._fetched -= done.blobs
        faults.reached("after_announce")

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


async def ensure_streams(nc: Client, settings: WriterSettings) -> None:
    """Make the streams, or bring them to the settings.

    Raises:
        BusError: if the broker cannot hold them.
    """
    wanted = rugs_bus.StreamSettings(
        replicas=settings.stream_replicas,
        compression=settings.stream_compression,
        duplicate_window=settings.duplicate_window,
        max_bytes=int(settings.stream_max_bytes),
        blob_max_bytes=int(settings.blob_max_bytes),
    )
    await rugs_bus.ensure_streams(nc, wanted)
