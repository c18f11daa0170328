"""`rugs up` and `rugs down`: the stack."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final

import typer

from rugs_cli.feed_options import check_feeds
from rugs_cli.output import AsJson, CommandError, print_json, print_table
from rugs_cli.spools import spool_lines, spools_of

if TYPE_CHECKING:
    from rugs_runtime.settings import Settings
    from rugs_runtime.stack import StackInfo

_LOOK_SECONDS: Final = 0.05
_DOOR_SECONDS: Final = 5.0
"""How long to wait until the capture-gateway listens, or says why it does not."""

Detach = Annotated[bool, typer.Option("--detach", "-d", help="Return when all are healthy, and leave them running.")]


def up(detach: Detach = False, as_json: AsJson = False) -> None:
    """Start the NATS server (unless NATS_URL is set) and every service, each as a process of its own.

    What dies is started again. Ctrl-C, or `rugs down`, stops all in order, and so does closing the terminal where
    it is not detached; a second Ctrl-C does not wait. Logs are in state/logs of the data folder.
    """
    from rugs_runtime.settings import Settings

    settings = Settings.load()
    check_feeds(settings)  # an address that cannot be used is known before anything starts
    if detach:
        info = _start_detached(settings)
        asyncio.run(_show(info, as_json))
    else:
        _run_here(settings, as_json)


def down(as_json: AsJson = False) -> None:
    """Stop the stack: every process finishes its work first; one that does not in time is killed.

    First who captures, then who writes: these take what the stream holds by then, for half of the time at the most.
    Captured events that could not be sent wait in spools, which are named.
    """
    import psutil

    from rugs_runtime.broker import Broker
    from rugs_runtime.kept_broker import end_leftover
    from rugs_runtime.settings import Settings
    from rugs_runtime.stack import running_stack, services_of

    settings = Settings.load()
    info = running_stack(settings.data_dir)
    if info is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(info.pid, signal.SIGTERM)
            os.kill(info.pid, signal.SIGCONT)
        limit = settings.stop_timeout * (len(services_of(settings)) + 1) + 10
        if not _gone_within(settings, info.pid, limit):
            os.kill(info.pid, signal.SIGKILL)
            _gone_within(settings, info.pid, 10)
        with contextlib.suppress(psutil.Error):  # it has let go of the folder, and may still be ending
            psutil.Process(info.pid).wait(10)
    leftover = end_leftover(Broker(settings.state_dir / "broker"))
    pid = info.pid if info is not None else leftover
    spools = spools_of(settings)
    if as_json:
        stopped = {"stopped": pid is not None, "pid": pid, "data_dir": str(settings.data_dir)}
        print_json({**stopped, "spools": spools})
    else:
        print("stopped" if pid is not None else f"nothing is running on {settings.data_dir}")
        for line in spool_lines(spools, running=False):
            print(line)


def _run_here(settings: Settings, as_json: bool) -> None:
    from rugs_runtime import logs
    from rugs_runtime.stack import Stack, running_stack, supervise
    from rugs_runtime.stopping import stop_on_signals

    logs.configure("stack", settings.log_level)

    async def ready(_: Stack) -> None:
        info = running_stack(settings.data_dir)
        if info is not None:
            await _show(info, as_json)

    async def main() -> None:
        await supervise(settings, stop_on_signals(in_order=True), ready)

    asyncio.run(main())


def _start_detached(settings: Settings) -> StackInfo:
    from rugs_runtime.log_files import LOG_FILE, last_error, mark, rotate
    from rugs_runtime.stack import log_file, running_stack

    running = running_stack(settings.data_dir)
    if running is not None:
        raise CommandError(f"a stack already runs on {settings.data_dir} (pid {running.pid}): stop it with `rugs down`")
    log = log_file(settings, "stack")
    log.parent.mkdir(parents=True, exist_ok=True)
    rotate(log)
    with log.open("ab") as output:
        start = mark(log)
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "rugs_runtime.stack"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, LOG_FILE: str(log)},
            start_new_session=True,
        )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # told to stop, it stops what it is starting
    try:
        while True:
            info = running_stack(settings.data_dir)
            if info is not None and info.pid == supervisor.pid and info.state == "running":
                return info
            if supervisor.poll() is not None:
                raise CommandError(last_error(log, start) or f"the stack ended at once: see {log}")
            time.sleep(_LOOK_SECONDS)
    except KeyboardInterrupt:
        supervisor.terminate()  # it ends in order, whether somebody waits for that or not
        supervisor.wait()
        raise


async def _show(info: StackInfo, as_json: bool) -> None:
    from rugs_core.secrets import mask_secrets

    url = mask_secrets(info.nats_url)
    http, why_not = await _http_door(info)
    if as_json:
        print_json({**asdict(info), "nats_url": url, "http_url": http})
        return
    print(f"running at {url}, pid {info.pid}")
    if http:
        print(f"HTTP ingest at {http}")
    print_table([(process.name, process.state, f"pid {process.pid}") for process in info.processes])
    if why_not:
        print(f"http: {why_not}", file=sys.stderr)


async def _http_door(info: StackInfo) -> tuple[str | None, str | None]:
    """Return where the capture-gateway listens for HTTP, or why it does not; neither where it is not to."""
    import rugs_bus
    from rugs_runtime.service import ask_status
    from rugs_runtime.stack import GATEWAY

    if GATEWAY.name not in {process.name for process in info.processes}:
        return None, None
    try:
        nc = await rugs_bus.connect(info.nats_url, name="rugs-up", timeout=2)
    except rugs_bus.BusError as error:
        return None, str(error)
    try:
        deadline = time.monotonic() + _DOOR_SECONDS
        while True:
            answer = await ask_status(nc, GATEWAY.name) or {"sources": [{"name": "http", "url": None, "error": None}]}
            door = next((source for source in answer["sources"] if source["name"] == "http"), None)
            if door is None or door["url"] or door["error"] or time.monotonic() > deadline:
                return (None, None) if door is None else (door["url"], None if door["url"] else door["error"])
            await asyncio.sleep(_LOOK_SECONDS)
    finally:
        await nc.close()


def _gone_within(settings: Settings, pid: int, seconds: float) -> bool:
    from rugs_runtime.stack import running_stack

    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        info = running_stack(settings.data_dir)
        if info is None or info.pid != pid:
            return True
        time.sleep(_LOOK_SECONDS)
    return False
