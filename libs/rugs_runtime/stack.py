"""The stack: a supervisor that runs the broker and the services as processes of their own.

One stack runs on a data root at a time: the supervisor holds a lock, and tells in
`state/stack.json` who runs. Its services hang on a pipe and end when it is gone,
however it went. A broker left behind by a killed supervisor is ended at the next start.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import structlog

import rugs_bus
from rugs_runtime import logs, service
from rugs_runtime.broker import BrokerError
from rugs_runtime.kept_broker import KeptBroker
from rugs_runtime.locks import try_lock
from rugs_runtime.programs import ProcessInfo, Program
from rugs_runtime.service import EXIT_FAILED, EXIT_OK
from rugs_runtime.settings import Settings, SettingsError

if TYPE_CHECKING:
    from nats.aio.client import Client

START_SECONDS: Final = 60.0
"""How long a service may take until it says that it is running."""

STREAM_SHARE: Final = 0.5
"""Part of the disk's room that the stream may take; the rest is for the lake."""
SMALLEST_STREAM: Final = 64 * 1024 * 1024

log = structlog.get_logger(__name__)


class StackError(Exception):
    """The stack cannot run: one line that says why, and what to do."""


class Service(NamedTuple):
    """A service of the stack: its name, and the module whose `main` it runs."""

    name: str
    module: str


WRITER: Final = Service("parquet-writer", "parquet_writer.main")
GATEWAY: Final = Service("capture-gateway", "capture_gateway.main")
LEGACY_WRITER: Final = Service("legacy-writer", "legacy_writer.main")
"""Beside the others only where a setting says so."""


def services_of(settings: Settings) -> tuple[Service, ...]:
    """Return the services that a stack with these settings runs, in the order in which they start.

    They stop in reverse: who brings events first, so that who takes them has them all.
    """
    return (WRITER, LEGACY_WRITER, GATEWAY) if settings.legacy_recorders_enabled else (WRITER, GATEWAY)


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


class Stack:
    """The broker (unless `NATS_URL` names one) and the services, while `start` to `stop`."""

    def __init__(
        self, settings: Settings, *, services: Sequence[Service] | None = None, port: int | None = None
    ) -> None:
        self.url = settings.broker_url
        self._settings = settings
        self._services = services_of(settings) if services is None else services
        self._state: Literal["starting", "running", "stopping"] = "starting"
        self._started = time.time()
        self._broker = (
            None
            if settings.nats_url
            else KeptBroker(
                settings.state_dir / "broker", settings.broker_port if port is None else port, self._note_change
            )
        )
        self._programs: list[Program] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._open = contextlib.ExitStack()
        self._info_file = settings.state_dir / "stack.json"

    @classmethod
    @contextlib.asynccontextmanager
    async def ephemeral(cls, settings: Settings, services: Sequence[Service] = (WRITER,)) -> AsyncIterator[Stack]:
        """A broker on a free port, and services, for as long as the body runs, over the same data."""
        stack = cls(settings, services=services, port=0)
        await stack.start()
        try:
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
            if self._broker is not None:
                self.url = await self._broker.start()
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
        """Stop all in reverse order. Each has the setting's time to finish its work; then it is killed."""
        self._state = "stopping"
        for program in reversed(self._programs):
            await program.stop(self._settings.stop_timeout)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._broker is not None:
            await self._broker.stop()
        self._open.close()

    async def _start_services(self) -> None:
        lifeline, ours = os.pipe()
        self._open.callback(os.close, lifeline)
        self._open.callback(os.close, ours)
        nc = await rugs_bus.connect(self.url, name="rugs-stack", timeout=self._settings.connect_timeout)
        try:
            environment = await self._environment(nc)
            for name, module in self._services:
                program = Program(
                    name,
                    (sys.executable, "-m", module),
                    environment=environment,
                    log_file=log_file(self._settings, name),
                    lifeline=lifeline,
                    changed=self._note_change,
                )
                self._programs.append(program)
                self._tasks.append(asyncio.create_task(program.keep()))
                async with asyncio.timeout(START_SECONDS):
                    while not await _is_running(nc, program):
                        if program.state not in ("starting", "running"):
                            raise StackError(f"{name} does not start: {program.info.error} (log: {program.log_file})")
                program.state = "running"
        except TimeoutError:
            raise StackError(
                f"{name} does not get ready within {START_SECONDS:.0f} s: see {program.log_file}"
            ) from None
        finally:
            await nc.close()

    async def _environment(self, nc: Client) -> dict[str, str]:
        """What services are told: where things are and, beside our own broker, how much the disk can take."""
        told = {"NATS_URL": self.url, "RUGS_DATA_DIR": str(self._settings.data_dir)}
        if self._broker is not None:
            free = shutil.disk_usage(self._settings.data_dir).free
            try:
                stored = (await rugs_bus.stream_state(nc)).bytes
            except rugs_bus.RefusedError:  # no stream yet
                stored = 0
            limit, keep = stream_limits(self._settings, free, stored)
            told |= {"RUGS_STREAM_MAX_BYTES": str(limit), "RUGS_STREAM_KEEP_BYTES": str(keep)}
        return told

    async def _take_lock(self) -> None:
        lock = self._open.enter_context((self._settings.state_dir / "stack.lock").open("a"))
        for _ in range(20):  # somebody who only looks holds it for a moment
            if try_lock(lock):
                self._open.callback(self._info_file.unlink, missing_ok=True)
                return
            await asyncio.sleep(0.05)
        raise StackError(f"a stack already runs on {self._settings.data_dir}: stop it with `rugs down`")

    def _note_change(self) -> None:
        """Tell of a process that has changed; on a full disk that has to wait, and keeping it alive has not."""
        try:
            self._write_info()
        except OSError as error:
            log.warning("cannot tell how the stack is doing", reason=str(error))

    def _write_info(self) -> None:
        processes = ([self._broker.info] if self._broker else []) + [program.info for program in self._programs]
        info = StackInfo(os.getpid(), self._state, self.url, self._started, tuple(processes))
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


async def _is_running(nc: Client, program: Program) -> bool:
    answer = await service.ask_status(nc, program.name, seconds=0.5)
    if answer is None or answer.get("pid") != program.info.pid:
        await asyncio.sleep(0.05)
        return False
    return answer.get("state") in ("running", "blocked")  # the stack runs, and `rugs status` says what is wrong


def log_file(settings: Settings, name: str) -> Path:
    """Return where the output of a process of the stack goes."""
    return settings.state_dir / "logs" / f"{name}.log"


async def supervise(settings: Settings, stop: asyncio.Event, ready: Callable[[Stack], None] | None = None) -> None:
    """Run the stack until stopped; tell `ready` when all is running. Raises what `Stack.start` does."""
    stack = Stack(settings)
    starting = asyncio.create_task(stack.start())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()  # it stops what it had started
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await starting
            if ready is not None:
                ready(stack)
            await stopping
    finally:
        stopping.cancel()
        await stack.stop()


def main() -> int:
    """Run the stack in a process of its own: what `rugs up --detach` starts."""
    logs.configure("stack")
    try:
        settings = Settings.load()

        async def run(stop: asyncio.Event) -> int:
            try:
                await supervise(settings, stop)
            except StackError as error:
                log.error(str(error))
                return EXIT_FAILED
            return EXIT_OK

        return service.run("stack-supervisor", run, settings)
    except SettingsError as error:
        log.error(str(error))
        return EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main())
