"""The stack: a supervisor that runs the broker and the services as processes of their own.

One stack runs on a data root at a time: the supervisor holds a lock, and tells in
`state/stack.json` who runs. Its services hang on a pipe and end when it is gone,
however it went. On Linux the broker ends with its supervisor, too; elsewhere one that
was left behind is ended at the next start.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import structlog

import rugs_bus
from rugs_core.errors import RugsError
from rugs_core.locks import try_lock
from rugs_runtime import service
from rugs_runtime.broker import BrokerError
from rugs_runtime.cancelling import to_its_end
from rugs_runtime.keeper import Keeper, ProcessInfo
from rugs_runtime.kept_broker import KeptBroker
from rugs_runtime.programs import Program
from rugs_runtime.service import EXIT_FAILED, EXIT_OK
from rugs_runtime.settings import Settings
from rugs_runtime.stopping import INTERRUPTED, Stop, StoppedError

if TYPE_CHECKING:
    from nats.aio.client import Client

START_SECONDS: Final = 60.0
"""How long a service may take until it says that it is running."""

STREAM_SHARE: Final = 0.5
"""Part of the disk's room that the stream may take; the rest is for the lake."""
SMALLEST_STREAM: Final = 64 * 1024 * 1024
_LOOK_SECONDS: Final = 0.25
_MISSES: Final = 2
"""Looks in a row that do not find a stack until it counts as gone: one may fail for another reason."""

log = structlog.get_logger(__name__)


class StackError(RugsError):
    """The stack cannot run: one line that says why, and what to do."""


class Service(NamedTuple):
    """A service of the stack.

    Attributes:
        module: its `main` is run.
        is_enabled: whether a stack with these settings runs it.
        is_vital: whether a stack without it does not start. What only keeps derived data never stops capture.
    """

    name: str
    module: str
    is_enabled: Callable[[Settings], bool] = lambda settings: True
    is_vital: bool = True


WRITER: Final = Service("parquet-writer", "parquet_writer.main")
LEGACY_WRITER: Final = Service(
    "legacy-writer", "legacy_writer.main", lambda settings: settings.legacy_recorders_enabled
)
GATEWAY: Final = Service("capture-gateway", "capture_gateway.main")
INDEXER: Final = Service("indexer", "indexer.main", lambda settings: settings.indexer_enabled, is_vital=False)
SERVICES: Final = (WRITER, LEGACY_WRITER, GATEWAY, INDEXER)
"""Every service of a stack, in the order in which they start."""


def services_of(settings: Settings) -> tuple[Service, ...]:
    """Return the services that a stack with these settings runs, in the order in which they start.

    They stop in reverse: who brings events first, so that who takes them has them all.
    """
    return tuple(service for service in SERVICES if service.is_enabled(settings))


@dataclass(frozen=True)
class StackInfo:
    """A running stack. `started` is in seconds since the Unix epoch; the broker, where it is ours, comes first."""

    pid: int
    state: Literal["starting", "running", "stopping"]
    nats_url: str
    started: float
    processes: tuple[ProcessInfo, ...]


def running_stack(root: Path) -> StackInfo | None:
    """Return the stack that runs on a data root, or None. A file that a killed one left behind does not count."""
    try:
        with (root / "state" / "stack.lock").open() as lock:
            if try_lock(lock, shared=True):
                return None
        told = json.loads((root / "state" / "stack.json").read_bytes())
        return StackInfo(**{**told, "processes": tuple(ProcessInfo(**process) for process in told["processes"])})
    except (OSError, ValueError, TypeError, LookupError):
        return None


async def stack_stops(root: Path, pid: int) -> None:
    """Return when the stack that `pid` supervises on a data root is stopping, or is gone."""
    missed = 0
    while missed < _MISSES:
        info = running_stack(root)
        if info is not None and info.pid == pid and info.state == "stopping":
            return
        missed = 0 if info is not None and info.pid == pid else missed + 1
        await asyncio.sleep(_LOOK_SECONDS)


