"""The stack as users run it: `rugs up`, processes that die, `rugs down`."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from rugs_runtime.broker import Broker
from rugs_runtime.settings import Settings
from rugs_runtime.stack import Service, Stack, StackError, StackInfo, running_stack
from tests.conftest import Until
from tests.support.legacy_lines import GAME, start
from tests.support.stackkit import RUGS, clean_environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class Rugs:
    """The command on a data folder of its own, with a broker on a free port."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = clean_environment(
            RUGS_DATA_DIR=str(root), RUGS_BROKER_PORT="0", RUGS_INGEST_PORT="0", RUGS_STOP_TIMEOUT="20"
        )

    def __call__(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [RUGS, *arguments],
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=180,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [RUGS, *arguments], env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self("status", "--json").stdout)
        return found

    @property
    def info(self) -> StackInfo:
        info = running_stack(self.root)
        assert info is not None
        return info

    def pid(self, name: str) -> int | None:
        return next(process.pid for process in self.info.processes if process.name == name)


@pytest.fixture
def rugs(tmp_path: Path) -> Iterator[Rugs]:
    command = Rugs(tmp_path / "data")
    yield command
    command("down")


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not come about in time"
        time.sleep(0.02)


def gone(pid: int | None) -> bool:
    """Whether a process has ended; one that nobody has waited for yet counts."""
    try:
        return pid is None or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_up_status_down(rugs: Rugs) -> None:
    up = rugs("up", "--detach", "--json")
    assert up.returncode == 0, up.stderr
    info = json.loads(up.stdout)
    assert [process["name"] for process in info["processes"]] == [
        "nats-server",
        "parquet-writer",
        "capture-gateway",
        "indexer",
    ]
    found = rugs.status()
    assert found["ok"] is True
    assert found["broker"]["embedded"] is True
    assert found["broker"]["memory_bytes"] > 0
    assert [service["name"] for service in found["services"]] == ["parquet-writer", "capture-gateway", "indexer"]
    assert all(service["state"] == "running" and service["memory_bytes"] > 0 for service in found["services"])
    assert found["http_url"] == info["http_url"]
    assert socket.create_connection(("127.0.0.1", int(info["http_url"].rpartition(":")[2])), timeout=5)
    assert found["spools"] == []
    assert found["stream"]["messages"] == 0
    assert found["stream"]["max_bytes"] > 0
    assert found["lake"] == {"incarnation": found["stream"]["incarnation"], "last_seq": 0, "epoch": 1, "lag": 0}
    text = rugs("status").stdout
    assert all(word in text for word in ("broker", "parquet-writer", "capture-gateway", "stream", "lake"))

    for again in (rugs("up"), rugs("up", "--detach")):
        assert again.returncode == 1
        assert "already runs" in again.stderr

    pids = [info["pid"], *(process["pid"] for process in info["processes"])]
    down = rugs("down", "--json")
    stopped = {"stopped": True, "pid": info["pid"], "data_dir": str(rugs.root), "spools": []}
    assert json.loads(down.stdout) == stopped
    assert all(gone(pid) for pid in pids)
    assert rugs("status").returncode == 1


def test_what_dies_is_started_again(rugs: Rugs) -> None:
    rugs("up", "--detach")
    before = rugs.info
    for name in ("parquet-writer", "capture-gateway", "indexer", "nats-server"):
        kill_and_wait_for_the_next(rugs, name)
    wait_for(lambda: rugs.status()["ok"])
    assert rugs.info.nats_url == before.nats_url
    assert rugs.info.pid == before.pid
    assert [process.restarts for process in rugs.info.processes] == [1, 1, 1, 1]
    assert rugs.status()["services"][0]["error"] == "ended by SIGKILL"


def kill_and_wait_for_the_next(rugs: Rugs, name: str) -> None:
    old = rugs.pid(name)
    assert old is not None
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: rugs.pid(name) not in (None, old))


def test_a_killed_supervisor_blocks_nobody(rugs: Rugs) -> None:
    rugs("up", "--detach")
    writer, broker = rugs.pid("parquet-writer"), rugs.pid("nats-server")
    os.kill(rugs.info.pid, signal.SIGKILL)
    wait_for(lambda: running_stack(rugs.root) is None)
    wait_for(lambda: gone(writer))
    again = rugs("up", "--detach")
    assert again.returncode == 0, again.stderr
    assert gone(broker)
    assert rugs.status()["ok"] is True


def test_a_stack_starts_without_an_indexer_that_cannot_run(rugs: Rugs) -> None:
    store = rugs.root / "discovery" / "state.sqlite"
    store.parent.mkdir(parents=True)
    store.write_bytes(b"no database" * 1000)
    up = rugs("up", "--detach")
    assert up.returncode == 0, up.stderr
    found = rugs.status()
    assert [service["state"] for service in found["services"]][:2] == ["running", "running"]
    assert found["ok"] is False


def test_down_ends_what_a_killed_supervisor_left(rugs: Rugs) -> None:
    rugs("up", "--detach")
    broker = rugs.pid("nats-server")
    assert broker is not None
    os.kill(broker, signal.SIGSTOP)  # else it would end by itself
    os.kill(rugs.info.pid, signal.SIGKILL)
    assert json.loads(rugs("down", "--json").stdout)["stopped"] is True
    assert gone(broker)


def test_down_stops_also_what_is_paused(rugs: Rugs) -> None:
    rugs.environment["RUGS_STOP_TIMEOUT"] = "3"
    rugs("up", "--detach")
    pids = [rugs.info.pid, rugs.pid("parquet-writer"), rugs.pid("nats-server")]
    for pid in pids:
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
    assert rugs("down").returncode == 0
    assert all(gone(pid) for pid in pids)


