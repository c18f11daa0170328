"""Ways to connect to a feed, seen by a real server, and the secrets in them, which the bus never sees."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

from rugs_capture import supervise
from rugs_capture.feed_address import FeedAddress, parse_feed
from rugs_capture.public import PublicFeed
from rugs_capture.supervise import Supervised
from rugs_capture.tap import Tap
from rugs_client import Publisher
from rugs_runtime.broker import Broker
from tests.conftest import Until
from tests.support.clientkit import stored
from tests.support.seenserver import CERTIFICATE, Proxy, SeenServer
from tests.support.sourcekit import kept
from tests.support.stackkit import Gateway

pytestmark = pytest.mark.slow

BASIC = "Basic " + b64encode(b"er:hunter2").decode()
SHAPES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("", {}, {"path": "/socket.io/", "namespace": ""}),
    ("/prices", {}, {"path": "/socket.io/", "namespace": "/prices"}),
    ("/prices", {"path": "/ws/feed"}, {"path": "/ws/feed/", "namespace": "/prices"}),
    ("/socket.io/?EIO=4&transport=websocket&x=1", {"namespace": "n"}, {"namespace": "/n", "query": [("x", "1")]}),
    ("/custom/socket.io/?token=hunter2", {}, {"path": "/custom/socket.io/", "query": [("token", "hunter2")]}),
    ("?token=hunter2", {"query": "a=%26+b&a=2"}, {"query": [("token", "hunter2"), ("a", "& b"), ("a", "2")]}),
    ("", {"auth": '{"token":"hunter2","n":1}'}, {"auth": {"token": "hunter2", "n": 1}}),
    ("/prices", {"auth": '{"jwt":{"in":"hunter2"}}'}, {"namespace": "/prices", "auth": {"jwt": {"in": "hunter2"}}}),
    (
        "",
        {"headers": "Origin: https://o\nUser-Agent: me\nCookie: sid=hunter2; b=c\nX-Api-Key: hunter2"},
        {"headers": {"Origin": "https://o", "User-Agent": "me", "Cookie": "sid=hunter2; b=c", "X-Api-Key": "hunter2"}},
    ),
]


@asynccontextmanager
async def capturing(address: FeedAddress, broker: Broker, folder: Path) -> AsyncIterator[Supervised]:
    publisher = Publisher(broker.url, source="public_ws", spool_dir=folder)
    try:
        async with kept(PublicFeed(address), Tap(publisher, "public_ws")) as source:
            yield source
    finally:
        await asyncio.to_thread(publisher.close)


async def test_the_server_sees_all_that_was_said_and_the_bus_no_secret_of_it(
    stream: Client, broker: Broker, tmp_path: Path, until: Until
) -> None:
    async with SeenServer.serving() as server:
        for index, (rest, options, expected) in enumerate(SHAPES):
            address = parse_feed(f"ws://127.0.0.1:{server.port}{rest}", **options)
            async with capturing(address, broker, tmp_path / str(index)) as source:
                await until(lambda: source.tap.seen is not None)
                assert "hunter2" not in json.dumps(source.status())
            seen = server.seen.pop()
            assert not server.seen
            assert seen.path == expected.get("path", "/socket.io/")
            own = [pair for pair in seen.query if pair[0] not in ("EIO", "transport", "t")]
            assert own == expected.get("query", [])
            assert {name: seen.headers.get(name) for name in expected.get("headers", {})} == expected.get("headers", {})
            namespace, _, payload = seen.connect.removeprefix("40").rpartition(",{")
            assert namespace == expected.get("namespace", "")
            assert json.loads("{" + payload.removeprefix("{")) == expected.get("auth", {})
    events = await stored(stream)
    assert {event.event for event in events} >= {"source_connected", "gameStateUpdate"}
    assert "hunter2" not in "".join(event.model_dump_json() for event in events)
    sent = [event.raw for event in events if event.direction == "sent" and str(event.raw).startswith("40")]
    assert '40{"token":"***","n":"***"}' in sent
    assert '40/prices,{"jwt":{"in":"***"}}' in sent


async def test_credentials_of_the_url_a_proxy_and_certificates(
    broker: Broker, tmp_path: Path, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervise, "FIRST_PAUSE", 0.05)
    numbers = iter(range(100))

    async def live(url: str, **options: Any) -> None:
        async with capturing(parse_feed(url, **options), broker, tmp_path / str(next(numbers))) as source:
            await until(lambda: source.tap.seen is not None)

    async def fails(says: str, url: str, **options: Any) -> None:
        async with capturing(parse_feed(url, **options), broker, tmp_path / str(next(numbers))) as source:
            await until(lambda: source.error is not None)
            assert source.error is not None
            assert says in source.error
            assert "hunter" not in source.error
            assert "\n" not in source.error

    async with SeenServer.serving() as plain, SeenServer.serving(over_tls=True) as tls, Proxy.serving(BASIC) as proxy:
        await live(f"http://er:hunter2@127.0.0.1:{plain.port}/prices?token=hunter2")
        assert plain.seen[-1].headers["Authorization"] == BASIC

        # Nobody trusts a certificate that is signed by itself, until its file is named.
        await fails("--ca-file", f"wss://er:hunter2@127.0.0.1:{tls.port}?token=hunter2")
        await live(f"wss://er:hunter2@127.0.0.1:{tls.port}", ca_file=CERTIFICATE)
        assert tls.seen[-1].headers["Authorization"] == BASIC
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
        await live(f"https://127.0.0.1:{tls.port}")
        await fails("TLS", f"https://127.0.0.1:{plain.port}?token=hunter2")

        # A proxy of the environment, over http and through a tunnel; NO_PROXY goes around it.
        monkeypatch.setenv("ALL_PROXY", f"http://er:hunter2@127.0.0.1:{proxy.port}")
        await live(f"ws://feed.invalid:{plain.port}?x=1")
        assert proxy.requests[-1].startswith(f"GET http://feed.invalid:{plain.port}/socket.io/?x=1")
        assert "Proxy-Authorization" not in plain.seen[-1].headers
        await live(f"wss://localhost:{tls.port}")
        assert proxy.requests[-1] == f"CONNECT localhost:{tls.port} HTTP/1.1"
        assert "Proxy-Authorization" not in tls.seen[-1].headers
        count = len(proxy.requests)
        monkeypatch.setenv("NO_PROXY", "127.0.0.0/8")
        await live(f"ws://127.0.0.1:{plain.port}")
        assert len(proxy.requests) == count

        for scheme in ("ws", "wss"):
            url = f"{scheme}://localhost:{tls.port}?token=hunter2"
            await fails(f"127.0.0.1:{proxy.port}", url, proxy=f"http://er:hunter3@127.0.0.1:{proxy.port}")
            await fails("no proxy answers at http://127.0.0.1:1", url, proxy="http://er:hunter2@127.0.0.1:1")


async def test_a_gateway_takes_all_of_it_from_its_settings(
    stream: Client, broker: Broker, tmp_path: Path, until: Until
) -> None:
    (tmp_path / "auth.json").write_text('{"token": "hunter2"}')
    async with SeenServer.serving(over_tls=True) as server:
        gateway = Gateway(
            tmp_path / "data",
            broker,
            RUGS_SOURCES="public",
            RUGS_FEED_URL=f"wss://u:hunter2@127.0.0.1:{server.port}/prices?token=hunter2",
            RUGS_FEED_PATH="/ws",
            RUGS_FEED_QUERY="key=hunter2",
            RUGS_FEED_HEADERS="Origin: https://o\nCookie: a=hunter2",
            RUGS_FEED_AUTH=f"@{tmp_path}/auth.json",
            RUGS_FEED_TRANSPORTS="websocket",
            RUGS_FEED_CA_FILE=str(CERTIFICATE),
            RUGS_LOG_LEVEL="debug",
        ).start()
        try:
            await until(lambda: bool(server.seen))
            status: dict[str, Any] = {}
            while not status.get("sources", [{}])[0].get("game"):
                status = await gateway.status(stream)
            assert "hunter2" not in json.dumps(status)
            assert status["sources"][0]["url"].startswith(f"https://127.0.0.1:{server.port}/prices?token=***&key=***")
        finally:
            assert gateway.stop() == 0
        [seen] = server.seen
    assert (seen.path, seen.connect) == ("/ws/", '40/prices,{"token":"hunter2"}')
    assert [pair for pair in seen.query if pair[1] == "hunter2"] == [("token", "hunter2"), ("key", "hunter2")]
    assert (seen.headers["Cookie"], seen.headers["Origin"]) == ("a=hunter2", "https://o")
    assert "hunter2" not in gateway.log + "".join(event.model_dump_json() for event in await stored(stream))
    gateway.start(RUGS_FEED_HEADERS="hunter2")
    await until(lambda: gateway.ended is not None)
    assert gateway.ended == 1
    last = json.loads(gateway.log.splitlines()[-1])
    assert last["reason"] == "RUGS_FEED_HEADERS: not a header: write `Name: value`, one a line"
