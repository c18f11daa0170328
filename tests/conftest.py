"""Fixtures shared by all tests: a real broker and a connection to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import nats
import pytest
import pytest_asyncio
from nats.aio.client import Client

from rugs_runtime.broker import Broker


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A nats-server of the test's own, on a free port, that fsyncs every message.

    `stop`, `kill` and `start` keep port and store; `signal(SIGSTOP)` pauses it.
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
    await client.close()
