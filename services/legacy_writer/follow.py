"""From the stream to the old files: gather, commit, go on behind the checkpoint.

Only what a checkpoint says counts. What was gathered and not committed is forgotten whenever the
stream is met anew, and read again. What the stream holds no more is read from the lake, which took
it before it was purged.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
import uuid
from collections.abc import Generator
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import duckdb
import structlog
from nats.aio.client import Client

import rugs_bus
from rugs_bus import BusUnavailableError, Durable, Message, RefusedError, StreamState
from rugs_bus.topology import stored_message
from rugs_core.patience import GivenUpError, Patience
from rugs_lake import LakeError
from rugs_legacy.dual_write import events
from rugs_legacy.dual_write.events import Captured, Piece
from rugs_legacy.dual_write.folder import Folder, Position
from rugs_legacy.dual_write.recorder import Recorder
from rugs_legacy.line_formats.stored import Stored
from rugs_proto.subjects import EVENTS_STREAM
from rugs_runtime.settings import Settings

CONSUMER: Final = "legacy-writer"
"""The consumer's name in the broker."""
RETRY_SECONDS: Final = 1.0
FLUSH_BYTES: Final = 8 * 1024**2
"""Bytes, of messages or of lines, after which is committed."""
_PASSING: Final = (OSError, sqlite3.Error, duckdb.Error, LakeError, BusUnavailableError)
"""What can be put right from outside: a full disk, a lake that cannot be read now, a broker that is away."""

log = structlog.get_logger(__name__)


