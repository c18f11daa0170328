"""Doors killed again and again while clients send: all that was accepted is stored, and what came twice once."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path

import aiohttp
import pytest
from nats.aio.client import Client

from rugs_bus import ensure_streams
from rugs_client import Publisher
from rugs_proto import decode
from rugs_runtime.broker import Broker
from tests.support.clientkit import STREAMS, flush, messages
from tests.support.ingestkit import LINES, DoorProcess, lines

pytestmark = [pytest.mark.slow, pytest.mark.crash]

KILLS = 5
BATCH = 20


class Doors:
    """One door after the other, on the same spool."""

    def __init__(self, broker: Broker, spool_dir: Path) -> None:
        self._where = (broker.url, spool_dir)
        self.now = DoorProcess(*self._where)
        self.over = False

    async def kill(self) -> None:
        self.now.kill()
        self.now = await asyncio.to_thread(DoorProcess, *self._where)


async def client(doors: Doors, name: str, answers: list[str]) -> int:
    """Send batch after batch, each until it is accepted, and count them."""
    batches = 0
    async with aiohttp.ClientSession() as session:
        while not doors.over:
            told = LINES | {"Rugs-Session": name, "Idempotency-Key": f"{name} {batches}"}
            body = lines(batches * BATCH, BATCH)
            try:
                async with session.post(f"{doors.now.url}/ingest", data=body, headers=told) as response:
                    if response.status == 200:
                        answers += (await response.json())["ids"]
                        batches += 1
            except aiohttp.ClientError:  # killed: it may have taken the batch, or not
                await asyncio.sleep(0.01)
    return batches


async def test_doors_killed_while_clients_send(nc: Client, broker: Broker, tmp_path: Path) -> None:
    await ensure_streams(nc, STREAMS)
    doors = await asyncio.to_thread(Doors, broker, tmp_path / "spool")
    answers: list[str] = []
    clients = [asyncio.create_task(client(doors, name, answers)) for name in ("one", "two")]
    chance = random.Random(4)
    for number in range(KILLS):
        await asyncio.sleep(chance.uniform(0.1, 0.5))
        if number == KILLS // 2:
            broker.kill()
            await asyncio.sleep(0.2)
        await doors.kill()
        if number == KILLS // 2:
            broker.start()
    await asyncio.sleep(0.3)
    doors.over = True
    batches = await asyncio.gather(*clients)
    doors.now.kill()
    async with Publisher(broker.url, source="manual", spool_dir=tmp_path / "spool") as successor:
        assert await flush(successor)
    stored = {e.id: e for message in await messages(nc) for e in decode(message.body) if e.event == "e"}
    assert set(answers) <= stored.keys(), "accepted is stored"
    for name, count in zip(("one", "two"), batches, strict=True):
        numbers = sorted(json.loads(str(e.raw))["data"]["n"] for e in stored.values() if e.session_id.startswith(name))
        assert numbers[: count * BATCH] == list(range(count * BATCH)), "each once, however often it was sent"
        assert len(numbers) <= (count + 1) * BATCH, "and of the last batch, whose answer nobody waited for"
    print(f"{KILLS} doors killed, {sum(batches)} batches accepted, {len(answers)} events, {len(stored)} stored")
