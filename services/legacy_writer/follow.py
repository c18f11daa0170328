"""From the stream to the old files: gather, commit, go on behind the checkpoint.

Only what a checkpoint says counts. What was gathered and not committed is forgotten whenever the
stream is met anew, and read again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from hashlib import sha256
from typing import Any, Final
from zoneinfo import ZoneInfo

import structlog
from nats.aio.client import Client

import rugs_bus
from rugs_bus import BusUnavailableError, Durable, Message, StreamState
from rugs_core.patience import GivenUpError, Patience
from rugs_follow.continuity import Checkpoint, Gap, Match
from rugs_follow.lake_reader import LakeReader
from rugs_follow.stream import StreamFollower, meet
from rugs_lake import LakeUnavailableError
from rugs_legacy.dual_write import events
from rugs_legacy.dual_write.events import Captured
from rugs_legacy.dual_write.folder import Folder
from rugs_legacy.dual_write.recorder import Recorder
from rugs_legacy.line_formats.stored import Stored
from rugs_runtime.settings import DualWriteSettings

CONSUMER: Final = "legacy-writer"
"""The consumer's name in the broker."""
RETRY_SECONDS: Final = 1.0
FLUSH_BYTES: Final = 8 * 1024**2
"""Bytes, of messages or of lines, after which is committed."""
_BREATH: Final = 256
"""Messages after which whoever waits for the event loop gets a turn."""
_PASSING: Final = (OSError, LakeUnavailableError, BusUnavailableError)
"""What can be put right from outside: a full disk, a lake that cannot be read now, a broker that is away."""

log = structlog.get_logger(__name__)