class Follower:
    """Writes what one source captures into a folder, until told to stop. The folder is opened already."""

    def __init__(self, nc: Client, folder: Folder, settings: Settings, stop: asyncio.Event) -> None:
        self.missing = 0
        """Messages that neither the stream nor the lake has any more."""
        self._nc = nc
        self._folder = folder
        self._source = settings.legacy_source
        self._lake: Path = settings.data_dir
        self._flush_seconds = settings.flush_seconds
        self._stop = stop
        self._patience = Patience(stop, _PASSING, RETRY_SECONDS)
        self._recorder = Recorder(ZoneInfo(settings.legacy_timezone), folder.is_taken, folder.read, folder.sessions)
        self._pending: list[Message] = []
        self._pending_bytes = 0
        self._since = 0.0

    async def run(self) -> None:
        """Follow the stream; what was gathered is committed before this returns.

        Raises:
            TakenOverError: if another process writes now.
            BusError: if the connection is closed for good.
        """
        batches = rugs_bus.consume(
            self._nc,
            resume=self._resume,
            stop=self._stop,
            subjects=(events.subject_of(self._source),),
            durable=Durable(CONSUMER, uuid.uuid4().hex),
        )
        with contextlib.suppress(GivenUpError):
            async with contextlib.aclosing(batches):
                async for messages in batches:
                    self._gather(messages)
                    if self._is_due():
                        await self._write()
            await self._write()
        if trouble := self._patience.trouble:
            log.warning("stopped with this in the way; nothing is lost", reason=trouble)

    @property
    def taken(self) -> int:
        """The last sequence that was read."""
        return self._pending[-1].seq if self._pending else self._folder.position.seq

    @property
    def trouble(self) -> str | None:
        """What is in the way now; it is tried again."""
        return self._patience.trouble or (None if self._nc.is_connected else "the broker is away")

    async def last(self) -> int:
        """Return the last sequence that the stream holds of what the source captures; 0 where there is none."""
        message = await stored_message(self._nc, EVENTS_STREAM, {"last_by_subj": events.subject_of(self._source)})
        return message.seq if message is not None else 0

    def status(self) -> dict[str, Any]:
        """Return what it tells of itself."""
        return {
            "state": "blocked" if self._patience.trouble else "running",
            "error": self._patience.trouble,
            "incarnation": self._folder.position.incarnation,
            "last_seq": self._folder.position.seq,
            "lines": self._recorder.lines,
            "repeated": self._recorder.repeated,
            "untold": self._recorder.untold,
            "missing": self.missing,
        }

    def _gather(self, messages: list[Message]) -> None:
        if messages and not self._pending:
            self._since = time.monotonic()
        self._pending += messages
        self._pending_bytes += sum(len(message.body) for message in messages)

    def _is_due(self) -> bool:
        waited = time.monotonic() - self._since
        return bool(self._pending) and (waited >= self._flush_seconds or self._pending_bytes >= FLUSH_BYTES)

    async def _resume(self) -> int:
        """Meet the stream; return where to go on."""
        self._forget_pending()
        state = await self._patience.until_done("cannot meet the stream", self._meet)
        incarnation, position = str(state.incarnation), self._folder.position
        if position.incarnation is None:
            await self._commit(Position(incarnation, max(state.first_seq - 1, 0)))
        elif position.incarnation != incarnation:
            log.warning("the stream is not the one known: starting at its first message", had=position.seq)
            await self._read_lake(None)
            await self._commit(Position(incarnation, 0))
        await self._close_gap(state.first_seq)
        return self._folder.position.seq + 1

    async def _meet(self) -> StreamState:
        """Return the stream's state.

        Raises:
            BusUnavailableError: if nobody has said yet which life of the stream this is.
        """
        try:
            state = await rugs_bus.stream_state(self._nc)
        except RefusedError as error:
            raise BusUnavailableError(f"no stream yet, the parquet-writer makes it ({error})") from error
        position = self._folder.position
        if state.incarnation is None:
            raise BusUnavailableError("the parquet-writer has not met this stream yet")
        if state.incarnation == position.incarnation and not await self._is_where_it_was(state):
            raise BusUnavailableError("the stream is not the one known, and the parquet-writer has not said so yet")
        return state

    async def _is_where_it_was(self, state: StreamState) -> bool:
        """Whether the stream has come as far as we have, and has the message there that we have written."""
        position = self._folder.position
        if position.seq > state.last_seq:
            return False
        if position.time_us is None or position.seq < state.first_seq:
            return True
        message = await rugs_bus.get_message(self._nc, position.seq)
        return message is None or message.time_us == position.time_us

    async def _write(self) -> None:
        """Write what was gathered, and first what was purged on the way to it."""
        if not self._pending:
            return
        state = await self._patience.until_done("cannot read the bus", lambda: rugs_bus.stream_state(self._nc))
        await self._close_gap(min(state.first_seq, self._pending[-1].seq))
        for message in self._pending:
            if message.seq <= self._folder.position.seq:
                continue
            for captured in events.captured_in(message, self._source):
                self._recorder.take(await self._whole(captured))
            if self._recorder.pending_bytes >= FLUSH_BYTES or message is self._pending[-1]:
                position = self._folder.position
                await self._commit(Position(position.incarnation, message.seq, message.time_us))
        self._forget_pending()

    def _forget_pending(self) -> None:
        self._pending, self._pending_bytes = [], 0

    async def _close_gap(self, first_seq: int) -> None:
        """Write, out of the lake, what stands before the first message that the stream still has."""
        position = self._folder.position
        if position.incarnation is None or position.seq + 1 >= first_seq:
            return
        incarnation = position.incarnation
        taken = await self._patience.until_done(
            "cannot read the lake", lambda: asyncio.to_thread(events.reaches, self._lake, incarnation)
        )
        if taken > position.seq:
            await self._read_lake(min(taken, first_seq - 1))
        position = self._folder.position
        if position.seq + 1 >= first_seq:
            return
        in_hand = sum(position.seq < message.seq < first_seq for message in self._pending)
        if lost := first_seq - 1 - position.seq - in_hand:
            self.missing += lost
            log.error(
                "lines may be missing: neither the stream nor the lake has these messages",
                first=position.seq + 1,
                last=first_seq - 1,
                messages=lost,
            )
        if not in_hand:
            await self._commit(Position(incarnation, first_seq - 1))

    async def _read_lake(self, last: int | None) -> None:
        """Write what the lake has of the life of the stream that we are in, up to a sequence or to its end."""
        position = self._folder.position
        incarnation = position.incarnation
        if incarnation is None:
            return
        log.info("reading from the lake", first=position.seq + 1, last=last)
        found: Generator[Piece, None, None] | None = None

        async def next_piece() -> Piece | None:
            """Return the next piece; after an error from where we are, since a generator that failed is at its end."""
            nonlocal found
            if found is None:
                first = self._folder.position.seq + 1
                found = events.pieces(self._lake, self._source, incarnation, first, last)
            try:
                return await asyncio.to_thread(next, found, None)
            except Exception:
                found = None
                raise

        try:
            while (piece := await self._patience.until_done("cannot read the lake", next_piece)) is not None:
                for event in piece.events:
                    self._recorder.take(event)
                await self._commit(Position(incarnation, piece.last_seq))
        finally:
            if found is not None:
                found.close()

    async def _whole(self, captured: Captured) -> Stored:
        """Return an event with its bytes, wherever they lie."""
        event, digest = captured
        if digest is None:
            return event

        async def find() -> bytes | None:
            data = await rugs_bus.get_blob(self._nc, event.id)
            return data if data is not None else await asyncio.to_thread(events.bytes_of, self._lake, event)

        data = await self._patience.until_done("cannot read a large frame", find)
        if data is None or sha256(data).hexdigest() != digest:
            self.missing += 1
            log.error("a line is missing: nobody has these bytes", session=event.session_id, seq=event.seq)
            return event
        return events.with_bytes(event, data)

    async def _commit(self, position: Position) -> None:
        batch = self._recorder.cut()
        await self._patience.until_done(
            "cannot write the old files", lambda: asyncio.to_thread(self._folder.commit, batch, position)
        )
