"""Tests of ingest: doors that are open for as long as a test needs them, and one that is a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp

from rugs_capture.ingest.bus import BusDoor
from rugs_capture.ingest.http import HttpDoor
from rugs_capture.supervise import Supervised
from rugs_capture.tap import Tap
from rugs_client import Publisher
from tests.support.sourcekit import kept

REPOSITORY: Final = Path(__file__).parents[2]
JSON: Final = {"Content-Type": "application/json"}
LINES: Final = {"Content-Type": "application/x-ndjson"}


class Answer(NamedTuple):
    """What the door answered."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str]

    @property
    def ids(self) -> list[str]:
        return list(self.body["ids"])


class Open:
    """An HTTP door that is open, and a client before it."""

    def __init__(self, door: HttpDoor, publisher: Publisher, tap: Tap, client: aiohttp.ClientSession) -> None:
        self.door = door
        self.publisher = publisher
        self.tap = tap
        self.client = client
        self.url = str(door.url)

    async def post(self, data: Any, headers: dict[str, str] | None = None) -> Answer:
        async with self.client.post(f"{self.url}/ingest", data=data, headers=headers) as response:
            return Answer(response.status, await response.json(), dict(response.headers))


@contextlib.asynccontextmanager
async def http_door(
    url: str, spool_dir: Path, *, publisher: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[Open]:
    """A door on a free port, before a broker at `url`; with `settings`, and those of its `publisher`."""
    door = HttpDoor(port=0, **settings)
    async with Publisher(url, source="manual", spool_dir=spool_dir, **(publisher or {})) as sink:
        tap = Tap(sink, "manual")
        task = asyncio.create_task(door.run(tap))
        try:
            async with asyncio.timeout(10):
                while not tap.serving:
                    assert not task.done(), task
                    await asyncio.sleep(0.005)
            async with aiohttp.ClientSession() as client:
                yield Open(door, sink, tap, client)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def bus_door(url: str, spool_dir: Path, **settings: Any) -> AsyncIterator[Supervised]:
    """A door on the bus that is kept open."""
    async with (
        Publisher(url, source="manual", spool_dir=spool_dir) as sink,
        kept(BusDoor(url, **settings), Tap(sink, "manual")) as supervised,
    ):
        async with asyncio.timeout(10):
            while supervised.state != "live":  # noqa: ASYNC110 (seen from outside)
                await asyncio.sleep(0.005)
        yield supervised


def lines(first: int, count: int, pad: int = 0) -> bytes:
    """Numbered events, one a line."""
    return b"".join(
        json.dumps({"event": "e", "data": {"n": n, "pad": "x" * pad}}).encode() + b"\n"
        for n in range(first, first + count)
    )


class DoorProcess:
    """A door that is a process: it says where it listens, and can be killed."""

    def __init__(self, broker_url: str, spool_dir: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.ingestkit", broker_url, str(spool_dir)],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()


async def _serve(url: str, spool_dir: str) -> None:
    async with http_door(url, Path(spool_dir), events_per_second=1e9, bytes_per_second=1e12) as opened:
        print(opened.url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    import structlog

    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(_serve(*sys.argv[1:]))
