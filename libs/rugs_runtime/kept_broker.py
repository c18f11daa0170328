"""Our own nats-server as a process to keep running, and the end of one that was left behind."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import psutil
import structlog

from rugs_runtime.broker import NOT_READY, START_SECONDS, Broker, BrokerError
from rugs_runtime.keeper import why_ended
from rugs_runtime.programs import end_process
from rugs_runtime.store_watch import StoreWatch, why_full

NAME: Final = "nats-server"
_LOOK_SECONDS: Final = 0.1
_WATCH_SECONDS: Final = 0.2
_SETTLE_SECONDS: Final = 2.0
"""Pause before the broker is started anew; where the disk never really has room, between two such starts."""

log = structlog.get_logger(__name__)


class KeptBroker:
    """A broker to keep running in `folder`. It keeps its port, so that clients find it again.

    `changed` is called when `trouble` changes.
    """

    name = NAME

    def __init__(
        self, folder: Path, port: int, changed: Callable[[], None] = lambda: None, *, server: Path | None = None
    ) -> None:
        self._server = Broker(folder, port=port, server=server)
        self._watch = StoreWatch(folder, self._server.log_file)
        self._changed = changed
        self.trouble: str | None = None

    @property
    def url(self) -> str:
        """Where clients connect, once it was started."""
        return self._server.url

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._server.pid

    @property
    def exit_code(self) -> int | None:
        """How it last ended; negative for a signal."""
        return self._server.exit_code

    async def start(self) -> None:
        """End a server that a killed supervisor left behind, start ours, and return when it is ready."""
        self.trouble = None
        await asyncio.to_thread(end_leftover, self._server)
        self._watch.begin()
        self._server.launch()  # in this thread, which lives as long as the supervisor: the server ends with it
        deadline = time.monotonic() + START_SECONDS
        try:
            while not await asyncio.to_thread(self._server.is_ready):
                if time.monotonic() > deadline:
                    raise BrokerError(NOT_READY)
                await asyncio.sleep(_LOOK_SECONDS)
        except BaseException:
            self._server.kill()
            raise

    async def ended(self) -> str:
        """Return when it has ended: why. Meanwhile end it where only a new start makes it write again."""
        while self.pid is not None:
            await asyncio.sleep(_WATCH_SECONDS)
            try:
                await self._look_after_store()
            except OSError as error:
                log.warning("cannot look after the broker's store", reason=str(error))
        return self.trouble or why_ended(self.exit_code or 0)

    async def end(self, seconds: float, hurry: asyncio.Event) -> None:
        """Ask it to end and wait; kill it after `seconds`, or soon after `hurry` is set. Nothing is lost either way."""
        if self._server.process is not None:
            await end_process(self._server.process, seconds, hurry, self.name)

    async def _look_after_store(self) -> None:
        """Say when the disk is full; once it has room again, end the server, to be started anew."""
        if not self._watch.has_failed():
            return
        if self.trouble is None:
            self.trouble = why_full(self._server.folder) or "the broker could not write its store: see its log"
            log.error(self.trouble)
            self._changed()
        if not self._watch.has_room():
            return
        await asyncio.sleep(_SETTLE_SECONDS)
        log.warning("the disk has room again: starting the broker anew")
        await asyncio.to_thread(self._server.stop)


def end_leftover(broker: Broker, seconds: float = 10.0) -> int | None:
    """End the nats-server that still uses the folder though its supervisor is gone; return its pid if there was one."""
    pid = broker.leftover()
    if pid is None:
        return None
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        log.warning("ending the broker that a killed stack left behind", pid=pid)
        process.terminate()
        process.send_signal(signal.SIGCONT)  # a paused process would not see the first signal
        try:
            process.wait(seconds)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(seconds)
    return pid
