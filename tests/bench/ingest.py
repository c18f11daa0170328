"""What ingest takes a second: ``python -m tests.bench.ingest``."""

from __future__ import annotations

import asyncio
import itertools
import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final

import aiohttp
import zstandard

from rugs_bus import connect, ensure_streams
from rugs_capture.ingest.reading import Desk, read
from rugs_capture.ingest.terms import Kind, Terms
from rugs_runtime.broker import Broker
from tests.support.clientkit import STREAMS
from tests.support.ingestkit import LINES, DoorProcess, bus_door

TRADE: Final = {"event": "standard/newTrade", "data": {"gameId": "g-1", "price": 1.5, "tickIndex": 7, "type": "buy"}}
STATE: Final = {
    "event": "gameStateUpdate",
    "data": {
        "gameId": "g-1",
        "price": 1.5,
        "tickCount": 7,
        "leaderboard": [{"id": f"did:privy:{n}", "username": f"user{n}", "pnl": n * 1.234567} for n in range(110)],
    },
}
EVENTS: Final = {"120 B": (json.dumps(TRADE).encode(), 20_000), "7 KB": (json.dumps(STATE).encode(), 4_000)}


def main() -> None:
    """Print events a second, and milliseconds until an answer says that they are safe."""
    print("Reading alone, in one process")
    for size, (line, count) in EVENTS.items():
        body = b"\n".join([line] * count)
        desk = Desk("bench", itertools.count(1).__next__, 1_763_700_000_000_000)
        began = time.perf_counter()
        taken = sum(1 for _ in read(body, Terms(kind=Kind.LINES), desk))
        print(f"  {size:>6}: {(time.perf_counter() - began) / taken * 1e6:6.1f} µs an event")
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(Path(folder) / "broker")
        broker.start()
        try:
            asyncio.run(_measure(broker.url, Path(folder)))
        finally:
            broker.kill()


async def _measure(url: str, folder: Path) -> None:
    nc = await connect(url, name="bench")
    await ensure_streams(nc, STREAMS)
    door = await asyncio.to_thread(DoorProcess, url, folder / "spool")
    print("POST /ingest, one client, the door and the broker beside it; safe at the broker, fsynced")
    try:
        async with aiohttp.ClientSession() as client:

            async def post(body: bytes, headers: dict[str, str]) -> None:
                async with client.post(f"{door.url}/ingest", data=body, headers=headers) as response:
                    assert response.status == 200, await response.text()
                    await response.read()

            for size, (line, count) in EVENTS.items():
                for a_body in (1, 100, 1000):
                    body = b"\n".join([line] * a_body)
                    rounds = max(3, min(300, count // a_body // 2))
                    await _timed(f"{size}, {a_body} a body", a_body, rounds, partial(post, body, LINES))
                packed = LINES | {"Content-Encoding": "zstd"}
                body = zstandard.compress(b"\n".join([line] * 1000))
                await _timed(f"{size}, 1000, zstd", 1000, 5, partial(post, body, packed))
    finally:
        door.kill()
    print("nats req rugs.ingest.ws, one after the other")
    async with bus_door(url, folder / "bus"):
        for size, (line, _) in EVENTS.items():
            await _timed(size, 1, 300, partial(nc.request, "rugs.ingest.ws", line, timeout=10))
    await nc.close()


async def _timed(what: str, events: int, rounds: int, work: Callable[[], Awaitable[object]]) -> None:
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        await work()
        took.append(time.perf_counter() - began)
    took.sort()
    rate, median, slow = events * rounds / sum(took), took[rounds // 2], took[int(rounds * 0.99)]
    print(f"  {what:>20}: {rate:9,.0f} events/s   median {median * 1e3:7.1f} ms   p99 {slow * 1e3:7.1f} ms")


if __name__ == "__main__":
    main()
