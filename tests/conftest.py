"""Fixtures shared by all tests: a real broker and a connection to it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from pathlib import Path
from typing import Final

import nats
import pytest
import pytest_asyncio
from hypothesis import settings
from nats.aio.client import Client

from rugs_bus import ensure_streams
from rugs_runtime.broker import Broker
from tests.support.clientkit import STREAMS
from tests.support.stackkit import stands_still

for _name in [name for name in os.environ if name.lower().endswith("_proxy") or name == "SSL_CERT_FILE"]:
    del os.environ[_name]  # what tests connect to is on this machine

# A machine that is busy with something else is not a bug. `tests.support.examples` scales what tests ask for.
settings.register_profile("full", deadline=None, print_blob=True, max_examples=100)
settings.register_profile("fast", settings.get_profile("full"), max_examples=15)
settings.load_profile("full")  # `--hypothesis-profile=fast` comes later, and wins

_STARTS: Final = frozenset({"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn"})
_MAY_START: Final = ("slow", "crash", "matrix")
_fast_test: str | None = None
"""The test that runs now, if it may not start processes."""


def _refuse_processes(event: str, _: tuple[object, ...]) -> None:
    if event in _STARTS and _fast_test is not None:
        raise RuntimeError(f"{_fast_test} starts a process: mark it slow")


sys.addaudithook(_refuse_processes)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let only tests that are marked as slow start processes."""
    global _fast_test
    _fast_test = None if any(map(item.get_closest_marker, _MAY_START)) else item.nodeid
    try:
        return (yield)
    finally:
        _fast_test = None


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A nats-server of the test's own, on a free port, that fsyncs every message.

    `stop`, `kill` and `start` keep port and store; the fixture `pause` pauses it,
    and `signal(SIGCONT)` lets it go on.
    """
    broker = Broker(tmp_path / "broker")
    broker.start()
    yield broker
    broker.kill()


@pytest_asyncio.fixture
async def nc(broker: Broker) -> AsyncIterator[Client]:
    """A plain connection to `broker`; it reconnects for ever."""

    async def quiet(_: Exception) -> None:
        """Losing the broker is what many tests are about."""

    client = await nats.connect(
        broker.url, max_reconnect_attempts=-1, reconnect_time_wait=0.05, ping_interval=1, error_cb=quiet
    )
    yield client
    broker.signal(signal.SIGCONT)  # closing talks to the broker
    await client.close()


@pytest_asyncio.fixture
async def stream(nc: Client) -> Client:
    """The same connection, to a broker that has the streams."""
    await ensure_streams(nc, STREAMS)
    return nc


Until = Callable[[Callable[[], bool]], Awaitable[None]]
Pause = Callable[[], Awaitable[None]]


@pytest.fixture
def until() -> Until:
    """`await until(condition)` returns when the condition holds; after 20 s it fails."""

    async def wait(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 (conditions are seen from outside)
                await asyncio.sleep(0.01)

    return wait


@pytest.fixture
def pause(broker: Broker, until: Until) -> Pause:
    """`await pause()` returns when every thread of the broker stands still."""

    async def pause() -> None:
        broker.signal(signal.SIGSTOP)
        pid = broker.pid
        assert pid is not None
        await until(lambda: stands_still(pid))

    return pause
