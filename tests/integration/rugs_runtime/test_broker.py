"""The embedded nats-server: starts, is found again, never shares its folder."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import nats
import pytest

from rugs_proto.subjects import MAX_PAYLOAD
from rugs_runtime.broker import Broker, BrokerError

pytestmark = pytest.mark.slow


async def test_is_ready_when_start_returns(broker: Broker) -> None:
    client = await nats.connect(broker.url)
    account = await client.jetstream().account_info()
    assert account.streams == 0
    assert client.max_payload == MAX_PAYLOAD
    await client.close()


async def test_listens_on_loopback_only(broker: Broker) -> None:
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.2", broker.port), timeout=1)


def test_keeps_its_port_when_it_starts_again(broker: Broker) -> None:
    port, first = broker.port, broker.pid
    broker.stop()
    assert broker.pid is None
    assert broker.exit_code is not None
    broker.start()
    assert broker.port == port
    assert broker.pid != first


def test_a_second_server_on_the_same_folder_is_refused(broker: Broker) -> None:
    with pytest.raises(BrokerError, match=f"pid {broker.pid}"):
        Broker(broker.folder).start()
    assert broker.leftover() == broker.pid
    broker.kill()
    assert broker.leftover() is None


def test_stop_ends_a_paused_server(broker: Broker) -> None:
    broker.signal(signal.SIGSTOP)
    broker.stop(timeout=5)
    assert broker.pid is None


def test_says_why_it_cannot_start(tmp_path: Path, broker: Broker) -> None:
    rival = Broker(tmp_path / "rival", port=broker.port)
    with pytest.raises(BrokerError, match=f"port {broker.port} is taken .*RUGS_BROKER_PORT"):
        rival.start(timeout=20)
    assert rival.pid is None


def test_any_folder_name_will_do(tmp_path: Path) -> None:
    odd = Broker(tmp_path / 'a "quoted" $name \\ é')
    odd.start()
    try:
        assert (odd.folder / "jetstream").is_dir()
    finally:
        odd.kill()
