"""Keep the semantic index current: beside discovery, in a thread, and behind capture and the writer."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import structlog

import rugs_bus
from rugs_core import entry
from rugs_core.errors import RugsError
from rugs_core.patience import stopped_within
from rugs_core.reasons import one_line
from rugs_lake import LakeError
from rugs_lake.read import stats
from rugs_proto.subjects import EVENTS_STREAM
from rugs_runtime.settings import IndexerSettings

if TYPE_CHECKING:
    from nats.aio.client import Client

    from rugs_index.indexing import Done, Indexing

MOST_LAG: Final = 1_000
"""Messages that the writer may be behind before embedding waits for it."""
REFRESH_SECONDS: Final = 60.0
"""Pause between two looks at discovery and documents."""
LONGEST_PAUSE: Final = 20.0
"""Seconds between two updates, however long one takes."""
AGAIN_SECONDS: Final = 30.0
"""Pause after an error."""
_SHARE: Final = 10
"""A pause takes so many times as long as the update before: the summary of a session is made of all its rows."""
_LOOK_SECONDS: Final = 1.0
_WAIT_SECONDS: Final = 0.1

log = structlog.get_logger(__name__)


class StoppedError(RugsError):
    """The service stops: an update is left where it is, and the next start goes on."""


class IndexKeeping:
    """Updates the index when the lake has more, with a pause between.

    Args:
        status: gets what `rugs status` shows of the index.
    """

    def __init__(self, nc: Client, settings: IndexerSettings, status: dict[str, Any]) -> None:
        self._nc = nc
        self._settings = settings
        self._status = status
        self._moved = asyncio.Event()
        self._moved.set()
        self._stopping = threading.Event()
        self._writer_lags = threading.Event()
        self._refreshed = float("-inf")

    def note(self) -> None:
        """Take note that the lake has more."""
        self._moved.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the index until `stop` is set. What fails is said once, and tried again."""
        watching = asyncio.create_task(self._watch_writer())
        stopping = asyncio.create_task(self._until_stopped(stop))
        indexing: Indexing | None = None
        try:
            while not stop.is_set():
                began, pause = time.monotonic(), self._settings.index_seconds
                try:
                    if indexing is None:
                        indexing = await asyncio.to_thread(self._open)
                    await self._update(indexing)
                    self._note_error(None)
                    pause = max(pause, min(_SHARE * (time.monotonic() - began), LONGEST_PAUSE))
                except StoppedError:
                    break
                except ModuleNotFoundError as error:
                    self._note_error(f"the index is not kept: {entry.not_installed(error.name or str(error))}")
                    pause = AGAIN_SECONDS
                except (RugsError, OSError) as error:
                    self._note_error(one_line(error))
                    pause = AGAIN_SECONDS
                except Exception as error:
                    log.exception("the index is not kept, by an error of its own")
                    self._note_error(one_line(error))
                    pause = AGAIN_SECONDS
                await stopped_within(stop, pause)
        finally:
            watching.cancel()
            stopping.cancel()
            await asyncio.gather(watching, stopping, return_exceptions=True)

    def _open(self) -> Indexing:
        from rugs_index.setup import indexing_of  # the extra `index` may not be installed

        settings = self._settings
        return indexing_of(
            settings.data_dir,
            embedder=settings.embedder.get_secret_value(),
            threads=settings.embed_threads,
            policy=settings.index_policy,
            profile=settings.index_profile,
            documents=settings.document_folders,
            builds_discovery=False,
            wait=self._wait,
        )

    async def _update(self, indexing: Indexing) -> None:
        is_due = time.monotonic() - self._refreshed >= REFRESH_SECONDS
        if not (self._moved.is_set() or is_due):
            return
        self._moved.clear()
        try:
            done = await asyncio.to_thread(indexing.update, only_rows=not is_due)
            if is_due:
                self._refreshed = time.monotonic()
        except BaseException:
            self._moved.set()
            raise
        self._note(done)

    def _note(self, done: Done) -> None:
        self._status["index"] = {
            "position": None if done.position is None else list(done.position),
            "written": self._status.get("index", {}).get("written", 0) + done.written,
            "skipped": self._status.get("index", {}).get("skipped", 0) + done.skipped,
        }

    def _note_error(self, reason: str | None) -> None:
        if reason is not None and reason != self._status.get("index_error"):
            log.error("cannot keep the index", reason=reason)
        self._status["index_error"] = reason

    def _wait(self) -> None:
        """Wait while the writer lags.

        Raises:
            StoppedError: if the service stops.
        """
        while self._writer_lags.is_set() and not self._stopping.is_set():
            time.sleep(_WAIT_SECONDS)
        if self._stopping.is_set():
            raise StoppedError("the service stops")

    async def _until_stopped(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._stopping.set()

    async def _watch_writer(self) -> None:
        while True:
            try:
                state = await rugs_bus.stream_state(self._nc)
                cursors = await asyncio.to_thread(stats.cursors, self._settings.data_dir)
                lags = any(
                    cursor.stream == EVENTS_STREAM
                    and cursor.incarnation == state.incarnation
                    and state.last_seq - cursor.last_seq > MOST_LAG
                    for cursor in cursors
                )
            except (rugs_bus.BusError, LakeError, OSError):
                lags = False
            if lags:
                self._writer_lags.set()
            else:
                self._writer_lags.clear()
            await asyncio.sleep(_LOOK_SECONDS)
