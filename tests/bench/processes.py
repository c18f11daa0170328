"""Processes that are measured: what they cost in CPU time, and how large they grew."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import psutil

from rugs_lake import LakeError
from rugs_lake.read.stats import cursors
from rugs_runtime.broker import Broker

REPOSITORY: Final = Path(__file__).parents[2]
_LOOK_AGAIN: Final = 0.01
_START_SECONDS: Final = 60.0
_END_SECONDS: Final = 60.0


class Usage(NamedTuple):
    """CPU seconds so far, and the most memory ever resident (VmHWM), in bytes."""

    cpu: float
    peak: int


def usage(pid: int) -> Usage | None:
    """Return what a process has used; None once it is gone."""
    try:
        times = psutil.Process(pid).cpu_times()
        status = Path(f"/proc/{pid}/status").read_text()
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return None
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return Usage(times.user + times.system, int(line.split()[1]) * 1024)
    return None  # a zombie has no memory


def busy() -> float:
    """Return the CPU seconds that this machine has worked so far, or was kept from working by its host."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)


class Ended(NamedTuple):
    """A process that has ended by itself: its output, wall and CPU seconds, peak memory in bytes."""

    output: str
    seconds: float
    cpu: float
    peak: int


def run(*command: str, environment: Mapping[str, str] | None = None) -> Ended:
    """Run `python COMMAND` to its end, and watch it.

    Raises:
        RuntimeError: if its exit code is not 0.
    """
    began = time.monotonic()
    with _start(command, environment, stdin=subprocess.DEVNULL) as process:
        last = Usage(0.0, 0)
        while process.poll() is None:
            last = usage(process.pid) or last
            time.sleep(_LOOK_AGAIN)
        assert process.stdout is not None
        output = process.stdout.read()
    seconds = time.monotonic() - began
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with exit code {process.returncode}: {output[-500:]}")
    return Ended(output, seconds, last.cpu, last.peak)


def _start(command: Sequence[str], environment: Mapping[str, str] | None, *, stdin: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=REPOSITORY,
        env={**os.environ, **(environment or {})},
        stdin=stdin,
        stdout=subprocess.PIPE,
        text=True,
    )


class Partner:
    """A process of the bench that is spoken to: a line in starts a step, a line of JSON says it is done."""

    def __init__(self, *command: str) -> None:
        self._process = _start(command, None, stdin=subprocess.PIPE)
        self.pid = self._process.pid

    def tell(self) -> None:
        """Let it go on."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """Wait for what it says next.

        Raises:
            RuntimeError: if it ends instead.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a process of the bench ended with exit code {self._process.wait()}")
        told: dict[str, Any] = json.loads(line)
        return told

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is not None:
            self._process.kill()
        self._process.communicate()


class Stack:
    """A broker and, once started, a parquet-writer, on a data folder of their own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.broker = Broker(root / "state" / "broker")
        self.broker.start()
        self.environment = {"NATS_URL": self.broker.url, "RUGS_DATA_DIR": str(root), "RUGS_LOG_LEVEL": "warning"}
        self._writer: subprocess.Popen[str] | None = None

    def start_writer(self, **settings: str) -> None:
        """Start the parquet-writer, as it ships but for what `settings` say."""
        command = ("-m", "parquet_writer.main")
        self._writer = _start(command, {**self.environment, **settings}, stdin=subprocess.DEVNULL)

    def wait_for_writer(self) -> None:
        """Return when the writer has its place in the lake.

        Raises:
            RuntimeError: if it has not within a minute.
        """
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            with suppress(LakeError):
                if cursors(self.root):
                    return
            time.sleep(_LOOK_AGAIN)
        raise RuntimeError("the parquet-writer did not start")

    def used(self) -> dict[str, Usage]:
        """Return what each process has used."""
        pids = {"broker": self.broker.pid, "writer": self._writer.pid if self._writer is not None else None}
        found = {name: usage(pid) for name, pid in pids.items() if pid is not None}
        return {name: used for name, used in found.items() if used is not None}

    def stop(self) -> None:
        """Stop both; what was published is committed first."""
        if self._writer is not None:
            self._writer.terminate()
            self._writer.communicate(timeout=_END_SECONDS)
        self.broker.stop()


@contextmanager
def stack(root: Path) -> Iterator[Stack]:
    """Give a stack with its broker running; stop it in the end."""
    running = Stack(root)
    try:
        yield running
    finally:
        running.stop()
