"""The broker's address, tried with real servers: passwords of any kind, lists, TLS, WebSocket, and what is refused."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

import rugs_bus
from rugs_bus import BusError, ensure_streams
from rugs_client import Publisher
from rugs_runtime.broker import find_server
from tests.support.clientkit import STREAMS, flush
from tests.support.seenserver import CERTIFICATE
from tests.support.stackkit import wait

pytestmark = pytest.mark.slow

USER, PASSWORD, TOKEN = "rec@order", "p@ss/w:rd#1?%", "t@k/en"
LOGIN = f"{quote(USER, safe='')}:{quote(PASSWORD, safe='')}"
JETSTREAM = 'jetstream { store_dir: "FOLDER/store" }\n'
AUTHORIZATION = f"authorization {{ user: {json.dumps(USER)}, password: {json.dumps(PASSWORD)} }}\n"
TLS = f'tls {{ cert_file: "{CERTIFICATE}", key_file: "{CERTIFICATE}" }}\n'
WEBSOCKET = 'websocket { listen: "127.0.0.1:-1", no_tls: true }\n'


@contextmanager
def serving(folder: Path, config: str) -> Iterator[dict[str, list[str]]]:
    """Run a nats-server with a configuration while the body runs; give its addresses by kind."""
    folder.mkdir()
    head = f'listen: "127.0.0.1:-1"\nports_file_dir: "{folder}"\nmax_payload: 8MB\n'
    (folder / "nats.conf").write_text(head + config.replace("FOLDER", str(folder)))
    with subprocess.Popen([find_server(), "-c", folder / "nats.conf"], stderr=subprocess.DEVNULL) as server:
        try:
            wait(lambda: [*folder.glob("*.ports")])
            [ports] = folder.glob("*.ports")
            wait(lambda: ports.read_text().endswith("}"))
            found: dict[str, list[str]] = json.loads(ports.read_text())
            yield {kind: [url.partition("://")[2] for url in urls or []] for kind, urls in found.items()}
        finally:
            server.kill()


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port that nobody listens on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


async def works(url: str) -> None:
    nc = await rugs_bus.connect(url, name="test", timeout=20)
    try:
        await ensure_streams(nc, STREAMS)
    finally:
        await nc.close()


async def refused(url: str, says: str) -> None:
    with pytest.raises(BusError) as error:
        await works_soon(url)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert not any(secret in str(error.value) for secret in ("p@ss", "p%40ss", "rd#1", "rd%231", "hunter2", TOKEN))


async def works_soon(url: str) -> None:
    nc = await rugs_bus.connect(url, name="test", timeout=1)
    try:
        await rugs_bus.stream_state(nc)
    finally:
        await nc.close()


async def test_any_password_lists_tls_and_websocket(
    tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    with serving(tmp_path / "user", JETSTREAM + AUTHORIZATION + WEBSOCKET) as user:
        [place], [ws] = user["nats"], user["websocket"]
        await works(f"nats://{LOGIN}@{place}")
        await works(f"nats://{USER}:{PASSWORD}@{place}")
        await works(f"nats://{LOGIN}@127.0.0.1:{free_port},{place}")
        await works(f"ws://{LOGIN}@{ws}")
        await refused(f"nats://{place}", "refuses this user")
        await refused(f"nats://{quote(USER)}:hunter2@{place}", f"nats://***@{place} refuses this user")
        await refused(f"tls://{LOGIN}@{place}", "does not ask for TLS")
        await refused(f"ws://{LOGIN}@{place}", "no NATS server answers at ws://***@")
        await refused(f"nats://{USER}:{PASSWORD}", "a NATS address has no path")
        publisher = Publisher(f"nats://{USER}:{PASSWORD}@{place}", source="bot", spool_dir=tmp_path / "spool")
        publisher.publish("note")
        assert await flush(publisher)
        await asyncio.to_thread(publisher.close)
    with serving(tmp_path / "token", f"{JETSTREAM}{TLS}authorization {{ token: {json.dumps(TOKEN)} }}\n") as token:
        [place] = token["nats"]
        await works(f"tls://{quote(TOKEN, safe='')}@{place}")
        await works(f"nats://{TOKEN}@{place}")
        await refused(f"tls://hunter2@{place}", "refuses this user")
        monkeypatch.delenv("SSL_CERT_FILE")
        await refused(f"tls://{quote(TOKEN, safe='')}@{place}", "SSL_CERT_FILE names the file")
    await refused(
        f"nats://{LOGIN}@127.0.0.1:{free_port}", f"no NATS server answers at nats://***@127.0.0.1:{free_port}"
    )


async def test_a_server_without_jetstream_is_named_at_once(tmp_path: Path) -> None:
    with serving(tmp_path / "bare", "") as bare:
        [place] = bare["nats"]
        await refused(f"nats://{place}", "has no JetStream, which keeps the events: start it with `-js`")
    config = f"{JETSTREAM}accounts {{ A {{ users: [{{user: a, password: hunter2}}] }} }}\n"
    with serving(tmp_path / "account", config) as account:
        [place] = account["nats"]
        await refused(f"nats://a:hunter2@{place}", "has no JetStream")
