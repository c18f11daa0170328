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

from rugs_cli.feed_options import feed_environment
from rugs_cli.output import AsJson, CommandError, print_json, print_table

if TYPE_CHECKING:
    from rugs_runtime.settings import Settings
    from rugs_runtime.stack import StackInfo

_LOOK_SECONDS: Final = 0.05

Detach = Annotated[bool, typer.Option("--detach", "-d", help="Return when all are healthy, and leave them running.")]


def up(detach: Detach = False, as_json: AsJson = False) -> None:
    """Start the NATS server (unless NATS_URL is set) and every service, each as a process of its own.

    What dies is started again. Ctrl-C, or `rugs down`, stops all. Logs are in state/logs of the data folder.
    """
    from rugs_runtime.settings import Settings

    settings = Settings.load()
    if "public" in settings.capture_sources:
        feed_environment(settings, {})  # an address that cannot be used is known before anything starts
    if detach:
        _show(_start_detached(settings), as_json)
    else:
        _run_here(settings, as_json)


def down(as_json: AsJson = False) -> None:
    """Stop the stack: every process finishes its work first; one that does not in time is killed.

    First who captures, then who writes: these take what the stream holds by then, for half of the time at the most.
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
    if as_json:
        print_json({"stopped": pid is not None, "pid": pid, "data_dir": str(settings.data_dir)})
    else:
        print("stopped" if pid is not None else f"nothing is running on {settings.data_dir}")


def _run_here(settings: Settings, as_json: bool) -> None:
    from rugs_runtime import logs, service
    from rugs_runtime.stack import Stack, running_stack, supervise

    logs.configure("stack", settings.log_level)

    def ready(_: Stack) -> None:
        info = running_stack(settings.data_dir)
        if info is not None:
            _show(info, as_json)

    async def main() -> None:
        await supervise(settings, service.stop_on_signals(), ready)

    asyncio.run(main())


def _start_detached(settings: Settings) -> StackInfo:
    from rugs_runtime.programs import last_error, set_aside
    from rugs_runtime.stack import log_file, running_stack

    running = running_stack(settings.data_dir)
    if running is not None:
        raise CommandError(f"a stack already runs on {settings.data_dir} (pid {running.pid}): stop it with `rugs down`")
    log = log_file(settings, "stack")
    log.parent.mkdir(parents=True, exist_ok=True)
    set_aside(log)
    with log.open("ab") as output:
        start = output.tell()
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "rugs_runtime.stack"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        while True:
            info = running_stack(settings.data_dir)
            if info is not None and info.pid == supervisor.pid and info.state == "running":
                return info
            if supervisor.poll() is not None:
                raise CommandError(last_error(log, start) or f"the stack ended at once: see {log}")
            time.sleep(_LOOK_SECONDS)
    except KeyboardInterrupt:
        supervisor.terminate()
        supervisor.wait()
        raise


def _show(info: StackInfo, as_json: bool) -> None:
    from rugs_proto.secrets import mask_secrets

    url = mask_secrets(info.nats_url)
    if as_json:
        print_json({**asdict(info), "nats_url": url})
    else:
        print(f"running at {url}, pid {info.pid}")
        print_table([(process.name, process.state, f"pid {process.pid}") for process in info.processes])


def _gone_within(settings: Settings, pid: int, seconds: float) -> bool:
    from rugs_runtime.stack import running_stack

    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        info = running_stack(settings.data_dir)
        if info is None or info.pid != pid:
            return True
        time.sleep(_LOOK_SECONDS)
    return False