class Stack:
    """The broker (unless `NATS_URL` names one) and the services, while `start` to `stop`.

    `stop` is asked where a keeper fails, which nothing but an error of this program can bring about; where it
    says to hurry, the processes have little time to end.
    """

    def __init__(
        self,
        settings: Settings,
        stop: Stop | None = None,
        *,
        services: Sequence[Service] | None = None,
        port: int | None = None,
    ) -> None:
        self.url = settings.broker_url
        self._settings = settings
        self._services = services_of(settings) if services is None else services
        self._stop = stop or Stop()
        self._state: Literal["starting", "running", "stopping"] = "starting"
        self._started = time.time()
        self._port = settings.broker_port if port is None else port
        self._keepers: list[Keeper] = []
        self._stopping: asyncio.Task[None] | None = None
        self._is_ours = False
        self._open = contextlib.ExitStack()
        self._info_file = settings.state_dir / "stack.json"

    @classmethod
    @contextlib.asynccontextmanager
    async def ephemeral(
        cls, settings: Settings, stop: Stop, services: Sequence[Service] = (WRITER,)
    ) -> AsyncIterator[Stack]:
        """A broker on a free port, and services, for as long as the body runs, over the same data.

        Raises:
            StoppedError: if asked to stop before everything runs.
        """
        stack = cls(settings, stop, services=services, port=0)
        try:
            await stop.first(stack.start())
            yield stack
        finally:
            await stack.stop()

    async def start(self) -> None:
        """Start everything; return when all say that they are running.

        Raises:
            StackError: if another stack runs on this data root, or a process does not start.
            BusError: if `NATS_URL` cannot be reached.
            OSError: if the data root cannot be written.
        """
        try:
            (self._settings.state_dir / "logs").mkdir(parents=True, exist_ok=True)
            await self._take_lock()
            self._write_info()
            if self._settings.nats_url is None:
                broker = KeptBroker(self._settings.state_dir / "broker", self._port, self._note_change)
                await self._keep(Keeper(broker, self._note_change))
                self.url = broker.url
            await self._start_services()
        except BrokerError as error:
            await self.stop()
            raise StackError(str(error)) from error
        except BaseException:
            await self.stop()
            raise
        self._state = "running"
        self._write_info()
        log.info("the stack is running", nats_url=self.url, data_dir=str(self._settings.data_dir))

    async def stop(self) -> None:
        """Stop all in reverse order, whatever happens meanwhile.

        Each has the setting's time to finish its work; then it is killed.
        """
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop_all())
        await to_its_end(self._stopping)

    async def _stop_all(self) -> None:
        self._state = "stopping"
        self._note_change()
        for keeper in reversed(self._keepers):
            await keeper.stop(self._settings.stop_timeout, self._stop.hurry)
        self._open.close()

    async def _keep(self, keeper: Keeper) -> None:
        """Start a process and have it kept running.

        Raises:
            Exception: what its start raises.
        """
        self._keepers.append(keeper)
        keeper.begin().add_done_callback(lambda ended: self._note_end(keeper, ended))
        await keeper.started()

    def _note_end(self, keeper: Keeper, ended: asyncio.Task[None]) -> None:
        """Stop the stack where a keeper has failed: nobody would start its process again."""
        if ended.cancelled() or ended.exception() is not None:
            self._stop.ask(f"the keeper of {keeper.name} has failed")

    async def _start_services(self) -> None:
        """Start each service once the one before it is running.

        Raises:
            StackError: if a vital one does not start.
        """
        lifeline, ours = os.pipe()
        self._open.callback(os.close, lifeline)
        self._open.callback(os.close, ours)
        nc = await rugs_bus.connect(self.url, name="rugs-stack", timeout=self._settings.connect_timeout)
        try:
            environment = await self._environment(nc)
            for each in self._services:
                log_path = log_file(self._settings, each.name)
                program = Program(
                    each.name,
                    (sys.executable, "-m", each.module),
                    environment=environment,
                    log_file=log_path,
                    lifeline=lifeline,
                )
                keeper = Keeper(program, self._note_change)
                await self._keep(keeper)
                try:
                    await _until_running(nc, keeper, log_path)
                except StackError as error:
                    if each.is_vital:
                        raise
                    log.warning("the stack starts without a service", reason=str(error))
        finally:
            await nc.close()

    async def _environment(self, nc: Client) -> dict[str, str]:
        """What services are told: where things are and, beside our own broker, how much the disk can take."""
        told = {"NATS_URL": self.url, "RUGS_DATA_DIR": str(self._settings.data_dir)}
        if self._settings.nats_url is None:
            free = shutil.disk_usage(self._settings.data_dir).free
            try:
                stored = (await rugs_bus.stream_state(nc)).bytes
            except rugs_bus.StreamAbsentError:
                stored = 0
            limit, keep = stream_limits(self._settings, free, stored)
            told |= {"RUGS_STREAM_MAX_BYTES": str(limit), "RUGS_STREAM_KEEP_BYTES": str(keep)}
        return told

    async def _take_lock(self) -> None:
        lock = self._open.enter_context((self._settings.state_dir / "stack.lock").open("a"))
        for _ in range(20):  # somebody who only looks holds it for a moment
            if try_lock(lock):
                self._is_ours = True
                self._open.callback(self._info_file.unlink, missing_ok=True)
                return
            await asyncio.sleep(0.05)
        raise StackError(f"a stack already runs on {self._settings.data_dir}: stop it with `rugs down`")

    def _note_change(self) -> None:
        """Tell of a process that has changed; on a full disk that has to wait, and keeping it alive has not."""
        try:
            if self._is_ours:
                self._write_info()
        except OSError as error:
            log.warning("cannot tell how the stack is doing", reason=str(error))

    def _write_info(self) -> None:
        processes = tuple(keeper.info for keeper in self._keepers)
        info = StackInfo(os.getpid(), self._state, self.url, self._started, processes)
        draft = self._info_file.with_suffix(".tmp")
        with os.fdopen(
            os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w"
        ) as file:  # may hold a password
            json.dump(asdict(info), file)
        draft.replace(self._info_file)


