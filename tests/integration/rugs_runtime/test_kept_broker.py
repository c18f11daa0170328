"""The broker kept running by its keeper: whatever is the matter with its binary, its port or its folder."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rugs_runtime.broker import Broker, find_server
from rugs_runtime.keeper import Keeper
from rugs_runtime.kept_broker import KeptBroker
from tests.support.stackkit import connected, until

pytestmark = pytest.mark.slow


@contextmanager
def missing(binary: Path, folder: Path) -> Iterator[None]:
    away = binary.rename(binary.with_suffix(".away"))
    yield
    away.rename(binary)


@contextmanager
def garbage(binary: Path, folder: Path) -> Iterator[None]:
    with missing(binary, folder):
        binary.write_bytes(b"\x7fELF, or so it says")
        binary.chmod(0o755)
        yield


@contextmanager
def not_executable(binary: Path, folder: Path) -> Iterator[None]:
    binary.chmod(0o644)
    yield
    binary.chmod(0o755)


@contextmanager
def being_written(binary: Path, folder: Path) -> Iterator[None]:
    with missing(binary, folder):
        shutil.copy(find_server(), binary)
        with binary.open("ab"):  # "text file busy"
            yield


@contextmanager
def a_folder_for_a_file(binary: Path, folder: Path) -> Iterator[None]:
    output = folder / "nats-server.out.log"
    output.unlink()
    output.mkdir()
    yield
    output.rmdir()


FAULTS = (missing, garbage, not_executable, being_written, a_folder_for_a_file)


async def test_a_broker_that_cannot_be_started_is_tried_again_until_it_can(tmp_path: Path) -> None:
    binary, folder = tmp_path / "nats-server", tmp_path / "broker"
    shutil.copy(find_server(), binary)
    broker = KeptBroker(folder, 0, server=binary)
    keeper = Keeper(broker, first_pause=0.05, longest_pause=0.1)
    keeper.begin()
    await keeper.started()
    url = broker.url
    try:
        for fault in FAULTS:
            pid = broker.pid
            assert pid is not None
            with fault(binary, folder):
                os.kill(pid, signal.SIGKILL)
                await until(lambda: keeper.state == "restarting" and keeper.info.error != "ended by SIGKILL")
                assert keeper.info.error, fault
            await until(lambda: keeper.state == "running" and broker.pid)
            assert broker.url == url
            async with connected(url):
                pass
    finally:
        await keeper.stop(10)
    assert broker.pid is None


async def test_a_port_that_another_program_took_meanwhile_is_waited_for(tmp_path: Path) -> None:
    broker = KeptBroker(tmp_path / "broker", 0)
    keeper = Keeper(broker, first_pause=0.05, longest_pause=0.1)
    keeper.begin()
    await keeper.started()
    port = int(broker.url.rpartition(":")[2])
    try:
        pid = broker.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        with socket.socket() as rival:
            rival.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            await until(lambda: not _bind(rival, port))
            await until(lambda: f"port {port} is taken" in str(keeper.info.error))
        await until(lambda: keeper.state == "running" and broker.pid)
    finally:
        await keeper.stop(10)


def _bind(rival: socket.socket, port: int) -> OSError | None:
    try:
        rival.bind(("127.0.0.1", port))
        rival.listen()
    except OSError as error:
        return error
    return None


STARTER = """
import sys, time
from pathlib import Path
from rugs_runtime.broker import Broker
broker = Broker(Path(sys.argv[1]))
broker.start()
print(broker.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a process to another")
async def test_a_broker_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STARTER, str(tmp_path / "broker")]
    starter = await asyncio.to_thread(subprocess.Popen, command, stdout=subprocess.PIPE)
    assert starter.stdout is not None
    pid = int(await asyncio.to_thread(starter.stdout.readline))
    assert Broker(tmp_path / "broker").leftover() == pid
    starter.kill()
    starter.wait()
    await until(lambda: Broker(tmp_path / "broker").leftover() is None)
    again = Broker(tmp_path / "broker")
    again.start()
    again.kill()
