"""The life of a service: one process that starts, says that it is there, works, and ends in order."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar

import structlog

import rugs_bus
from rugs_bus import BusError
from rugs_core.errors import RugsError, TakenOverError
from rugs_core.locks import try_lock
from rugs_core.reasons import one_line
from rugs_runtime import logs
from rugs_runtime.cancelling import keep_cancellations
from rugs_runtime.settings import CommonSettings, SettingsError
from rugs_runtime.stopping import Stop, stop_on_signals

if TYPE_CHECKING:
    from nats.aio.client import Client

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_SUPERSEDED: Final = 3
"""Another process of the same kind has taken over: not to be restarted."""

LIFELINE: Final = "RUGS_LIFELINE"
"""Environment variable with the number of an inherited pipe. The supervisor holds its other end: when the
pipe ends, the supervisor is gone, however it went, and the service stops by itself."""

_ANNOUNCE_SECONDS: Final = 0.5

log = structlog.get_logger(__name__)


_S = TypeVar("_S", bound=CommonSettings)
Work = Callable[[_S, Stop], Awaitable[int]]
"""What a service does until it is told to stop; returns the exit code."""


def main(
    name: str,
    work: Work[_S],
    section: type[_S],
    *,
    in_order: bool = False,
    unneeded: Callable[[_S], str | None] = lambda settings: None,
) -> int:
    """Load a section of the settings and run a service until it ends; return its exit code.

    SIGTERM, SIGINT and SIGHUP set the event that `work` is given; it finishes what it does and
    returns its exit code. A second SIGINT kills the process; with `in_order` a second
    signal asks to hurry. What fails in an expected way (settings, the bus, the lake, the file
    system) is one line and exit code 1; exit code 3 says that another process has taken over.
    Where `unneeded` returns a reason, it is said, and nothing is done.
    """
    try:
        settings = section.load()
    except SettingsError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return EXIT_FAILED
    if (reason := unneeded(settings)) is not None:
        print(f"{name}: {reason}: nothing to do", file=sys.stderr)
        return EXIT_OK
    logs.configure(name, settings.log_level)
    keep_cancellations()
    try:
        return asyncio.run(_run(name, work, settings, in_order))
    except TakenOverError as error:
        log.error("superseded", reason=str(error))
        return EXIT_SUPERSEDED
    except (RugsError, OSError) as error:
        log.error("cannot go on", reason=one_line(error), exc_info=debugging())
    except Exception:
        log.exception("ended by an error of its own")
    return EXIT_FAILED


def debugging() -> bool:
    """Return whether tracebacks are wanted also for errors that were expected."""
    return os.environ.get("RUGS_DEBUG", "") not in ("", "0")


async def _run(name: str, work: Work[_S], settings: _S, in_order: bool) -> int:
    stop = stop_on_signals(in_order=in_order)
    watch_lifeline(stop)
    async with _announced(settings.state_dir, name):
        log.info("started", pid=os.getpid())
        code = await work(settings, stop)
        log.info("stopped", exit_code=code)
    return code


def watch_lifeline(stop: asyncio.Event) -> None:
    """Set the event when whoever started this process, and gave it a lifeline, is gone."""
    if not (lifeline := os.environ.get(LIFELINE)):
        return
    pipe, loop = int(lifeline), asyncio.get_running_loop()

    def gone() -> None:
        loop.remove_reader(pipe)
        log.warning("the supervisor is gone: stopping")
        stop.set()

    loop.add_reader(pipe, gone)


@contextlib.asynccontextmanager
async def _announced(state_dir: Path, name: str) -> AsyncIterator[None]:
    """Hold the presence file while the body runs; where another process holds it, as soon as that one is gone."""
    with _open_presence(state_dir, name) as file:

        async def hold() -> None:
            while not _take_presence(file):  # noqa: ASYNC110 - another process lets go of it
                await asyncio.sleep(_ANNOUNCE_SECONDS)

        if not _take_presence(file):
            log.warning("another process of this service is running", pid=presence(state_dir.parent, name))
        holding = asyncio.create_task(hold())
        try:
            yield
        finally:
            holding.cancel()


def _open_presence(state_dir: Path, name: str) -> IO[str]:
    state_dir.mkdir(parents=True, exist_ok=True)
    return _presence_file(state_dir, name).open("a+")


def _take_presence(file: IO[str]) -> bool:
    """Lock the presence file and write our pid into it; False while another process holds it."""
    if not try_lock(file):
        return False
    file.truncate(0)
    file.write(json.dumps({"pid": os.getpid()}))
    file.flush()
    return True


def presence(root: Path, name: str) -> int | None:
    """Return the pid of the process that runs a service on a data root, or None."""
    try:
        with _presence_file(root / "state", name).open("r") as file:
            if try_lock(file, shared=True):  # who only looks is in nobody's way but for a moment
                return None
            return int(json.loads(file.read())["pid"])
    except (OSError, ValueError, LookupError):
        return None


def _presence_file(state_dir: Path, name: str) -> Path:
    return state_dir / f"{name}.lock"


def status_subject(name: str) -> str:
    """Return the subject that a service answers status requests on."""
    return f"rugs.api.{name.replace('-', '_')}.status"


async def answer_status(nc: Client, name: str, describe: Callable[[], Mapping[str, Any]]) -> None:
    """Answer status requests from now on, as long as the connection lives: service, pid, and what `describe` returns.

    `describe` should give at least `state` ("running", ...) and `error` (text or None).
    """

    def told() -> bytes:
        body = {"service": name, "pid": os.getpid(), "state": "running", "error": None, **describe()}
        return json.dumps(body, default=str).encode()

    await rugs_bus.answer(nc, status_subject(name), told)


async def ask_status(nc: Client, name: str, seconds: float = 3.0) -> dict[str, Any] | None:
    """Return a service's answer to a status request, or None if there is none in time."""
    try:
        answer: dict[str, Any] = json.loads(await rugs_bus.request(nc, status_subject(name), timeout=seconds))
    except (BusError, ValueError):
        return None
    return answer
