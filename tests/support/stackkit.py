"""The stack in tests: `rugs` as users run it, the writer as a bare process, and waiting for the lake."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, Final, Self

from nats.aio.client import Client

import rugs_bus
import rugs_lake
from rugs_bus import StreamState
from rugs_bus.topology import stored_message
from rugs_lake import LakeError
from rugs_lake.read import stats
from rugs_lake.read.stats import CursorState
from rugs_proto.subjects import EVENTS_STREAM
from rugs_runtime.broker import Broker
from rugs_runtime.service import ask_status
from rugs_runtime.stack import running_stack

RUGS: Final = Path(sys.executable).with_name("rugs")
LIMIT: Final = 180.0 if os.environ.get("RUGS_CRASH_FULL") == "1" else 60.0
"""Seconds that anything may take before a test gives up; the whole crash matrix keeps a machine busy by itself."""


def clean_environment(**more: str) -> dict[str, str]:
    """Return this process's environment without settings of ours, and with `more`."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("RUGS_", "NATS_", "REPLAYER_"))}
    return {**kept, **more}


_SETTINGS: Final = {"RUGS_INGEST_PORT": "0", "RUGS_INDEXER_ENABLED": "false"}


class Rugs:
    """The command `rugs` on a data folder of its own, with a broker on a free port.

    Its stack has no indexer unless `settings` ask for one: it would take a core from what is tested.
    """

    def __init__(self, root: Path, **settings: str) -> None:
        self.root = root
        self.environment = clean_environment(RUGS_DATA_DIR=str(root), RUGS_BROKER_PORT="0", **(_SETTINGS | settings))

    def __call__(
        self, *arguments: str | Path, given: bytes = b"", **settings: str
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [RUGS, *arguments],
            env={**self.environment, **settings},
            input=given,
            capture_output=True,
            check=False,
            timeout=LIMIT * 2,
        )

    def json(self, *arguments: str | Path) -> Any:
        """Run a command with `--json`, which must succeed; return what it prints."""
        done = self(*arguments, "--json")
        assert done.returncode == 0, (done.stdout, done.stderr)
        return json.loads(done.stdout)

    def select(self, query: str) -> list[dict[str, Any]]:
        """Ask `rugs sql`."""
        rows: list[dict[str, Any]] = self.json("sql", query)
        return rows

    @property
    def url(self) -> str:
        """Where the running stack's broker is."""
        info = running_stack(self.root)
        assert info is not None
        return info.nats_url

    @asynccontextmanager
    async def bus(self) -> AsyncIterator[Client]:
        """Connect to the running stack's broker."""
        async with connected(self.url) as nc:
            yield nc


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Client]:
    """Connect to a broker while the body runs."""
    nc = await rugs_bus.connect(url, name="test")
    try:
        yield nc
    finally:
        await nc.close()


def cursor(root: Path) -> CursorState | None:
    """Return how far the lake has come; None before there is one."""
    with suppress(LakeError):
        return next((each for each in stats.cursors(root) if each.stream == EVENTS_STREAM), None)
    return None


async def caught_up(nc: Client, root: Path) -> StreamState:
    """Return when the lake has taken all that the stream holds now, which is the answer."""
    upto = (await rugs_bus.stream_state(nc)).last_seq

    async def taken() -> bool:
        at, state = cursor(root), await rugs_bus.stream_state(nc)
        return at is not None and at.incarnation == state.incarnation and at.last_seq >= upto

    await until(taken)
    return await rugs_bus.stream_state(nc)


async def last_of(nc: Client, subject: str) -> int:
    """Return the sequence of the last message on a subject; where there is none, what is before the first of all."""
    last = await stored_message(nc, EVENTS_STREAM, {"last_by_subj": subject})
    return last.seq if last is not None else (await rugs_bus.stream_state(nc)).first_seq - 1


async def until(condition: Callable[[], Awaitable[object] | object], limit: float = LIMIT) -> None:
    """Return when the condition holds."""
    async with asyncio.timeout(limit):
        while True:
            found = condition()
            if await found if isinstance(found, Awaitable) else found:
                return
            await asyncio.sleep(0.02)


async def publish(nc: Client, subject: str, body: bytes, headers: Mapping[str, str] | None = None) -> int:
    """Publish as the stock command line does with `--jetstream`; return the sequence."""
    reply = await nc.request(subject, body, timeout=20, headers=dict(headers or {}) or None)
    answer: dict[str, Any] = json.loads(reply.data)
    assert "error" not in answer, answer
    return int(answer["seq"])


def rows(root: Path, query: str) -> list[tuple[Any, ...]]:
    """Ask the lake, in this process."""
    with rugs_lake.open(root) as lake:
        return list(lake.sql(query).fetchall())


class Service:
    """A service as a process of its own, started, killed and paused by a test."""

    name: ClassVar[str]
    module: ClassVar[str]

    def __init__(self, root: Path, broker: Broker, **settings: str) -> None:
        self.root = root
        quick = {"RUGS_FLUSH_SECONDS": "0.05", "RUGS_LOG_LEVEL": "info"}
        self.environment = clean_environment(
            **{"NATS_URL": broker.url, "RUGS_DATA_DIR": str(root), **quick, **settings}
        )
        self.log_file = root.parent / f"{root.name}-{self.module}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **settings: str) -> Self:
        """Start it, with settings of this one start."""
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.module],
                env={**self.environment, **settings},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self

    @property
    def ended(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self.process.poll() if self.process is not None else None

    @property
    def is_paused(self) -> bool:
        """Whether every thread of it stands still."""
        return self.process is not None and stands_still(self.process.pid)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it with SIGKILL, and wait until it is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(LIMIT)

    def stop(self) -> int:
        """Ask it to end; return its exit code."""
        assert self.process is not None
        self.process.terminate()
        self.process.send_signal(signal.SIGCONT)
        return self.process.wait(LIMIT)

    @property
    def log(self) -> str:
        """All that it has logged, over all its lives."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    async def status(self, nc: Client) -> dict[str, Any]:
        """Return what it answers; nothing while it does not."""
        answer = await ask_status(nc, self.name) or {}
        return answer if self.process is not None and answer.get("pid") == self.process.pid else {}


class Writer(Service):
    """The parquet-writer."""

    name = "parquet-writer"
    module = "parquet_writer.main"


class Gateway(Service):
    """The capture-gateway."""

    name = "capture-gateway"
    module = "capture_gateway.main"


class Indexer(Service):
    """The indexer."""

    name = "indexer"
    module = "indexer.main"


def stands_still(pid: int) -> bool:
    """Whether every thread of a process is stopped; the signal alone does not wait for that."""
    states = set()
    for stat in Path("/proc").glob(f"{pid}/task/*/stat"):
        with suppress(OSError):
            states.add(stat.read_text().rpartition(")")[2].split()[0])
    return states == {"T"}


def wait(condition: Callable[[], object], limit: float = LIMIT) -> None:
    """Return when the condition holds, in a test that is not a coroutine."""
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)