class Follower:
    """Writes what one source captures into a folder, until told to stop. The folder is opened already."""

    def __init__(self, nc: Client, folder: Folder, settings: DualWriteSettings, stop: asyncio.Event) -> None:
        self.missing = 0
        """Messages that neither the stream nor the lake has any more."""
        self._nc = nc
        self._folder = folder
        self._source = settings.legacy_source
        self._flush_seconds = settings.flush_seconds
        self._retry = Patience(stop, _PASSING, RETRY_SECONDS)
        self._lake = LakeReader(settings.data_dir, events.open_lake, self._retry, stop)
        self._stream = StreamFollower(
            nc,
            self,
            self._retry,
            stop,
            subject=events.subject_of(self._source),
            durable=Durable(CONSUMER, uuid.uuid4().hex),
        )
        self._recorder = Recorder(ZoneInfo(settings.legacy_timezone), folder.is_taken, folder.read, folder.sessions)
        self._pending: list[Message] = []
        self._pending_bytes = 0
        self._since = 0.0

    async def run(self) -> None:
        """Follow the stream; what was gathered is committed before this returns.

        Raises:
            TakenOverError: if another process writes now.
            BusError: if the connection is closed for good.
            LakeIncompatibleError: if this program cannot read the lake, and has to.
        """
        with contextlib.suppress(GivenUpError):
            await self._stream.run()
            await self._write()
        if trouble := self._retry.trouble:
            log.warning("stopped with this in the way; nothing is lost", reason=trouble)

    @property
    def taken(self) -> int:
        """The last sequence that was read."""
        return self._stream.taken

    @property
    def trouble(self) -> str | None:
        """What is in the way now; it is tried again."""
        return self._stream.trouble

    async def last(self) -> int:
        """Return the last sequence that the stream holds of what the source captures; 0 where there is none."""
        return await self._stream.last()

    def status(self) -> dict[str, Any]:
        """Return what it tells of itself."""
        return {
            "state": "blocked" if self._retry.trouble else "running",
            "error": self._retry.trouble,
            "incarnation": self._folder.checkpoint.incarnation,
            "last_seq": self._folder.checkpoint.seq,
            "lines": self._recorder.lines,
            "repeated": self._recorder.repeated,
            "untold": self._recorder.untold,
            "missing": self.missing,
        }

    async def resume(self) -> Checkpoint:
        """Meet the stream; return where to go on. Of another life, what the lake has of the last one comes first."""
        self._pending, self._pending_bytes = [], 0
        state, match = await self._retry.until_done("cannot meet the stream", self._meet)
        if match is Match.NOTHING_KNOWN:
            await self._commit(Checkpoint(state.incarnation, max(state.first_seq - 1, 0)))
        elif match is Match.OTHER:
            had = self._folder.checkpoint
            log.warning("the stream is not the one known: starting at its first message", had=had.seq)
            await self._write_from_lake(str(had.incarnation), None)
            await self._commit(Checkpoint(state.incarnation, 0))
        return self._folder.checkpoint

    async def _meet(self) -> tuple[StreamState, Match]:
        state, match = await meet(self._nc, self._folder.checkpoint)
        if match is Match.DOUBTFUL:
            raise BusUnavailableError("the stream is not the one known, and the parquet-writer has not said so yet")
        return state, match

    async def take(self, messages: list[Message]) -> None:
        """Gather messages."""
        if not self._pending:
            self._since = time.monotonic()
        self._pending += messages
        self._pending_bytes += sum(len(message.body) for message in messages)

    async def after_batch(self, *, is_idle: bool) -> None:
        """Write what was gathered, when it is time."""
        waited = time.monotonic() - self._since
        if self._pending and (waited >= self._flush_seconds or self._pending_bytes >= FLUSH_BYTES):
            await self._write()

    async def read_lake(self, gap: Gap) -> int:
        """Write, out of the lake, what the stream has purged."""
        await self._write()
        incarnation = str(self._folder.checkpoint.incarnation)
        last = min(await self._lake.reached(incarnation), gap.last)
        if last >= gap.first:
            await self._write_from_lake(incarnation, last)
            await self._commit(Checkpoint(incarnation, last))
        return last

    async def lose(self, gap: Gap) -> None:
        """Say loudly what is missing, and go on behind it."""
        await self._write()
        lost = gap.last - gap.first + 1
        self.missing += lost
        log.error(
            "lines may be missing: neither the stream nor the lake has these messages",
            first=gap.first,
            last=gap.last,
            messages=lost,
        )
        await self._commit(Checkpoint(self._folder.checkpoint.incarnation, gap.last))

    async def _write(self) -> None:
        """Write what was gathered."""
        incarnation = self._folder.checkpoint.incarnation
        for number, message in enumerate(self._pending, 1):
            if number % _BREATH == 0:
                await asyncio.sleep(0)
            for captured in events.captured_in(message, self._source):
                self._recorder.take(await self._whole(captured))
            if self._recorder.pending_bytes >= FLUSH_BYTES or message is self._pending[-1]:
                await self._commit(Checkpoint(incarnation, message.seq, message.time_us))
        self._pending, self._pending_bytes = [], 0

    async def _write_from_lake(self, incarnation: str, last: int | None) -> None:
        """Write what the lake has of a life of the stream behind the checkpoint, up to a sequence or to its end."""
        reading = self._lake.stream(
            lambda lake: events.pieces(lake, self._source, incarnation, self._folder.checkpoint.seq + 1, last),
            above=(incarnation, self._folder.checkpoint.seq),
        )
        async with contextlib.aclosing(reading) as pieces:
            async for piece in pieces:
                for event in piece.events:
                    self._recorder.take(event)
                await self._commit(Checkpoint(incarnation, piece.last_seq))

    async def _whole(self, captured: Captured) -> Stored:
        """Return an event with its bytes, wherever they lie."""
        event, digest = captured
        if digest is None:
            return event
        data = await self._retry.until_done("cannot read the bus", lambda: rugs_bus.get_blob(self._nc, event.id))
        if data is None:
            data = await self._lake.ask(
                lambda lake: events.bytes_of(lake, event), sessions=[(event.source, event.session_id)]
            )
        if data is None or sha256(data).hexdigest() != digest:
            self.missing += 1
            log.error("a line is missing: nobody has these bytes", session=event.session_id, seq=event.seq)
            return event
        return events.with_bytes(event, data)

    async def _commit(self, checkpoint: Checkpoint) -> None:
        batch = self._recorder.cut()
        await self._retry.until_done(
            "cannot write the old files", lambda: asyncio.to_thread(self._folder.commit, batch, checkpoint)
        )