def stream_limits(settings: Settings, free_bytes: int, stored_bytes: int) -> tuple[int, int]:
    """Return the stream's hard limit and what it is purged to, on a disk with so much room beside what it holds.

    A small disk gets a small stream, but none that is full as soon as it starts: the limit
    is never below what is stored. The settings are never exceeded.
    """
    limit, keep = int(settings.stream_max_bytes), int(settings.stream_keep_bytes)
    room = max(SMALLEST_STREAM, int((free_bytes + stored_bytes) * STREAM_SHARE), stored_bytes)
    return (limit, keep) if limit <= room else (room, min(keep, room // 2))


async def _until_running(nc: Client, keeper: Keeper, log_path: Path) -> None:
    """Return when a service says that it is running.

    Raises:
        StackError: if it has ended with an error, or takes too long.
    """
    try:
        async with asyncio.timeout(START_SECONDS):
            while not await _is_running(nc, keeper):
                if keeper.info.error is not None:
                    raise StackError(f"{keeper.name} does not start: {keeper.info.error} (log: {log_path})")
    except TimeoutError:
        reason = f"{keeper.name} does not get ready within {START_SECONDS:.0f} s: see {log_path}"
        raise StackError(reason) from None


async def _is_running(nc: Client, keeper: Keeper) -> bool:
    answer = await service.ask_status(nc, keeper.name, seconds=0.5)
    if answer is None or answer.get("pid") != keeper.info.pid:
        await asyncio.sleep(0.05)
        return False
    return answer.get("state") in ("running", "blocked")  # the stack runs, and `rugs status` says what is wrong


def log_file(settings: Settings, name: str) -> Path:
    """Return where the output of a process of the stack goes."""
    return settings.state_dir / "logs" / f"{name}.log"


async def supervise(
    settings: Settings, stop: Stop, ready: Callable[[Stack], Coroutine[Any, Any, None]] | None = None
) -> None:
    """Run the stack until asked to stop; await `ready` when all is running. Raises what `Stack.start` does.

    Raises:
        StackError: also if a keeper has failed.
    """
    stack = Stack(settings, stop)
    try:
        with contextlib.suppress(StoppedError):
            await stop.first(stack.start())
            if ready is not None:
                await stop.first(ready(stack))
            await stop.wait()
    finally:
        await stack.stop()
    if stop.reason not in (None, INTERRUPTED):
        raise StackError(f"{stop.reason}: see {log_file(settings, 'stack')}")


def main() -> int:
    """Run the stack in a process of its own: what `rugs up --detach` starts."""
    return service.main("stack-supervisor", _supervise, Settings, in_order=True)


async def _supervise(settings: Settings, stop: Stop) -> int:
    try:
        await supervise(settings, stop)
    except StackError as error:
        log.error(str(error))
        return EXIT_FAILED
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
