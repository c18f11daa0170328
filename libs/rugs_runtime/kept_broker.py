"""Our own nats-server kept running: started, started again when it dies, ended when told."""

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

from rugs_bus.patience import stopped_within
from rugs_runtime.broker import Broker, BrokerError
from rugs_runtime.programs import FIRST_PAUSE, LONGEST_PAUSE, ProcessInfo, State
from rugs_runtime.store_watch import StoreWatch, why_full

NAME: Final = "nats-server"
_LOOK_SECONDS: Final = 0.2
_SETTLE_SECONDS: Final = 2.0
"""Pause before the broker is started anew; where the disk never really has room, between two such starts."""

log = structlog.get_logger(__name__)


class KeptBroker:
    """A broker kept running in `folder`. It keeps its port, so that clients find it again."""

    def __init__(self, folder: Path, port: int, changed: Callable[[], None]) -> None:
        self._server = Broker(folder, port=port)
        self._stopping = asyncio.Event()
        self._changed = changed
        self._task: asyncio.Task[None] | None = None
        self._state: State = "starting"
        self._started: float | None = None
        self._restarts = 0
        self._watch = StoreWatch(folder, self._server.log_file)
        self._error: str | None = None

    @property
    def info(self) -> ProcessInfo:
        """How it is doing."""
        server = self._server
        return ProcessInfo(NAME, self._state, server.pid, self._started, self._restarts, server.exit_code, self._error)

    async def start(self) -> str:
        """Start it, after ending one that a killed supervisor left behind; return its URL.

        Raises:
            BrokerError: if it does not start.
        """
        first = asyncio.create_task(asyncio.to_thread(self._start))
        self._task = asyncio.create_task(self._keep(first))
        await asyncio.shield(first)  # who gives up waiting must not leave half a start behind
        return self._server.url

    async def stop(self) -> None:
        """Ask it to end, and wait."""
        self._stopping.set()
        if self._task is not None:
            await self._task
        await asyncio.to_thread(self._server.stop)

    def _start(self) -> None:
        end_leftover(self._server)
        self._watch.begin()
        self._server.start()

    async def _keep(self, first: asyncio.Task[None]) -> None:
        await asyncio.wait((first,))
        if first.exception() is not None:
            return
        self._become("running")
        pause = FIRST_PAUSE
        while not await stopped_within(self._stopping, _LOOK_SECONDS):
            if self._server.pid is not None:
                await self._look_after_store()
                continue
            self._restarts += 1
            log.warning("the broker has ended: starting it again", exit_code=self._server.exit_code)
            self._become("restarting")
            try:
                await asyncio.to_thread(self._start)
            except BrokerError as error:
                log.error("the broker does not start", reason=str(error))
                await stopped_within(self._stopping, pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                pause = FIRST_PAUSE
                self._error = None
                self._become("running")

    async def _look_after_store(self) -> None:
        """Say when the disk is full; once it has room again, end the server, to be started anew."""
        try:
            if not self._watch.has_failed():
                return
            if self._error is None:
                self._error = why_full(self._server.folder) or "the broker could not write its store: see its log"
                log.error(self._error)
                self._changed()
            if not self._watch.has_room() or await stopped_within(self._stopping, _SETTLE_SECONDS):
                return
        except OSError as error:
            log.warning("cannot look after the broker's store", reason=str(error))
            return
        log.warning("the disk has room again: starting the broker anew")
        await asyncio.to_thread(self._server.stop)

    def _become(self, state: State) -> None:
        self._state = state
        self._started = time.time() if state == "running" else None
        self._changed()


def end_leftover(broker: Broker, seconds: float = 10.0) -> int | None:
    """End the nats-server that still uses the folder though its supervisor is gone; return its pid if there was one."""
    pid = broker.leftover()
    if pid is None:
        return None
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        if NAME not in process.name():  # the number means something else here, as from inside a container
            return None
        log.warning("ending the broker that a killed stack left behind", pid=pid)
        process.terminate()
        process.send_signal(signal.SIGCONT)  # a paused process would not see the first signal
        try:
            process.wait(seconds)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(seconds)
    return pid