def test_a_killed_import_leaves_no_importer(rugs: Rugs, tmp_path: Path) -> None:
    path = tmp_path / f"game_20981231_220000_{GAME[-8:]}.jsonl"
    path.write_bytes(start() + b"\n")
    rugs("up", "--detach")
    writer = rugs.pid("parquet-writer")
    assert writer is not None
    os.kill(writer, signal.SIGSTOP)  # what the importer waits for does not come
    try:
        importing = rugs.start("import", str(path), "--wait")
        wait_for(lambda: any(is_importer(child) for child in psutil.Process(importing.pid).children()))
        (importer,) = psutil.Process(importing.pid).children()
        importing.kill()
        wait_for(lambda: gone(importer.pid))
        importing.communicate()
    finally:
        os.kill(writer, signal.SIGCONT)


def is_importer(process: psutil.Process) -> bool:
    """Whether it watches its lifeline already: its log and its connection are there then."""
    return any(connection.raddr for connection in process.net_connections())


def test_interrupt_stops_the_stack_in_front(rugs: Rugs) -> None:
    up = rugs.start("up", "--json")
    assert up.stdout is not None
    info = json.loads(up.stdout.readline())
    assert info["state"] == "running"
    up.send_signal(signal.SIGINT)
    _, log = up.communicate(timeout=30)
    assert up.returncode == 0, log
    assert all(gone(process["pid"]) for process in info["processes"])


@pytest.mark.parametrize("options", [[], ["--detach"]])
def test_a_wrong_nats_url_is_one_line(rugs: Rugs, options: list[str]) -> None:
    up = rugs("up", *options, NATS_URL="nats://127.0.0.1:1", RUGS_CONNECT_TIMEOUT="0.5")
    assert up.returncode == 1
    (line,) = up.stderr.splitlines()
    assert "nats://127.0.0.1:1" in line
    assert "NATS_URL" in line


def test_a_port_that_is_taken_is_named_with_its_setting(rugs: Rugs) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        up = rugs("up", "--detach", RUGS_BROKER_PORT=port)
        assert up.returncode == 1
        assert f"port {port} is taken" in up.stderr
        assert "RUGS_BROKER_PORT" in up.stderr
        up = rugs("up", "--detach", RUGS_INGEST_PORT=port)  # the other sources work all the same
        assert up.returncode == 0
        assert re.search(rf"http: .*:{port}.*RUGS_INGEST_PORT", up.stderr)
        assert f"running at {rugs.info.nats_url}" in up.stdout


def test_with_a_broker_of_somebody_else(rugs: Rugs, broker: Broker) -> None:
    rugs.environment["NATS_URL"] = broker.url
    rugs("up", "--detach")
    found = rugs.status()
    assert found["ok"] is True
    assert found["broker"]["embedded"] is False
    assert [process.name for process in rugs.info.processes] == ["parquet-writer", "capture-gateway", "indexer"]
    rugs("down")
    assert broker.pid is not None


TOY = """
import asyncio, os, signal, sys
import rugs_bus
from rugs_runtime import service
from rugs_runtime.settings import CommonSettings

async def work(settings, stop):
    nc = await rugs_bus.connect(settings.broker_url, name="toy")
    await service.answer_status(nc, "toy", dict)
    {body}

sys.exit(service.main("toy", work, CommonSettings))
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Stack]:
    """A stack of the broker and one small service, in this process; its body is given."""
    monkeypatch.setenv("RUGS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("RUGS_STOP_TIMEOUT", "0.5")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delenv("NATS_URL", raising=False)

    def make(body: str) -> Stack:
        (tmp_path / "toy.py").write_text(TOY.format(body=body))
        return Stack(Settings.load(), services=[Service("toy", "toy")], port=0)

    return make


def process_of(root: Path, name: str) -> Any:
    info = running_stack(root)
    assert info is not None
    return next(process for process in info.processes if process.name == name)


async def test_a_superseded_service_is_left_stopped(toy: Callable[[str], Stack], tmp_path: Path, until: Until) -> None:
    stack = toy("await asyncio.sleep(1); return 3")
    await stack.start()
    try:
        await until(lambda: process_of(tmp_path / "data", "toy").state == "superseded")
        assert process_of(tmp_path / "data", "toy").restarts == 0
    finally:
        await stack.stop()


async def test_a_service_that_does_not_end_is_killed(toy: Callable[[str], Stack], tmp_path: Path) -> None:
    stack = toy("await asyncio.sleep(600)")
    await stack.start()
    pid = process_of(tmp_path / "data", "toy").pid
    await stack.stop()
    assert gone(pid)


async def test_a_service_that_does_not_start_is_told_why(toy: Callable[[str], Stack], tmp_path: Path) -> None:
    stack = toy("raise OSError('the disk is gone')")
    with pytest.raises(StackError, match=r"toy does not start: .*the disk is gone"):
        await stack.start()
    assert running_stack(tmp_path / "data") is None
    assert Broker(tmp_path / "data" / "state" / "broker").leftover() is None


async def test_one_stack_on_a_data_folder(toy: Callable[[str], Stack]) -> None:
    stack, rival = toy("await stop.wait(); return 0"), toy("await stop.wait(); return 0")
    await stack.start()
    try:
        with pytest.raises(StackError, match="already runs"):
            await rival.start()
        assert running_stack(Settings.load().data_dir) is not None
    finally:
        await stack.stop()
    await rival.start()
    await rival.stop()
