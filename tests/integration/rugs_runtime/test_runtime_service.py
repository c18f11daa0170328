"""The life of a service, seen from outside: real processes, signals, and a supervisor that vanishes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from nats.aio.client import Client

from rugs_runtime.service import LIFELINE, answer_status, ask_status, presence

pytestmark = pytest.mark.slow

SERVICE = """
import asyncio, sys
from rugs_runtime import service
from rugs_runtime.settings import CommonSettings

async def work(settings, stop):
    {body}
    return 0

sys.exit(service.main("demo", work, CommonSettings))
"""
WAIT = "await stop.wait()"


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not come about in time"
        time.sleep(0.01)


class Started:
    """A service in a process of its own."""

    def __init__(self, root: Path, body: str = WAIT, lifeline: int | None = None) -> None:
        environment = {**os.environ, "RUGS_DATA_DIR": str(root)}
        if lifeline is not None:
            environment[LIFELINE] = str(lifeline)
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVICE.format(body=body)],
            env=environment,
            pass_fds=[lifeline] if lifeline is not None else [],
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self) -> tuple[int, list[dict[str, object]]]:
        """Return the exit code and the log."""
        _, log = self.process.communicate(timeout=20)
        return self.process.returncode, [json.loads(line) for line in log.splitlines()]


Start = Callable[..., Started]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Started] = []

    def start_service(*arguments: object) -> Started:
        started.append(Started(tmp_path, *arguments))  # type: ignore[arg-type]
        return started[-1]

    yield start_service
    for service in started:
        service.process.kill()
        service.process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_it_finish_and_exit_0(tmp_path: Path, start: Start, number: signal.Signals) -> None:
    service = start(f"{WAIT}; await asyncio.sleep(0.2); (service.log.info('drained'))")
    wait_for(lambda: presence(tmp_path, "demo"))
    service.process.send_signal(number)
    code, log = service.end()
    assert code == 0
    assert [line["event"] for line in log] == ["started", "drained", "stopped"]


def test_a_second_interrupt_ends_it_at_once(tmp_path: Path, start: Start) -> None:
    service = start("await asyncio.sleep(600)")
    wait_for(lambda: presence(tmp_path, "demo"))
    service.process.send_signal(signal.SIGINT)
    wait_for(lambda: _interrupt_again(service))
    code, log = service.end()
    assert code == -signal.SIGINT
    assert not any(line["event"] == "stopped" for line in log)


def _interrupt_again(service: Started) -> bool:
    service.process.send_signal(signal.SIGINT)
    return service.process.poll() is not None


def test_presence_tells_who_runs_however_it_ended(tmp_path: Path, start: Start) -> None:
    assert presence(tmp_path, "demo") is None
    first = start()
    wait_for(lambda: presence(tmp_path, "demo") == first.process.pid)
    first.process.send_signal(signal.SIGSTOP)
    assert presence(tmp_path, "demo") == first.process.pid
    second = start()
    first.process.kill()
    wait_for(lambda: presence(tmp_path, "demo") == second.process.pid)
    second.process.kill()
    wait_for(lambda: presence(tmp_path, "demo") is None)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise OSError('no space')", "no space"),
        ("from rugs_bus import BusError; raise BusError('no broker')", "no broker"),
    ],
)
def test_an_expected_failure_is_one_line(start: Start, body: str, reason: str) -> None:
    code, log = start(body).end()
    assert code == 1
    assert log[-1]["reason"] == reason
    assert "exception" not in log[-1]


def test_an_error_of_its_own_is_logged_with_its_place(start: Start) -> None:
    code, log = start("1 / 0").end()
    assert code == 1
    assert "ZeroDivisionError" in str(log[-1]["exception"])


def test_it_stops_when_its_supervisor_is_gone(tmp_path: Path, start: Start) -> None:
    theirs, ours = os.pipe()
    service = start(WAIT, theirs)
    os.close(theirs)
    wait_for(lambda: presence(tmp_path, "demo"))
    os.close(ours)
    code, log = service.end()
    assert code == 0
    assert any("supervisor is gone" in str(line["event"]) for line in log)


async def test_status_over_the_bus(nc: Client) -> None:
    assert await ask_status(nc, "some-service", seconds=0.2) is None
    told = {"error": None}
    await answer_status(nc, "some-service", lambda: told)
    answer = await ask_status(nc, "some-service")
    assert answer == {"service": "some-service", "pid": os.getpid(), "state": "running", "error": None}
    told |= {"error": "disk full", "state": "blocked"}  # type: ignore[dict-item]
    assert (await ask_status(nc, "some-service") or {})["state"] == "blocked"
    reply = await nc.request("rugs.api.some_service.status", timeout=1)
    assert json.loads(reply.data)["error"] == "disk full"
    await nc.publish("rugs.api.some_service.status")  # nobody to answer to: it goes on
    await asyncio.sleep(0)
    assert await ask_status(nc, "some-service") is not None
